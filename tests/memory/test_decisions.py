from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from db import tables
from db.engine import open_database
from memory import ledger
from memory.errors import CannotDecide, CannotUndo, UnknownDecision, UnknownFact
from memory.facts import (
    ALL_STATUSES,
    candidates,
    decide,
    get_fact,
    list_decisions,
    undo,
)
from memory.registry import Registry
from memory.spaces import ensure_space
from memory.types import Fact


def state_of(world) -> dict[str, Any]:
    """Every fact and evidence row, as stored."""
    with world.database.transaction() as session:
        facts = {
            row.id: [str(getattr(row, column.key)) for column in tables.Fact.__table__.columns]
            for row in session.query(tables.Fact)
        }
        evidence = sorted((row.fact_id, row.episode_id) for row in session.query(tables.Evidence))
    return {"facts": facts, "evidence": evidence}


def made(world, decision_id: str) -> str:
    rows = list_decisions(world.database, world.space_id)
    return next(row.kind for row in rows if row.id == decision_id)


def take_back(world, decision_id: str) -> None:
    undo(world.database, world.space_id, decision_id, world.registry, clock=world.clock)


def by_value(world) -> dict[str, Fact]:
    return {fact.object: fact for fact in world.facts(statuses=ALL_STATUSES) if fact.state == "stored"}


def test_store_makes_a_candidate_current(world) -> None:
    fact_id = world.claim("Porto", 1)
    assert made(world, world.decide(fact_id)) == "STORE"
    assert [(fact.id, fact.status) for fact in world.facts()] == [(fact_id, "current")]


def test_a_successor_is_recorded_as_a_correction_of_what_it_ends(world) -> None:
    world.store("Porto", 1)
    lisbon = world.claim("Lisbon", 9, change="update")
    assert made(world, world.decide(lisbon)) == "CORRECT"
    porto = by_value(world)["Porto"]
    assert (porto.valid_to, porto.superseded_by) == (world.day(9), lisbon)


def test_a_correction_retracts_what_was_never_true(world) -> None:
    world.store("Porto", 1)
    braga = world.store("Braga", 2, change="correct", corrects="Porto")
    porto = by_value(world)["Porto"]
    assert (porto.status, porto.retracted_at, porto.superseded_by) == ("retracted", world.now, braga)


def test_a_restatement_is_merged_into_the_stored_fact(world) -> None:
    porto = world.store("Porto", 1, confidence=0.5)
    again = world.claim("a flat in Porto", 3, confidence=0.5)
    assert made(world, world.decide(again)) == "MERGE"
    (fact,) = world.facts()
    assert (fact.id, fact.object, len(fact.evidence)) == (porto, "a flat in Porto", 2)
    assert fact.confidence == pytest.approx(0.75)
    merged = get_fact(world.database, world.space_id, again, world.registry)
    assert (merged.superseded_by, merged.confidence, len(merged.evidence)) == (porto, 0.5, 1)


def test_an_end_is_merged_into_what_it_ends(world) -> None:
    world.store("Pip", 1, predicate="dog")
    world.store("Pip", 9, predicate="dog", change="end")
    assert by_value(world)["Pip"].valid_to == world.day(9)


def test_a_rejected_candidate_leaves_the_view(world) -> None:
    world.decide(world.claim("Porto", 1), "REJECT")
    assert world.facts() == []


def test_a_quarantined_candidate_waits_and_can_be_stored_later(world) -> None:
    fact_id = world.claim("Porto", 1)
    world.decide(fact_id, "QUARANTINE")
    assert world.facts() == []
    world.decide(fact_id, "STORE")
    assert world.held() == ["Porto"]


def test_rejecting_a_stored_fact_lets_its_predecessor_hold_again(world) -> None:
    world.store("Porto", 1)
    lisbon = world.store("Lisbon", 9, change="update")
    world.decide(lisbon, "REJECT")
    assert world.held() == ["Porto"]


def test_contested_facts_are_both_stored_and_marked(world) -> None:
    world.store("Porto", 1)
    world.store("Lisbon", 1, by="Ben Ode", to="Ana Reis")
    assert {fact.object: fact.status for fact in world.facts()} == {
        "Porto": "contested",
        "Lisbon": "contested",
    }


def test_a_fact_is_decided_once(world) -> None:
    fact_id = world.store("Porto", 1)
    with pytest.raises(CannotDecide, match="is stored"):
        world.decide(fact_id)


def test_deciding_an_unknown_fact_is_refused(world) -> None:
    with pytest.raises(UnknownFact):
        world.decide("nothing")


def test_an_unknown_kind_is_refused(world) -> None:
    with pytest.raises(ValueError, match="is no decision"):
        world.decide(world.claim("Porto", 1), "DELETE")


