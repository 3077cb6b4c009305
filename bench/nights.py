"""A chat's gold brought to the product's own nights: a store, its candidates, and score, check and decide over them.

Used by `bench.hippocampus`; nothing is measured here.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count, groupby
from pathlib import Path
from typing import Any

from agents.constitutions import HabitWriter
from agents.emotions import EmotionHead
from agents.entailment import HEAD_PATH, EntailmentHead
from agents.extractors.local import local_extractor
from agents.judges import RuleJudge
from bench.ask import UNANSWERABLE
from bench.chats import open_chat
from bench.claims import Claim, claims_of
from bench.gold import heard_in, read_list, said
from bench.matching import Said, is_match, is_same_object, is_same_person
from consolidation import check, decide, runs, score
from consolidation.stage import NightContext, NightSettings, NightTools, no_progress
from db.engine import Database, open_database, sqlite_url
from memory.embedders.minilm import MiniLM
from memory.episodes import list_episodes
from memory.facts import HOLDING, add_candidates, candidates, get_fact
from memory.importing import import_export
from memory.ports import Embedder, Entailer, Extractor, Roster
from memory.reading import read_episodes
from memory.registry import Registry
from memory.spaces import ensure_space
from memory.types import Episode, Fact, FactCandidate

_DAY = timedelta(days=1)


class Silent:
    """An extractor for chats whose candidates are given: it finds nothing, so that only feelings are read."""

    name = "given"

    def extract(self, episodes: Sequence[Episode], roster: Roster) -> list[FactCandidate]:
        return []


@dataclass(frozen=True, slots=True)
class Gold:
    """The gold files of a chat folder; None stands for a file that is not there."""

    facts: list[dict[str, Any]]
    traps: list[dict[str, Any]] | None
    questions: list[dict[str, Any]] | None
    principles: list[dict[str, Any]] | None

    @classmethod
    def of(cls, folder: Path) -> Gold:
        facts = [
            row for row in read_list(folder / "facts.json") if said(row, "subject") and said(row, "object")
        ]
        traps, questions = (_rows(folder / name) for name in ("not_facts.json", "questions.json"))
        return cls(facts, traps, questions, _principles(folder / "constitution.json"))


def _rows(path: Path) -> list[dict[str, Any]] | None:
    return read_list(path) if path.exists() else None


def _principles(path: Path) -> list[dict[str, Any]] | None:
    """Every person's lines in one list."""
    if not path.exists():
        return None
    found = json.loads(path.read_text(encoding="utf-8-sig"))
    lists = found.values() if isinstance(found, dict) else [found]
    return [row for rows in lists if isinstance(rows, list) for row in rows if isinstance(row, dict)]


def entailer_for(embedder: Embedder) -> Entailer | None:
    """The shipped head, as the product wires it."""
    if not HEAD_PATH.exists() or not isinstance(embedder, MiniLM):
        return None
    return EntailmentHead.load(embedder)


