from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from db import tables
from memory import constitutions, ledger
from memory.constitutions import Edit, diff
from memory.erasure import Target, erase
from memory.errors import BadStatement, UnknownLine, UnknownVersion
from memory.merging import merge_people, unmerge
from memory.revision import Found
from memory.types import Principle

VALUE = Principle("value", "Friends come first.", ("e1",))
SPEECH = Principle("speech", "Writes without capitals.", ("e2", "e3"))
VIEW = Principle("view", "Trusts Ben", ("e4",), "Ben Ode")


def write(world: Any, *principles: Principle, found: Found | None = None, of: str = "Ana Reis") -> int:
    person_id = world.person(of)
    with world.database.transaction() as session:
        return constitutions.write(
            session, world.space_id, person_id, found or principles, run_id="r1", clock=world.clock
        )


def edit(world: Any, wanted: Edit) -> int:
    with world.database.transaction() as session:
        return constitutions.edit(
            session, world.space_id, world.person("Ana Reis"), wanted, clock=world.clock
        )


def current(world: Any, of: str = "Ana Reis") -> list[Principle]:
    return constitutions.current(world.database, world.space_id, world.person(of))


def version(world: Any, number: int | None = None, **rest: Any) -> constitutions.Version:
    return constitutions.get_version(world.database, world.space_id, world.person("Ana Reis"), number, **rest)


def line_of(world: Any, text: str) -> str:
    return next(line.id for line in version(world).lines if line.principle.text == text)


def test_nobody_has_a_constitution_at_first(world: Any) -> None:
    assert current(world) == []
    with pytest.raises(UnknownVersion, match="slowwave sleep"):
        version(world)


def test_the_newest_version_is_current(world: Any) -> None:
    assert [write(world, VALUE), write(world, SPEECH, VALUE)] == [1, 2]
    assert current(world) == [VALUE, SPEECH]


def test_an_unchanged_constitution_makes_no_new_version(world: Any) -> None:
    write(world, VALUE, SPEECH)
    assert write(world, SPEECH, VALUE) == 1
    assert len(ledger.entries(world.database, world.space_id)) == 1


def test_an_empty_constitution_replaces_nothing(world: Any) -> None:
    write(world, VALUE)
    assert write(world) == 1
    assert current(world) == [VALUE]


def test_a_line_is_the_same_in_every_version(world: Any) -> None:
    write(world, VALUE)
    write(world, VALUE, SPEECH)
    write(world, found=Found([VALUE, SPEECH], alive={"e1", "e3"}))
    lines = [version(world, number).lines for number in (1, 2, 3)]
    assert {one[0].id for one in lines} == {lines[0][0].id}
    assert [(one.change, one.reason) for one in version(world, 3).changes] == [
        ("weakened", "one message of it gone")
    ]


def test_a_line_whose_messages_are_gone_goes_in_a_new_version(world: Any) -> None:
    write(world, VALUE, SPEECH)
    assert write(world, found=Found([VALUE], alive={"e1"})) == 2
    assert current(world) == [VALUE]
    assert write(world, found=Found([], alive=())) == 3
    assert current(world) == []


def test_a_view_names_whom_it_is_of_and_is_left_out_where_nobody_is_known(world: Any) -> None:
    world.person("Ben Ode")
    write(world, VIEW, Principle("view", "Trusts Cy", ("e5",), "Cy Dahl"))
    assert current(world) == [VIEW]


def test_what_a_person_edits_stays_through_every_night(world: Any) -> None:
    write(world, VALUE, SPEECH)
    changed = {line_of(world, SPEECH.text)[:6]: Principle("speech", "Writes  small.", ())}
    mine = Principle("limit", "No calls after ten.", ())
    assert edit(world, Edit([mine], [line_of(world, VALUE.text)], changed)) == 2
    own = [Principle("speech", "Writes small.", SPEECH.evidence), mine]
    assert current(world) == own
    assert write(world, found=Found([VALUE, SPEECH], n_messages=99)) == 2
    assert current(world) == own
    assert version(world).author == "person"


def test_an_edit_that_asks_for_nothing_makes_no_version(world: Any) -> None:
    write(world, VALUE)
    assert edit(world, Edit(changed={line_of(world, VALUE.text): VALUE})) == 1


