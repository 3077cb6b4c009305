"""Conversations with personas as they were held: sessions, turns, what each turn rested on and what it claimed.

Everything said in a session is a message of origin `simulated`, written with its turn in one transaction. `why` reads
back which facts, adapters and claims a turn had.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session, aliased

from db import tables
from db.engine import Database
from memory.claims import Claim, NewClaim, keep_claims, list_claims
from memory.episodes import add_participants, add_turn, ensure_conversation
from memory.errors import UnknownSession
from memory.ports import Clock, utc_now
from memory.types import Episode

Kind = Literal["reply", "autocomplete", "company"]
Status = Literal["whole", "interrupted", "corrected"]
Place = Literal["prompt", "weights"]


@dataclass(frozen=True, slots=True)
class NewSession:
    """How a session begins. `people`: node ids of everybody in it, `person_id` is whose persona (a company's first).

    `settings` hold nobody's words; `recipe` and `readout` are hashes.
    """

    person_id: str
    conversation: str  # its name; made where there is none
    people: tuple[str, ...]
    kind: Kind = "reply"
    settings: Mapping[str, Any] = field(default_factory=dict)
    engine: str = ""
    recipe: str | None = None
    readout: str | None = None


@dataclass(frozen=True, slots=True)
class NewTurn:
    """What a persona said at once, and how it came to.

    `heard` is what was said to it, by whom (node id, words), where that is no message yet; `answers_id` where it is
    one. `reply` may be empty where a turn was interrupted before its first word; then it claims nothing. `rests_on`:
    ids of the messages that it tells again in their own words; the reply goes when one of them is erased.
    """

    speaker_id: str
    reply: str
    heard: tuple[str, str] | None = None
    answers_id: str | None = None
    status: Status = "whole"
    facts: Mapping[str, Place] = field(default_factory=dict)  # fact id -> where it was
    claims: Sequence[NewClaim] = ()
    recipe: str | None = None
    adapters: tuple[str, ...] = ()  # sha256 of each that was worn, knowledge and style
    seed: int = 0
    n_draws: int = 1
    objections: tuple[tuple[str, str], ...] = ()  # (guard, reason), without anybody's words
    seconds: float = 0.0
    deliberation: str = ""
    rests_on: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class KeptTurn:
    """What was written of a turn: its id, the messages in their order, the ids of its claims."""

    id: str
    heard: Episode | None
    reply: Episode | None
    claims: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ChatSession:
    id: str
    person_id: str
    person: str
    conversation_id: str
    conversation: str
    kind: str
    began_at: datetime
    ended_at: datetime | None
    settings: dict[str, Any]
    engine: str
    recipe: str | None
    readout: str | None
    n_turns: int


@dataclass(frozen=True, slots=True)
class ChatTurn:
    """`facts`: fact id -> prompt | weights; `rests_on`: ids of the messages that it quoted; `readings`: of its message and of the
    one that it answers, by id, as the session's readout found them."""

    id: str
    session_id: str
    number: int
    episode_id: str | None
    answers_id: str | None
    status: str
    recipe: str | None
    adapters: tuple[str, ...]
    seed: int
    n_draws: int
    objections: tuple[dict[str, str], ...]
    seconds: float
    deliberation: str
    rests_on: tuple[str, ...]
    facts: dict[str, str] = field(default_factory=dict)
    readings: dict[str, dict[str, float]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Why:
    """What a turn rested on: itself, its facts by id and place, and what it claimed."""

    turn: ChatTurn
    session: ChatSession
    claims: tuple[Claim, ...]


def session_json(session: ChatSession) -> dict[str, Any]:
    """The session as other programs get it."""
    return {
        "id": session.id,
        "person": session.person,
        "conversation": session.conversation,
        "kind": session.kind,
        "began_at": session.began_at.isoformat(),
        "ended_at": session.ended_at.isoformat() if session.ended_at else None,
        "settings": session.settings,
        "engine": session.engine,
        "recipe": session.recipe,
        "readout": session.readout,
        "turns": session.n_turns,
    }


def turn_json(turn: ChatTurn) -> dict[str, Any]:
    """How a turn came to; what it said is in its messages."""
    return {
        "id": turn.id,
        "number": turn.number,
        "episode": turn.episode_id,
        "answers": turn.answers_id,
        "status": turn.status,
        "recipe": turn.recipe,
        "adapters": list(turn.adapters),
        "seed": turn.seed,
        "draws": turn.n_draws,
        "objections": list(turn.objections),
        "seconds": round(turn.seconds, 3),
        "deliberation": turn.deliberation,
        "rests_on": list(turn.rests_on),
        "readings": {
            which: {concept: round(value, 3) for concept, value in turn.readings.get(said or "", {}).items()}
            for which, said in (("heard", turn.answers_id), ("reply", turn.episode_id))
        },
    }


def begin(database: Database, space_id: str, new: NewSession, *, clock: Clock = utc_now) -> str:
    """Open a session; its id. The conversation is made where there is none of that name."""
    with database.transaction() as session:
        conversation_id = ensure_conversation(session, space_id, new.conversation)
        add_participants(session, space_id, conversation_id, {new.person_id, *new.people})
        row = tables.ChatSession(
            space_id=space_id,
            person_id=new.person_id,
            conversation_id=conversation_id,
            kind=new.kind,
            began_at=clock(),
            settings=dict(new.settings),
            engine=new.engine,
            recipe=new.recipe,
            readout=new.readout,
        )
        session.add(row)
        session.flush()
        return row.id


def keep_turn(
    database: Database, space_id: str, session_id: str, turn: NewTurn, *, clock: Clock = utc_now
) -> KeptTurn:
    """Write a turn with its messages, facts and claims, all or nothing. Raises UnknownSession."""
    with database.transaction() as session:
        talk = _session(session, space_id, session_id)
        heard = _say(session, talk, turn.heard, clock) if turn.heard else None
        reply = _say(session, talk, (turn.speaker_id, turn.reply), clock)
        last = session.scalar(
            select(func.max(tables.ChatTurn.number)).where(tables.ChatTurn.session_id == session_id)
        )
        row = tables.ChatTurn(
            space_id=space_id,
            session_id=session_id,
            number=(last or 0) + 1,
            episode_id=reply.id if reply else None,
            answers_id=heard.id if heard else turn.answers_id,
            status=turn.status,
            recipe=turn.recipe,
            adapters=list(turn.adapters),
            seed=turn.seed,
            n_draws=turn.n_draws,
            objections=[{"guard": guard, "reason": reason} for guard, reason in turn.objections],
            seconds=turn.seconds,
            deliberation=turn.deliberation,
            rests_on=_there(session, space_id, turn.rests_on),
        )
        session.add(row)
        session.flush()
        claims = _rest(session, space_id, row, turn) if reply else []
        ids = keep_claims(session, space_id, turn.speaker_id, reply.id, reply.time, claims) if reply else []
        return KeptTurn(row.id, heard, reply, tuple(ids))


def keep_said(
    database: Database, space_id: str, session_id: str, said: tuple[str, str], *, clock: Clock = utc_now
) -> Episode:
    """Write what somebody (node id, words; not empty) says to several personas before one answers it: a turn then names it in
    `answers_id`. Raises UnknownSession."""
    with database.transaction() as session:
        kept = _say(session, _session(session, space_id, session_id), said, clock)
        assert kept is not None
        return kept


def end(database: Database, space_id: str, session_id: str, *, clock: Clock = utc_now) -> None:
    """The session is over; one that ended before keeps its time. Raises UnknownSession."""
    with database.transaction() as session:
        row = _session(session, space_id, session_id)
        row.ended_at = row.ended_at or clock()


def list_sessions(
    database: Database, space_id: str, *, person_id: str | None = None, ids: Collection[str] = ()
) -> list[ChatSession]:
    """The newest first; of one person's persona where asked, also where they were one of a company."""
    row, said = tables.ChatSession, tables.ChatTurn
    query = _sessions().where(row.space_id == space_id)
    if person_id is not None:
        spoken = (
            select(said.session_id)
            .join(tables.Episode, tables.Episode.id == said.episode_id)
            .where(tables.Episode.speaker_id == person_id)
        )
        query = query.where((row.person_id == person_id) | row.id.in_(spoken))
    if ids:
        query = query.where(row.id.in_(sorted(ids)))
    with database.reading() as session:
        found = session.execute(query.order_by(row.began_at.desc(), row.id))
        return [ChatSession(*one) for one in found]


def get_session(database: Database, space_id: str, session_id: str) -> ChatSession:
    """By its id, or by enough of its beginning. Raises UnknownSession."""
    row = tables.ChatSession
    query = select(row.id).where(row.space_id == space_id, row.id.startswith(session_id, autoescape=True))
    with database.reading() as session:
        ids = session.scalars(query.limit(2)).all() if session_id else []
    if len(ids) != 1:
        raise UnknownSession(session_id)
    return list_sessions(database, space_id, ids=ids)[0]


def list_turns(database: Database, space_id: str, session_id: str) -> list[ChatTurn]:
    """In their order, each with its facts."""
    row = tables.ChatTurn
    return _turns(database, space_id, row.session_id == session_id)


def why(database: Database, space_id: str, turn_id: str) -> Why | None:
    """Which facts, adapters and claims a turn had, by its own id or its message's; None where no turn has that id."""
    row = tables.ChatTurn
    found = _turns(database, space_id, (row.id == turn_id) | (row.episode_id == turn_id))
    if not found:
        return None
    (turn,) = found
    said = {turn.episode_id} if turn.episode_id else set()
    claims = list_claims(database, space_id, states=(), episodes=said) if said else []
    return Why(turn, get_session(database, space_id, turn.session_id), tuple(claims))


def _turns(database: Database, space_id: str, which: Any) -> list[ChatTurn]:
    row, held = tables.ChatTurn, tables.TurnFact
    with database.reading() as session:
        rows = session.scalars(select(row).where(row.space_id == space_id, which).order_by(row.number)).all()
        rested = session.execute(
            select(held.turn_id, held.fact_id, held.place).join(row, row.id == held.turn_id).where(which)
        ).all()
        facts: dict[str, dict[str, str]] = {}
        for turn_id, fact_id, place in rested:
            facts.setdefault(turn_id, {})[fact_id] = place
        read = _readings(session, rows)
        return [_turn(one, facts.get(one.id, {}), read.get(one.id, {})) for one in rows]


def _readings(session: Session, rows: Sequence[tables.ChatTurn]) -> dict[str, dict[str, dict[str, float]]]:
    """By turn, what the readout of its session found in its message and in what that answers."""
    turn, talk, row = tables.ChatTurn, tables.ChatSession, tables.Reading
    query = (
        select(turn.id, row.episode_id, row.concepts)
        .join(talk, talk.id == turn.session_id)
        .join(row, (row.readout == talk.readout) & row.episode_id.in_([turn.episode_id, turn.answers_id]))
        .where(turn.session_id.in_({one.session_id for one in rows}))
    )
    found: dict[str, dict[str, dict[str, float]]] = {}
    for turn_id, episode_id, concepts in session.execute(query):
        found.setdefault(turn_id, {})[episode_id] = dict(concepts)
    return found


def _turn(row: tables.ChatTurn, facts: dict[str, str], readings: dict[str, dict[str, float]]) -> ChatTurn:
    return ChatTurn(
        row.id,
        row.session_id,
        row.number,
        row.episode_id,
        row.answers_id,
        row.status,
        row.recipe,
        tuple(row.adapters),
        row.seed,
        row.n_draws,
        tuple(row.objections),
        row.seconds,
        row.deliberation,
        tuple(row.rests_on),
        facts,
        readings,
    )


def _rest(session: Session, space_id: str, row: tables.ChatTurn, turn: NewTurn) -> list[NewClaim]:
    """Keep what the turn rested on; its claims. What was erased while it was drawn is in neither."""
    named = {*turn.facts, *(claim.fact_id for claim in turn.claims if claim.fact_id)}
    is_there = tables.Fact.space_id == space_id, tables.Fact.id.in_(sorted(named))
    known = set(session.scalars(select(tables.Fact.id).where(*is_there)))
    session.add_all(
        tables.TurnFact(turn_id=row.id, fact_id=fact_id, space_id=space_id, place=place)
        for fact_id, place in turn.facts.items()
        if fact_id in known
    )
    return [claim for claim in turn.claims if claim.fact_id is None or claim.fact_id in known]


def _there(session: Session, space_id: str, episode_ids: Collection[str]) -> list[str]:
    """Those of the messages that the space holds."""
    row = tables.Episode
    return sorted(session.scalars(select(row.id).where(row.space_id == space_id, row.id.in_(episode_ids))))


def _session(session: Session, space_id: str, session_id: str) -> tables.ChatSession:
    row = session.get(tables.ChatSession, session_id)
    if row is None or row.space_id != space_id:
        raise UnknownSession(session_id)
    return row


def _say(session: Session, talk: tables.ChatSession, said: tuple[str, str], clock: Clock) -> Episode | None:
    speaker_id, text = said
    if not text:
        return None
    add_participants(session, talk.space_id, talk.conversation_id, {speaker_id})
    return add_turn(
        session,
        talk.space_id,
        talk.conversation_id,
        speaker_id=speaker_id,
        text=text,
        origin="simulated",
        time=clock(),
    )


def _sessions() -> Select[*tuple[Any, ...]]:
    row, turn = tables.ChatSession, aliased(tables.ChatTurn)
    n_turns = select(func.count()).where(turn.session_id == row.id).scalar_subquery()
    return (
        select(
            row.id,
            row.person_id,
            tables.Node.name,
            row.conversation_id,
            tables.Conversation.name,
            row.kind,
            row.began_at,
            row.ended_at,
            row.settings,
            row.engine,
            row.recipe,
            row.readout,
            n_turns,
        )
        .join(tables.Node, tables.Node.id == row.person_id)
        .join(tables.Conversation, tables.Conversation.id == row.conversation_id)
    )
