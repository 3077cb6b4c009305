from __future__ import annotations

from memory.perspective import knows, visible_episode_ids


def visible(world, name: str, **rest) -> set[str]:
    return visible_episode_ids(world.database, world.space_id, world.person(name), **rest)


def test_people_hear_what_is_said_in_their_own_conversations(world) -> None:
    with_ben, with_cleo = world.say("Ana Reis", 1, to="Ben Ode"), world.say("Ana Reis", 1, to="Cleo Ray")
    assert visible(world, "Ben Ode") == {with_ben}
    assert visible(world, "Cleo Ray") == {with_cleo}
    assert visible(world, "Ana Reis") == {with_ben, with_cleo}


def test_nobody_knows_today_what_is_said_tomorrow(world) -> None:
    today = world.say("Ana Reis", 1)
    world.say("Ana Reis", 2)
    assert visible(world, "Ben Ode", as_of=world.day(2)) == {today}


def test_what_a_model_wrote_is_nobodys_knowledge_unless_asked_for(world) -> None:
    simulated = world.say("Ana Reis", 1, origin="simulated")
    assert visible(world, "Ben Ode") == set()
    assert visible(world, "Ben Ode", origins=("simulated",)) == {simulated}


def test_a_fact_is_known_by_one_message_that_was_heard(world) -> None:
    ids = (world.say("Ana Reis", 1, to="Ben Ode"), world.say("Ana Reis", 2, to="Cleo Ray"))
    world.claim("Porto", 1, episode_ids=ids)
    (fact,) = world.facts()
    assert knows(fact, visible(world, "Ben Ode"))
    assert not knows(fact, set())
