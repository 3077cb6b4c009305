from __future__ import annotations

import shutil
import subprocess
import sys
import unicodedata
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from db.engine import Database, open_database, sqlite_url
from memory.episodes import append_turn
from memory.errors import UnknownPerson
from memory.names import clean
from memory.people import (
    add_alias,
    find_person,
    get_or_create_node,
    get_person,
    list_people,
    roster,
)
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


@pytest.fixture(scope="module")
def shared(migrated: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Database, str]]:
    """One store for many examples."""
    path = tmp_path_factory.mktemp("shared") / "graph.db"
    shutil.copy(migrated, path)
    with closing(open_database(sqlite_url(path))) as opened:
        yield opened, ensure_space(opened)


_ODD = st.text(
    st.one_of(
        st.characters(),
        st.characters(min_codepoint=0xD800, max_codepoint=0xDFFF, categories=["Cs"]),
        st.sampled_from(list("ıİßςΣﬁ’\u200d\u200e\ufe0f\u0301é\x00 \u3164‐がｶﾞ😀")),
    ),
    max_size=30,
)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=_ODD)
@example(name="Ana " * 2500)
@example(name="e" + "\u0301" * 2000)
def test_an_exact_name_never_makes_two_nodes(shared: tuple[Database, str], name: str) -> None:
    opened, space = shared
    if not clean(name):
        with pytest.raises(ValueError, match="needs a name"):
            make(opened, space, name)
        return
    spellings = (name, clean(name), f" {name}\u200f ", unicodedata.normalize("NFC", clean(name)))
    (node,) = set(make(opened, space, *spellings, is_speaker=True))
    assert find_person(opened, space, name).id == node
    assert get_person(opened, space, node).id == node


def test_a_title_is_passed_over_when_a_first_name_is_sought(database: Database, space: str) -> None:
    (node,) = make(database, space, "Dr. Ana-Lena Reis")
    assert make(database, space, "Ana-Lena") == [node]
    assert make(database, space, "Ana") != [node]


ROOT = Path(__file__).parents[2]
_MAKER = """
import sys
from db.engine import open_database
from memory.people import get_or_create_node
opened = open_database(sys.argv[1])
for number in range(15):
    with opened.transaction() as session:
        print(get_or_create_node(session, sys.argv[2], f"Name {number} Here", is_speaker=True))
opened.close()
"""


def test_two_processes_that_make_one_name_at_once_make_one_node(migrated: Path, tmp_path: Path) -> None:
    path = tmp_path / "graph.db"
    shutil.copy(migrated, path)
    with closing(open_database(sqlite_url(path))) as opened:
        space = ensure_space(opened)
        command = [sys.executable, "-c", _MAKER, sqlite_url(path), space]
        both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) for _ in range(2)]
        first, second = (process.communicate(timeout=60)[0].split() for process in both)
        assert first == second
        assert len(first) == 15
        assert len(list_people(opened, space)) == 15


def test_an_unknown_name_with_broken_bytes_is_one_clean_line(database: Database, space: str) -> None:
    with pytest.raises(UnknownPerson) as caught:
        find_person(database, space, "In\udceas\x00\n")
    str(caught.value).encode()
