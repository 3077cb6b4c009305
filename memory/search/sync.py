"""Bring an index up to the tables: new episodes and facts go in; where something has gone, all is made again.

Messages that a model wrote are left out. Everything written to the sidecar and the vector file of one call is one
transaction of the sidecar; the encoder has run before it begins.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import numpy as np
from sqlalchemy import func, select

from db import tables
from db.engine import Database
from memory.perspective import HEARD
from memory.ports import Embedder, FloatMatrix
from memory.search import embeddings
from memory.search.sidecar import Sidecar
from memory.search.vectors import VectorFile
from memory.search.words import content_words
from memory.wordings import Wordings, fill

SESSION_GAP_S = 3 * 3600  # a longer silence in a conversation begins a new session
NEIGHBOUR = np.float32(0.5)  # weight of the vectors of the messages before and after


@dataclass(frozen=True, slots=True)
class Unit:
    kind: str
    owner_id: str
    conversation_id: str | None
    position: int
    time: datetime
    speaker_id: str
    speaker: str
    text: str

    @property
    def embedded_text(self) -> str:
        return f"{self.speaker}: {self.text}" if self.kind == "episode" else self.text


def current_ids(database: Database, space_id: str) -> dict[str, set[str]]:
    """Ids of everything that an index of the space holds, by kind."""
    episodes = select(tables.Episode.id).where(
        tables.Episode.space_id == space_id,
        tables.Episode.origin.in_(HEARD),
        tables.Episode.kind == "text",
    )
    facts = select(tables.Fact.id).where(tables.Fact.space_id == space_id, tables.Fact.origin.in_(HEARD))
    with database.reading() as session:
        return {"episode": set(session.scalars(episodes)), "fact": set(session.scalars(facts))}


def load_units(database: Database, space_id: str, ids: dict[str, set[str]]) -> list[Unit]:
    """The units of those ids in an order that depends on nothing but them: by time, place and id."""
    with database.reading() as session:
        found = _episodes(session, space_id, ids["episode"]) + _facts(session, space_id, ids["fact"])
    return sorted(
        found,
        key=lambda unit: (unit.kind, unit.time, unit.conversation_id or "", unit.position, unit.owner_id),
    )


def _episodes(session: Any, space_id: str, ids: set[str]) -> list[Unit]:
    if not ids:
        return []
    episode = tables.Episode
    rows = session.execute(
        select(
            episode.id,
            episode.conversation_id,
            episode.position,
            episode.time,
            episode.speaker_id,
            tables.Node.name,
            episode.text,
        )
        .join(tables.Node, tables.Node.id == episode.speaker_id)
        .where(episode.space_id == space_id, episode.origin.in_(HEARD), episode.kind == "text")
    )
    return [Unit("episode", *row) for row in rows if row[0] in ids]


def _facts(session: Any, space_id: str, ids: set[str]) -> list[Unit]:
    if not ids:
        return []
    fact = tables.Fact
    said = (
        select(tables.Evidence.fact_id, func.min(tables.Episode.time).label("time"))
        .join(tables.Episode, tables.Episode.id == tables.Evidence.episode_id)
        .where(tables.Evidence.space_id == space_id)
        .group_by(tables.Evidence.fact_id)
        .subquery()
    )
    rows = session.execute(
        select(
            fact.id,
            said.c.time,
            fact.recorded_at,
            fact.subject_id,
            tables.Node.name,
            fact.predicate,
            fact.object,
        )
        .join(tables.Node, tables.Node.id == fact.subject_id)
        .outerjoin(said, said.c.fact_id == fact.id)
        .where(fact.space_id == space_id)
    )
    wordings = Wordings.load()
    units = []
    for fact_id, time, recorded_at, subject_id, subject, predicate, value in rows:
        if fact_id in ids:
            template = wordings.statements(predicate)[0]
            text = fill(template, subject=subject, object=value, predicate=predicate)
            first = time or recorded_at
            units.append(Unit("fact", fact_id, None, 0, first, subject_id, subject, text))
    return units


class Writer:
    """One refresh: appends units, then mends sessions, windows and smoothed vectors of the conversations touched."""

    def __init__(self, database: Database, space_id: str, embedder: Embedder, sidecar: Sidecar) -> None:
        self.database, self.space_id = database, space_id
        self.embedder, self.sidecar = embedder, sidecar

    def append(self, units: list[Unit], vectors: VectorFile) -> None:
        made = self.encode(units)
        cursor = self.sidecar.connection
        cursor.execute("BEGIN IMMEDIATE")
        try:
            known = set(cursor.execute("SELECT kind, owner_id FROM row").fetchall())
            fresh = [i for i, unit in enumerate(units) if (unit.kind, unit.owner_id) not in known]
            self._insert([units[i] for i in fresh], made[fresh], vectors, start=len(known))
            cursor.execute("COMMIT")
        except BaseException:
            cursor.execute("ROLLBACK")
            raise

    def encode(self, units: list[Unit]) -> FloatMatrix:
        """The units' own vectors, in their order; units come sorted by kind."""
        parts = []
        for kind in ("episode", "fact"):
            texts = {unit.owner_id: unit.embedded_text for unit in units if unit.kind == kind}
            parts.append(embeddings.ensure(self.database, self.space_id, self.embedder, kind, texts))
        return np.concatenate(parts)

    def _insert(self, units: list[Unit], made: FloatMatrix, vectors: VectorFile, start: int) -> None:
        numbers = list(range(start, start + len(units)))
        self.sidecar.connection.executemany(
            "INSERT INTO row VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, NULL, NULL, NULL)",
            [_row(number, unit) for number, unit in zip(numbers, units, strict=True)],
        )
        self.sidecar.put("unit", [(n, unit.text) for n, unit in zip(numbers, units, strict=True)])
        facts = [(n, u.text) for n, u in zip(numbers, units, strict=True) if u.kind == "fact"]
        self.sidecar.put("window", facts)
        vectors.write(numbers, made)
        for conversation_id in sorted({unit.conversation_id for unit in units if unit.conversation_id}):
            self._mend(conversation_id, vectors)

    def _mend(self, conversation_id: str, vectors: VectorFile) -> None:
        rows = self.sidecar.connection.execute(
            "SELECT number, time, session, before, after, owner_id FROM row WHERE conversation_id = ? "
            "ORDER BY time, position, owner_id",
            (conversation_id,),
        ).fetchall()
        sessions = _sessions(rows)
        wanted = {
            number: (session[0], before, after)
            for session in sessions
            for before, number, after in zip(
                [None, *session[:-1]], session, [*session[1:], None], strict=True
            )
        }
        changed = [row[0] for row in rows if row[2:5] != wanted[row[0]]]
        self.sidecar.connection.executemany(
            "UPDATE row SET session = ?, before = ?, after = ? WHERE number = ?",
            [(*wanted[number], number) for number in changed],
        )
        touched = {wanted[number][0] for number in changed}
        heads = {row[2] for row in rows if row[2] is not None} - {session[0] for session in sessions}
        self.sidecar.connection.executemany("DELETE FROM session WHERE rowid = ?", [(n,) for n in heads])
        remade = [session for session in sessions if session[0] in touched]
        texts = self.sidecar.texts([number for session in remade for number in session])
        self.sidecar.put("session", [(s[0], "\n".join(texts[n] for n in s)) for s in remade])
        around = {n: [m for m in (wanted[n][1], n, wanted[n][2]) if m is not None] for n in changed}
        self.sidecar.put("window", [(n, "\n".join(texts[m] for m in around[n])) for n in changed])
        self._smooth(around, {row[0]: row[5] for row in rows}, vectors)

    def _smooth(self, around: dict[int, list[int]], owners: dict[int, str], vectors: VectorFile) -> None:
        """Each changed unit's searched vector: its own, and half of its neighbours', at unit length."""
        needed = sorted({number for group in around.values() for number in group})
        with self.database.reading() as session:
            known = embeddings.load(session, self.embedder, "episode", [owners[n] for n in needed])
        rows = []
        for number, group in around.items():
            own = known[owners[number]]
            mixed = own + NEIGHBOUR * sum(
                (known[owners[other]] for other in group if other != number), np.zeros_like(own)
            )
            rows.append(mixed / max(float(np.linalg.norm(mixed)), 1e-12))
        vectors.write(list(around), np.array(rows, np.float32))


def _row(number: int, unit: Unit) -> tuple[Any, ...]:
    return (
        number,
        unit.kind,
        unit.owner_id,
        unit.conversation_id,
        unit.position,
        unit.time.astimezone(UTC).timestamp(),
        unit.speaker_id,
        len(content_words(unit.text)),
        unit.kind == "episode" and unit.text.rstrip().endswith("?"),
    )


def _sessions(rows: list[Any]) -> list[list[int]]:
    """Numbers of a conversation's units, split where the silence is long."""
    sessions: list[list[int]] = [[rows[0][0]]] if rows else []
    for earlier, later in pairwise(rows):
        if later[1] - earlier[1] > SESSION_GAP_S:
            sessions.append([])
        sessions[-1].append(later[0])
    return sessions
