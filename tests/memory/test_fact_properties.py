"""Facts in time against slow models: any story, any order, any viewer, any earlier day."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from db import tables
from db.engine import Database, make_engine
from memory import ledger
from memory.decisions import undo
from memory.errors import CannotDecide, CannotUndo
from memory.facts import ALL_STATUSES
from memory.registry import Registry
from memory.spaces import ensure_space
from memory.timeline import Assertion, resolve

REGISTRY = Registry.load()
DAY_0 = datetime(2025, 3, 1, tzinfo=UTC)
LAST_DAY = 14
NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
QUICK = settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def day(number: int) -> datetime:
    return DAY_0 + timedelta(days=number)


# One person's life, told as it happens: a machine that goes through it day by day


@dataclass(frozen=True)
class Event:
    kind: str  # update | until | end | correct
    on: int
    value: str
    other: str = ""  # correct: the wrong value
    until: int = 0


@st.composite
def lives(draw: st.DrawFn) -> list[Event]:
    """Events in the order in which they happen and are told."""
    events: list[Event] = []
    said = 0
    values: list[str] = []
    current: str | None = None
    since = 0
    for _ in range(draw(st.integers(1, 8))):
        said += draw(st.integers(0, 3))
        kind = draw(st.sampled_from(("update", "update", "until", "end", "correct")))
        if kind == "end" and current is not None and said > since:
            events.append(Event("end", said, current))
            current = None
        elif kind == "correct" and values:
            wrong, right = draw(st.sampled_from(values)), f"Right{len(events)}"
            events.append(Event("correct", said, right, other=wrong))
            values = [right if value == wrong else value for value in values]
            current = right if current == wrong else current
            if values.count(right) > 1:  # which of two stays is the question of another test
                values.remove(right)
                events.pop()
                return events
        elif kind in ("update", "until"):
            current = draw(st.sampled_from(("Porto", "Lisbon", "Faro", "Braga")))
            current = current if current not in values else f"{current}{len(events)}"
            values.append(current)
            since = said
            until = said + draw(st.integers(1, 5)) if kind == "until" else 0
            events.append(Event(kind, said, current, until=until))
            current = None if until else current
    return events


def lived(events: list[Event]) -> dict[int, str | None]:
    """Where they lived on each day, by going through the events and then through the days."""
    stays: list[list[Any]] = []  # value, first day, first day without it
    for event in events:
        if event.kind == "correct":
            for stay in stays:
                stay[0] = event.value if stay[0] == event.other else stay[0]
        elif event.kind == "end":
            stays[-1][2] = min(stays[-1][2], event.on)
        else:
            for stay in stays:
                stay[2] = min(stay[2], max(event.on, stay[1]))
            stays.append([event.value, event.on, event.until or 10_000])
    return {
        on: next((value for value, first, after in stays if first <= on < after), None)
        for on in range(LAST_DAY * 3)
    }


def told(events: list[Event]) -> list[Assertion]:
    claims = []
    for position, event in enumerate(events):
        is_end = event.kind == "end"
        end = day(event.on) if is_end else day(event.until) if event.until else None
        claims.append(
            Assertion(
                id=f"f{position}",
                subject_id="ana",
                predicate="lives_in",
                object=event.value,
                said=(day(event.on) + timedelta(hours=9), position),
                last_said=(day(event.on) + timedelta(hours=9), position),
                day=day(event.on),
                valid_from=None if is_end else day(event.on),
                valid_to=end,
                change="update" if event.kind == "until" else event.kind,
                corrects=event.other or None,
                asserted_by="ana",
                evidence=(f"e{position}",),
                conversations=frozenset({"c"}),
            )
        )
    return claims


@settings(max_examples=200, deadline=None)
@given(lives(), st.randoms(use_true_random=False))
def test_on_each_day_the_timeline_says_where_they_lived(events: list[Event], random: Any) -> None:
    claims = told(events)
    random.shuffle(claims)
    runs = [run for run in resolve(claims, REGISTRY) if not run.is_retracted]
    for on, expected in lived(events).items():
        held = [
            run.object
            for run in runs
            if (run.valid_from is None or run.valid_from <= day(on))
            and (run.valid_to is None or day(on) < run.valid_to)
        ]
        assert held == ([expected] if expected else [])


# A store in which things are told, decided, taken back


@dataclass(frozen=True)
class Told:
    """One statement, by one of two people, in one of two conversations."""

    value: str
    on: int
    change: str
    by: str
    to: str
    predicate: str
    start: int | None = None
    length: int | None = None

    def add(self, world: Any) -> str:
        start = None if self.start is None else world.day(self.on - self.start)
        end = None if start is None or self.length is None else start + timedelta(days=self.length)
        return world.claim(
            self.value,
            self.on,
            change=self.change,
            by=self.by,
            to=self.to,
            predicate=self.predicate,
            valid_from=start,
            valid_to=None if self.change == "end" else end,
        )


VOICES = (("Ana Reis", "Ben Ode"), ("Ana Reis", "Cleo Ray"), ("Ben Ode", "Cleo Ray"))
STATEMENTS = st.builds(
    lambda value, on, change, voices, predicate, start, length: Told(
        value, on, change, *voices, predicate, start, length
    ),
    st.sampled_from(("Porto", "flat in Porto", "Lisbon", "Faro")),
    st.integers(0, 5),
    st.sampled_from(("state", "state", "update", "correct", "end")),
    st.sampled_from(VOICES),
    st.sampled_from(("lives_in", "lives_in", "likes")),
    st.sampled_from((None, None, 0, 2)),
    st.sampled_from((None, None, 1, 90)),
)
STORIES = st.lists(
    STATEMENTS, min_size=1, max_size=6, unique_by=lambda told: (told.value, told.on, told.by, told.to)
)


@pytest.fixture(scope="session")
def new_world(migrated: Path, world_class: type) -> Callable[[], Any]:
    @contextmanager
    def make() -> Iterator[Any]:
        database = Database(make_engine("sqlite://"))
        with closing(sqlite3.connect(migrated)) as template, database.engine.connect() as connection:
            template.backup(connection.connection.driver_connection)  # type: ignore[arg-type]
        world = world_class(database, ensure_space(database), REGISTRY, NOW)
        for name in ("Ana Reis", "Ben Ode", "Cleo Ray"):
            world.person(name)
        yield world
        database.close()

    return make


def shown(world: Any, **query: Any) -> list[tuple[Any, ...]]:
    """What is said of everybody, without what names rows."""
    return sorted(
        (
            fact.subject,
            fact.predicate,
            fact.object,
            str(fact.valid_from),
            str(fact.valid_to),
            fact.status,
            fact.is_stale,
            round(fact.confidence, 6),
            len(fact.evidence),
        )
        for fact in world.facts(statuses=ALL_STATUSES, **query)
    )


def rows_of(world: Any) -> dict[str, Any]:
    with world.database.reading() as session:
        facts = {
            row.id: [str(getattr(row, column.key)) for column in tables.Fact.__table__.columns]
            for row in session.query(tables.Fact)
        }
        evidence = sorted((row.fact_id, row.episode_id) for row in session.query(tables.Evidence))
    return {"facts": facts, "evidence": evidence}


def tick(world: Any) -> None:
    world.now += timedelta(minutes=1)


@QUICK
@given(STORIES, st.randoms(use_true_random=False))
def test_any_order_of_deciding_gives_the_same_facts(new_world: Any, story: list[Told], random: Any) -> None:
    with new_world() as world:
        ids = [told.add(world) for told in story]
        before = shown(world)
        random.shuffle(ids)
        for fact_id in ids:
            world.decide(fact_id)
        settled = shown(world)
    assert [row[:5] + row[6:] for row in settled] == [row[:5] + row[6:] for row in before]


@QUICK
@given(
    STORIES,
    st.lists(st.sampled_from(("STORE", "REJECT", "QUARANTINE", "undo")), min_size=3, max_size=10),
    st.data(),
)
def test_as_recorded_is_what_was_said_then_and_undo_is_exact(
    new_world: Any, story: list[Told], acts: list[str], data: st.DataObject
) -> None:
    with new_world() as world:
        ids = [told.add(world) for told in story]
        tick(world)
        then = [(world.now, shown(world), rows_of(world))]
        made: list[tuple[str, dict[str, Any]]] = []
        for act in acts:
            tick(world)
            before = rows_of(world)
            try:
                if act == "undo":
                    decision, before_it = data.draw(st.sampled_from(made)) if made else ("", {})
                    if not decision:
                        continue
                    undo(world.database, world.space_id, decision, REGISTRY, clock=world.clock)
                    if made[-1][0] == decision:
                        assert rows_of(world) == before_it
                        made.pop()
                    else:
                        made = []  # what came before is no longer what undoing leads to
                else:
                    made.append((world.decide(data.draw(st.sampled_from(ids)), act), before))
            except (CannotDecide, CannotUndo):
                assert rows_of(world) == before
            then.append((world.now, shown(world), {}))
            tick(world)
        for moment, expected, _ in then:
            assert shown(world, recorded_as_of=moment) == expected
        assert ledger.verify(world.database, world.space_id) == []


@QUICK
@given(STORIES, st.data())
def test_undone_in_the_middle_is_as_if_it_had_never_been_decided(
    new_world: Any, story: list[Told], data: st.DataObject
) -> None:
    position = data.draw(st.integers(0, len(story) - 1))
    outcomes = []
    for is_decided in (True, False):
        with new_world() as world:
            ids = [told.add(world) for told in story]
            decisions = {i: world.decide(ids[i]) for i in range(len(ids)) if is_decided or i != position}
            if is_decided:
                undo(world.database, world.space_id, decisions[position], REGISTRY, clock=world.clock)
            outcomes.append(shown(world))
    assert outcomes[0] == outcomes[1]


@QUICK
@given(STORIES, st.sampled_from(("Ana Reis", "Ben Ode", "Cleo Ray")), st.sampled_from((None, 2, 4)))
def test_known_to_is_the_timeline_of_what_they_heard(
    new_world: Any, story: list[Told], viewer: str, until: int | None
) -> None:
    heard = [told for told in story if viewer in (told.by, told.to) and (until is None or told.on < until)]
    as_of = None if until is None else day(until)
    with new_world() as world:
        for told in story:
            world.decide(told.add(world))
        seen = shown(world, known_to=world.person(viewer), as_of=as_of)
        ids = {
            fact.id for fact in world.facts(statuses=ALL_STATUSES, known_to=world.person(viewer), as_of=as_of)
        }
        links = {
            fact.superseded_by
            for fact in world.facts(statuses=ALL_STATUSES, known_to=world.person(viewer), as_of=as_of)
        }
    with new_world() as world:
        for told in heard:
            world.decide(told.add(world))
        assert seen == shown(world, as_of=as_of)
    assert links - {None} <= ids


@QUICK
@given(STORIES)
def test_no_two_values_of_a_one_at_a_time_predicate_are_current(new_world: Any, story: list[Told]) -> None:
    with new_world() as world:
        for told in story:
            world.decide(told.add(world))
        for on in (None, *map(day, range(7))):
            current = [
                f for f in world.facts(as_of=on) if f.predicate == "lives_in" and f.status == "current"
            ]
            assert all(a.id == b.id for a, b in combinations(current, 2))


def test_of_two_equal_values_of_one_day_the_one_last_spoken_of_holds(new_world: Any) -> None:
    for _ in range(8):  # ids are drawn by chance, and must not decide
        with new_world() as world:
            world.store("Porto", 4, change="update", to="Cleo Ray")
            world.store("flat in Porto", 4, change="update", to="Ben Ode")
            assert world.held() == ["flat in Porto"]
