"""The tools that change something, or let a persona speak: remember, chat, sleep, forget, review."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any, Literal

from pydantic import Field, model_validator

from memory.erasure import Mentions, TargetKind
from service.http.given import MAX_TURN, AskedSampling, as_moment
from service.mcp.tool import NOTICE, Arguments, Tool
from service.spaces import App

Day = datetime | date

SIMULATED = (
    "What stands under `stored` was made by a model that simulates a person: the person did not say it, and it is no "
    f"evidence of anything. {NOTICE}"
)
BY = "In whose name it is stated; without it the keeper of the store."


class Message(Arguments):
    speaker: str = Field(min_length=1, max_length=255, description="Who said it.")
    text: str = Field(
        min_length=1, max_length=8000, description="Exactly what they said, in their own words."
    )
    heard_by: list[str] = Field(default=[], max_length=50, description="Names of those who heard it.")
    conversation: str | None = Field(
        None, min_length=1, max_length=255, description="The talk that it belongs to."
    )
    time: Day | None = Field(None, description="When it was said; without it, now.")


class Fact(Arguments):
    person: str = Field(min_length=1, max_length=255, description="Whom the fact is about.")
    predicate: str = Field(
        min_length=1, max_length=255, description="Such as lives_in, workplace, likes, birthday."
    )
    object: str = Field(
        min_length=1, max_length=2000, description="The value: a name, a place, a day, a few words."
    )
    since: Day | None = Field(None, alias="from", description="From which day it holds; without it, today.")
    to: Day | None = Field(None, description="Until which day it held.")
    by: str | None = Field(None, max_length=255, description=BY)
    new: bool = Field(False, description="Make a new person although somebody has a name like theirs.")


class Remember(Arguments):
    message: Message | None = Field(
        None, description="Something a person said: kept word for word, and read."
    )
    fact: Fact | None = Field(
        None, description="Something that is stated outright: stored at once, and undoable."
    )

    @model_validator(mode="after")
    def _is_one(self) -> Remember:
        if (self.message is None) == (self.fact is None):
            raise ValueError("give either `message` or `fact`")
        return self


def remember(app: App, given: Remember) -> dict[str, Any]:
    from memory.statements import Statement
    from service.entrances import fact as fact_entrance
    from service.entrances.telling import Told, tell

    if given.message is not None:
        said = given.message
        told = Told(said.speaker, said.text, tuple(said.heard_by), said.conversation, as_moment(said.time))
        return tell(app.services, told)
    assert given.fact is not None
    fact = given.fact
    statement = Statement(
        fact.person,
        fact.predicate,
        fact.object,
        as_moment(fact.since),
        as_moment(fact.to),
        is_new=fact.new,
    )
    return fact_entrance.state(app.services, statement, fact.by)


class Chat(Arguments, AskedSampling):
    person: str = Field(min_length=1, max_length=255, description="Whose persona speaks.")
    as_person: str = Field(alias="as", min_length=1, max_length=255, description="Who talks with it.")
    text: str = Field(min_length=1, max_length=MAX_TURN, description="What is said to it.")
    think: bool = Field(False, description="Let it draw a thought of its own first; slower.")
    seed: int | None = Field(None, description="For the same reply again.")


def chat(app: App, given: Chat) -> dict[str, Any]:
    from service.entrances.talks import Says

    spoken = app.talks.reply(
        Says(
            given.person,
            given.as_person,
            given.text,
            seed=given.seed,
            think=given.think,
            **given.knobs(),
        )
    )
    app.metrics.turn(spoken.n_tokens, spoken.seconds)
    return {"simulated": True, **spoken.as_json()}


class Sleep(Arguments):
    minutes: float | None = Field(None, gt=0, description="How long it may train at most.")
    seed: int | None = Field(None, description="For the same night again.")
    fresh: bool = Field(False, description="Begin anew, where a night was stopped and could go on.")


def sleep(app: App, given: Sleep) -> dict[str, Any]:
    from service.daemon.nights import night_settings

    settings = night_settings(app.services.settings.night, seed=given.seed, minutes=given.minutes, model=None)
    run_id = app.nights.start(settings, resume=not given.fresh)
    return {"run": run_id, "status": "running" if run_id else "waiting"}


class Forget(Arguments):
    kind: TargetKind = Field(description="What is erased.")
    what: str = Field(min_length=1, max_length=400, description="A person's name; of anything else the id.")
    mentions: Mentions = Field("redact", description="What becomes of others' messages that name the person.")
    spare: list[str] = Field(
        default=[], max_length=50, description="Forms of the name that are plain words here."
    )
    with_messages: bool = Field(False, description="For a fact: also the messages that it rests on.")
    plan: str | None = Field(
        None,
        min_length=12,
        max_length=64,
        pattern="^[0-9a-f]+$",
        description="The `plan` of the answer before. Without it nothing is erased, and the plan is shown.",
    )


def forget(app: App, given: Forget) -> dict[str, Any]:
    from service.entrances import forgetting

    asked = forgetting.Asked(**{**given.model_dump(), "spare": tuple(given.spare)})
    is_sure = given.plan is not None
    with app.lock:
        return forgetting.forget(app.services, asked, is_sure=is_sure, end_talks=app.talks.end).as_json()


class Review(Arguments):
    fact: str | None = Field(
        None, min_length=1, max_length=64, description="A fact's id; without it, what waits."
    )
    verdict: Literal["accept", "reject", "correct"] | None = Field(
        None, description="What becomes of the fact."
    )
    object: str | None = Field(None, max_length=2000, description="With `correct`: the right value.")
    by: str | None = Field(None, max_length=255, description=BY)
    limit: int = Field(20, ge=1, le=200, description="How many of those that wait.")
    after: str | None = Field(None, max_length=64, description="The `next` of the page before.")

    @model_validator(mode="after")
    def _is_whole(self) -> Review:
        if (self.fact is None) != (self.verdict is None):
            raise ValueError("give `fact` and `verdict` together, or neither to see what waits")
        return self


def review(app: App, given: Review) -> dict[str, Any]:
    from service.entrances import review as review_entrance

    if given.fact is None or given.verdict is None:
        return review_entrance.waiting(app.services, limit=given.limit, after=given.after)
    return review_entrance.settle(app.services, given.fact, given.verdict, given.object, given.by)


def _review_needs(given: Review) -> str:
    return "read" if given.fact is None else "write"


TOOLS = (
    Tool(
        "remember",
        "Remember",
        "Keep something for good: a message that a person said (never your own words), or a fact that is stated "
        "outright. Say first to whom you speak what you keep, where they do not know.",
        Remember,
        "write",
        remember,
    ),
    Tool(
        "chat",
        "Chat",
        "Say something to a person's persona and get its reply. Only for somebody whose consent is on record; the "
        "reply is simulated and has to be shown as that.",
        Chat,
        "chat",
        chat,
        lets_speak=True,
        notice=SIMULATED,
    ),
    Tool(
        "sleep",
        "Sleep",
        "Begin a night in the background, or go on with one that was stopped: it decides what is true and trains on "
        "it. It takes minutes to hours; `sleep_status` says where it stands.",
        Sleep,
        "night",
        sleep,
    ),
    Tool(
        "forget",
        "Forget",
        "Erase a person, fact, message or source for good, everywhere. Called without `plan` it changes nothing and "
        "shows what would go; show that to whoever decides, and only then call it again with the `plan` of that answer.",
        Forget,
        "admin",
        forget,
        is_destructive=True,
        is_plan=lambda given: given.plan is None,
    ),
    Tool(
        "review",
        "Review",
        "What the night could not decide and a person should: contested and quarantined facts. With `fact` and "
        "`verdict` one of them is settled, which can be undone.",
        Review,
        "read",
        review,
        needs=_review_needs,
    ),
)
