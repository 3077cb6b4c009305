from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from db import tables
from memory import ledger, statements
from memory.decisions import undo
from memory.episodes import get_episodes, list_episodes
from memory.errors import (
    BadInterval,
    BadStatement,
    CannotDecide,
    NearlyKnown,
    UnknownFact,
    UnknownPredicate,
    UnreadableTime,
)
from memory.facts import ALL_STATUSES
from memory.people import find_person, list_people
from memory.registry import Registry
from memory.statements import Stated, Statement
from memory.types import Fact, Person


def day(number: int) -> datetime:
    return datetime(2025, 3, number, tzinfo=UTC)


def by(world, name: str | None = None) -> Person:
    if name is None:
        return statements.keeper(world.database, world.space_id, clock=world.clock)
    world.person(name)
    return find_person(world.database, world.space_id, name)


def state(world, value: str, *, author: str | None = None, **rest: Any) -> Stated:
    said = Statement(**{"person": "Ana Reis", "predicate": "lives_in", "object": value} | rest)
    return statements.state(
        world.database, world.space_id, world.registry, said, by=by(world, author), clock=world.clock
    )


def act(world, name: str, *arguments: Any, author: str | None = None) -> Stated:
    done: Stated = getattr(statements, name)(
        world.database, world.space_id, world.registry, *arguments, by=by(world, author), clock=world.clock
    )
    return done


def take_back(world, decision_id: str) -> None:
    undo(world.database, world.space_id, decision_id, world.registry, clock=world.clock)


def history(world) -> dict[str, Fact]:
    return {fact.object: fact for fact in world.facts(statuses=ALL_STATUSES)}


def count(world) -> list[int]:
    with world.database.reading() as session:
        kinds = (tables.Fact, tables.Episode, tables.Node, tables.Decision, tables.LedgerEntry, tables.Source)
        return [session.query(kind).count() for kind in kinds]


def test_a_stated_fact_is_stored_and_rests_on_a_note_that_only_its_author_hears(world) -> None:
    world.person("Ben Ode")
    stated = state(world, "Porto", author="Cleo Ray", valid_from=world.day(1))
    (fact,) = world.facts()
    assert (fact.id, fact.status, fact.valid_from, fact.asserted_by) == (
        stated.fact_id,
        "current",
        world.day(1),
        "Cleo Ray",
    )
    (note,) = get_episodes(world.database, world.space_id, fact.evidence)
    assert (note.kind, note.origin, note.speaker) == ("note", "observed", "Cleo Ray")
    assert note.text == "Ana Reis lives in Porto. From 2025-03-02."
    assert world.held(known_to=world.person("Cleo Ray")) == ["Porto"]
    assert world.held(known_to=world.person("Ben Ode")) == []
    assert world.held(known_to=world.person("Ana Reis")) == []


def test_without_a_start_it_holds_from_today(world) -> None:
    state(world, "Porto")
    assert world.facts()[0].valid_from == datetime(2026, 1, 1, tzinfo=world.now.tzinfo)


def test_notes_are_no_messages_to_read(world) -> None:
    state(world, "Porto")
    assert list_episodes(world.database, world.space_id) == []


def test_the_decision_is_in_the_ledger_without_words_and_can_be_undone(world) -> None:
    world.store("Porto", 1)
    before = history(world)["Porto"]
    stated = state(world, "Lisbon", valid_from=world.day(30))
    assert (stated.kind, history(world)["Porto"].valid_to) == ("CORRECT", world.day(30))
    take_back(world, stated.decision_id)
    assert history(world)["Porto"] == before
    entries = ledger.entries(world.database, world.space_id)
    assert [entry.kind for entry in entries] == ["undo", "decision", "decision"]
    assert not any("Lisbon" in str(entry.payload) for entry in entries)


def test_what_is_known_is_merged_and_names_the_fact_it_is_part_of(world) -> None:
    porto = world.store("Porto", 1)
    stated = state(world, "Porto")
    assert (stated.kind, stated.fact_id) == ("MERGE", porto)
    assert len(world.facts()[0].evidence) == 2


def test_stating_a_value_that_is_over_makes_it_hold_again(world) -> None:
    world.store("Porto", 1)
    world.store("Lisbon", 9, change="update")
    state(world, "Porto")
    assert world.held() == ["Porto"]


def test_stating_a_value_that_was_taken_back_makes_it_hold_again(world) -> None:
    act(world, "retract", world.store("Porto", 1))
    state(world, "Porto")
    assert world.held() == ["Porto"]


def test_two_people_who_state_different_values_for_the_same_time_are_contested(world) -> None:
    state(world, "Porto", author="Ben Ode", valid_from=world.day(1))
    state(world, "Lisbon", author="Cleo Ray", valid_from=world.day(1))
    assert {fact.object: fact.status for fact in world.facts()} == {
        "Porto": "contested",
        "Lisbon": "contested",
    }


def test_a_correction_was_true_over_the_same_time(world) -> None:
    world.store("Porto", 1)
    lisbon = world.store("Lisbon", 5, change="update")
    world.store("Faro", 9, change="update")
    stated = act(world, "correct", lisbon, "Leiria")
    found = history(world)
    assert (found["Leiria"].valid_from, found["Leiria"].valid_to) == (world.day(5), world.day(9))
    assert (found["Lisbon"].status, found["Lisbon"].superseded_by) == ("retracted", stated.fact_id)
    assert found["Porto"].valid_to == world.day(5)
    assert world.held() == ["Faro"]
    take_back(world, stated.decision_id)
    assert history(world)["Lisbon"].valid_to == world.day(9)


