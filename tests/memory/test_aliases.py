from __future__ import annotations

import pytest

from db.engine import Database
from memory.aliases import give_alias, rename, take_alias
from memory.errors import NameTaken, NoName, NotTheirName
from memory.people import find_person, get_or_create_node
from memory.spaces import ensure_space


@pytest.fixture
def space(database: Database) -> str:
    return ensure_space(database)


@pytest.fixture
def ana(database: Database, space: str) -> str:
    with database.transaction() as session:
        get_or_create_node(session, space, "Bo Ek")
        return get_or_create_node(session, space, "Ana Reis")


def test_an_alias_is_given_and_taken_back(database: Database, space: str, ana: str) -> None:
    assert give_alias(database, space, ana, " Nini\u200f ").aliases == ("Nini",)
    assert find_person(database, space, "NINI").id == ana
    assert take_alias(database, space, ana, "nini").aliases == ()


@pytest.mark.parametrize(
    ("name", "said"),
    [("Bo Ek", "is the name of Bo Ek"), ("bó ek", "is the name of Bo Ek"), ("ANA REIS", "already")],
)
def test_a_name_that_is_somebodys_is_refused(
    database: Database, space: str, ana: str, name: str, said: str
) -> None:
    for change in (give_alias, rename):
        if change is rename and said == "already":
            continue
        with pytest.raises(NameTaken, match=said):
            change(database, space, ana, name)


def test_aliases_cannot_run_in_a_circle(database: Database, space: str, ana: str) -> None:
    give_alias(database, space, ana, "Bobo")
    bo = find_person(database, space, "Bo Ek").id
    with pytest.raises(NameTaken, match="name of Ana Reis"):
        give_alias(database, space, bo, "Bobo")
    with pytest.raises(NameTaken, match="goes by Bobo already"):
        give_alias(database, space, ana, "Bobo")


def test_a_renamed_person_is_found_by_both_names(database: Database, space: str, ana: str) -> None:
    renamed = rename(database, space, ana, "Ana Melo")
    assert (renamed.name, renamed.aliases) == ("Ana Melo", ("Ana Reis",))
    back = rename(database, space, ana, "Ana Reis")
    assert (back.name, back.aliases) == ("Ana Reis", ("Ana Melo",))
    assert find_person(database, space, "Ana Melo").id == ana


def test_another_spelling_is_no_other_name(database: Database, space: str, ana: str) -> None:
    assert rename(database, space, ana, "Ána REIS").aliases == ()
    assert find_person(database, space, "ana reis").name == "Ána REIS"


def test_what_is_no_alias_cannot_be_taken(database: Database, space: str, ana: str) -> None:
    with pytest.raises(NotTheirName, match="person rename"):
        take_alias(database, space, ana, "Ana Reis")
    with pytest.raises(NotTheirName, match="no alias Zed"):
        take_alias(database, space, ana, "Zed")


def test_a_name_of_which_nothing_is_seen_is_refused(database: Database, space: str, ana: str) -> None:
    with pytest.raises(NoName):
        give_alias(database, space, ana, "\u200e ")