@pytest.mark.parametrize("change", ["state", "update", "correct", "end"])
@pytest.mark.parametrize("value", ["Porto", "flat in Porto", "Lisbon"])
def test_undo_restores_the_exact_earlier_state(world, change: str, value: str) -> None:
    world.store("Porto", 1)
    fact_id = world.claim(value, 9, change=change)
    before = state_of(world)
    take_back(world, world.decide(fact_id))
    assert state_of(world) == before


def test_undoing_under_a_later_decision_about_the_same_fact_is_refused_and_changes_nothing(world) -> None:
    porto = world.claim("Porto", 1)
    stored = world.decide(porto)
    world.decide(porto, "REJECT")
    before = state_of(world)
    with pytest.raises(CannotUndo, match="rests on it; undo that one first"):
        take_back(world, stored)
    assert state_of(world) == before


def test_undoing_one_in_the_middle_joins_its_neighbours(world) -> None:
    world.store("Porto", 1)
    lisbon = world.decide(world.claim("Lisbon", 9, change="update"))
    faro = world.store("Faro", 12, change="update")
    take_back(world, lisbon)
    world.decide(candidates(world.database, world.space_id)[0].id, "REJECT")
    porto = by_value(world)["Porto"]
    assert (porto.valid_to, porto.superseded_by) == (world.day(12), faro)


def test_retracting_takes_back_every_statement_of_the_fact_and_undo_brings_them_back(world) -> None:
    porto = world.store("Porto", 1)
    world.store("Porto", 3, change="update")
    world.claim("Porto", 4)
    before = state_of(world)
    decision = world.decide(porto, "REJECT")
    assert world.held() == []
    assert [len(fact.evidence) for fact in world.facts(statuses=["retracted"])] == [2]
    take_back(world, decision)
    assert state_of(world) == before


def test_a_successor_keeps_the_end_that_was_said(world) -> None:
    porto = world.store("Porto", 1, valid_from=world.day(1), valid_to=world.day(400))
    before = state_of(world)
    decision = world.decide(world.claim("Lisbon", 9, change="update"))
    assert by_value(world)["Porto"].valid_to == world.day(9)
    with world.database.reading() as session:
        row = session.get_one(tables.Fact, porto)
        assert (row.valid_to, row.stated_to) == (world.day(9), world.day(400))
    take_back(world, decision)
    assert state_of(world)["facts"][porto] == before["facts"][porto]


def test_a_decision_is_undone_once(world) -> None:
    decision = world.decide(world.claim("Porto", 1))
    take_back(world, decision)
    with pytest.raises(CannotUndo, match="undone before"):
        take_back(world, decision)


def test_undoing_an_unknown_decision_is_refused(world) -> None:
    with pytest.raises(UnknownDecision):
        take_back(world, "nothing")


def test_decisions_and_undoing_are_chained_in_the_ledger_without_words(world) -> None:
    decision = world.decide(world.claim("Porto", 1))
    take_back(world, decision)
    rows = ledger.entries(world.database, world.space_id)
    assert [row.kind for row in rows] == ["undo", "decision"]
    assert ledger.verify(world.database, world.space_id) == []
    assert not any("Porto" in str(row.payload) for row in rows)


def test_a_decision_in_a_transaction_that_fails_leaves_no_trace(world) -> None:
    fact_id = world.claim("Porto", 1)
    with pytest.raises(RuntimeError, match="killed"):
        decide_and_die(world, fact_id)
    assert ledger.entries(world.database, world.space_id) == []
    assert world.facts()[0].status == "candidate"


def decide_and_die(world, fact_id: str) -> None:
    with world.database.transaction() as session:
        decide(session, world.space_id, fact_id, "STORE", [], world.registry, run_id=None)
        raise RuntimeError("killed")


WORLD_TIME = datetime(2026, 1, 1, 12, tzinfo=UTC)
CLAIMS = st.lists(
    st.tuples(
        st.sampled_from(("Porto", "flat in Porto", "Lisbon", "Faro")),
        st.integers(0, 4),
        st.sampled_from(("state", "update", "correct", "end")),
        st.sampled_from(("Ana Reis", "Ben Ode")),
        st.sampled_from(("STORE", "STORE", "STORE", "REJECT", "QUARANTINE")),
    ),
    min_size=1,
    max_size=5,
)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(CLAIMS)
def test_undoing_a_whole_night_restores_what_was_before(world_class, given_claims: list[Any]) -> None:
    database = open_database("sqlite://")
    world = world_class(database, ensure_space(database), Registry.load(), WORLD_TIME)
    kinds = {}
    for value, day, change, speaker, kind in given_claims:
        to = "Ben Ode" if speaker == "Ana Reis" else "Ana Reis"
        kinds[world.claim(value, day, change=change, by=speaker, to=to)] = kind
    before = state_of(world)
    decided = [world.decide(fact.id, kinds[fact.id]) for fact in candidates(world.database, world.space_id)]
    for decision in reversed(decided):
        take_back(world, decision)
    assert state_of(world) == before
    assert ledger.verify(world.database, world.space_id) == []
    database.close()
