from __future__ import annotations

from typing import Any

import pytest

from memory.duplicates import is_short_form, likely_duplicates

# what follows is the same over every store; one is enough
ONE_STORE = pytest.mark.parametrize("database", ["memory"], indirect=True)


def suggested(world: Any) -> list[tuple[str, str]]:
    return [
        (pair.first.name, pair.second.name)
        for pair in likely_duplicates(world.database, world.space_id, world.registry)
    ]


@pytest.mark.parametrize(
    ("short", "full"),
    [
        ("Tom", "Tomás"),
        ("tom", "Thomas"),
        ("Bia", "Beatriz"),
        ("Pepe", "José"),
        ("Käthe", "Katharina"),
        ("Gigi", "Luigi"),
    ],
)
def test_short_forms(short: str, full: str) -> None:
    assert is_short_form(short, full)
    assert not is_short_form(full, short)


@pytest.mark.parametrize(
    ("one", "other", "reason"),
    [
        ("Thomas Berg", "Tom Berg", "Tom is short for Thomas"),
        ("Beatriz Costa", "Bia", "Bia is short for Beatriz"),
        ("Joanna Lindqvist", "Joana Lindqvist", "names one letter apart"),
        ("Costa Beatriz", "Beatriz Costa", "the same words in another order"),
        ("Søren Holm", "Soren Holm", "the same name in other letters"),
        ("Ana Reis", "Ana", "the same first name"),
    ],
)
@ONE_STORE
def test_pairs_that_may_be_one_come_with_a_reason(world: Any, one: str, other: str, reason: str) -> None:
    world.person(one), world.person(other), world.person("Cy Duarte")
    (pair,) = likely_duplicates(world.database, world.space_id, world.registry)
    assert {pair.first.name, pair.second.name} == {one, other}
    assert reason in pair.reasons


@ONE_STORE
def test_two_in_one_conversation_are_two(world: Any) -> None:
    world.say("Thomas Berg", 1, to="Tom Berg")
    assert suggested(world) == []


@ONE_STORE
def test_never_in_one_conversation_speaks_for_it(world: Any) -> None:
    world.say("Thomas Berg", 1, to="Ben Ode")
    world.say("Tom Berg", 1, to="Cy Duarte")
    (pair,) = likely_duplicates(world.database, world.space_id, world.registry)
    assert "never in the same conversation" in pair.reasons


def test_a_shared_relation_speaks_for_it(world: Any) -> None:
    world.person("Thomas Berg"), world.person("Tom")
    world.claim("Thomas Berg", 1, predicate="brother", object_kind="person")
    world.claim("Tom", 2, predicate="brother", object_kind="person", to="Cy Duarte")
    (pair,) = likely_duplicates(world.database, world.space_id, world.registry)
    assert "both are Ana Reis's brother" in pair.reasons


@ONE_STORE
def test_other_last_names_speak_against_it(world: Any) -> None:
    for name in ("Thomas Berg", "Tom Hale", "Ana Reis", "Ana Holm", "Ana Reis's sister"):
        world.person(name)
    assert suggested(world) == []
