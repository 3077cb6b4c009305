"""A small world to tell things in: conversations, messages, and claims that rest on them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from db.engine import Database
from memory.episodes import append_turn
from memory.facts import add_candidates, candidates, decide, list_facts
from memory.people import get_or_create_node
from memory.registry import Registry
from memory.spaces import ensure_space
from memory.types import Fact, FactCandidate


@dataclass
class World:
    """Days count from 1 March 2025; a claim is one message and one candidate that rests on it."""

    database: Database
    space_id: str
    registry: Registry
    now: datetime
    n_said: int = 0
    people: dict[str, str] = field(default_factory=dict)

    def clock(self) -> datetime:
        return self.now

    def day(self, number: int) -> datetime:
        return datetime(2025, 3, 1, tzinfo=UTC) + timedelta(days=number)

    def person(self, name: str) -> str:
        if name not in self.people:
            with self.database.transaction() as session:
                self.people[name] = get_or_create_node(session, self.space_id, name, is_speaker=True)
        return self.people[name]

    def say(
        self,
        speaker: str,
        day: int,
        *,
        to: str = "Ben Ode",
        origin: str = "observed",
        text: str = "words",
    ) -> str:
        self.n_said += 1
        episode = append_turn(
            self.database,
            self.space_id,
            conversation=" and ".join(sorted((speaker, to))),
            speaker_id=self.person(speaker),
            text=text,
            origin=origin,
            time=self.day(day) + timedelta(hours=9, minutes=self.n_said),
            participants=[self.person(to)],
        )
        return episode.id

    def candidate(
        self, value: str, day: int, *, predicate: str = "lives_in", by: str = "Ana Reis", **rest: Any
    ) -> FactCandidate:
        about = rest.pop("about", "Ana Reis")
        said = {key: rest.pop(key) for key in ("to", "origin", "text") if key in rest}
        values = {"confidence": 0.8, "rule": "test", "asserted_by": by} | rest
        if "episode_ids" not in values:
            values["episode_ids"] = (self.say(by, day, **said),)
        return FactCandidate(subject=about, predicate=predicate, object=value, **values)

    def add(self, *given: FactCandidate) -> list[str]:
        with self.database.transaction() as session:
            return add_candidates(session, self.space_id, given, self.registry, clock=self.clock)

    def claim(self, value: str, day: int, **rest: Any) -> str:
        (fact_id,) = self.add(self.candidate(value, day, **rest))
        return fact_id

    def decide(self, fact_id: str, kind: str = "STORE") -> str:
        with self.database.transaction() as session:
            return decide(
                session,
                self.space_id,
                fact_id,
                kind,
                ["for a test"],
                self.registry,
                run_id=None,
                clock=self.clock,
            )

    def store(self, value: str, day: int, **rest: Any) -> str:
        fact_id = self.claim(value, day, **rest)
        self.decide(fact_id)
        return fact_id

    def store_all(self) -> list[str]:
        return [self.decide(fact.id) for fact in candidates(self.database, self.space_id)]

    def facts(self, **rest: Any) -> list[Fact]:
        return list_facts(self.database, self.space_id, self.registry, clock=self.clock, **rest)

    def held(self, **rest: Any) -> list[str]:
        return [fact.object for fact in self.facts(**rest)]


@pytest.fixture
def world(database: Database, now: datetime) -> World:
    return World(database, ensure_space(database), Registry.load(), now)


@pytest.fixture(scope="session")
def world_class() -> type[World]:
    """For tests that need a fresh world many times."""
    return World
