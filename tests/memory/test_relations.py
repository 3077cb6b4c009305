from __future__ import annotations

from typing import Any

import pytest

from memory.relation_words import relation_word, words_for
from memory.relations import Ambiguous, relations, resolve_reference
from memory.types import Person

# what follows is the same over every store; one is enough
ONE_STORE = pytest.mark.parametrize("database", ["memory"], indirect=True)


def say(world: Any, about: str, predicate: str, value: str, day: int = 1, **rest: Any) -> str:
    return world.store(value, day, predicate=predicate, about=about, object_kind="person", **rest)


def edges(world: Any, name: str, **rest: Any) -> list[tuple[str, str]]:
    found = relations(world.database, world.space_id, person_id=world.person(name), clock=world.clock, **rest)
    return [(edge.predicate, edge.object.name) for edge in found]


def meant(world: Any, phrase: str, speaker: str = "Ana Reis", **rest: Any) -> Any:
    found = resolve_reference(
        world.database, world.space_id, phrase, world.person(speaker), clock=world.clock, **rest
    )
    if isinstance(found, Ambiguous):
        return sorted(person.name for person in found.people)
    return found.name if isinstance(found, Person) else None


def test_a_relation_holds_from_both_sides_without_guessing_a_gender(world: Any) -> None:
    say(world, "Ana Reis", "brother", "Tom Hale")
    assert edges(world, "Ana Reis") == [("brother", "Tom Hale")]
    assert edges(world, "Tom Hale") == [("sibling", "Ana Reis")]


def test_a_gender_that_a_fact_gives_away_names_the_inverse(world: Any) -> None:
    say(world, "Ana Reis", "brother", "Tom Hale")
    say(world, "Cy Duarte", "wife", "Ana Reis", by="Cy Duarte")
    assert edges(world, "Tom Hale") == [("sister", "Ana Reis")]
    assert edges(world, "Ana Reis") == [("brother", "Tom Hale"), ("spouse", "Cy Duarte")]


@ONE_STORE
def test_a_relation_told_from_both_sides_is_one(world: Any) -> None:
    say(world, "Ana Reis", "partner", "Cy Duarte")
    say(world, "Cy Duarte", "partner", "Ana Reis", by="Cy Duarte")
    (edge,) = relations(world.database, world.space_id, person_id=world.person("Ana Reis"))
    assert (edge.object.name, edge.is_inverse) == ("Cy Duarte", False)


def test_a_relation_holds_in_its_time(world: Any) -> None:
    say(world, "Ana Reis", "boss", "Paula Ek", 1, change="update")
    say(world, "Ana Reis", "boss", "Ken Ito", 40, change="update")
    assert edges(world, "Ana Reis", as_of=world.day(20)) == [("boss", "Paula Ek")]
    assert edges(world, "Ana Reis") == [("boss", "Ken Ito")]
    assert edges(world, "Ken Ito") == [("employee", "Ana Reis")]
    assert meant(world, "my boss", as_of=world.day(20)) == "Paula Ek"
    assert meant(world, "my ex-boss") == meant(world, "my old manager") == "Paula Ek"


def test_a_relation_told_elsewhere_stays_unseen(world: Any) -> None:
    say(world, "Ana Reis", "sister", "Joana Reis", to="Cy Duarte")
    assert edges(world, "Ana Reis", known_to=world.person("Cy Duarte")) == [("sister", "Joana Reis")]
    assert edges(world, "Ana Reis", known_to=world.person("Ben Ode")) == []
    assert meant(world, "Ana's sister", "Ben Ode", known_to=world.person("Ben Ode")) is None


def test_a_gender_told_elsewhere_stays_unseen(world: Any) -> None:
    say(world, "Ana Reis", "brother", "Tom Hale")
    say(world, "Cy Duarte", "wife", "Ana Reis", by="Cy Duarte", to="Eva Lind")
    assert edges(world, "Tom Hale", known_to=world.person("Ben Ode")) == [("sibling", "Ana Reis")]


@ONE_STORE
@pytest.mark.parametrize(
    "phrase",
    [
        "my sister",
        "My sis",
        "Ana's sister",
        "Ana’s little sister",
        "the sister of Ana",
        "Joana",
        "my mum's daughter",
    ],
)
def test_phrases_that_mean_the_sister(world: Any, phrase: str) -> None:
    say(world, "Ana Reis", "sister", "Joana Reis")
    say(world, "Ana Reis", "mother", "Rita Melo")
    say(world, "Rita Melo", "daughter", "Joana Reis")
    expected = ["Ana Reis", "Joana Reis"] if "daughter" in phrase else "Joana Reis"
    assert meant(world, phrase) == expected


@ONE_STORE
def test_two_steps_and_three(world: Any) -> None:
    say(world, "Ana Reis", "sister", "Joana Reis")
    say(world, "Joana Reis", "husband", "Luis Paz")
    say(world, "Luis Paz", "mother", "Vera Paz")
    assert meant(world, "my sister's husband") == "Luis Paz"
    assert meant(world, "my sister's hubby's mum") == "Vera Paz"
    assert meant(world, "Joana's mother-in-law") == "Vera Paz"


@ONE_STORE
def test_a_word_without_a_fact_is_followed_over_others(world: Any) -> None:
    say(world, "Ana Reis", "mother", "Rita Melo")
    say(world, "Rita Melo", "mother", "Olga Melo")
    say(world, "Rita Melo", "sister", "Nina Melo")
    assert meant(world, "my grandma") == "Olga Melo"
    assert meant(world, "my aunt") == "Nina Melo"
    assert meant(world, "mum") == "Rita Melo"


@ONE_STORE
def test_two_who_fit_are_ambiguous_and_a_pronoun_is_never_guessed(world: Any) -> None:
    say(world, "Ana Reis", "sister", "Joana Reis")
    say(world, "Ana Reis", "sister", "Marta Reis", 2)
    say(world, "Joana Reis", "mother", "Rita Melo")
    assert meant(world, "my sister") == ["Joana Reis", "Marta Reis"]
    assert meant(world, "my sister's husband") == ["Joana Reis", "Marta Reis"]
    assert meant(world, "her mother") is None
    assert meant(world, "her mother", antecedent_id=world.person("Joana Reis")) == "Rita Melo"
    assert meant(world, "my dentist") is None
    assert meant(world, "Nobody's sister") is None


@ONE_STORE
def test_a_former_husband_is_past(world: Any) -> None:
    say(world, "Ana Reis", "husband", "Cy Duarte", 1, valid_from=world.day(-900), valid_to=world.day(-20))
    assert meant(world, "my husband") is None
    assert meant(world, "my ex-husband") == meant(world, "my ex") == "Cy Duarte"


def test_somebody_whose_name_nobody_told_is_found_by_the_description(world: Any) -> None:
    world.store("Faro", 1, about="Ana Reis's sister")
    assert meant(world, "my sister") == "Ana Reis's sister"


@pytest.mark.parametrize(
    "word", ["mum", "Hubby", "flatmate", "ex-wife", "little brother", "mother-in-law", "avó"]
)
def test_words_of_relation(word: str) -> None:
    assert relation_word(word) is not None


@pytest.mark.parametrize("word", ["dentist", "", "old", "of"])
def test_words_of_no_relation(word: str) -> None:
    assert relation_word(word) is None


def test_the_words_for_a_predicate_lead_back_to_it() -> None:
    assert {"sister", "sis"} <= set(words_for("sister"))
    assert "sister" not in words_for("sibling")