@dataclass(slots=True)
class Nights:
    """One chat in a store of its own under `home`, gone through score, check and decide."""

    folder: Path
    home: Path
    embedder: Embedder
    database: Database = field(init=False)
    space_id: str = field(init=False)
    registry: Registry = field(init=False)
    episodes: dict[int, Episode] = field(init=False)
    gold: Gold = field(init=False)
    seen: list[Fact] = field(
        default_factory=list
    )  # every candidate as it was said, in the order of the nights
    stated: dict[int, list[str]] = field(
        default_factory=lambda: defaultdict(list)
    )  # id() of a gold row -> facts
    wrong: dict[int, list[str]] = field(default_factory=lambda: defaultdict(list))  # the values it withdraws
    expected: dict[str, str] = field(default_factory=dict)  # fact -> decision
    now: datetime = field(init=False)
    _ticks: Any = field(default_factory=count)

    def __post_init__(self) -> None:
        self.gold = Gold.of(self.folder)
        self.database = open_database(sqlite_url(self.home / "graph.db"))
        self.space_id, self.registry = ensure_space(self.database), Registry.load()
        import_export(self.database, self.space_id, open_chat(self.folder))
        kinds = ("text", "media", "deleted")
        self.episodes = {e.position: e for e in list_episodes(self.database, self.space_id, kinds=kinds)}
        self.now = max(episode.time for episode in self.episodes.values())

    def clock(self) -> datetime:
        """The night that is held, a millisecond later at every call."""
        return self.now + timedelta(milliseconds=next(self._ticks))

    def hold(self, source: str) -> None:
        """Bring in the candidates and hold the nights."""
        is_read = source == "extracted"
        extractor: Extractor = local_extractor(self.embedder, self.registry) if is_read else Silent()
        tagger = EmotionHead.load(self.embedder)
        read_episodes(self.database, self.space_id, extractor, tagger, self.registry)
        tools = NightTools(
            extractor,
            tagger,
            self.embedder,
            RuleJudge(self.embedder),
            HabitWriter(),
            self.registry,
            entailer=entailer_for(self.embedder),
        )
        if source == "extracted":
            self.now += _DAY
            self._match(candidates(self.database, self.space_id))
            self._night(tools)
            return
        claims = claims_of(self.gold.facts, self.gold.traps or [], self.episodes, self.registry)
        for day, arriving in groupby(claims, key=lambda claim: claim.arrives.date()):
            self.now = datetime(day.year, day.month, day.day, 23, 59, tzinfo=UTC)
            self._add(list(arriving))
            self._night(tools)

    def _add(self, claims: Sequence[Claim]) -> None:
        for claim in claims:
            with self.database.transaction() as session:
                ids = add_candidates(
                    session, self.space_id, [claim.candidate], self.registry, clock=self.clock
                )
            for fact_id in ids:
                (self.wrong if claim.role == "wrong" else self.stated)[id(claim.gold)].append(fact_id)
                if claim.expected:
                    self.expected[fact_id] = claim.expected

    def _match(self, facts: Sequence[Fact]) -> None:
        """Which rows of the gold the extracted facts state."""
        index = {episode.id: place for place, episode in self.episodes.items()}
        for fact in facts:
            proposal = Said(fact.subject, fact.predicate, fact.object)
            hits = [row for row in self.gold.facts if is_match(proposal, row)]
            for row in hits:
                self.stated[id(row)].append(fact.id)
            for row in self.gold.facts:
                if not hits and _withdraws(row, fact):
                    self.wrong[id(row)].append(fact.id)
            cited = {index[key] for key in fact.evidence if key in index}
            for trap in () if hits else self.gold.traps or ():
                if cited & {e.position for e in heard_in(trap, self.episodes)} and _is_trap(fact, trap):
                    self.stated[id(trap)].append(fact.id)
                    self.expected[fact.id] = "REJECT"

    def _night(self, tools: NightTools) -> None:
        run_id = runs.new_run_id()
        settings = NightSettings()
        runs.begin(self.database, self.space_id, run_id, settings, is_resumed=False, clock=self.clock)
        run_dir = self.home / "runs" / run_id
        run_dir.mkdir(parents=True)
        context = NightContext(
            self.database,
            self.space_id,
            run_id,
            self.home,
            run_dir,
            settings,
            tools,
            self.clock,
            lambda stage: {},
        )
        self.seen += candidates(self.database, self.space_id)
        for stage in (score.run, check.run, decide.run):
            stage(context, no_progress)
        runs.finish(self.database, run_id, "done", None, clock=self.clock)

    def fact(self, fact_id: str, as_of: datetime | None = None) -> Fact:
        return get_fact(self.database, self.space_id, fact_id, self.registry, as_of=as_of, clock=self.clock)

    def salience(self) -> tuple[list[float], list[float]]:
        """Of asked facts and of messages that a principle rests on; and of chit-chat."""
        gold = self.gold
        asked = {
            e.id
            for question in gold.questions or ()
            if question.get("kind") != UNANSWERABLE
            for e in heard_in(question, self.episodes)
        }
        facts = [row for row in gold.facts if asked & {e.id for e in heard_in(row, self.episodes)}]
        saliences = (
            max((self.fact(fact_id).salience or 0.0 for fact_id in self.stated[id(row)]), default=None)
            for row in facts
        )
        rows = [*gold.facts, *(gold.traps or ()), *(gold.questions or ()), *(gold.principles or ())]
        used = {e.id for row in rows for e in heard_in(row, self.episodes)}
        telling = {e.id for row in gold.principles or () for e in heard_in(row, self.episodes)}
        chat = {e.id for e in self.episodes.values() if e.kind == "text" and e.id not in used}
        with self.database.reading() as session:
            heard = score.salience_of_messages(session, self.space_id, sorted(telling | chat))
        positives = [value for value in saliences if value is not None]
        return positives + [heard[key] for key in sorted(telling)], [heard[key] for key in sorted(chat)]


class Ours:
    """The product's store as `bench.outcomes` asks it."""

    def __init__(self, nights: Nights) -> None:
        self._nights = nights

    def _facts(self, fact_ids: Sequence[str]) -> list[Fact]:
        return [self._nights.fact(fact_id) for fact_id in fact_ids]

    def accepted(self, fact_ids: Sequence[str]) -> bool:
        return any(fact.state in ("stored", "merged") for fact in self._facts(fact_ids))

    def holds(self, fact_ids: Sequence[str]) -> bool:
        return any(fact.status in (*HOLDING, "future") for fact in self._facts(fact_ids))

    def is_over_by(self, fact_ids: Sequence[str], moment: datetime | None) -> bool:
        stops = [fact.valid_to for fact in self._facts(fact_ids) if fact.status == "past"]
        is_in_time = moment is None or all(stop is None or stop <= moment + _DAY for stop in stops)
        return not self.holds(fact_ids) and is_in_time


def _withdraws(row: dict[str, Any], fact: Fact) -> bool:
    wrong = said(row, "corrected_from")
    is_slot = is_same_person(fact.subject, said(row, "subject")) and fact.predicate == said(row, "predicate")
    return bool(wrong) and is_slot and is_same_object(fact.object, wrong)


def _is_trap(fact: Fact, trap: dict[str, Any]) -> bool:
    claim = trap.get("tempting_claim") or {}
    is_about = is_same_person(fact.subject, said(claim, "subject"))
    return is_about and (
        is_same_object(fact.object, said(claim, "object")) or fact.predicate == said(claim, "predicate")
    )
