from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime

import pytest

from consolidation.reality import World, impossible
from memory.registry import Registry
from memory.types import Fact

SAID = datetime(2025, 6, 1, tzinfo=UTC)
WORLD = World(Registry.load(), {"mona": date(1990, 3, 1)}, SAID)
FACT = Fact(
    id="f",
    subject_id="mona",
    subject="Mona Berg",
    predicate="lives_in",
    object="Bergen",
    object_id=None,
    valid_from=None,
    valid_to=None,
    recorded_at=SAID,
    retracted_at=None,
    state="candidate",
    status="candidate",
    confidence=0.8,
    origin="observed",
    rule="r",
    asserted_by="Mona Berg",
    evidence=("e",),
)


@pytest.mark.parametrize(
    ("predicate", "value"),
    [
        ("birthday", "30 February"),
        ("birthday", "1990-13-01"),
        ("birthday", "2031-01-01"),
        ("birthday", "1750-01-01"),
        ("age", "190"),
        ("age", "-3"),
        ("age", "12"),
        ("number_of_children", "212"),
        ("sister", "Mona Berg"),
    ],
)
def test_the_impossible_is_named(predicate: str, value: str) -> None:
    assert impossible(replace(FACT, predicate=predicate, object=value), WORLD)


@pytest.mark.parametrize(
    ("predicate", "value"),
    [
        ("birthday", "1 March"),
        ("birthday", "29 February"),
        ("birthday", "1990-03-01"),
        ("age", "35"),
        ("number_of_children", "four"),
        ("sister", "Vera"),
        ("workplace", "a company nobody has heard of"),
        ("likes", "Mona Berg"),
    ],
)
def test_the_private_and_the_odd_are_possible(predicate: str, value: str) -> None:
    assert impossible(replace(FACT, predicate=predicate, object=value), WORLD) is None


def test_an_end_before_the_beginning_is_impossible() -> None:
    begins, ends = datetime(2025, 5, 1, tzinfo=UTC), datetime(2025, 4, 1, tzinfo=UTC)
    assert impossible(replace(FACT, valid_from=begins, valid_to=ends), WORLD)


def test_nothing_begins_before_the_birth_of_whom_it_is_about() -> None:
    early = datetime(1985, 1, 1, tzinfo=UTC)
    assert impossible(replace(FACT, valid_from=early), WORLD)
    assert impossible(replace(FACT, predicate="mother", object="Eva", valid_from=early), WORLD) is None
