"""The tools that only look: ask, facts, person, search, sleep_status."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any, Literal

from pydantic import Field

from service.http.given import as_moment
from service.mcp.tool import Arguments, Tool
from service.spaces import App

Day = datetime | date

KNOWN_TO = "A person's name: answer only with what that person said, heard, or can know of themselves."
AS_OF = "A day (2025-04-01) or moment: answer as things stood then. Without it, now."


class Ask(Arguments):
    question: str = Field(min_length=1, max_length=2000, description="A question in plain words.")
    known_to: str | None = Field(None, max_length=255, description=KNOWN_TO)
    asked_by: str | None = Field(None, max_length=255, description='Who "I" is in the question.')
    as_of: Day | None = Field(None, description=AS_OF)


def ask(app: App, given: Ask) -> dict[str, Any]:
    from memory.ask import answer_json

    found = app.services.ask(
        given.question, known_to=given.known_to, asked_by=given.asked_by, as_of=as_moment(given.as_of)
    )
    app.metrics.count("slowwave_questions_total", abstained=str(found.abstained).lower())
    return answer_json(found)


class Facts(Arguments):
    person: str | None = Field(
        None, max_length=255, description="Whose facts; without it a page of everybody's."
    )
    predicate: str | None = Field(
        None, max_length=255, description="Only these, such as lives_in or workplace."
    )
    topic: str | None = Field(
        None, max_length=255, description="Only those of one topic, such as home or work."
    )
    as_of: Day | None = Field(None, description=AS_OF)
    as_recorded: Day | None = Field(None, description="As the store knew things on that day.")
    history: bool = Field(False, description="Also what held once, or was taken back.")
    known_to: str | None = Field(None, max_length=255, description=KNOWN_TO)
    limit: int = Field(100, ge=1, le=1000, description="How many at most, of everybody's.")
    after: str | None = Field(None, max_length=64, description="The `next` of the page before.")


def facts(app: App, given: Facts) -> dict[str, Any]:
    from service.entrances import fact

    question = fact.FactQuestion(
        as_moment(given.as_of),
        as_moment(given.as_recorded),
        given.known_to,
        given.history,
        given.topic,
        given.predicate,
    )
    if given.person is not None:
        return {"facts": fact.of_person(app.services, given.person, question), "next": None}
    return fact.of_everybody(app.services, question, limit=given.limit, after=given.after)


class Person(Arguments):
    name: str | None = Field(
        None,
        max_length=255,
        description="A name, or a description such as: Ana's sister. Without it, everybody.",
    )
    as_of: Day | None = Field(None, description=AS_OF)
    known_to: str | None = Field(None, max_length=255, description=KNOWN_TO)


def person(app: App, given: Person) -> dict[str, Any]:
    from memory.people import list_people, person_json
    from memory.profile import profile_json

    services = app.services
    if given.name is None:
        return {"people": [person_json(one) for one in list_people(services.database, services.space_id)]}
    card = services.profile(given.name, as_of=as_moment(given.as_of), known_to=given.known_to)
    return profile_json(card)


class Search(Arguments):
    query: str = Field(
        min_length=1, max_length=2000, description="Words or a sentence; meaning counts as well."
    )
    k: int = Field(10, ge=1, le=100, description="How many at most.")
    kinds: list[Literal["episode", "fact", "session", "digest"]] = Field(
        default=["episode", "fact"],
        min_length=1,
        description="An episode is one message; a session, a stretch of talk.",
    )
    known_to: str | None = Field(None, max_length=255, description=KNOWN_TO)
    as_of: Day | None = Field(None, description=AS_OF)


def search(app: App, given: Search) -> list[dict[str, Any]]:
    return app.services.search(
        given.query,
        given.k,
        kinds=tuple(given.kinds),
        known_to=given.known_to,
        as_of=as_moment(given.as_of),
    )


class SleepStatus(Arguments):
    run: str | None = Field(None, max_length=64, description="A night's id; without it the newest ones.")
    limit: int = Field(5, ge=1, le=100, description="How many of the newest.")


def sleep_status(app: App, given: SleepStatus) -> dict[str, Any]:
    from service.entrances import run as run_entrance

    if given.run is not None:
        return run_entrance.run(app.services, given.run)
    return {"running": app.nights.is_running, "runs": run_entrance.runs(app.services)[: given.limit]}


TOOLS = (
    Tool(
        "ask",
        "Ask",
        "Answer a question about people from what they said, with the facts and messages the answer rests on. Where "
        "nothing supports an answer, `abstained` is true: then say that it is not known rather than guess.",
        Ask,
        "read",
        ask,
        is_read_only=True,
        is_idempotent=True,
    ),
    Tool(
        "facts",
        "Facts",
        "What is known about one person or everybody: current, as of a day, with its history, as another person can "
        "know it. Each fact has an id, the time over which it holds, its standing and the messages behind it.",
        Facts,
        "read",
        facts,
        is_read_only=True,
        is_idempotent=True,
    ),
    Tool(
        "person",
        "Person",
        "The card of one person: relations, facts by topic, what is contested, feelings by month, constitution, and "
        "whether they agreed to be simulated. Without a name, everybody who is known.",
        Person,
        "read",
        person,
        is_read_only=True,
        is_idempotent=True,
    ),
    Tool(
        "search",
        "Search",
        "The messages and facts nearest to a query, by words and by meaning, best first.",
        Search,
        "read",
        search,
        is_read_only=True,
        is_idempotent=True,
    ),
    Tool(
        "sleep_status",
        "Sleep status",
        "How the nights went and where a running one stands: stages, exam, the seconds that it still takes.",
        SleepStatus,
        "read",
        sleep_status,
        is_read_only=True,
        is_idempotent=True,
    ),
)
