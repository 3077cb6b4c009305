from __future__ import annotations

import io
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from db import tables
from db.engine import Database, open_database, sqlite_url
from memory import ledger, pins
from memory.backup import back_up
from memory.erasure import Target, erase
from memory.errors import CannotDecide, UnknownFact
from memory.exchange.dump import dump
from memory.exchange.load import load
from memory.people import find_person
from memory.pins import Pinned
from memory.restore import restore
from memory.spaces import ensure_space
from memory.verify import verify


def act(world, name: str, fact_id: str) -> Pinned:
    world.person("Ben Ode")
    done: Pinned = getattr(pins, name)(
        world.database,
        world.space_id,
        world.registry,
        fact_id,
        by=find_person(world.database, world.space_id, "Ben Ode"),
        clock=world.clock,
    )
    return done


def pinned(world, **asked: Any) -> dict[str, bool]:
    return {fact.object: fact.is_pinned for fact in world.facts(**asked)}


def kinds(world) -> list[str]:
    return [row.kind for row in ledger.entries(world.database, world.space_id)]


def test_a_pin_is_kept_and_taken_back_and_both_are_in_the_ledger(world) -> None:
    porto = world.store("Porto", 1)
    assert act(world, "pin", porto) == Pinned(porto, is_pinned=True, is_new=True)
    assert pinned(world) == {"Porto": True}
    entry = ledger.entries(world.database, world.space_id)[0]
    by = world.people["Ben Ode"]
    assert (entry.kind, entry.payload) == ("pin", {"fact": porto, "statements": [porto], "by": by})
    assert act(world, "unpin", porto) == Pinned(porto, is_pinned=False, is_new=True)
    assert pinned(world) == {"Porto": False}
    assert kinds(world)[:2] == ["unpin", "pin"]
    assert ledger.verify(world.database, world.space_id) == []


def test_pinning_again_changes_nothing(world) -> None:
    porto = world.store("Porto", 1)
    assert not act(world, "unpin", porto).is_new
    act(world, "pin", porto)
    assert not act(world, "pin", porto).is_new
    assert kinds(world).count("pin") == 1


def test_a_pin_is_on_the_fact_whichever_statement_was_named(world) -> None:
    porto = world.store("Porto", 1)
    again = world.store("Porto", 9, by="Ben Ode")
    assert act(world, "pin", again).fact_id == porto
    assert pins.pinned_facts(world.database, world.space_id) == [porto]
    assert act(world, "unpin", again).is_new
    assert pins.pinned_facts(world.database, world.space_id) == []


def test_what_takes_its_place_is_not_pinned(world) -> None:
    act(world, "pin", world.store("Porto", 1))
    world.store("Lagos", 9, change="update")
    assert pinned(world) == {"Lagos": False}
    assert pinned(world, as_of=world.day(3)) == {"Porto": True}


def test_another_person_is_shown_no_pin(world) -> None:
    act(world, "pin", world.store("Porto", 1))
    assert pinned(world, known_to=world.people["Ben Ode"]) == {"Porto": False}


def test_what_was_taken_back_cannot_be_pinned(world) -> None:
    porto = world.store("Porto", 1)
    world.decide(porto, "REJECT")
    with pytest.raises(CannotDecide):
        act(world, "pin", porto)
    with pytest.raises(UnknownFact):
        act(world, "pin", "nosuchfact")


def problems(world, home: Path) -> list[tuple[str, str]]:
    report = verify(world.database, world.space_id, home, world.registry)
    return [(problem.check, problem.what) for problem in report.problems]


def pinned_since(database: Database) -> dict[str, datetime]:
    with database.reading() as session:
        rows = session.execute(select(tables.Fact.id, tables.Fact.pinned_at))
        return {fact_id: since for fact_id, since in rows if since is not None}


def test_verify_counts_pins_and_finds_those_that_no_ledger_entry_made(world, tmp_path: Path) -> None:
    porto, beja = world.store("Porto", 1), world.store("Beja", 1, about="Ben Ode")
    act(world, "pin", porto)
    assert verify(world.database, world.space_id, tmp_path, world.registry).counts["pins"] == 1
    assert problems(world, tmp_path) == []
    with world.database.transaction() as session:
        session.execute(update(tables.Fact).where(tables.Fact.id == porto).values(pinned_at=None))
        session.execute(update(tables.Fact).where(tables.Fact.id == beja).values(pinned_at=world.now))
    assert problems(world, tmp_path) == [
        ("pins", f"fact {beja} is pinned, and the ledger does not say so"),
        ("pins", f"fact {porto} was pinned, and is no longer"),
    ]


def test_a_pin_that_an_earlier_telling_takes_over_is_still_sound(world, tmp_path: Path) -> None:
    later = world.store("Porto", 9)
    act(world, "pin", later)
    first = world.store("Porto", 1, by="Ben Ode")
    assert act(world, "unpin", first).is_new
    assert pins.pinned_facts(world.database, world.space_id) == []
    assert problems(world, tmp_path) == []


def test_an_export_keeps_pins_and_their_times(world, tmp_path: Path) -> None:
    porto = world.store("Porto", 1)
    act(world, "pin", porto)
    file = io.BytesIO()
    dump(world.database, world.space_id, file)
    other = open_database(sqlite_url(tmp_path / "other.db"))
    space_id = ensure_space(other)
    load(other, space_id, io.BytesIO(file.getvalue()), "export.jsonl")
    assert pinned_since(other) == pinned_since(world.database) == {porto: world.now}
    assert verify(other, space_id, tmp_path, world.registry).problems == ()
    other.close()


def test_a_backup_keeps_pins_and_their_times(world, tmp_path: Path) -> None:
    act(world, "pin", world.store("Porto", 1))
    home, again = tmp_path / "home", tmp_path / "again"
    home.mkdir()
    back_up(world.database, home, tmp_path / "backup.zip", clock=world.clock)
    restore(tmp_path / "backup.zip", again, sqlite_url(again / "graph.db"))
    restored = open_database(sqlite_url(again / "graph.db"))
    assert pinned_since(restored) == pinned_since(world.database) != {}
    restored.close()


def test_erasing_a_pinned_fact_leaves_a_sound_store(world, tmp_path: Path) -> None:
    porto = world.store("Porto", 1)
    act(world, "pin", porto)
    erase(world.database, world.space_id, tmp_path, Target("fact", porto), world.registry, clock=world.clock)
    assert pins.pinned_facts(world.database, world.space_id) == []
    assert problems(world, tmp_path) == []
