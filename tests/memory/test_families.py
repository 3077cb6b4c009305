from __future__ import annotations

from memory import families
from memory.registry import Registry
from memory.values import normal


def test_no_predicate_is_of_two_families() -> None:
    named = [predicate for family in families.FAMILIES for predicate in family.predicates]
    assert len(named) == len(set(named))


def test_ending_values_are_written_as_they_are_compared() -> None:
    for family in families.FAMILIES:
        for listed in family.ending.values():
            assert {normal(value) for value in listed} == listed


def test_couples_share_one_slot() -> None:
    assert families.slot("fiance") == families.slot("relationship_status")
    assert "wife" in families.sharing("husband")


def test_other_predicates_are_slots_of_their_own() -> None:
    assert families.slot("likes") == "likes"
    assert families.sharing("likes") == ("likes",)


def test_stages_of_the_ladder_are_one_at_a_time_in_the_registry_too() -> None:
    registry = Registry.load()
    known = [item for item in families.FAMILIES[0].ladder if registry.get(item).is_known]
    assert {registry.get(predicate).cardinality for predicate in known} == {"one"}
