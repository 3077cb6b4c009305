"""What an index reads from the tables: nodes, episodes and facts, by id and in chunks, so that memory stays bounded.

Messages that a model wrote, and messages without words, are no units. Nothing here writes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import BindParameter, bindparam, select
from sqlalchemy.orm import Session

from db.tables import Conversation, Edge, Episode, Evidence, Fact, Node
from memory.facts import sentence_of
from memory.perspective import HEARD
from memory.vector_nodes import OF_WEIGHTS

CHUNK = 500  # ids per query; SQLite bounds the number of parameters
_LIVE = ("candidate", "stored")


@dataclass(frozen=True, slots=True)
class Place:
    """Where an episode stands, without its words."""

    id: str
    conversation_id: str
    position: int
    time: float


@dataclass(frozen=True, slots=True)
class Said:
    """An episode's words."""

    id: str
    speaker_id: str
    speaker: str
    text: str

    @property
    def embedded_text(self) -> str:
        return f"{self.speaker}: {self.text}"


@dataclass(frozen=True, slots=True)
class Heard:
    """One message that a fact rests on."""

    episode_id: str
    conversation_id: str
    speaker_id: str
    time: float


@dataclass(frozen=True, slots=True)
class FactUnit:
    id: str
    subject_id: str
    object_id: str | None
    text: str
    is_retired: bool
    time: float  # when it was first said, else recorded
    heard: tuple[Heard, ...]


@dataclass(frozen=True, slots=True)
class Telling:
    fact_id: str
    episode_id: str
    by: str  # the fact itself, or the statement merged into it that rests on the message


@dataclass(frozen=True, slots=True)
class NodeUnit:
    id: str
    name: str
    merged_into: str | None
    edges: tuple[tuple[str, float], ...]


def in_chunks(ids: Iterable[str]) -> Iterator[list[str]]:
    every = list(ids)
    for start in range(0, len(every), CHUNK):
        yield every[start : start + CHUNK]


def seconds(time: datetime) -> float:
    return time.timestamp()


def node_ids(session: Session, space_id: str) -> list[str]:
    return list(session.scalars(select(Node.id).where(Node.space_id == space_id)))


def conversation_ids(session: Session, space_id: str) -> list[str]:
    return list(session.scalars(select(Conversation.id).where(Conversation.space_id == space_id)))


def fact_ids(session: Session, space_id: str) -> list[str]:
    """Every fact that is a unit, in the order of their ids."""
    query = select(Fact.id).where(Fact.space_id == space_id, Fact.origin.in_(HEARD)).order_by(Fact.id)
    return list(session.scalars(query))


_PLACE = (Episode.id, Episode.conversation_id, Episode.position, Episode.time)


def all_places(session: Session, space_id: str) -> Iterator[list[Place]]:
    """Every episode that is a unit, in no order."""
    query = select(*_PLACE).where(
        Episode.space_id == space_id, Episode.origin.in_(HEARD), Episode.kind == "text"
    )
    rows = session.execute(query.execution_options(yield_per=10_000))
    for part in rows.partitions():
        yield [Place(row[0], row[1], row[2], seconds(row[3])) for row in part]


def places(session: Session, space_id: str, ids: Iterable[str]) -> list[Place]:
    """Those of the ids that are units."""
    found: list[Place] = []
    for part in in_chunks(ids):
        query = select(*_PLACE, Episode.space_id, Episode.origin, Episode.kind).where(Episode.id.in_(part))
        found += [
            Place(row[0], row[1], row[2], seconds(row[3]))
            for row in session.execute(query)
            if row[4] == space_id and row[5] in HEARD and row[6] == "text"
        ]
    return found


_IDS: BindParameter[Any] = bindparam("ids", expanding=True)
_SAID = (
    select(Episode.id, Episode.speaker_id, Node.name, Episode.text)
    .join(Node, Node.id == Episode.speaker_id)
    .where(Episode.id.in_(_IDS))
)
_NODE = select(Node.id, Node.name, Node.merged_into, Node.space_id).where(
    Node.id.in_(_IDS), Node.kind.not_in(OF_WEIGHTS)
)
_EDGE = select(Edge.src_id, Edge.dst_id, Edge.weight).where(Edge.src_id.in_(_IDS))
_FACT = (
    select(
        Fact.id,
        Fact.subject_id,
        Fact.object_id,
        Node.name,
        Fact.predicate,
        Fact.object,
        Fact.state,
        Fact.retracted_at,
        Fact.recorded_at,
        Fact.space_id,
        Fact.origin,
    )
    .join(Node, Node.id == Fact.subject_id)
    .where(Fact.id.in_(_IDS))
)
_HEARD = (
    select(
        Evidence.fact_id,
        Episode.id,
        Episode.conversation_id,
        Episode.speaker_id,
        Episode.time,
        Episode.origin,
    )
    .join(Episode, Episode.id == Evidence.episode_id)
    .where(Evidence.fact_id.in_(_IDS))
)


# what restates a fact is heard of the fact: only equal values of the same predicate are merged across conversations
_RESTATED = (
    select(
        Fact.superseded_by,
        Episode.id,
        Episode.conversation_id,
        Episode.speaker_id,
        Episode.time,
        Episode.origin,
    )
    .join(Evidence, Evidence.fact_id == Fact.id)
    .join(Episode, Episode.id == Evidence.episode_id)
    .where(Fact.superseded_by.in_(_IDS), Fact.state == "merged")
)