def test_of_two_stretches_of_one_value_the_one_that_is_named_is_corrected(world) -> None:
    first = world.store("Porto", 1)
    world.store("Lisbon", 5, change="update")
    world.store("Porto", 9, change="update")
    act(world, "correct", first, "Leiria")
    found = [(fact.object, fact.status) for fact in world.facts(statuses=("current", "past", "retracted"))]
    assert sorted(found) == [
        ("Leiria", "past"),
        ("Lisbon", "past"),
        ("Porto", "current"),
        ("Porto", "retracted"),
    ]


def test_a_correction_is_known_to_those_who_heard_it(world) -> None:
    porto = world.store("Porto", 1)
    act(world, "correct", porto, "Leiria", author="Cleo Ray")
    assert world.held(known_to=world.person("Ben Ode")) == ["Porto"]
    assert world.held() == ["Leiria"]


def test_what_was_taken_back_is_nobodys_knowledge(world) -> None:
    act(world, "retract", world.store("Porto", 1))
    assert world.facts(known_to=world.person("Ben Ode"), statuses=ALL_STATUSES) == []


def test_an_end_closes_the_fact_and_undo_opens_it_again(world) -> None:
    pip = world.store("Pip", 1, predicate="dog")
    ended = act(world, "end", pip, world.day(9))
    assert (history(world)["Pip"].valid_to, history(world)["Pip"].status) == (world.day(9), "past")
    take_back(world, ended.decision_id)
    assert (history(world)["Pip"].valid_to, history(world)["Pip"].status) == (None, "current")


def test_an_end_without_a_day_is_today(world) -> None:
    act(world, "end", world.store("Pip", 1, predicate="dog"))
    assert history(world)["Pip"].valid_to == datetime(2026, 1, 1, tzinfo=world.now.tzinfo)


def test_the_keeper_is_made_once(world) -> None:
    assert by(world) == by(world)
    assert [person.name for person in list_people(world.database, world.space_id)] == ["Keeper"]


def test_a_name_like_a_known_one_makes_nobody_new_unless_said_so(world) -> None:
    world.person("Ana Reis")
    with pytest.raises(NearlyKnown, match="did you mean Ana Reis"):
        state(world, "Porto", person="Anna Reis")
    assert state(world, "Porto", person="Anna Reis", is_new=True).kind == "STORE"
    assert state(world, "Porto", person="Zo Quill").kind == "STORE"


def test_an_unknown_predicate_is_many_and_refused_under_strictness(world) -> None:
    state(world, "Porto", predicate="Has Lived-In!")
    state(world, "Lisbon", predicate="has_lived_in")
    assert sorted(world.held()) == ["Lisbon", "Porto"]
    with pytest.raises(UnknownPredicate, match="did you mean lives_in"):
        state(world, "Faro", predicate="lives_inn", is_strict=True)
    world.registry = Registry.load(is_strict=True)
    with pytest.raises(UnknownPredicate):
        state(world, "Faro", predicate="lives_inn")
    assert world.add(world.candidate("Faro", 1, predicate="lives_inn")) == []


BAD = (
    ({"value": " \u200b "}, BadStatement, "the object is empty"),
    ({"value": "x" * 10_000_000}, BadStatement, "no value but a text"),
    ({"value": "Por\x00to"}, BadStatement, "NUL character"),
    ({"value": "Porto \ud800"}, BadStatement, "half of a character"),
    ({"person": "\x00"}, BadStatement, "the name holds a NUL"),
    ({"person": "A" * 10_000_000}, BadStatement, "a name has at most 255"),
    ({"predicate": "?!"}, BadStatement, "the predicate needs letters"),
    ({"predicate": "p" * 65}, BadStatement, "at most 64"),
    ({"valid_from": day(5), "valid_to": day(4)}, BadInterval, "cannot end on"),
    ({"valid_from": day(5), "valid_to": day(5)}, BadInterval, "later than the start"),
    ({"valid_from": day(5).replace(tzinfo=None)}, UnreadableTime, "names no time zone"),
    ({"valid_to": day(5).replace(year=9999)}, UnreadableTime, "9998"),
    ({"valid_from": datetime.min.replace(tzinfo=timezone(timedelta(hours=5)))}, UnreadableTime, "outside"),
)


def test_what_is_no_fact_is_refused_in_one_line_and_nothing_is_written(world) -> None:
    by(world)
    before = count(world)
    for rest, error, said in BAD:
        with pytest.raises(error, match=said) as caught:
            state(world, **({"value": "Porto"} | rest))
        assert len(str(caught.value)) < 300
        assert "\n" not in str(caught.value)
    assert count(world) == before


def test_only_what_stands_can_be_corrected_or_ended(world) -> None:
    porto = world.store("Porto", 1)
    act(world, "retract", porto)
    before = count(world)
    for name, value in (("correct", "Faro"), ("end", world.day(9)), ("retract", None)):
        with pytest.raises(CannotDecide, match="is retracted"):
            act(world, name, porto, *([value] if value else []))
    with pytest.raises(UnknownFact):
        act(world, "retract", "nothing")
    assert count(world) == before


def test_a_correction_to_the_same_value_is_refused(world) -> None:
    with pytest.raises(BadStatement, match="says already"):
        act(world, "correct", world.store("Porto", 1), "porto")


def test_an_end_before_the_start_is_refused(world) -> None:
    with pytest.raises(BadInterval):
        act(world, "end", world.store("Porto", 9), world.day(1))


def test_a_statement_in_the_middle_of_a_failing_decision_leaves_no_note(world) -> None:
    before = count(world)
    said = Statement("Ana Reis", "lives_in", "Porto")
    author = replace(by(world), id="nobody")
    with pytest.raises(Exception, match=r"FOREIGN KEY|violates foreign key"):
        statements.state(world.database, world.space_id, world.registry, said, by=author, clock=world.clock)
    before[2] += 1  # the keeper
    assert count(world) == before
