"""Bulk writing: many messages with the facts told in them, in few large transactions.

For importers of other memories and for benchmarks. The contracts are those of `memory.candidates`: an exact name or
alias never makes two nodes, what cannot be is refused and counted, every fact rests on the message that it came
with, and the same message is never stored twice. Vectors may be given; what has none is embedded by the next
`Index.refresh`. A first name alone is not matched with a longer name here: names are taken as they are.
"""

from __future__ import annotations

import hashlib
import secrets
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from functools import lru_cache
from itertools import islice
from typing import Any, cast

import numpy as np
from sqlalchemy import Connection, Table, insert, select
from sqlalchemy.orm import Session
from sqlalchemy.types import TypeEngine

from db import tables
from db.engine import Database
from memory import names, values
from memory.candidates import MAX_OBJECT, clean_value, told_interval
from memory.episodes import message_key
from memory.fact_rows import day_of, timezone
from memory.ports import Clock, Embedder, FloatMatrix, utc_now
from memory.registry import MAX_NAME, Registry, as_name
from memory.search.embeddings import check_vectors
from memory.types import FactCandidate

BATCH = 5_000  # messages per transaction
_CHUNK = 500  # ids per query; SQLite bounds the number of parameters


@dataclass(frozen=True, slots=True)
class Told:
    """One message and the facts that were told in it. Its words may be the only ones that the facts have.

    `fact.episode_ids` and `fact.asserted_by` are not read: the facts rest on this message, said by this speaker.
    """

    speaker: str
    conversation: str
    time: datetime
    text: str
    facts: tuple[FactCandidate, ...] = ()
    hearers: tuple[str, ...] = ()
    vector: FloatMatrix | None = None  # of the message
    fact_vectors: Sequence[FloatMatrix] = ()  # one for each fact, or none


@dataclass(slots=True)
class BulkReport:
    n_episodes: int = 0
    n_facts: int = 0
    n_refused: int = 0  # facts
    n_known: int = 0  # messages that were there already, with whatever came with them
    n_empty: int = 0  # messages without words or speaker


def add_facts(
    database: Database,
    space_id: str,
    rows: Iterable[Told],
    registry: Registry,
    *,
    source: str,
    embedder: Embedder,
    clock: Clock = utc_now,
    report: BulkReport | None = None,
) -> BulkReport:
    """Store messages and their facts as candidates, a batch per transaction; what a kill leaves is whole batches.

    `source` names where they come from; the same name continues it. Given vectors count as made by `embedder`.
    Raises WrongEmbedder for a vector of another width, with the batch unwritten.
    """
    return BulkWriter(database, space_id, registry, source=source, embedder=embedder, clock=clock).add(
        rows, report
    )


def _given(batch: Sequence[Told]) -> Iterator[FloatMatrix]:
    for row in batch:
        if row.vector is not None:
            yield row.vector
        yield from row.fact_vectors


class _Ids:
    """Ids that grow from a random start: rows that are written together then lie together in every index."""

    def __init__(self) -> None:
        self._next = secrets.randbits(63)

    def new(self) -> str:
        self._next += 1
        return f"{self._next:016x}"


@dataclass(slots=True)
class _Rows:
    """What one transaction inserts."""

    nodes: list[dict[str, Any]] = field(default_factory=list)
    conversations: list[dict[str, Any]] = field(default_factory=list)
    participants: list[dict[str, Any]] = field(default_factory=list)
    episodes: list[dict[str, Any]] = field(default_factory=list)
    facts: list[dict[str, Any]] = field(default_factory=list)
    evidence: list[dict[str, Any]] = field(default_factory=list)
    embeddings: list[dict[str, Any]] = field(default_factory=list)

    def insert(self, session: Session) -> None:
        connection = session.connection()
        for table, rows in (
            (tables.Node, self.nodes),
            (tables.Conversation, self.conversations),
            (tables.Participant, self.participants),
            (tables.Episode, self.episodes),
            (tables.Fact, self.facts),
            (tables.Evidence, self.evidence),
            (tables.Embedding, self.embeddings),
        ):
            if rows and connection.dialect.name == "sqlite":
                _insert_plainly(connection, cast(Table, table.__table__), rows)
            elif rows:
                connection.execute(insert(table), rows)


