from __future__ import annotations

import contextlib
import random
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import insert, select

from db import tables
from db.tables import Base
from memory import consent, constitutions
from memory.aliases import give_alias
from memory.emotions import add_tags
from memory.errors import CannotMerge, CannotUnmerge, UnknownMerge
from memory.ledger import verify
from memory.merging import list_merges, merge_people, unmerge
from memory.people import add_alias, find_person, get_or_create_node, get_person, list_people
from memory.persona_settings import get_sampling, set_sampling
from memory.types import EmotionTag, Principle

# undoing is the same work over every store; one is enough for the rarer turns
ONE_STORE = pytest.mark.parametrize("database", ["memory"], indirect=True)
UNCHANGED = {"ledger", "person_merge", "change"}


def merge(world: Any, kept: str, other: str, **rest: Any) -> Any:
    ids = (world.person(kept), world.person(other))
    return merge_people(world.database, world.space_id, *ids, world.registry, clock=world.clock, **rest)


def apart(world: Any, merge_id: str) -> None:
    unmerge(world.database, world.space_id, merge_id, clock=world.clock)


def rows(world: Any) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table that a merge must give back."""
    with world.database.reading() as session:
        return {
            table.name: sorted(map(tuple, session.execute(select(table))), key=repr)
            for table in Base.metadata.sorted_tables
            if table.name not in UNCHANGED
        }


def pointing_at(world: Any, node_id: str) -> list[str]:
    with world.database.reading() as session:
        return [
            f"{table.name}.{column.name}"
            for table in Base.metadata.sorted_tables
            if table.name not in UNCHANGED
            for column in table.columns
            if any(key.column.table.name == "node" for key in column.foreign_keys)
            and session.execute(select(table).where(column == node_id)).first()
        ]


@pytest.fixture
def two(world: Any) -> Any:
    """Beatriz, who talks with Ben and Cy, and Bia, who talks with Eva and Cy: facts, names, tags, an edge each."""
    world.store("Porto", 1, about="Beatriz Costa", by="Beatriz Costa", to="Ben Ode")
    world.store("Faro", 3, about="Bia C", by="Bia C", to="Eva Lind")
    world.store(
        "Bia C", 4, about="Eva Lind", by="Eva Lind", predicate="friend", object_kind="person", to="Cy Duarte"
    )
    world.claim("chess", 5, about="Bia C", by="Bia C", predicate="hobby", to="Eva Lind")
    said = world.say("Bia C", 6, to="Eva Lind")
    bia, beatriz, eva = world.person("Bia C"), world.person("Beatriz Costa"), world.person("Eva Lind")
    with world.database.transaction() as session:
        add_alias(session, world.space_id, bia, "Bibi")
        add_alias(session, world.space_id, beatriz, "BIBI")
        add_tags(session, world.space_id, [EmotionTag(said, "joy", 6.0, "test")])
        for node in (bia, beatriz):
            principle = Principle("value", f"of {node}", (said,))
            constitutions.write(session, world.space_id, node, [principle], run_id=None, clock=world.clock)
        edges = [(bia, eva), (eva, bia), (beatriz, eva), (bia, beatriz)]
        session.execute(
            insert(tables.Edge),
            [
                {"space_id": world.space_id, "src_id": a, "dst_id": b, "kind": "knows", "weight": 1.0}
                for a, b in edges
            ],
        )
        session.execute(
            insert(tables.EmotionTag),
            [
                {"space_id": world.space_id, "node_id": n, "concept": "joy", "intensity": 2.0, "judge": "t"}
                for n in (bia, beatriz)
            ],
        )
    return world


def test_everything_points_at_the_kept_one(two: Any) -> None:
    bia, beatriz = two.person("Bia C"), two.person("Beatriz Costa")
    report = merge(two, "Beatriz Costa", "Bia C")
    assert pointing_at(two, bia) == []
    assert report.kept.aliases == ("BIBI", "Bia C")
    assert set(two.held(person_id=beatriz)) == {"Faro", "chess"}
    assert (report.moved["fact"], report.moved["episode"]) == (3, 3)
    assert report.other.name == "Bia C"


@ONE_STORE
def test_every_name_leads_to_the_kept_one(two: Any) -> None:
    beatriz = two.person("Beatriz Costa")
    merge(two, "Beatriz Costa", "Bia C")
    for name in ("Bia C", "bia c", "Bibi", "Bia", "Beatriz"):
        assert find_person(two.database, two.space_id, name).id == beatriz
        with two.database.transaction() as session:
            assert get_or_create_node(session, two.space_id, name) == beatriz
    assert get_person(two.database, two.space_id, two.person("Bia C")).id == beatriz
    assert [person.name for person in list_people(two.database, two.space_id)].count("Bia C") == 0


def test_undoing_gives_back_every_row(two: Any) -> None:
    before = rows(two)
    report = merge(two, "Beatriz Costa", "Bia C")
    assert rows(two) != before
    apart(two, report.merge_id)
    assert rows(two) == before
    assert verify(two.database, two.space_id) == []


def test_trying_writes_nothing(two: Any) -> None:
    before = rows(two)
    report = merge(two, "Beatriz Costa", "Bia C", dry_run=True)
    assert rows(two) == before
    assert (report.merge_id, report.moved["fact"]) == (None, 3)
    assert list_merges(two.database, two.space_id) == []


def test_what_came_after_stays_with_the_kept_one(two: Any) -> None:
    report = merge(two, "Beatriz Costa", "Bia C")
    two.store("nurse", 9, about="Bia C", by="Beatriz Costa", predicate="job", to="Ben Ode")
    give_alias(two.database, two.space_id, two.person("Beatriz Costa"), "Trixie")
    apart(two, report.merge_id)
    assert find_person(two.database, two.space_id, "Trixie").name == "Beatriz Costa"
    assert set(two.held(person_id=two.person("Beatriz Costa"))) == {"Porto", "nurse"}
    assert set(two.held(person_id=two.person("Bia C"))) == {"Faro", "chess"}


@ONE_STORE
def test_facts_that_now_disagree_are_told(two: Any) -> None:
    (clash,) = merge(two, "Beatriz Costa", "Bia C").disagreements
    assert (clash.kept.object, clash.other.object) == ("Porto", "Faro")


def test_two_who_spoke_in_one_conversation_are_two(world: Any) -> None:
    world.say("Ana Reis", 1, to="Ben Ode")
    world.say("Ben Ode", 1, to="Ana Reis")
    before = rows(world)
    with pytest.raises(CannotMerge, match="--force"):
        merge(world, "Ana Reis", "Ben Ode")
    assert rows(world) == before
    report = merge(world, "Ana Reis", "Ben Ode", force=True)
    apart(world, report.merge_id)
    assert rows(world) == before


@ONE_STORE
def test_one_cannot_be_merged_into_oneself(world: Any) -> None:
    with pytest.raises(CannotMerge, match="one already"):
        merge(world, "Ana Reis", "Ana Reis")


@ONE_STORE
def test_who_was_merged_by_somebody_else_meanwhile_is_not_merged_again(two: Any) -> None:
    ids = (two.person("Ben Ode"), two.person("Bia C"))
    merge(two, "Beatriz Costa", "Bia C")
    with pytest.raises(CannotMerge, match="just merged"):
        merge_people(two.database, two.space_id, *ids, two.registry, clock=two.clock)


def test_a_chain_leads_to_its_end_and_is_undone_from_there(two: Any) -> None:
    before = rows(two)
    two.person("Dora Lux")
    whole = rows(two)
    first = merge(two, "Beatriz Costa", "Bia C").merge_id
    second = merge(two, "Dora Lux", "Beatriz Costa").merge_id
    assert find_person(two.database, two.space_id, "Bia C").name == "Dora Lux"
    with pytest.raises(CannotUnmerge, match=f"unmerge {second}"):
        apart(two, first)
    apart(two, second)
    apart(two, first)
    assert rows(two) == whole != before
    with pytest.raises(CannotUnmerge, match="undone before"):
        apart(two, first)


@ONE_STORE
def test_merging_back_the_other_way_round(two: Any) -> None:
    before = rows(two)
    apart(two, merge(two, "Beatriz Costa", "Bia C").merge_id)
    apart(two, merge(two, "Bia C", "Beatriz Costa").merge_id)
    assert rows(two) == before
    assert [row.undone_at is not None for row in list_merges(two.database, two.space_id)] == [True, True]


@ONE_STORE
def test_an_unknown_merge_is_refused(world: Any) -> None:
    with pytest.raises(UnknownMerge, match="person merges"):
        apart(world, "0000")


@ONE_STORE
@pytest.mark.parametrize(
    ("kept", "other", "expected"), [(1, 0, True), (0, 1, False), (1, 1, True), (0, 0, False)]
)
def test_consent_is_never_widened(two: Any, kept: bool, other: bool, expected: bool) -> None:
    bia, beatriz = two.person("Bia C"), two.person("Beatriz Costa")
    for person, agrees in ((beatriz, kept), (bia, other)):
        if agrees:
            consent.record(two.database, two.space_id, person, agreed_by="self", clock=two.clock)
    before = rows(two)
    report = merge(two, "Beatriz Costa", "Bia C")
    assert consent.has_consent(two.database, two.space_id, beatriz) is expected
    assert report.is_consent_left is bool(other and not kept)
    apart(two, report.merge_id)
    assert rows(two) == before


@ONE_STORE
def test_a_consent_withdrawn_while_merged_stays_withdrawn(two: Any) -> None:
    bia, beatriz = two.person("Bia C"), two.person("Beatriz Costa")
    consent.record(two.database, two.space_id, bia, agreed_by="self", clock=two.clock)
    report = merge(two, "Beatriz Costa", "Bia C")
    consent.withdraw(two.database, two.space_id, beatriz, clock=two.clock)
    apart(two, report.merge_id)
    assert not consent.has_consent(two.database, two.space_id, bia)


@ONE_STORE
def test_the_constitution_that_holds_stays_the_kept_ones(two: Any) -> None:
    beatriz = two.person("Beatriz Costa")
    before = constitutions.current(two.database, two.space_id, beatriz)
    merge(two, "Beatriz Costa", "Bia C")
    assert constitutions.current(two.database, two.space_id, beatriz) == before


@ONE_STORE
@pytest.mark.parametrize(("kept", "expected"), [({}, {"top_k": 40}), ({"top_p": 0.8}, {"top_p": 0.8})])
def test_how_a_persona_speaks_is_the_kept_ones_or_else_the_merged_ones(
    two: Any, kept: dict[str, float], expected: dict[str, float]
) -> None:
    set_sampling(two.database, two.space_id, two.person("Bia C"), {"top_k": 40}, clock=two.clock)
    beatriz = two.person("Beatriz Costa")
    set_sampling(two.database, two.space_id, beatriz, kept, clock=two.clock)
    before = rows(two)
    report = merge(two, "Beatriz Costa", "Bia C")
    assert get_sampling(two.database, two.space_id, beatriz) == expected
    apart(two, report.merge_id)
    assert rows(two) == before


@ONE_STORE
def test_how_a_persona_speaks_that_was_set_after_a_merge_stays(two: Any) -> None:
    bia, beatriz = two.person("Bia C"), two.person("Beatriz Costa")
    set_sampling(two.database, two.space_id, bia, {"top_k": 40}, clock=two.clock)
    report = merge(two, "Beatriz Costa", "Bia C")
    set_sampling(two.database, two.space_id, beatriz, {"top_p": 0.8}, clock=lambda: two.day(900))
    apart(two, report.merge_id)
    assert get_sampling(two.database, two.space_id, beatriz) == {"top_p": 0.8}
    assert get_sampling(two.database, two.space_id, bia) == {"top_k": 40}


@ONE_STORE
def test_the_ledger_holds_ids_and_no_names(two: Any) -> None:
    apart(two, merge(two, "Beatriz Costa", "Bia C").merge_id)
    with two.database.reading() as session:
        query = select(tables.LedgerEntry).order_by(tables.LedgerEntry.seq.desc()).limit(2)
        entries = list(session.scalars(query))
    assert [entry.kind for entry in entries] == ["person_unmerge", "person_merge"]
    assert "Bia" not in repr([entry.payload for entry in entries])


@ONE_STORE
def test_a_name_that_was_taken_meanwhile_stays_with_its_taker(two: Any) -> None:
    from memory.aliases import rename

    beatriz = two.person("Beatriz Costa")
    report = merge(two, "Beatriz Costa", "Bia C")
    assert rename(two.database, two.space_id, beatriz, "Bia C").name == "Bia C"
    apart(two, report.merge_id)
    assert find_person(two.database, two.space_id, "Bia C").id == beatriz
    assert get_person(two.database, two.space_id, two.person("Bia C")).name == "Bia C"


@ONE_STORE
def test_a_merge_long_ago_is_listed_with_what_it_moved(two: Any) -> None:
    merge(two, "Beatriz Costa", "Bia C")
    two.now += timedelta(days=3)
    (row,) = list_merges(two.database, two.space_id)
    assert (row.kept.name, row.merged, row.undone_at) == ("Beatriz Costa", "Bia C", None)
    assert row.moved["fact"] == 3


@ONE_STORE
@pytest.mark.parametrize("seed", range(4))
def test_merges_in_any_order_are_undone_to_the_last_row(two: Any, seed: int) -> None:
    chance = random.Random(seed)
    named = ["Beatriz Costa", "Bia C", "Ben Ode", "Eva Lind", "Cy Duarte"]
    before, standing = rows(two), []
    for _ in range(9):
        one, other = (find_person(two.database, two.space_id, name) for name in chance.sample(named, 2))
        if one != other and chance.random() < 0.7:
            ids = (two.database, two.space_id, one.id, other.id, two.registry)
            standing.append(merge_people(*ids, force=True, clock=two.clock).merge_id)
        elif standing:
            undo_what_can_be(two, standing, chance.choice(standing))
    while standing:
        undo_what_can_be(two, standing, standing[-1])
    assert rows(two) == before


def undo_what_can_be(world: Any, standing: list[Any], merge_id: str) -> None:
    with contextlib.suppress(CannotUnmerge):
        apart(world, merge_id)
        standing.remove(merge_id)


@ONE_STORE
@pytest.mark.parametrize(("agreed_on", "expected"), [(1, False), (3, True)])
def test_a_withdrawal_by_the_merged_one_ends_an_earlier_consent(
    two: Any, agreed_on: int, expected: bool
) -> None:
    bia, beatriz = two.person("Bia C"), two.person("Beatriz Costa")

    def on(day: int) -> Any:
        return lambda: two.day(day)

    consent.record(two.database, two.space_id, bia, agreed_by="self", clock=on(0))
    consent.record(two.database, two.space_id, beatriz, agreed_by="self", clock=on(agreed_on))
    consent.withdraw(two.database, two.space_id, bia, clock=on(2))
    report = merge(two, "Beatriz Costa", "Bia C")
    assert consent.has_consent(two.database, two.space_id, beatriz) is expected
    apart(two, report.merge_id)
    assert consent.has_consent(two.database, two.space_id, beatriz)