@pytest.mark.parametrize(
    ("wanted", "error"),
    [
        (Edit(dropped=["zzz"]), UnknownLine),
        (Edit(dropped=[""]), UnknownLine),
        (Edit([Principle("value", "   ", ())]), BadStatement),
        (Edit([Principle("value", "x" * 501, ())]), BadStatement),
        (Edit([Principle("mood", "sunny", ())]), BadStatement),
    ],
)
def test_an_edit_that_cannot_be_made_writes_nothing(world: Any, wanted: Edit, error: type[Exception]) -> None:
    write(world, VALUE)
    with pytest.raises(error):
        edit(world, wanted)
    assert version(world).number == 1


def test_two_versions_differ_by_lines_with_reasons(world: Any) -> None:
    write(world, VALUE, SPEECH)
    write(world, found=Found([Principle("value", VALUE.text, ("e1", "e9"))], n_messages=5))
    (more, weak) = diff(version(world, 1), version(world, 2), [version(world, 2)])
    assert (more.gained, more.lost, more.reasons) == (("e9",), (), ("shown by one message more",))
    assert weak.new is not None
    assert weak.new.is_weak
    assert diff(version(world, 2), version(world, 2)) == []


def test_a_version_is_found_by_its_number_or_its_time(world: Any) -> None:
    write(world, VALUE)
    before = world.now
    world.now += timedelta(days=2)
    write(world, VALUE, SPEECH)
    assert version(world, at=before + timedelta(days=1)).number == 1
    for given in ({"number": 7}, {"at": before - timedelta(days=1)}):
        with pytest.raises(UnknownVersion):
            version(world, **given)


def test_lines_of_before_lines_were_kept_have_an_identity_too(world: Any) -> None:
    person = world.person("Ana Reis")
    with world.database.transaction() as session:
        for number, text in ((1, "Hums."), (2, "Hums."), (2, "Bakes.")):
            row = tables.Principle(
                space_id=world.space_id, person_id=person, version=number, kind="habit", text=text
            )
            row.evidence, row.created_at = ["e1"], world.now
            session.add(row)
    (added,) = diff(version(world, 1), version(world, 2))
    assert added.new is not None
    assert added.new.principle.text == "Bakes."
    assert write(world, Principle("habit", "hums.", ("e1",)), Principle("habit", "Bakes.", ("e1",))) == 2


def test_merging_keeps_what_the_kept_one_has_and_undoing_gives_all_back(world: Any) -> None:
    world.say("Ana Reis", 1)
    world.say("Ana R", 1, to="Cy Dahl")
    write(world, VALUE)
    write(world, SPEECH, of="Ana R")
    write(world, Principle("view", "Trusts Ana", ("e4",), "Ana R"), of="Ben Ode")
    kept, other = world.person("Ana Reis"), world.person("Ana R")
    report = merge_people(world.database, world.space_id, kept, other, world.registry, clock=world.clock)
    assert current(world) == [VALUE]
    assert [line.about for line in current(world, "Ben Ode")] == ["Ana Reis"]
    assert len(constitutions.versions(world.database, world.space_id, kept)) == 2
    assert report.merge_id is not None
    unmerge(world.database, world.space_id, report.merge_id, clock=world.clock)
    assert [current(world), current(world, "Ana R")] == [[VALUE], [SPEECH]]
    assert [line.about for line in current(world, "Ben Ode")] == ["Ana R"]


def test_an_erased_person_takes_their_constitution_and_the_views_of_them(world: Any, tmp_path: Any) -> None:
    world.say("Ben Ode", 1, to="Ana Reis")
    said = world.say("Ana Reis", 2)
    write(world, Principle("value", VALUE.text, (said,)), Principle("view", "Trusts", (said,), "Ben Ode"))
    write(world, Principle("habit", "Hums", (said,)), of="Ben Ode")
    target = Target("person", world.person("Ben Ode"))
    erase(world.database, world.space_id, tmp_path, target, world.registry, None, clock=world.clock)
    assert [line.text for line in current(world)] == [VALUE.text]
    with world.database.reading() as session:
        left = session.scalars(select(tables.Constitution.person_id)).all()
    assert set(left) == {world.person("Ana Reis")}