def _insert_plainly(connection: Connection, table: Table, rows: list[dict[str, Any]]) -> None:
    """As the Core's insert of many rows, in half of its time: each column's conversion is looked up once."""
    columns = list(rows[0])
    statement = insert(table).values(dict.fromkeys(columns)).compile(dialect=connection.dialect)
    converted = [_converted(table.c[name].type, connection, [row[name] for row in rows]) for name in columns]
    connection.exec_driver_sql(str(statement), list(zip(*converted, strict=True)))


def _converted(kind: TypeEngine[Any], connection: Connection, cells: list[Any]) -> list[Any]:
    convert = kind.dialect_impl(connection.dialect).bind_processor(connection.dialect)
    if convert is None or isinstance(cells[0], bytes):
        return cells
    if isinstance(cells[0], datetime):
        convert = lru_cache(maxsize=4096)(convert)
    return [None if cell is None else convert(cell) for cell in cells]


class BulkWriter:
    """Keeps its place in a source, for callers who add again and again. One per source at a time."""

    def __init__(
        self,
        database: Database,
        space_id: str,
        registry: Registry,
        *,
        source: str,
        embedder: Embedder,
        clock: Clock = utc_now,
    ) -> None:
        self.database, self.space_id, self.registry = database, space_id, registry
        self.embedder, self.clock = embedder, clock
        self.ids, self.now, self.rows = _Ids(), clock(), _Rows()
        self.source = source
        self.place: tuple[str, int] | None = (
            None  # source and next position, as the last whole batch left them
        )
        with database.reading() as session:
            self.zone: tzinfo = timezone(session, space_id)

    def add(self, rows: Iterable[Told], report: BulkReport | None = None) -> BulkReport:
        """As `add_facts`; counts go into `report` as batches are written."""
        total = report or BulkReport()
        rest = iter(rows)
        while batch := list(islice(rest, BATCH)):
            check_vectors(self.embedder, _given(batch))
            with self.database.transaction() as session:
                self.source_id, self.position = self.place or self._source(session, self.source)
                self._write(session, batch, total)
            self.place = self.source_id, self.position
        return total

    def _write(self, session: Session, batch: Sequence[Told], report: BulkReport) -> None:
        self.rows, self.now = _Rows(), self.clock()
        usable = [row for row in batch if row.text.replace("\0", "").strip() and names.clean(row.speaker)]
        report.n_empty += len(batch) - len(usable)
        self._find_nodes(session, usable)
        self._find_conversations(session, usable)
        keys = [self._key(row) for row in usable]
        known = _known_keys(session, self.space_id, keys)
        for row, key in zip(usable, keys, strict=True):
            if key in known:
                report.n_known += 1
                continue
            known.add(key)
            report.n_episodes += 1
            self._add(row, key, report)
        self._add_participants(session, usable)
        self.rows.insert(session)

    def _source(self, session: Session, name: str) -> tuple[str, int]:
        digest = hashlib.sha256(f"bulk:{name}".encode()).hexdigest()
        source, episode = tables.Source, tables.Episode
        found = session.scalar(
            select(source.id).where(source.space_id == self.space_id, source.sha256 == digest)
        )
        if found is not None:
            last = session.scalar(
                select(episode.position)
                .where(episode.source_id == found)
                .order_by(episode.position.desc())
                .limit(1)
            )
            return found, 0 if last is None else last + 1
        made = tables.Source(
            space_id=self.space_id, kind="bulk", name=name, sha256=digest, created_at=self.clock()
        )
        session.add(made)
        session.flush()
        return made.id, 0

    # Names

    def _find_nodes(self, session: Session, batch: Sequence[Told]) -> None:
        """Nodes of every name in the batch, found or made; speakers are marked as such."""
        wanted = {("person", name): name for row in batch for name in (row.speaker, *row.hearers)}
        for row in batch:
            for fact in row.facts:
                wanted[fact.subject_kind, fact.subject] = fact.subject
                if fact.object_kind:
                    wanted[fact.object_kind, fact.object] = clean_value(fact.object)
        keyed = {pair: (pair[0], names.key(names.clean(name))) for pair, name in wanted.items()}
        found = _known_nodes(session, self.space_id, {key for _, key in keyed.values()})
        self.nodes: dict[tuple[str, str], str] = {}
        speakers = {names.key(names.clean(row.speaker)) for row in batch}
        for pair, name in wanted.items():
            kind, key = keyed[pair]
            if not key:
                continue
            if (kind, key) not in found:
                found[kind, key] = self._new_node(kind, names.clean(name), key, key in speakers)
            self.nodes[pair] = found[kind, key]
        self._mark_speakers(session, {found["person", key] for key in speakers if ("person", key) in found})

    def _new_node(self, kind: str, name: str, key: str, speaks: bool) -> str:
        node_id = self.ids.new()
        self.rows.nodes.append(
            {
                "id": node_id,
                "space_id": self.space_id,
                "kind": kind,
                "name": name,
                "name_key": key,
                "is_speaker": speaks and kind == "person",
                "created_at": self.now,
            }
        )
        return node_id

    def _mark_speakers(self, session: Session, ids: Collection[str]) -> None:
        node = tables.Node
        for part in _chunks(sorted(ids)):
            silent = select(node).where(node.id.in_(part), node.is_speaker.is_(False))
            for found in session.scalars(silent):
                found.is_speaker = True
        session.flush()

    def _find_conversations(self, session: Session, batch: Sequence[Told]) -> None:
        conversation = tables.Conversation
        wanted = {row.conversation[:255] for row in batch}
        self.conversations: dict[str, str] = {}
        for part in _chunks(sorted(wanted)):
            query = select(conversation.name, conversation.id).where(
                conversation.space_id == self.space_id, conversation.name.in_(part)
            )
            self.conversations.update((name, found) for name, found in session.execute(query))
        for name in sorted(wanted - self.conversations.keys()):
            self.conversations[name] = self.ids.new()
            self.rows.conversations.append(
                {"id": self.conversations[name], "space_id": self.space_id, "name": name}
            )

    def _add_participants(self, session: Session, batch: Sequence[Told]) -> None:
        heard: dict[str, set[str]] = defaultdict(set)
        for row in batch:
            names_here = (row.speaker, *row.hearers)
            nodes = {self.nodes[("person", name)] for name in names_here if ("person", name) in self.nodes}
            heard[self.conversations[row.conversation[:255]]] |= nodes
        known: set[tuple[str, str]] = set()
        participant = tables.Participant
        for part in _chunks(sorted(heard)):
            query = select(participant.conversation_id, participant.node_id).where(
                participant.conversation_id.in_(part)
            )
            known.update((conversation, node) for conversation, node in session.execute(query))
        for conversation, nodes in heard.items():
            for node in sorted(nodes):
                if (conversation, node) not in known:
                    self.rows.participants.append(
                        {"conversation_id": conversation, "node_id": node, "space_id": self.space_id}
                    )

    # Messages and facts

    def _key(self, row: Told) -> str:
        conversation_id = self.conversations[row.conversation[:255]]
        return message_key(conversation_id, names.key(names.clean(row.speaker)), row.time, row.text, 0)

    def _add(self, row: Told, key: str, report: BulkReport) -> None:
        episode_id = self.ids.new()
        speaker_id = self.nodes["person", row.speaker]
        self.rows.episodes.append(
            {
                "id": episode_id,
                "space_id": self.space_id,
                "source_id": self.source_id,
                "conversation_id": self.conversations[row.conversation[:255]],
                "position": self.position,
                "speaker_id": speaker_id,
                "time": row.time,
                "text": row.text.replace("\0", ""),
                "kind": "text",
                "is_edited": False,
                "origin": "observed",
                "key": key,
                "extracted_by": None,
            }
        )
        self.position += 1
        if row.vector is not None:
            self._embed("episode", episode_id, row.vector)
        day = day_of(row.time, self.zone)
        seen: set[tuple[str, str, str, str]] = set()
        for i, fact in enumerate(row.facts):
            fact_id = self._add_fact(fact, day, speaker_id, seen)
            if fact_id is None:
                report.n_refused += 1
                continue
            report.n_facts += 1
            self.rows.evidence.append(
                {"fact_id": fact_id, "episode_id": episode_id, "space_id": self.space_id}
            )
            if i < len(row.fact_vectors):
                self._embed("fact", fact_id, row.fact_vectors[i])

    def _add_fact(
        self, fact: FactCandidate, day: datetime, speaker_id: str, seen: set[tuple[str, str, str, str]]
    ) -> str | None:
        """Its id; None where it is refused, or told twice in the same message."""
        value, predicate = clean_value(fact.object), as_name(fact.predicate)[:MAX_NAME]
        subject_id = self.nodes.get((fact.subject_kind, fact.subject))
        interval = told_interval(fact, day)
        if not predicate or not 0 < len(value) <= MAX_OBJECT or subject_id is None or interval is None:
            return None
        if self.registry.is_strict and not self.registry.get(predicate).is_known:
            return None
        slot = subject_id, predicate, values.normal(value), fact.change
        if slot in seen:
            return None
        seen.add(slot)
        fact_id = self.ids.new()
        object_node = self.nodes.get((fact.object_kind, fact.object)) if fact.object_kind else None
        self.rows.facts.append(
            {
                "id": fact_id,
                "space_id": self.space_id,
                "subject_id": subject_id,
                "predicate": predicate,
                "object": value,
                "object_key": slot[2],
                "object_id": object_node,
                "valid_from": interval[0],
                "valid_to": interval[1],
                "recorded_at": self.now,
                "state": "candidate",
                "change": fact.change,
                "corrects": fact.corrects,
                "confidence": min(1.0, max(0.0, float(fact.confidence))),
                "origin": "observed",
                "rule": fact.rule[:128],
                "asserted_by": speaker_id,
                "is_contested": False,
            }
        )
        return fact_id

    def _embed(self, kind: str, owner_id: str, vector: FloatMatrix) -> None:
        self.rows.embeddings.append(
            {
                "owner_kind": kind,
                "owner_id": owner_id,
                "model": self.embedder.name,
                "space_id": self.space_id,
                "width": self.embedder.width,
                "vector": np.ascontiguousarray(vector, np.float32).tobytes(),
            }
        )


