from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select

from db.tables import Node
from memory.descriptions import name_the_described
from memory.errors import UnknownPerson
from memory.merging import list_merges, unmerge
from memory.people import find_person

ANA = "Ana Reis"
# what follows is the same over every store; one is enough
ONE_STORE = pytest.mark.parametrize("database", ["memory"], indirect=True)


def tell(world: Any, about: str, predicate: str, value: str, day: int, **rest: Any) -> list[str]:
    """One claim read in a transaction of its own, as reading a chat does it."""
    kind = "person" if predicate not in ("job", "lives_in") else None
    given = world.candidate(value, day, predicate=predicate, about=about, object_kind=kind, **rest)
    from memory.candidates import add_candidates

    with world.database.transaction() as session:
        ids = add_candidates(session, world.space_id, [given], world.registry, clock=world.clock)
        return name_the_described(session, world.space_id, ids, world.registry, clock=world.clock)


def who(world: Any, name: str) -> str:
    return find_person(world.database, world.space_id, name).name


def test_a_sister_gets_her_name_when_it_is_told(world: Any) -> None:
    assert tell(world, f"{ANA}'s sister", "job", "vet", 1) == []
    (merge_id,) = tell(world, ANA, "sister", "Joana Reis", 5)
    joana = find_person(world.database, world.space_id, f"{ANA}'s sister")
    assert (joana.name, joana.aliases) == ("Joana Reis", ())
    assert world.held(person_id=joana.id) == ["vet"]
    unmerge(world.database, world.space_id, merge_id, clock=world.clock)
    assert who(world, f"{ANA}'s sister") == f"{ANA}'s sister"
    assert world.held(person_id=find_person(world.database, world.space_id, "Joana Reis").id) == []


@ONE_STORE
def test_a_description_after_the_name_is_hers_at_once(world: Any) -> None:
    tell(world, ANA, "sister", "Joana Reis", 1)
    assert len(tell(world, f"{ANA}'s sister", "job", "vet", 5)) == 1
    assert tell(world, f"{ANA}'s sister", "lives_in", "Faro", 9) == []
    joana = find_person(world.database, world.space_id, "Joana Reis")
    assert sorted(world.held(person_id=joana.id)) == ["Faro", "vet"]
    assert len(list_merges(world.database, world.space_id)) == 1


@ONE_STORE
def test_a_description_by_another_word_or_alias_counts(world: Any) -> None:
    tell(world, f"{ANA}'s mum", "job", "vet", 1)
    assert len(tell(world, ANA, "mother", "Rita Melo", 5)) == 1


@ONE_STORE
def test_a_second_sister_leaves_the_first_description_open(world: Any) -> None:
    tell(world, ANA, "sister", "Joana Reis", 1)
    tell(world, ANA, "sister", "Marta Reis", 2)
    assert tell(world, f"{ANA}'s sister", "job", "vet", 5) == []
    assert who(world, f"{ANA}'s sister") == f"{ANA}'s sister"


def test_a_second_sister_later_frees_the_description(world: Any) -> None:
    tell(world, f"{ANA}'s sister", "job", "vet", 1)
    tell(world, ANA, "sister", "Joana Reis", 2)
    tell(world, ANA, "sister", "Marta Reis", 9)
    assert tell(world, f"{ANA}'s sister", "lives_in", "Faro", 12) == []
    joana = find_person(world.database, world.space_id, "Joana Reis")
    assert world.held(person_id=joana.id) == ["vet"]
    assert who(world, f"{ANA}'s sister") == f"{ANA}'s sister"


@ONE_STORE
def test_a_sister_told_from_the_other_side_counts(world: Any) -> None:
    tell(world, ANA, "sister", "Joana Reis", 1)
    tell(world, "Marta Reis", "sister", ANA, 2)
    assert tell(world, f"{ANA}'s sister", "job", "vet", 5) == []


@ONE_STORE
def test_the_father_told_from_his_side_is_no_second_mother(world: Any) -> None:
    tell(world, ANA, "father", "Luis Reis", 1)
    tell(world, "Luis Reis", "daughter", ANA, 2)
    tell(world, f"{ANA}'s mother", "job", "vet", 3)
    assert len(tell(world, ANA, "mother", "Rita Melo", 5)) == 1


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("my other sister called", False),
        ("both my sisters called", False),
        ("my little sister called", True),
        ("my sister's car broke", True),
        ("one of my younger sisters", False),
    ],
)
@ONE_STORE
def test_words_that_speak_of_two_keep_the_description_open(world: Any, text: str, is_one: bool) -> None:
    world.say(ANA, 1, text=text)
    tell(world, f"{ANA}'s sister", "job", "vet", 2)
    assert (len(tell(world, ANA, "sister", "Joana Reis", 5)) == 1) is is_one


@pytest.mark.parametrize("predicate", ["friend", "cousin", "grandmother", "colleague"])
@ONE_STORE
def test_of_some_relations_another_is_always_possible(world: Any, predicate: str) -> None:
    tell(world, f"{ANA}'s {predicate}", "job", "vet", 1)
    assert tell(world, ANA, predicate, "Joana Reis", 5) == []


@ONE_STORE
def test_a_new_boss_is_not_the_one_who_was_meant_before(world: Any) -> None:
    tell(world, f"{ANA}'s boss", "job", "chemist", 1)
    assert tell(world, ANA, "boss", "Ken Ito", 40, change="update") == []


@ONE_STORE
def test_the_boss_in_passing_is_the_one_who_was_meant(world: Any) -> None:
    tell(world, f"{ANA}'s boss", "job", "chemist", 1)
    assert len(tell(world, ANA, "boss", "Ken Ito", 3)) == 1


@ONE_STORE
def test_a_name_is_not_told_to_whom_only_the_description_was(world: Any) -> None:
    tell(world, f"{ANA}'s sister", "job", "vet", 1, to="Ben Ode")
    assert tell(world, ANA, "sister", "Joana Reis", 5, to="Cy Duarte") == []
    assert len(tell(world, ANA, "sister", "Joana Reis", 6, to="Ben Ode")) == 1


@ONE_STORE
def test_nobody_is_left_twice(world: Any) -> None:
    tell(world, f"{ANA}'s sister", "job", "vet", 1)
    tell(world, ANA, "sister", "Joana Reis", 5)
    with world.database.reading() as session:
        standing = session.scalars(select(Node.name).where(Node.kind == "person", Node.merged_into.is_(None)))
        assert sorted(standing) == ["Ana Reis", "Ben Ode", "Joana Reis"]
    with pytest.raises(UnknownPerson):
        who(world, "Marta")
