"""The routes of personas that speak: a turn, personas among themselves, what was said and claimed, and why.

Everything that they say is marked as simulated in the store, in exports, and here by `simulated: true`.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse
from pydantic import BaseModel, ConfigDict, Field, model_validator

from service.entrances import chat as chat_entrance
from service.entrances import why
from service.entrances.company import company_json, turn_json
from service.entrances.talks import Gathering, Says
from service.http import events
from service.http.given import MAX_TURN, App, AskedSampling, Given, Seed
from service.http.paging import Paged, page_of
from service.http.route import Route
from simulator.steering import Wish

router = APIRouter(route_class=Route, tags=["chats"])

Id = Annotated[str, Path(pattern=r"^[\w.:-]{1,64}$")]
Person = Annotated[str | None, Query(max_length=255)]


class NewTurn(AskedSampling):
    model_config = ConfigDict(extra="forbid", populate_by_name=True)
    person: str
    as_person: str = Field(alias="as")
    text: str = Field(max_length=MAX_TURN)
    autocomplete: bool = False
    seed: Seed | None = None
    think: bool = False
    use_weights: bool = True
    steer: dict[str, float] = Field(default={})  # direction -> dose
    force_dose: bool = False
    entropies: bool = False  # of the tokens that the reply is made of, in nats
    stream: bool = False


class NewCompany(AskedSampling):
    """With `as`, that person says `text` to two personas, who answer; `turns` and `about` are of personas among themselves."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)
    people: list[str] = Field(min_length=2, max_length=3)
    as_person: str | None = Field(None, alias="as")
    text: str = Field("", max_length=MAX_TURN)
    turns: int = Field(20, ge=1, le=1000)
    seed: Seed = 0
    about: str = Field("", max_length=400)
    use_weights: bool = True
    stream: bool = False

    @model_validator(mode="after")
    def _is_said_by_somebody(self) -> NewCompany:
        if self.text and self.as_person is None:
            raise ValueError("`text` goes with `as`")
        return self


class Why(BaseModel):
    """A turn by its id, a beginning of it or `last`; or any `text` with what was said before it."""

    model_config = ConfigDict(extra="forbid")
    turn: Annotated[str | None, Field(min_length=1, max_length=64)] = None
    text: Annotated[str | None, Field(min_length=1, max_length=8000)] = None
    context: list[Annotated[str, Field(max_length=8000)]] = Field(default=[], max_length=64)
    known_to: Annotated[str | None, Field(max_length=255)] = None
    method: Literal["activation", "gradient", "bm25", "dense"] = "activation"
    k: int = Field(5, ge=1, le=100)

    @model_validator(mode="after")
    def _is_one_question(self) -> Why:
        if (self.turn is None) == (self.text is None):
            raise ValueError("give either `turn` or `text`")
        if self.turn is not None and (self.context or self.known_to):
            raise ValueError("`context` and `known_to` go with `text`")
        return self


@router.post("/v1/chat", response_model=None)
async def chat(app: Given, turn: NewTurn, request: Request) -> Response:
    """Say something to a persona: JSON, or server-sent events with `stream` or `Accept: text/event-stream`."""
    wishes = tuple(Wish.parse(f"{name}={dose}") for name, dose in turn.steer.items())
    says = Says(**turn.model_dump(exclude={"entropies", "stream", "steer"}), steer=wishes)
    if turn.stream or events.wants_events(request):
        return events.response(await app.room.run(partial(_spoken, app, says, entropies=turn.entropies)))
    spoken = await app.room.run(partial(app.talks.reply, says))
    app.metrics.turn(spoken.n_tokens, spoken.seconds)
    return JSONResponse(spoken.as_json(entropies=turn.entropies))


@router.post("/v1/converse", response_model=None)
async def converse(app: Given, company: NewCompany, request: Request) -> Response:
    """Let two or three personas talk with each other, or answer you: JSON at the end, or an event for each turn as it is said."""
    gathering = Gathering(
        tuple(company.people),
        company.turns,
        company.seed,
        company.about,
        company.use_weights,
        company.as_person,
        company.text,
        **company.knobs(),
    )
    said = await app.room.run(partial(_in_company, app, gathering))
    if company.stream or events.wants_events(request):
        return events.response(events.written(said))
    return JSONResponse(await app.room.run(partial(_last, said)))


