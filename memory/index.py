"""Retrieval: full text, dense vectors, personalised PageRank and time, fused into one ranking with its reasons.

An index is a cache under `home/index/<space id>/`, made from the tables and the vectors kept there. A missing, damaged
or outdated one is made again without a word; `refresh` adds what is new. What the parts are and why they weigh what
they weigh: docs/adr/0007-retrieval.md.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from threading import RLock
from typing import Literal, cast

import numpy as np
from sqlalchemy import select

from db import tables
from db.engine import Database
from memory.perspective import visible_episode_ids
from memory.ports import Embedder, FloatMatrix
from memory.search import embeddings, sync
from memory.search.fuse import Signals, features, fuse
from memory.search.graph import ABOUT, EVIDENCE, IN_SESSION, NEXT, SPOKEN_BY, Link, Walk
from memory.search.mentions import Gazetteer, Mention
from memory.search.rows import Bools, Floats, Ints, Rows
from memory.search.sidecar import TABLES, Sidecar
from memory.search.timephrases import TimePhrase, find_times
from memory.search.vectors import VectorFile
from memory.search.words import content_words, match_expression, words
from memory.types import Hit

Kind = Literal["episode", "fact"]

DEPTH = 300  # best units that each signal puts forward
N_DENSE_SEEDS = 20
LEXICAL_SEEDS, DENSE_SEEDS, NAME_SEEDS = 0.6, 0.4, 0.1  # shares of the walk's start
_SHOWN = 6  # decimals of a score; equal to that many is equal, and time decides


@dataclass(frozen=True, slots=True)
class Query:
    """A question as the index understood it."""

    text: str
    words: tuple[str, ...]  # that are looked for: content words less the names of people who speak
    mentions: tuple[Mention, ...]
    times: tuple[TimePhrase, ...]

    @property
    def named(self) -> frozenset[str]:
        return frozenset(node for mention in self.mentions for node in mention.node_ids)


@dataclass(frozen=True, slots=True)
class _View:
    """What one search reads; replaced as a whole by a refresh."""

    rows: Rows
    matrix: FloatMatrix
    mean: FloatMatrix
    walk: Walk
    place: dict[str, int]  # node id -> its number in the walk
    gazetteer: Gazetteer
    retired: frozenset[str]  # facts that no search gives


class Index:
    """One space's index for one encoder. Safe to share between threads of a process."""

    def __init__(self, database: Database, space_id: str, folder: Path, embedder: Embedder) -> None:
        self.database, self.space_id, self.folder, self.embedder = database, space_id, folder, embedder
        self._lock = RLock()
        self._view: _View | None = None
        self._open_files()

    @classmethod
    def open(cls, database: Database, space_id: str, home: Path, embedder: Embedder) -> Index:
        """The space's index under that home folder. Reads nothing yet: call `refresh` before searching."""
        return cls(database, space_id, home / "index" / space_id, embedder)

    def close(self) -> None:
        self._sidecar.close()

    def refresh(self) -> int:
        """Add what the tables have and the index lacks; the number of new units.

        Raises WrongEmbedder when the stored vectors come from another encoder; `rebuild` re-embeds.
        """
        with self._lock:
            embeddings.check_model(self.database, self.space_id, self.embedder)
            try:
                return self._refresh()
            except (sqlite3.DatabaseError, OSError, ValueError) as error:
                if isinstance(error, OSError | sqlite3.OperationalError) and not self._is_damaged():
                    raise  # a full disk or a locked file is no reason to throw the index away
                self._discard()
                return self._refresh()

    def rebuild(self) -> int:
        """Make everything again from the tables, with this encoder; the number of units."""
        with self._lock:
            embeddings.forget_others(self.database, self.space_id, self.embedder)
            self._discard()
            return self._refresh()

    def search(
        self,
        query: str,
        k: int = 10,
        *,
        as_of: datetime | None = None,
        known_to: str | None = None,
        kinds: Collection[str] = ("episode", "fact"),
    ) -> list[Hit]:
        """The k best units, best first. `known_to` is a person id; `as_of` leaves out what was said later."""
        with self._lock:
            if self._view is None:
                self.refresh()
            view = cast(_View, self._view)
            allowed = self._allowed(view, kinds, as_of, known_to)
            numbers, terms = self._score(view, self.understand(query), allowed, is_open=bool(allowed.all()))
        return _best(view.rows, numbers, terms, k)

    def understand(self, query: str) -> Query:
        """The names, times and content words of a question."""
        with self._lock:
            if self._view is None:
                self.refresh()
            view = cast(_View, self._view)
        mentions = tuple(view.gazetteer.find(query))
        last = float(view.rows.time.max(initial=0.0))
        times = tuple(find_times(query, datetime.fromtimestamp(last, UTC)))
        speakers = set(view.rows.speaker_id)
        spoken = [m for m in mentions if speakers.intersection(m.node_ids)]
        names = {word for mention in spoken for word in words(mention.text)}
        wanted = content_words(query)
        return Query(query, tuple(w for w in wanted if w not in names) or tuple(wanted), mentions, times)

    @property
    def gazetteer(self) -> Gazetteer:
        """The names that questions are searched for."""
        with self._lock:
            if self._view is None:
                self.refresh()
            return cast(_View, self._view).gazetteer

    # Files

    def _open_files(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            self._sidecar = Sidecar(self.folder / "fulltext.db", self.embedder.name)
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):
                raise
            shutil.rmtree(self.folder)
            self.folder.mkdir(parents=True)
            self._sidecar = Sidecar(self.folder / "fulltext.db", self.embedder.name)
        self._vectors = VectorFile(self.folder / "vectors.f32", self.embedder.width)

    def _discard(self) -> None:
        self._sidecar.close()
        shutil.rmtree(self.folder, ignore_errors=True)
        self._view = None
        self._open_files()

    def _is_damaged(self) -> bool:
        try:
            found = self._sidecar.connection.execute("PRAGMA quick_check").fetchone()
            return found != ("ok",) or not self._vectors.holds(self._sidecar.count())
        except (sqlite3.DatabaseError, OSError):
            return True

    def _refresh(self) -> int:
        if not self._vectors.holds(self._sidecar.count()):
            raise ValueError("the vector file is shorter than the index")
        wanted = sync.current_ids(self.database, self.space_id)
        known = self._sidecar.known()
        if any(
            known[kind] - wanted[kind] for kind in wanted
        ):  # erased: made again, so that nothing of it stays
            self._discard()
            known = {kind: set() for kind in wanted}
        missing = {kind: wanted[kind] - known[kind] for kind in wanted}
        units = sync.load_units(self.database, self.space_id, missing)
        if units:
            writer = sync.Writer(self.database, self.space_id, self.embedder, self._sidecar)
            writer.append(units, self._vectors)
        self._view = self._load_view()
        return len(units)

    def _load_view(self) -> _View:
        rows = Rows.load(self._sidecar)
        matrix = self._vectors.read(len(rows))
        mean = np.asarray(matrix.mean(axis=0)) if len(rows) else np.zeros(self.embedder.width, np.float32)
        walk, place, retired = self._load_walk(rows)
        return _View(rows, matrix, mean, walk, place, Gazetteer.load(self.database, self.space_id), retired)

    def _load_walk(self, rows: Rows) -> tuple[Walk, dict[str, int], frozenset[str]]:
        """Units come first, then sessions under their first unit's number, then nodes."""
        n = len(rows)
        fact, evidence, edge, node = tables.Fact, tables.Evidence, tables.Edge, tables.Node
        with self.database.reading() as session:
            nodes = list(
                session.scalars(select(node.id).where(node.space_id == self.space_id).order_by(node.id))
            )
            facts = session.execute(
                select(fact.id, fact.subject_id, fact.object_id, fact.state, fact.retracted_at).where(
                    fact.space_id == self.space_id
                )
            ).all()
            supports = session.execute(
                select(evidence.fact_id, evidence.episode_id).where(evidence.space_id == self.space_id)
            ).all()
            edges = session.execute(
                select(edge.src_id, edge.dst_id, edge.weight).where(edge.space_id == self.space_id)
            ).all()
        place = {node_id: 2 * n + i for i, node_id in enumerate(nodes)}
        retired = frozenset(row[0] for row in facts if row[3] not in ("candidate", "stored") or row[4])
        links = _spoken_links(rows, place)
        for fact_id, subject_id, object_id, _, _ in facts:
            number = rows.number.get(("fact", fact_id))
            if number is not None and fact_id not in retired:
                links += [Link(number, place[x], ABOUT) for x in (subject_id, object_id) if x in place]
        for fact_id, episode_id in supports:
            pair = rows.number.get(("fact", fact_id)), rows.number.get(("episode", episode_id))
            if pair[0] is not None and pair[1] is not None and fact_id not in retired:
                links.append(Link(pair[0], pair[1], EVIDENCE))
        links += [Link(place[a], place[b], weight) for a, b, weight in edges]
        return Walk(2 * n + len(nodes), links), place, retired

    # Searching

    def _allowed(
        self, view: _View, kinds: Collection[str], as_of: datetime | None, known_to: str | None
    ) -> Bools:
        visible = None
        if known_to is not None:
            visible = visible_episode_ids(self.database, self.space_id, known_to, as_of)
        allowed = view.rows.allowed(kinds, as_of, visible)
        for fact_id in view.retired:
            if (number := view.rows.number.get(("fact", fact_id))) is not None:
                allowed[number] = False
        if visible is not None and "fact" in kinds:
            self._hide_unheard(view, allowed, visible)
        return allowed

    def _hide_unheard(self, view: _View, allowed: Bools, visible: Collection[str]) -> None:
        """Facts stay only where some message that they rest on is visible."""
        query = select(tables.Evidence.fact_id, tables.Evidence.episode_id).where(
            tables.Evidence.space_id == self.space_id
        )
        with self.database.reading() as session:
            heard = {fact_id for fact_id, episode_id in session.execute(query) if episode_id in visible}
        for (kind, owner_id), number in view.rows.number.items():
            if kind == "fact" and owner_id not in heard:
                allowed[number] = False

    def _score(
        self, view: _View, query: Query, allowed: Bools, *, is_open: bool
    ) -> tuple[Ints, dict[str, Floats]]:
        n = len(view.rows)
        if not allowed.any():
            return np.zeros(0, np.int64), {}
        expression = match_expression(list(query.words))
        lexical = {t: self._lexical(t, expression, n, -1 if not is_open else DEPTH) for t in TABLES}
        vector = self.embedder.encode([query.text])[0]
        cosine = np.asarray(view.matrix @ vector, np.float64)
        walked = view.walk.rank(self._seeds(view, query, lexical["unit"], cosine, allowed))[:n]
        chosen = _candidates([lexical["unit"], lexical["window"], cosine, walked], allowed)
        raw = Signals(
            fulltext=lexical["unit"][chosen],
            window=lexical["window"][chosen],
            session=lexical["session"][view.rows.session[chosen]],
            dense=cosine[chosen],
            speaker=view.rows.spoken_by(query.named)[chosen].astype(float),
            question=view.rows.is_question[chosen].astype(float),
            length=view.rows.n_words[chosen],
            time=_within(view.rows.time[chosen], query.times),
            graph=walked[chosen],
        )
        return chosen, fuse(features(raw, float(view.mean @ vector)))

    def _lexical(self, table: str, expression: str, n: int, limit: int) -> Floats:
        scores = np.zeros(n)
        for number, score in self._sidecar.search(table, expression, limit):
            if number < n:  # another process may have added units since
                scores[number] = score
        return scores

    def _seeds(self, view: _View, query: Query, lexical: Floats, cosine: Floats, allowed: Bools) -> Floats:
        n = len(view.rows)
        seeds = np.zeros(2 * n + len(view.place))
        matched = np.where(allowed, lexical, 0.0)
        seeds[:n] += LEXICAL_SEEDS * matched / max(matched.sum(), 1e-6)
        near = np.where(allowed, np.maximum(cosine, 0.0), 0.0) ** 3
        if n > N_DENSE_SEEDS:
            near[near < np.partition(near, -N_DENSE_SEEDS)[-N_DENSE_SEEDS]] = 0.0
        seeds[:n] += DENSE_SEEDS * near / max(near.sum(), 1e-6)
        for node_id in query.named:
            seeds[view.place[node_id]] += NAME_SEEDS
        return seeds


