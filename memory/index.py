"""Retrieval: full text, dense vectors, personalised PageRank and time, fused into one ranking with its reasons.

An index is a cache under `home/index/<space id>/`, made from the tables and the vectors kept there. A missing, damaged
or outdated one is made again without a word; `refresh` takes in what the feed of changes says. How it stays quick
with a million facts: docs/adr/0016-an-index-for-a-million.md; what weighs how much: docs/adr/0007-retrieval.md.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from threading import Lock
from typing import Literal

import numpy as np
from sqlalchemy import select
from sqlalchemy.orm import Session

from db.engine import Database
from db.tables import Episode, Participant
from memory import digests
from memory.perspective import visible_query
from memory.ports import Embedder, FloatMatrix
from memory.registry import Registry
from memory.search import embeddings, feed, units
from memory.search.ahead import MOST as MOST_AHEAD
from memory.search.ahead import Ahead
from memory.search.build import Build, MustRebuild, Progress, make
from memory.search.checking import check
from memory.search.columns import EPISODE, FACT, KIND_NAMES, SPEAKS, Ints, as_numbers
from memory.search.documents import Scope
from memory.search.fading import FADING, retained
from memory.search.feed import Changes
from memory.search.manifest import Folder
from memory.search.mentions import Gazetteer
from memory.search.ranking import Limits, Query, Ranking, nodes_of, rank_sessions, rank_units
from memory.search.recent import heard_by
from memory.search.timephrases import TimePhrase, find_times
from memory.search.words import content_words, words
from memory.types import Hit

__all__ = ["Index", "Query"]

_REMEMBERED = 256  # vectors of the last questions and of how they were read
_SPARE = 20  # units looked up beyond those asked for, in case some are gone


@dataclass(frozen=True, slots=True)
class _View:
    """From where is looked: what that person (an id) can know, by then."""

    known_to: str | None
    as_of: datetime | None


@dataclass(frozen=True, slots=True)
class _Usable:
    """Under which id a unit is shown, and what time has left of it."""

    id: str
    left: float = 1.0


class Index:
    """One space's index for one encoder. Safe to share between threads of a process, and between processes."""

    def __init__(
        self,
        database: Database,
        space_id: str,
        folder: Path,
        embedder: Embedder,
        registry: Registry | None = None,
    ) -> None:
        """`registry` says how fast facts fade; the shipped one where none is given."""
        self.database, self.space_id, self.folder, self.embedder = database, space_id, folder, embedder
        self._registry = registry
        self._home = Folder(folder)
        self._writing = Lock()  # before whoever takes in changes; searches pass it by
        self._build: Build | None = None
        self._stamp: tuple[int, int] | None = None
        self._names: Gazetteer | None = None
        self._naming = Lock()
        self._vectors: OrderedDict[bytes, FloatMatrix] = OrderedDict()  # by hash: texts can be erased
        self._remembering = Lock()
        folder.mkdir(parents=True, exist_ok=True)

    @classmethod
    def open(
        cls,
        database: Database,
        space_id: str,
        home: Path,
        embedder: Embedder,
        registry: Registry | None = None,
    ) -> Index:
        """The space's index under that home folder. Reads nothing yet: call `refresh` before searching."""
        return cls(database, space_id, home / "index" / space_id, embedder, registry)

    def close(self) -> None:
        with self._writing:
            if self._build is not None and self._build.manifest.boot:
                with self._home.locked():
                    if self._home.read() == self._build.manifest:  # nobody wrote since
                        self._build.settle()
            self._build = None
            self._names = None

    def refresh(self, progress: Progress | None = None) -> int:
        """Take in what changed in the tables; the number of new units. One small query where nothing did.

        What was committed before the call is found by every search after it. Of several threads that call, one works
        for all that wait. Raises WrongEmbedder when the stored vectors come from another encoder; `rebuild` re-embeds.
        """
        build = self._build
        if build is not None and self._home.stamp() == self._stamp:
            changes = self._changes(build)
            if changes is not None and not changes.ids and not build.manifest.dirty:
                return 0
        with self._writing:
            build = self._opened()
            changes = self._changes(build)
            if build is not None and changes is not None and not changes.ids and not build.manifest.dirty:
                return 0
            embeddings.check_model(self.database, self.space_id, self.embedder)
            with self._home.locked():
                return self._refresh(progress)

    def rebuild(self, progress: Progress | None = None) -> int:
        """Make everything again from the tables, with this encoder; the number of units."""
        with self._writing, self._home.locked():
            embeddings.forget_others(self.database, self.space_id, self.embedder)
            return self._make(progress)

    def search(
        self,
        query: str,
        k: int = 10,
        *,
        as_of: datetime | None = None,
        known_to: str | None = None,
        kinds: Collection[str] = ("episode", "fact"),
        vector: FloatMatrix | None = None,
        times: Sequence[TimePhrase] | None = None,
    ) -> list[Hit]:
        """The k best units, best first. `known_to` is a person id; `as_of` leaves out what was said later.

        Kinds are episode, fact, session and digest; a session is a hit under the id of its first episode, a digest under
        its own with the score of its best session. `vector` is the
        question's own, where it is at hand; `times` are what its words of time mean, where that is known better than
        from the words ("before she moved"). Of two facts that fit alike, the one that time has left more of comes first.
        What the tables do not hold any more is never among the hits.
        """
        if vector is None:
            vector = self._vector(query)  # nobody else has to wait for it
        build = self._current()
        understood = self._understand(build, query)
        if times is not None:
            understood = replace(understood, times=tuple(times))
        until, view = None if as_of is None else as_of.timestamp(), _View(known_to, as_of)
        found: list[Hit] = []
        wanted = frozenset(KIND_NAMES.index(kind) for kind in kinds if kind in ("episode", "fact"))
        if wanted:
            limits = self._limits(build, wanted, until, known_to)
            ranking = rank_units(build, understood, vector, limits)
            found += self._hits(build, ranking, k, view)
        if "session" in kinds or "digest" in kinds:
            limits = self._limits(build, frozenset({EPISODE}), until, known_to)
            ranking = rank_sessions(build, understood, vector, limits, until)
            if "session" in kinds:
                found += self._hits(build, ranking, k, view, kind="session")
            if "digest" in kinds:
                found += self._digests(build, ranking, k, view)
        return sorted(found, key=lambda hit: -hit.score)[:k]

    def by_one(
        self,
        text: str,
        k: int,
        signal: Literal["words", "vector"],
        *,
        known_to: str | None = None,
        as_of: datetime | None = None,
    ) -> list[Hit]:
        """The k best messages by one signal alone, BM25 of the words or the cosine of the vector; limits as in `search`."""
        build = self._current()
        until = None if as_of is None else as_of.timestamp()
        limits = self._limits(build, frozenset({EPISODE}), until, known_to)
        if signal == "words":
            stems = build.texts.stems(content_words(text) or words(text))
            numbers, scores = build.texts.search("unit", stems, k + _SPARE, limits.scope)
        else:
            numbers, scores = build.nearest.search(self._vector(text), k + _SPARE, limits.allowed)
        ranking = Ranking(numbers, scores, {signal: scores})
        return self._hits(build, ranking, k, _View(known_to, as_of))

    def vectors(self, texts: Sequence[str]) -> dict[str, FloatMatrix]:
        """What questions and their readings mean, by their text; those of the last ones are remembered."""
        keys = {text: sha256(text.encode("utf-8", "surrogatepass")).digest() for text in texts}
        with self._remembering:
            found = {text: self._vectors[key] for text, key in keys.items() if key in self._vectors}
        new = [text for text in dict.fromkeys(texts) if text not in found]
        found |= dict(zip(new, self.embedder.encode(new), strict=True)) if new else {}
        with self._remembering:
            for text, key in keys.items():
                self._vectors[key] = found[text]
                self._vectors.move_to_end(key)
            while len(self._vectors) > _REMEMBERED:
                self._vectors.popitem(last=False)
        return found

    def understand(self, query: str) -> Query:
        """The names, times and content words of a question."""
        return self._understand(self._current(), query)

    @property
    def gazetteer(self) -> Gazetteer:
        """The names that questions are searched for."""
        self._current()
        return self._gazetteer()

    @cached_property
    def registry(self) -> Registry:
        return self._registry or Registry.load()

    @property
    def units(self) -> dict[str, int]:
        """How many units there are of each kind: episode, fact, session."""
        build = self._current()
        _, n_sessions = build.texts.count()
        manifest = build.manifest
        return {"episode": manifest.n_episodes, "fact": manifest.n_facts, "session": n_sessions}

    def check(self, progress: Progress | None = None) -> list[str]:
        """What is wrong: every unit of the tables must be in the index once, nothing else, and as it is there.

        Reads everything. A store that is written to meanwhile may show what is not yet taken in.
        """
        return check(self._current(), self.database, self.space_id, self.embedder, progress)

    # Keeping up

    def ahead(self, texts: Sequence[str]) -> Ahead | None:
        """Vectors of texts that are about to be written, few or none; None before anything was searched here."""
        if self._build is None or not 0 < len(texts) <= MOST_AHEAD:
            return None
        return Ahead(self.space_id, self.embedder, texts)

    def _current(self) -> Build:
        """What is searched now; a search keeps the one that it began with."""
        while (build := self._build) is None:
            self.refresh()
        return build

    def _opened(self) -> Build | None:
        """The build that the manifest names now, or None where there is none that can be used."""
        stamp = self._home.stamp()
        if self._build is not None and stamp == self._stamp:
            return self._build
        self._build, self._stamp, self._names = None, stamp, None
        manifest = self._home.read()
        if manifest is None or (manifest.encoder, manifest.width) != (
            self.embedder.name,
            self.embedder.width,
        ):
            return None
        try:
            self._build = Build(self._home, manifest)
        except (OSError, ValueError, KeyError, EOFError):
            return None  # damaged: made again
        return self._build

    def _changes(self, build: Build | None) -> Changes | None:
        """What the feed says since the build; None where it does not tell."""
        if build is None:
            return None
        with self.database.reading() as session:
            changes = feed.since(session, self.space_id, build.manifest)
        return None if changes.is_gap else changes

    def _refresh(self, progress: Progress | None) -> int:
        build = self._opened()
        changes = self._changes(build)
        if build is None or changes is None:
            known = 0 if build is None else build.manifest.n_episodes + build.manifest.n_facts
            return max(0, self._make(progress) - known)
        if not changes.ids and not build.manifest.dirty:
            return 0
        try:
            made, added = build.updated(self.database, self.space_id, self.embedder, changes)
            if made.is_ripe:
                made = made.folded()
        except MustRebuild:
            self._make(progress)
            return 0
        except BaseException:
            self._build = None  # nothing may be made of it any more
            raise
        self._take_names(changes)
        self._build, self._stamp = made, self._home.stamp()
        feed.trim(self.database, self.space_id, self.folder.parent)
        return added

    def _make(self, progress: Progress | None) -> int:
        self._build, self._names = None, None
        for path in (*self.folder.glob("fulltext.db*"), *self.folder.glob("vectors.f32")):
            path.unlink()  # of an earlier version
        with self.database.reading() as session:
            at = feed.position(session, self.space_id)
        manifest = make(self.database, self.space_id, self.embedder, self._home, at, progress)
        self._build, self._stamp = Build(self._home, manifest), self._home.stamp()
        return manifest.n_episodes + manifest.n_facts

    # Searching

    def _vector(self, query: str) -> FloatMatrix:
        return self.vectors([query])[query]

    def _gazetteer(self) -> Gazetteer:
        names = self._names
        if names is None:
            with self._naming:
                names = self._names = self._names or Gazetteer.load(self.database, self.space_id)
        return names

    def _take_names(self, changes: Changes) -> None:
        with self._naming:  # nobody may be reading names that are older than these
            if self._names is not None and changes.of("node"):
                self._names = self._names.reloaded(self.database, self.space_id, changes.of("node"))

    def _understand(self, build: Build, query: str) -> Query:
        mentions = tuple(self._gazetteer().find(query))
        times = tuple(find_times(query, datetime.fromtimestamp(build.last_time, UTC)))
        named = sorted({node for mention in mentions for node in mention.node_ids})
        numbers = build.columns.find(as_numbers(named))
        speaks = {
            node
            for node, number in zip(named, numbers.tolist(), strict=True)
            if number >= 0 and (build.columns.flags[build.everyone(np.array([number]))] & SPEAKS).any()
        }
        spoken = [mention for mention in mentions if speaks.intersection(mention.node_ids)]
        names = {word for mention in spoken for word in words(mention.text)}
        wanted = content_words(query)
        return Query(query, tuple(w for w in wanted if w not in names) or tuple(wanted), mentions, times)

    def _limits(
        self, build: Build, kinds: frozenset[int], until: float | None, known_to: str | None
    ) -> Limits:
        allowed = build.searched(kinds)
        text_kinds = None if kinds == {EPISODE, FACT} else kinds
        if known_to is None:
            if until is not None:
                allowed = allowed & (build.columns.time <= until)
            return Limits(allowed, Scope(text_kinds, until))
        person = nodes_of(build, [known_to])
        ids = {known_to, *build.columns.ids(person)}
        with self.database.reading() as session:
            query = select(Participant.conversation_id).where(
                Participant.space_id == self.space_id, Participant.node_id.in_(ids)
            )
            conversations = as_numbers(list(session.scalars(query)))
        numbers = build.columns.find(conversations)
        parts = [(build.audience, build.moved), (build.recent.audience, None)]
        allowed = allowed & heard_by(build.columns, parts, numbers[numbers >= 0], person, until)
        audience = (*conversations.tolist(), *as_numbers(sorted(ids)).tolist())
        return Limits(allowed, Scope(text_kinds, until, audience))

    def _hits(
        self, build: Build, ranking: Ranking, k: int, view: _View, *, kind: str | None = None
    ) -> list[Hit]:
        """The k best that the tables hold and the person can know, each less what time took from it."""
        hits: list[Hit] = []
        start, size = 0, k + _SPARE
        while start < len(ranking.numbers) and not _is_enough(hits, k, float(ranking.scores[start])):
            part = ranking.numbers[start : start + size]
            usable = self._usable(build, part, view)
            for i, (number, owner_id) in enumerate(zip(part.tolist(), build.columns.ids(part), strict=True)):
                if owner_id in usable:
                    shown = kind or KIND_NAMES[build.columns.kind[number]]
                    hits.append(_hit(shown, usable[owner_id], ranking, start + i))
            hits.sort(key=lambda hit: -hit.score)
            start, size = start + len(part), 4 * size
        return hits[:k]

    def _digests(self, build: Build, ranking: Ranking, k: int, view: _View) -> list[Hit]:
        """The digests that hold the best sessions, each once."""
        columns, numbers = build.columns, ranking.numbers
        places = columns.ids(columns.conversation[numbers])
        began = [datetime.fromtimestamp(time, UTC) for time in columns.time[numbers].tolist()]
        with self.database.reading() as session:
            sessions = list(zip(places, began, strict=True))
            held = digests.holding(session, self.space_id, sessions, known_to=view.known_to, as_of=view.as_of)
        hits: dict[str, Hit] = {}
        for i, digest_id in enumerate(held):
            if digest_id is not None and digest_id not in hits:
                hits[digest_id] = Hit("digest", digest_id, float(ranking.scores[i]), ranking.parts(i))
        return list(hits.values())[:k]

    def _usable(self, build: Build, numbers: Ints, view: _View) -> dict[str, _Usable]:
        """Those units that are in the tables, not retired, and known to the person, by id.

        A fact that they know by a restatement alone goes by the restatement's.
        """
        kinds = build.columns.kind[numbers]
        ids = {"episode": build.columns.ids(numbers[kinds == EPISODE])}
        ids["fact"] = build.columns.ids(numbers[kinds == FACT])
        with self.database.reading() as session:
            found = units.still_there(session, ids)
            if view.known_to is None:
                seen = {item: item for item in found}
                visible = None
            else:
                seen, visible = self._seen(session, ids, view)
            facts = [item for item in ids["fact"] if item in found and item in seen]
            left = retained(session, self.registry, facts, self._moment(build, view), visible)
        return {item: _Usable(seen[item], left.get(item, 1.0)) for item in found if item in seen}

    def _seen(
        self, session: Session, ids: Mapping[str, Sequence[str]], view: _View
    ) -> tuple[dict[str, str], set[str]]:
        """Those units that the person can know, each with its id for them; and the messages of theirs that tell so."""
        assert view.known_to is not None
        visible = visible_query(self.space_id, view.known_to, view.as_of)
        seen: dict[str, str] = {}
        heard: set[str] = set()
        for part in units.in_chunks(ids["episode"]):
            seen.update((item, item) for item in session.scalars(visible.where(Episode.id.in_(part))))
        for part in units.in_chunks(ids["fact"]):
            rests_on = units.told_in(session, part)
            known = set(
                session.scalars(visible.where(Episode.id.in_({told.episode_id for told in rests_on})))
            )
            for told in rests_on:  # a fact's own messages first
                if told.episode_id in known:
                    seen.setdefault(told.fact_id, told.by)
            heard |= known
        return seen, heard

    def _moment(self, build: Build, view: _View) -> datetime:
        """The moment that is asked about; no later than the newest message, since while nobody speaks nothing fades."""
        newest = datetime.fromtimestamp(build.last_time, UTC)
        return newest if view.as_of is None else min(view.as_of, newest)


def _is_enough(hits: Sequence[Hit], k: int, following: float) -> bool:
    """Whether no unit from there on can be among the k best: time only takes from a score."""
    return len(hits) >= k and hits[k - 1].score >= following


def _hit(kind: str, usable: _Usable, ranking: Ranking, place: int) -> Hit:
    score, parts = float(ranking.scores[place]), ranking.parts(place)
    fading = -round(FADING * (1.0 - usable.left), 6)
    if fading:
        score, parts = round(score + fading, 6), {**parts, "fading": fading}
    return Hit(kind, usable.id, score, parts)  # type: ignore[arg-type]
