"""Many people at once are found and made as one by one."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from db.engine import Database
from db.tables import Node, new_id
from memory import names
from memory.crowds import Speakers, find_people
from memory.importing import import_file
from memory.people import add_alias, find_node, get_or_create_node, list_people
from memory.ports import utc_now
from memory.spaces import ensure_space

NAMES = [
    "Ana",
    "ana",
    "Ana Reis",
    "Ana Costa",
    "Bo",
    "Bo Rask",
    "Dr. Bo",
    "+49 151 2",
    "Éva",
    "eva",
    "Eva Lund",
    "😀",
]


@pytest.mark.parametrize("database", ["memory"], indirect=True)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    mentioned=st.lists(st.sampled_from(NAMES), max_size=4),
    called=st.lists(st.sampled_from(NAMES), unique=True),
)
def test_a_crowd_is_who_they_would_be_one_by_one(
    database: Database, mentioned: list[str], called: list[str]
) -> None:
    found = []
    for is_crowd in (True, False):
        space = ensure_space(database, new_id())
        with database.transaction() as session:
            for name in mentioned:
                get_or_create_node(session, space, name)
            if is_crowd:
                ids = Speakers(session, space, utc_now).get_or_create(called)
            else:
                ids = {name: get_or_create_node(session, space, name, is_speaker=True) for name in called}
            groups = {frozenset(other for other in called if ids[other] == ids[name]) for name in called}
            nodes = session.scalars(select(Node).where(Node.space_id == space))
            found.append((groups, sorted((names.key(node.name), node.is_speaker) for node in nodes)))
    assert found[0] == found[1]


def test_people_are_found_by_name_and_alias_also_when_merged(database: Database) -> None:
    space = ensure_space(database)
    with database.transaction() as session:
        ana, bo = (get_or_create_node(session, space, name) for name in ("Ana Reis", "Bo Rask"))
        add_alias(session, space, ana, "Anita")
        session.get_one(Node, bo).merged_into = ana
        found = find_people(session, space, ["ANA REIS", "anita", "Bo Rask", "Cy", ""])
        assert found == {"ANA REIS": ana, "anita": ana, "Bo Rask": ana}
        assert find_node(session, space, "Bo Rask") == ana


@pytest.mark.parametrize("database", ["disk"], indirect=True)
def test_a_group_of_thousands_is_a_matter_of_seconds(database: Database, tmp_path: Path) -> None:
    space, n = ensure_space(database), 4000
    people = [f"+49 15{k:09d}" if k % 3 else f"Ana Sur{k}" for k in range(n)]
    path = tmp_path / "group.txt"
    lines = [
        f"01/03/2025, {k // 60 % 24:02d}:{k % 60:02d} - {people[k % n]}: hello {k}" for k in range(2 * n)
    ]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    report = import_file(database, space, path)
    assert (report.n_new, len(report.people)) == (2 * n, n)
    path.write_text("\n".join([*lines, "02/03/2025, 10:00 - Bo: bye"]) + "\n", encoding="utf-8")
    assert import_file(database, space, path).n_new == 1
    assert len({names.key(person.name) for person in list_people(database, space)}) == n + 1
