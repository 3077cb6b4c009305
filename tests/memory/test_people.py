from __future__ import annotations

import pytest

from db.engine import Database
from memory.episodes import append_turn
from memory.errors import UnknownPerson
from memory.people import add_alias, find_person, get_or_create_node, list_people, roster
from memory.ports import utc_now
from memory.spaces import ensure_space


@pytest.fixture
def space(database: Database) -> str:
    return ensure_space(database)


def make(
    database: Database, space: str, *given: str, is_speaker: bool = False, kind: str = "person"
) -> list[str]:
    with database.transaction() as session:
        return [get_or_create_node(session, space, name, kind, is_speaker=is_speaker) for name in given]


def test_one_name_is_one_node_in_any_spelling(database: Database, space: str) -> None:
    assert len(set(make(database, space, "Inês Carvalho", "ines carvalho", " INES  CARVALHO "))) == 1


def test_an_alias_never_makes_a_second_node(database: Database, space: str) -> None:
    (node,) = make(database, space, "Ines Carvalho")
    with database.transaction() as session:
        add_alias(session, space, node, "Nini")
        add_alias(session, space, node, "nini")
    assert make(database, space, "NINI") == [node]
    assert find_person(database, space, "nini").aliases == ("Nini",)


def test_a_mentioned_first_name_is_the_one_person_who_has_it(database: Database, space: str) -> None:
    (node,) = make(database, space, "Ines Carvalho", is_speaker=True)
    assert make(database, space, "Ines") == [node]


def test_a_first_name_that_two_share_is_a_person_of_its_own(database: Database, space: str) -> None:
    assert len(set(make(database, space, "Ines Carvalho", "Ines Rocha", "Ines"))) == 3


def test_a_longer_name_takes_over_a_mentioned_first_name(database: Database, space: str) -> None:
    short, full = make(database, space, "Maren", "Maren Holm")
    assert short == full
    person = find_person(database, space, "Maren")
    assert (person.name, person.aliases) == ("Maren Holm", ("Maren",))


def test_two_speakers_of_one_first_name_stay_two(database: Database, space: str) -> None:
    assert len(set(make(database, space, "Ana", "Ana Reis", is_speaker=True))) == 2
    assert len(set(make(database, space, "Bo Ek", "Bo", is_speaker=True))) == 2


def test_a_mention_becomes_a_speaker_on_import(database: Database, space: str) -> None:
    make(database, space, "Duarte")
    make(database, space, "Duarte Nunes", is_speaker=True)
    (person,) = list_people(database, space)
    assert (person.name, person.is_speaker) == ("Duarte Nunes", True)


def test_places_do_not_mix_with_people(database: Database, space: str) -> None:
    make(database, space, "Lisbon Reis")
    make(database, space, "Lisbon", kind="place")
    assert [person.name for person in list_people(database, space)] == ["Lisbon Reis"]


def test_an_unknown_person_comes_with_the_nearest_names(database: Database, space: str) -> None:
    make(database, space, "Ines Carvalho", "Tomas Lindqvist", is_speaker=True)
    with pytest.raises(UnknownPerson, match="did you mean Ines Carvalho") as caught:
        find_person(database, space, "Inez Carvalho")
    assert caught.value.nearest == ("Ines Carvalho",)


def test_a_shared_first_name_asks_which_one(database: Database, space: str) -> None:
    make(database, space, "Ines Carvalho", "Ines Rocha")
    with pytest.raises(UnknownPerson, match="Ines Carvalho or Ines Rocha"):
        find_person(database, space, "ines")


def test_a_blank_name_is_no_node(database: Database, space: str) -> None:
    with pytest.raises(ValueError, match="needs a name"):
        make(database, space, "\u200e ")


def test_the_roster_of_a_conversation_holds_its_speakers(database: Database, space: str) -> None:
    ana, bo = make(database, space, "Ana Reis", "Bo Ek", is_speaker=True)
    make(database, space, "Cy")
    turn = append_turn(
        database, space, conversation="Ana", speaker_id=ana, text="hi", origin="observed", time=utc_now()
    )
    assert roster(database, space, turn.conversation_id).speakers == ("Ana Reis",)
    assert set(roster(database, space).known) == {"Ana Reis", "Bo Ek", "Cy"}
    assert bo