def _spoken_links(rows: Rows, place: dict[str, int]) -> list[Link]:
    n = len(rows)
    links = []
    for number, kind in enumerate(rows.kind):
        if kind != "episode":
            continue
        links.append(Link(number, n + int(rows.session[number]), IN_SESSION))
        if rows.speaker_id[number] in place:
            links.append(Link(number, place[rows.speaker_id[number]], SPOKEN_BY))
        if rows.after[number] >= 0:
            links.append(Link(number, int(rows.after[number]), NEXT))
    return links


def _candidates(signals: Sequence[Floats], allowed: Bools) -> Ints:
    """Numbers of the allowed units that are among the best DEPTH of any signal."""
    chosen = np.zeros(len(allowed), bool)
    for values in signals:
        kept = np.where(allowed, values, -np.inf)
        if len(kept) > DEPTH:
            least = max(float(np.partition(kept, -DEPTH)[-DEPTH]), 1e-12)
            kept = np.where(kept >= least, kept, -np.inf)
        chosen |= kept > -np.inf
    return np.flatnonzero(chosen & allowed)


def _within(times: Floats, phrases: Sequence[TimePhrase]) -> Floats:
    inside = np.zeros(len(times))
    for phrase in phrases:
        if phrase.start is None or phrase.end is None:
            continue
        start, end = phrase.start.timestamp(), phrase.end.timestamp()
        if phrase.relation == "in":
            inside[(times >= start) & (times < end)] = 1.0
    return inside


def _best(rows: Rows, numbers: Ints, terms: dict[str, Floats], k: int) -> list[Hit]:
    if not len(numbers):
        return []
    scores = np.round(sum(terms.values(), np.zeros(len(numbers))), _SHOWN)
    order = sorted(
        range(len(numbers)),
        key=lambda i: (-scores[i], rows.time[numbers[i]], rows.owner_id[numbers[i]]),
    )
    return [
        Hit(
            kind=cast(Kind, rows.kind[numbers[i]]),
            id=rows.owner_id[numbers[i]],
            score=float(scores[i]),
            parts={name: round(float(values[i]), 4) for name, values in terms.items() if values[i]},
        )
        for i in order[:k]
    ]
