from __future__ import annotations

import pytest

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


@pytest.mark.parametrize(
    ("job", "employer"),
    [
        ("nurse at Santa Maria", "Santa Maria"),
        ("a nurse at the Santa Maria hospital in Porto", "the Santa Maria hospital"),
        ("works at Kestrel Freight since March", "Kestrel Freight"),
        ("driver for Kestrel", "Kestrel"),
        ("designer with the Lume Studio", "the Lume Studio"),
        ("barista @ Blue Cup (mornings)", "Blue Cup"),
        ("head chef at a bistro", "a bistro"),
        ("nurse", None),
        ("teacher in Porto", None),
        ("working at home", None),
        ("engineer at sea", None),
        ("works with children", None),
        ("responsible for sales", None),
        ("at the moment a waiter", None),
    ],
)
def test_a_job_names_its_employer_or_it_does_not(job: str, employer: str | None) -> None:
    assert families.employer_of(job) == employer


@pytest.mark.parametrize(
    "job",
    [
        "self-employed",
        "Self employed carpenter",
        "freelance translator",
        "freelancer",
        "freelancing",
        "runs her own bakery",
        "has his own business",
        "own boss",
        "her own boss",
        "works for himself",
        "sole trader",
        "entrepreneur",
        "opened their own yoga studio",
    ],
)
def test_who_works_for_themselves_has_left_workplace_and_boss(job: str) -> None:
    assert families.is_own_business(job)
    for predicate in ("workplace", "boss"):
        before = families.Value(predicate, "Kestrel")
        assert families.excludes(before, families.Value("job", job), is_news=False)


@pytest.mark.parametrize("job", ["owner of Blue Cup", "nurse", "boss of a small team", "head of business"])
def test_other_jobs_are_not_taken_for_self_employment(job: str) -> None:
    assert not families.is_own_business(job)


@pytest.mark.parametrize(
    ("first", "second", "is_news", "expected"),
    [
        (("workplace", "Kestrel Freight"), ("job", "nurse at Santa Maria"), False, True),
        (("job", "nurse at Santa Maria"), ("workplace", "Kestrel Freight"), False, True),
        (("workplace", "Santa Maria"), ("job", "nurse at the Santa Maria hospital"), True, False),
        (("workplace", "the hospital"), ("job", "nurse at Santa Maria"), False, False),
        (("workplace", "harbour office"), ("job", "barista at the bakery"), True, True),
        (("workplace", "harbour office"), ("job", "clerk at the old harbour office"), True, False),
        (("workplace", "Kestrel Freight"), ("job", "shift manager"), True, False),
        (("job", "freelancer"), ("workplace", "Studio Lume"), False, False),
        (("job", "freelancer"), ("workplace", "Kestrel Freight"), True, True),
        (("boss", "Ingrid"), ("workplace", "Kestrel Freight"), True, True),
        (("boss", "Ingrid"), ("workplace", "Kestrel Freight"), False, False),
        (("boss", "Ingrid"), ("job", "nurse at Santa Maria"), True, False),
        (("workplace", "Kestrel Freight"), ("retired_on", "2025-06-01"), False, True),
        (("job", "unemployed"), ("workplace", "Kestrel Freight"), False, True),
        (("job", "retired"), ("retired_on", "2025-06-01"), False, False),
    ],
)
def test_what_a_change_of_work_ends(
    first: tuple[str, str], second: tuple[str, str], is_news: bool, expected: bool
) -> None:
    assert families.excludes(families.Value(*first), families.Value(*second), is_news=is_news) is expected
