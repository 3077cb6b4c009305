"""Claims about counting what was asked for: it adds up, also for two who ask at once, and fades."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from sqlalchemy import text

from db.engine import open_database, sqlite_url
from memory.erasure import Target, erase
from memory.registry import Registry
from memory.spaces import ensure_space
from memory.uses import FULL, HALF_LIFE_DAYS, Use, UseCounter, asked_for, record, uses

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def counted(world: Any, fact_id: str) -> int:
    with world.database.reading() as session:
        found = uses(session, [fact_id])
    return found[fact_id].n if found else 0


def test_each_answer_counts_once_and_strangers_not_at_all(world: Any) -> None:
    fact_id = world.store("Bergen", 1)
    for _ in range(3):
        assert record(world.database, world.space_id, [fact_id, fact_id, "nobody"], clock=world.clock) == 1
    assert counted(world, fact_id) == 3


def test_another_space_cannot_count_here(world: Any) -> None:
    fact_id = world.store("Bergen", 1)
    assert record(world.database, "another", [fact_id], clock=world.clock) == 0
    assert counted(world, fact_id) == 0


def test_two_who_ask_at_once_are_both_counted(world_class: Any, now: datetime, tmp_path: Path) -> None:
    """Each thread with a connection of its own, which a store in memory does not have."""
    database = open_database(sqlite_url(tmp_path / "graph.db"))
    world = world_class(database, ensure_space(database), Registry.load(), now)
    fact_id = world.store("Bergen", 1)

    def ask() -> None:
        for _ in range(10):
            record(world.database, world.space_id, [fact_id], clock=world.clock)

    threads = [Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counted(world, fact_id) == 20
    database.close()


def test_who_asks_waits_for_no_writer_and_is_counted(world_class: Any, now: datetime, tmp_path: Path) -> None:
    database = open_database(sqlite_url(tmp_path / "graph.db"))
    world = world_class(database, ensure_space(database), Registry.load(), now)
    fact_id, other_id = world.store("Bergen", 1), world.store("Oslo", 2)
    counter = UseCounter(database, world.space_id, clock=world.clock)
    with database.transaction():
        for _ in range(20):
            counter.add([fact_id, "nobody"])
        counter.add([other_id])
        assert counted(world, fact_id) == 0
    counter.settle()
    assert (counted(world, fact_id), counted(world, other_id)) == (20, 1)
    database.close()


def test_a_store_that_cannot_be_written_counts_nothing_and_harms_nobody(
    world_class: Any, now: datetime, tmp_path: Path
) -> None:
    database = open_database(sqlite_url(tmp_path / "graph.db"))
    world = world_class(database, ensure_space(database), Registry.load(), now)
    fact_id = world.store("Bergen", 1)
    with database.transaction() as session:
        session.execute(text("ALTER TABLE fact_use RENAME TO fact_use_elsewhere"))
    counter = UseCounter(database, world.space_id, clock=world.clock)
    counter.add([fact_id])
    counter.settle()
    with database.transaction() as session:
        session.execute(text("ALTER TABLE fact_use_elsewhere RENAME TO fact_use"))
    counter.add([fact_id])
    counter.settle()
    assert counted(world, fact_id) == 1
    database.close()


def test_often_and_lately_is_more_and_it_halves(world: Any) -> None:
    once, often = Use(1, NOW), Use(FULL, NOW)
    assert asked_for(None, NOW) == 0
    assert 0 < asked_for(once, NOW) < asked_for(often, NOW) == 1
    later = NOW + timedelta(days=HALF_LIFE_DAYS)
    assert asked_for(often, later) == pytest.approx(0.5)


def test_an_erased_fact_takes_its_count_along(world: Any, tmp_path: Any) -> None:
    fact_id = world.store("Bergen", 1)
    record(world.database, world.space_id, [fact_id], clock=world.clock)
    erase(
        world.database, world.space_id, tmp_path, Target("fact", fact_id), world.registry, clock=world.clock
    )
    assert counted(world, fact_id) == 0
