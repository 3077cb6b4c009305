from __future__ import annotations

from memory import constitutions, ledger
from memory.types import Principle

VALUE = Principle("value", "Friends come first.", ("e1",))
SPEECH = Principle("speech", "Writes without capitals.", ("e2", "e3"))


def write(world, *principles: Principle) -> int:
    person_id = world.person("Ana Reis")
    with world.database.transaction() as session:
        return constitutions.write(
            session, world.space_id, person_id, principles, run_id="r1", clock=world.clock
        )


def current(world) -> list[Principle]:
    return constitutions.current(world.database, world.space_id, world.person("Ana Reis"))


def test_nobody_has_a_constitution_at_first(world) -> None:
    assert current(world) == []


def test_the_newest_version_is_current(world) -> None:
    assert [write(world, VALUE), write(world, SPEECH, VALUE)] == [1, 2]
    assert current(world) == [VALUE, SPEECH]


def test_an_unchanged_constitution_makes_no_new_version(world) -> None:
    write(world, VALUE, SPEECH)
    assert write(world, SPEECH, VALUE) == 1
    assert len(ledger.entries(world.database, world.space_id)) == 1


def test_an_empty_constitution_replaces_nothing(world) -> None:
    write(world, VALUE)
    assert write(world) == 1
    assert current(world) == [VALUE]
