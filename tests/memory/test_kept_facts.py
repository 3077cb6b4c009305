"""What is kept between readings shows in nothing but time: any writes, by any connection, read as if nothing were kept."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from threading import Thread
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, select, update
from sqlalchemy.exc import NoResultFound

from db import tables
from db.engine import Database, open_database, sqlite_url
from memory import erasure, kept_facts
from memory.decisions import list_decisions, undo
from memory.erasure import Target
from memory.errors import GraphError
from memory.fact_views import Asked, read
from memory.facts import ALL_STATUSES, get_facts, list_facts, page_facts
from memory.kept_facts import KeptFacts
from memory.merging import list_merges, merge_people, unmerge
from memory.names import key
from memory.people import get_person
from memory.pins import pin, unpin
from memory.registry import Registry
from memory.spaces import ensure_space
from memory.types import Fact

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
ANA, BEN, CAY = "Ana Reis", "Ben Ode", "Cay Lund"
VALUES = {
    "lives_in": ("Porto", "Faro", "Braga"),
    "likes": ("tea", "green tea", "chess"),
    "partner": (BEN, CAY),
    "husband": (BEN, CAY),
}


def kept(database: Database) -> KeptFacts:
    with database.reading() as session:
        found = kept_facts.of(session)
    assert found is not None
    return found


def read_anew(world: Any, subject_id: str, **asked: Any) -> list[Fact]:
    """What a session that writes reads: nothing that was kept."""
    view = {"as_of": None, "known_to": None, "recorded_as_of": None} | asked
    with world.database.transaction() as session:
        assert kept_facts.of(session) is None
        reading = read(
            session, world.space_id, Asked(world.registry, clock=world.clock, **view), (subject_id,), None
        )
    return sorted(reading.facts, key=lambda fact: fact.id)


def read_kept(world: Any, subject_id: str, **asked: Any) -> list[Fact]:
    found = world.facts(person_id=subject_id, statuses=ALL_STATUSES, **asked)
    return sorted(found, key=lambda fact: fact.id)


@contextmanager
def two_connections(folder: Path, migrated: Path, make: type[Any]) -> Iterator[tuple[Any, Any]]:
    """The same space as two processes have it open: one world that reads, and one that only writes."""
    shutil.copy(migrated, folder / "graph.db")
    here, there = (open_database(sqlite_url(folder / "graph.db")) for _ in range(2))
    space_id, registry = ensure_space(here), Registry.load()
    people: dict[str, str] = {}
    worlds = [make(database, space_id, registry, NOW, people=people) for database in (here, there)]
    yield worlds[0], worlds[1]
    here.close()
    there.close()


class Life:
    """Random writes to one space, each of them of a kind that a reading can see."""

    def __init__(self, world: Any, home: Path, random: Random) -> None:
        self.world, self.home, self.random = world, home, random

    def step(self, world: Any) -> None:
        self.world = world
        world.now += timedelta(minutes=7)
        acts = (
            [self.claim] * 6
            + [self.decide] * 6
            + [self.take_back, self.merge, self.part, self.pin, self.edit]
        )
        with suppress(GraphError, NoResultFound):  # it may be decided, undone or erased already
            self.random.choice([*acts, self.rename, self.score, self.erase])()

    def claim(self) -> None:
        predicate = self.random.choice(tuple(VALUES))
        value, number = self.random.choice(VALUES[predicate]), self.world.n_said
        change = self.random.choice(("state", "state", "update", "end", "correct"))
        about, by = self.random.choice((ANA, BEN, CAY)), self.random.choice((ANA, BEN))
        to = BEN if by == ANA else ANA
        self.world.claim(value, number % 9, predicate=predicate, change=change, about=about, by=by, to=to)

    def decide(self) -> None:
        self.world.decide(
            self.fact("candidate"), self.random.choice(("STORE", "STORE", "REJECT", "QUARANTINE"))
        )

    def take_back(self) -> None:
        world = self.world
        made = [decision.id for decision in list_decisions(world.database, world.space_id)]
        undo(
            world.database,
            world.space_id,
            self.random.choice(made or [""]),
            world.registry,
            clock=world.clock,
        )

    def merge(self) -> None:
        one, other = self.world.person(ANA), self.world.person(CAY)
        merge_people(self.world.database, self.world.space_id, one, other, self.world.registry, force=True)

    def part(self) -> None:
        for row in list_merges(self.world.database, self.world.space_id):
            unmerge(self.world.database, self.world.space_id, row.id)

    def pin(self) -> None:
        world, act = self.world, self.random.choice((pin, unpin))
        by = get_person(world.database, world.space_id, world.person(ANA))
        act(world.database, world.space_id, world.registry, self.fact("stored"), by=by, clock=world.clock)

    def edit(self) -> None:
        with self.world.database.transaction() as session:
            for episode in session.scalars(select(tables.Episode).limit(2)):
                episode.time += timedelta(days=1)

    def rename(self) -> None:
        with self.world.database.transaction() as session:
            name = f"Ben Ode {self.random.random()}"
            session.execute(
                update(tables.Node)
                .where(tables.Node.id == self.world.person(BEN))
                .values(name=name, name_key=key(name))
            )

    def score(self) -> None:
        with self.world.database.transaction() as session:
            session.execute(update(tables.Fact).values(salience=self.random.random()))

    def erase(self) -> None:
        target = Target("fact", self.fact("stored"))
        erasure.erase(
            self.world.database,
            self.world.space_id,
            self.home,
            target,
            self.world.registry,
            clock=self.world.clock,
        )

    def fact(self, state: str) -> str:
        with self.world.database.reading() as session:
            query = select(tables.Fact.id).where(tables.Fact.state == state)
            ids = session.scalars(query.order_by(tables.Fact.recorded_at, tables.Fact.object)).all()
        return self.random.choice(ids) if ids else ""


@settings(max_examples=5, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
@given(st.integers(0, 10**9))
def test_what_is_kept_reads_as_what_is_read_anew(migrated: Path, world_class: type[Any], seed: int) -> None:
    random = Random(seed)
    with (
        TemporaryDirectory() as home,
        two_connections(Path(home), migrated, world_class) as (here, there),
    ):
        life = Life(here, Path(home), random)
        everybody = [here.person(name) for name in (ANA, BEN, CAY)]
        with here.database.reading() as session:
            session.info["kept"]["facts"] = KeptFacts(most=random.choice((4, 1000)))
        for _ in range(12):
            for _ in range(random.randint(1, 3)):
                world = random.choice((here, there))
                world.now, world.n_said = max(here.now, there.now), max(here.n_said, there.n_said)
                life.step(world)
            here.now = max(here.now, there.now) + random.choice((timedelta(0), timedelta(days=400)))
            earlier = NOW - timedelta(days=random.randint(0, 310))
            asked = ({}, {"as_of": earlier}, {"known_to": everybody[1]}, {"recorded_as_of": earlier})
            for subject_id in everybody:
                for view in (random.choice(asked), {}):
                    assert read_kept(here, subject_id, **view) == read_anew(here, subject_id, **view)


@pytest.fixture
def told(world: Any) -> Any:
    world.store("Porto", 1)
    world.store("tea", 1, predicate="likes")
    world.store("Faro", 1, about=BEN, by=BEN, to=ANA)
    return world


def test_a_second_reading_asks_the_store_for_no_statement(told: Any, monkeypatch: Any) -> None:
    first = told.facts(person_id=told.person(ANA))
    monkeypatch.setattr(kept_facts.fact_rows, "load", None)
    assert told.facts(person_id=told.person(ANA)) == first
    assert [fact.object for fact in told.facts(person_id=told.person(ANA), predicates=("likes",))] == ["tea"]


def test_only_the_slot_that_was_written_to_is_made_anew(told: Any) -> None:
    ana = told.person(ANA)

    def slots() -> dict[str, Any]:
        told.facts(person_id=ana)
        with told.database.reading() as session:
            found = kept(told.database).slots(session, told.space_id, (ana,), UTC)
        return {slot.name: slot for slot in found}

    before = slots()
    told.store("Braga", 5, change="update")
    after = slots()
    assert after["likes"] is before["likes"]
    assert after["lives_in"] is not before["lives_in"]
    assert told.held(person_id=ana) == ["tea", "Braga"]


def test_nothing_of_what_was_erased_is_kept_after_the_next_reading_of_anybody(told: Any) -> None:
    words = "a house by the old lighthouse"
    fact_id = told.store(words, 2, predicate="owns")
    told.facts(person_id=told.person(ANA))
    with told.database.transaction() as session:
        session.execute(delete(tables.Evidence).where(tables.Evidence.fact_id == fact_id))
        session.execute(delete(tables.Decision).where(tables.Decision.fact_id == fact_id))
        session.execute(delete(tables.Fact).where(tables.Fact.id == fact_id))
    told.facts(person_id=told.person(BEN))
    (space,) = kept(told.database)._spaces.values()
    rows = [row for one in space.subjects.values() for slot in one.slots.values() for row in slot.rows]
    assert rows
    assert words not in {row.object for row in rows}
    assert kept_facts.values.normal.cache_info().currsize < 20


def test_what_is_kept_is_bounded(told: Any) -> None:
    with told.database.reading() as session:
        bounded = session.info["kept"]["facts"] = KeptFacts(most=3)
    for name in (ANA, BEN, ANA):
        told.facts(person_id=told.person(name))
        assert bounded.size <= 3
    assert told.held(person_id=told.person(BEN)) == ["Faro"]


def test_a_reading_that_began_before_a_write_sees_the_store_as_it_began(
    migrated: Path, tmp_path: Path, world_class: type[Any]
) -> None:
    with two_connections(tmp_path, migrated, world_class) as (here, there):
        first = here.store("Porto", 1)
        ana = here.person(ANA)
        asked = Asked(here.registry, None, None, None, here.clock)
        here.facts(person_id=ana)
        with here.database.reading() as session:
            session.scalar(select(tables.Space.id))  # the snapshot is of this moment
            there.store("Faro", 5, change="update")
            assert [fact.object for fact in get_facts(here.database, here.space_id, [first])] == ["Porto"]
            assert here.held(person_id=ana) == ["Faro"]
            before = read(session, here.space_id, asked, (ana,), None)
            assert [(fact.object, fact.status) for fact in before.facts] == [("Porto", "current")]
        assert here.held(person_id=ana) == ["Faro"]


def test_a_feed_that_was_cut_off_keeps_nothing(told: Any) -> None:
    ana = told.person(ANA)
    told.facts(person_id=ana)
    with told.database.transaction() as session:
        session.execute(update(tables.Fact).where(tables.Fact.object == "Porto").values(object="Paris"))
        session.execute(delete(tables.Change))
    assert "Paris" in told.held(person_id=ana)


def test_spaces_keep_nothing_of_each_other(told: Any, world_class: type[Any]) -> None:
    other = world_class(told.database, ensure_space(told.database, "other"), told.registry, told.now)
    other.store("Oslo", 1)
    assert other.held(person_id=other.person(ANA)) == ["Oslo"]
    assert other.held(person_id=told.person(ANA)) == []
    assert told.held(person_id=told.person(ANA)) == ["tea", "Porto"]


def test_threads_that_read_while_others_write_read_what_is_there(
    migrated: Path, tmp_path: Path, world_class: type[Any]
) -> None:
    with two_connections(tmp_path, migrated, world_class) as (here, there):
        here.store("Porto", 1)
        ana, wrong = here.person(ANA), []

        def look() -> None:
            for _ in range(25):
                found = list_facts(
                    here.database, here.space_id, here.registry, person_id=ana, clock=here.clock
                )
                page = page_facts(here.database, here.space_id, here.registry, clock=here.clock)
                if [one.predicate for one in found].count("lives_in") != 1 or not page.facts:
                    wrong.append(found)

        readers = [Thread(target=look) for _ in range(4)]
        for reader in readers:
            reader.start()
        for number in range(2, 8):
            there.store(f"Place {number}", number, change="update")
        for reader in readers:
            reader.join()
        assert wrong == []
        assert here.held(person_id=ana) == ["Place 7"]
        assert read_kept(here, ana) == read_anew(here, ana)
