from __future__ import annotations

from memory.readings import Reading, keep_readings, list_readings


def keep(world, *readings: Reading) -> None:
    with world.database.transaction() as session:
        keep_readings(session, world.space_id, readings, clock=world.clock)


def test_readings_come_back_in_the_order_of_time(world) -> None:
    late, early = world.say("Ana Reis", 9), world.say("Ana Reis", 1)
    found = [Reading(late, "r", {"joy": 1.5, "fear": -0.25}), Reading(early, "r", {"joy": -2.0})]
    keep(world, *found)
    assert list_readings(world.database, world.space_id) == found[::-1]


def test_readings_are_found_by_readout_and_message(world) -> None:
    one, other = world.say("Ana Reis", 1), world.say("Ana Reis", 2)
    keep(world, Reading(one, "a", {"joy": 1.0}), Reading(one, "b", {"joy": 2.0}), Reading(other, "b", {}))
    assert [item.readout for item in list_readings(world.database, world.space_id, episodes=[one])] == [
        "a",
        "b",
    ]
    assert [item.episode_id for item in list_readings(world.database, world.space_id, readout="b")] == [
        one,
        other,
    ]


def test_a_readout_that_reads_again_replaces_what_it_found(world) -> None:
    said = world.say("Ana Reis", 1)
    keep(world, Reading(said, "r", {"joy": 1.0}), Reading(said, "s", {"joy": 2.0}))
    keep(world, Reading(said, "r", {"fear": 3.0}))
    found = {item.readout: item.concepts for item in list_readings(world.database, world.space_id)}
    assert found == {"r": {"fear": 3.0}, "s": {"joy": 2.0}}


def test_one_space_does_not_see_another(world) -> None:
    keep(world, Reading(world.say("Ana Reis", 1), "r", {"joy": 1.0}))
    assert list_readings(world.database, "another") == []