def said(session: Session, ids: Iterable[str]) -> dict[str, Said]:
    found: dict[str, Said] = {}
    for part in in_chunks(ids):
        found.update((row[0], Said(*row)) for row in session.execute(_SAID, {"ids": part}))
    return found


def nodes(session: Session, space_id: str, ids: Iterable[str]) -> list[NodeUnit]:
    """Those of the ids that exist, with the edges that go out from them."""
    found = []
    for part in in_chunks(ids):
        edges: dict[str, list[tuple[str, float]]] = defaultdict(list)
        for source, target, weight in session.execute(_EDGE, {"ids": part}):
            edges[source].append((target, weight))
        for node_id, name, merged_into, space in session.execute(_NODE, {"ids": part}):
            if space == space_id:
                found.append(NodeUnit(node_id, name, merged_into, tuple(edges[node_id])))
    return found


def facts(session: Session, space_id: str, ids: Iterable[str]) -> list[FactUnit]:
    """Those of the ids that are units, with the messages that they rest on."""
    found = []
    for part in in_chunks(ids):
        heard = _heard(session, part)
        rows = _fact_rows(session, space_id, part)
        found += [_fact(row, _sentence(row), tuple(heard.get(row.id, ()))) for row in rows]
    return found


def encoded_texts(
    session: Session, space_id: str, episodes: Iterable[str], facts: Iterable[str]
) -> dict[tuple[str, str], str]:
    """By kind and id, what is encoded of these messages, and of those of these facts that are units."""
    texts = {("episode", item): row.embedded_text for item, row in said(session, episodes).items()}
    for part in in_chunks(sorted(facts)):
        texts |= {("fact", row.id): _sentence(row) for row in _fact_rows(session, space_id, part)}
    return texts


def _fact_rows(session: Session, space_id: str, ids: Sequence[str]) -> list[Any]:
    rows = session.execute(_FACT, {"ids": ids})
    return [row for row in rows if row.space_id == space_id and row.origin in HEARD]


def _sentence(row: Any) -> str:
    return sentence_of(row.name, row.predicate, row.object)


def _fact(row: Any, text: str, heard: tuple[Heard, ...]) -> FactUnit:
    first = min((item.time for item in heard), default=None)
    return FactUnit(
        row.id,
        row.subject_id,
        row.object_id,
        text,
        row.state not in _LIVE or row.retracted_at is not None,
        seconds(row.recorded_at) if first is None else first,
        heard,
    )


def _heard(session: Session, ids: Sequence[str]) -> dict[str, list[Heard]]:
    found: dict[str, list[Heard]] = defaultdict(list)
    for query in (_HEARD, _RESTATED):
        for row in session.execute(query, {"ids": ids}):
            fact_id, episode_id, conversation_id, speaker_id, time, origin = row
            if fact_id is not None and origin in HEARD:
                found[fact_id].append(Heard(episode_id, conversation_id, speaker_id, seconds(time)))
    return found


def told_in(session: Session, ids: Sequence[str]) -> list[Telling]:
    """Every message that these facts rest on; their own before those of what restates them."""
    own = select(Evidence.fact_id, Evidence.episode_id, Evidence.fact_id).where(Evidence.fact_id.in_(_IDS))
    merged = (
        select(Fact.superseded_by, Evidence.episode_id, Fact.id)
        .join(Evidence, Evidence.fact_id == Fact.id)
        .where(Fact.superseded_by.in_(_IDS), Fact.state == "merged")
        .order_by(Fact.recorded_at, Fact.id)
    )
    return [
        Telling(fact_id, episode_id, by)
        for query in (own, merged)
        for fact_id, episode_id, by in session.execute(query, {"ids": list(ids)})
        if fact_id is not None
    ]


def restated(session: Session, ids: Iterable[str]) -> set[str]:
    """Facts that any of these are merged into."""
    query = select(Fact.superseded_by).where(Fact.id.in_(_IDS), Fact.state == "merged")
    return {kept for part in in_chunks(ids) for kept in session.scalars(query, {"ids": part}) if kept}


def facts_about(session: Session, node_id: str) -> list[str]:
    """Facts whose subject the node is: their sentences change with its name."""
    return list(session.scalars(select(Fact.id).where(Fact.subject_id == node_id)))


_STATE = select(Fact.id, Fact.state, Fact.retracted_at).where(Fact.id.in_(_IDS))
_THERE = select(Episode.id).where(Episode.id.in_(_IDS))


def still_there(session: Session, ids: Mapping[str, Sequence[str]]) -> set[str]:
    """Which of these episodes and facts the tables hold now, rejected and retracted facts left out.

    By their ids alone: a condition on the state leads SQLite to an index over a whole state.
    """
    found: set[str] = set()
    for part in in_chunks(ids.get("episode", ())):
        found.update(session.scalars(_THERE, {"ids": part}))
    for part in in_chunks(ids.get("fact", ())):
        for fact_id, state, retracted_at in session.execute(_STATE, {"ids": part}):
            if state in _LIVE and retracted_at is None:
                found.add(fact_id)
    return found


def existing(session: Session, space_id: str, kind: str, ids: Iterable[str]) -> set[str]:
    """Which of these episodes, facts or nodes the tables hold as such."""
    if kind == "episode":
        return {place.id for place in places(session, space_id, ids)}
    if kind == "node":
        return {node.id for node in nodes(session, space_id, ids)}
    return {fact.id for fact in facts(session, space_id, ids)}
