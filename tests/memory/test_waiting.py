from __future__ import annotations

from datetime import timedelta
from typing import Any

from memory.episodes import episodes_near
from memory.waiting import load_waiting, waiting_ids


def order(world: Any) -> list[str]:
    with world.database.reading() as session:
        ids = waiting_ids(session, world.space_id)
        return [fact.object for fact in load_waiting(session, world.space_id, ids)]


def test_what_waits_comes_in_the_order_of_saying_and_what_was_quarantined_last(world: Any) -> None:
    first = world.claim("Braga", 1)
    world.claim("Porto", 5)
    world.claim("Lisbon", 3)
    world.decide(first, "QUARANTINE")
    assert order(world) == ["Lisbon", "Porto", "Braga"]


def test_what_is_decided_waits_no_longer(world: Any) -> None:
    world.store("Porto", 1)
    world.decide(world.claim("Lisbon", 2), "REJECT")
    assert order(world) == []


def test_in_one_message_what_was_comes_before_what_became_of_it(world: Any) -> None:
    message = world.say("Ana Reis", 3)
    told = (("Aveiro", "correct"), ("Braga", "update"), ("Porto", "state"))
    for value, change in told:
        world.add(world.candidate(value, 3, change=change, episode_ids=(message,)))
    assert order(world) == ["Porto", "Braga", "Aveiro"]


def test_episodes_near_are_those_of_the_conversation_within_the_span(world: Any) -> None:
    near = [world.say("Ana Reis", day) for day in (1, 3, 9)]
    elsewhere = world.say("Ana Reis", 3, to="Cleo Ray")
    found = episodes_near(world.database, world.space_id, [near[1]], timedelta(days=3))
    assert [episode.id for episode in found] == near[:2]
    both = episodes_near(world.database, world.space_id, [near[1], elsewhere], timedelta(days=3))
    assert [episode.id for episode in both] == [near[0], near[1], elsewhere]