def _known_nodes(session: Session, space_id: str, keys: Collection[str]) -> dict[tuple[str, str], str]:
    """(kind, key) to the node of that name, else of that alias; a merged node's names mean the kept one."""
    node, alias = tables.Node, tables.Alias
    found: dict[tuple[str, str], str] = {}
    for part in _chunks(sorted(keys)):
        called = (
            select(node.kind, alias.name_key, node.id, node.merged_into)
            .join(alias, alias.node_id == node.id)
            .where(alias.space_id == space_id, alias.name_key.in_(part))
            .order_by(node.is_speaker, node.created_at.desc())
        )
        named = select(node.kind, node.name_key, node.id, node.merged_into).where(
            node.space_id == space_id, node.name_key.in_(part)
        )
        for query in (called, named):
            for kind, key, node_id, merged_into in session.execute(query):
                found[kind, key] = merged_into or node_id
    return found


def _known_keys(session: Session, space_id: str, keys: Sequence[str]) -> set[str]:
    found: set[str] = set()
    for part in _chunks(keys):
        query = select(tables.Episode.key).where(
            tables.Episode.space_id == space_id, tables.Episode.key.in_(part)
        )
        found.update(session.scalars(query))
    return found


def _chunks(items: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(items), _CHUNK):
        yield items[start : start + _CHUNK]