@router.get("/v1/chats")
def chats(app: Given, page: Paged, person: Person = None) -> dict[str, Any]:
    """Conversations with personas, the newest first; of one person's persona where asked."""
    return page_of("chats", chat_entrance.chats(app.services, person=person), page, "id")


@router.get("/v1/chats/{session_id}")
def chat_session(app: Given, session_id: Id) -> dict[str, Any]:
    """One conversation turn by turn: what was said, and which facts, weights and claims each turn rested on."""
    return chat_entrance.chat(app.services, session_id)


@router.get("/v1/chats/{session_id}/export", response_class=PlainTextResponse)
def export_chat(
    app: Given, session_id: Id, format: Literal["whatsapp", "jsonl"] = "whatsapp"
) -> PlainTextResponse:
    """What was said, every message marked as simulated."""
    lines = chat_entrance.export(app.services, session_id, format)
    name = f"simulated.{'jsonl' if format == 'jsonl' else 'txt'}"
    media_type = "application/x-ndjson" if format == "jsonl" else "text/plain; charset=utf-8"
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
    return PlainTextResponse("".join(f"{line}\n" for line in lines), headers=headers, media_type=media_type)


@router.get("/v1/claims")
def claims(app: Given, page: Paged, person: Person = None, all: bool = False) -> dict[str, Any]:
    """What personas made up and stand by, none of it a fact; with `all` also what rests on facts or was withdrawn."""
    found = chat_entrance.claims(app.services, person=person, everything=all)
    return page_of("claims", found, page, "id")


@router.post("/v1/claims/{claim_id}/withdraw")
def withdraw_claim(app: Given, claim_id: Id) -> dict[str, Any]:
    """Let the persona no longer stand by a claim, nor by what repeated it."""
    return {"withdrawn": chat_entrance.withdraw(app.services, claim_id)}


@router.get("/v1/turns")
def turns(app: Given, limit: Annotated[int, Query(ge=1, le=1000)] = 10) -> list[dict[str, Any]]:
    """The newest turns of personas, for `why-said`."""
    return why.turns(app.services, limit)


@router.post("/v1/why-said")
def why_said(app: Given, asked: Why, request: Request) -> Response:
    """Which messages made a persona say this; with `Accept: text/event-stream` its progress first."""
    question = why.Question(
        asked.turn, asked.text, tuple(asked.context), asked.known_to, asked.method, asked.k
    )

    def work(step: events.Steps) -> dict[str, Any]:
        watch = why.Watch(step("index"), step("ranking"))
        with app.lock:
            return why.why_said(app.services, question, watch)

    return events.followed(app, request, work)


def _spoken(app: App, says: Says, *, entropies: bool) -> Iterator[str]:
    """`piece` events as the reply is drawn, then `turn` with the whole of it, or `problem`."""
    spoken = app.talks.stream(says)  # raises before the response begins

    def told() -> Iterator[events.Told]:
        for part in spoken:
            if isinstance(part, str):
                yield "piece", {"text": part}
            elif isinstance(part, Exception):
                yield part
            else:
                app.metrics.turn(part.n_tokens, part.seconds)
                yield "turn", part.as_json(entropies=entropies)

    return events.written(told())


def _in_company(app: App, gathering: Gathering) -> Iterator[events.Told]:
    """`turn` as they are said, then `end` with all of them and what became of the conversation."""
    from simulator.company import SaidTurn

    pieces = app.talks.converse(gathering)  # raises before the response begins

    def told() -> Iterator[events.Told]:
        said: list[SaidTurn] = []
        for piece in pieces:
            if isinstance(piece, SaidTurn):
                said.append(piece)
                app.metrics.turn(piece.n_tokens, piece.turn.seconds)
                yield "turn", turn_json(piece)
            elif isinstance(piece, Exception):
                yield piece
            else:
                yield "end", company_json(piece, said)

    return told()


def _last(pieces: Iterator[events.Told]) -> dict[str, Any]:
    """The data of the last event; raises what ended the stream."""
    *_, last = pieces
    if isinstance(last, Exception):
        raise last
    return last[1]
