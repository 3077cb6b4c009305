"""When a proposed fact counts as a gold fact."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from bench.matching import Said, is_match, is_same_object, is_same_person, is_same_predicate
from bench.report import print_result


def gold(subject: str, predicate: str, value: str, *aliases: str) -> dict[str, Any]:
    return {"subject": subject, "predicate": predicate, "object": value, "object_aliases": list(aliases)}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Malmö", "malmo"),
        ("Clínica Maré", "speech therapist at Clínica Maré"),
        ("beagle", "old beagle"),
        ("the Lantern", "Lantern"),
        ("2025-08-22", "2025-08-22 18:00"),
        ("swimming", "swimming"),
    ],
)
def test_an_object_is_the_same_within_a_longer_wording(one: str, other: str) -> None:
    assert is_same_object(one, other)


@pytest.mark.parametrize(
    ("one", "other"), [("2025-08-22", "2025-08-23"), ("old", "old beagle"), ("", "x"), ("nurse", "pilot")]
)
def test_another_object_is_not(one: str, other: str) -> None:
    assert not is_same_object(one, other)


def test_a_first_name_stands_for_the_full_name_but_not_for_a_namesake() -> None:
    assert is_same_person("Ana", "Ana Silva")
    assert not is_same_person("Ana Souza", "Ana Silva")


def test_predicates_match_by_family_or_by_a_shared_word() -> None:
    assert is_same_predicate("quit", "gave_up")
    assert is_same_predicate("flight_arrival", "arrival")
    assert not is_same_predicate("sister", "brother")


def test_a_tie_may_be_told_from_either_end() -> None:
    assert is_match(Said("Duarte", "cousin", "Nuno"), gold("Nuno", "relation", "Duarte's cousin"))


def test_an_alias_counts() -> None:
    assert is_match(
        Said("Ana", "lives_in", "Matosinhos"),
        gold("Ana Silva", "lives_in", "a house by the sea", "Matosinhos"),
    )


def test_the_result_line_says_where_it_comes_from(capsys: pytest.CaptureFixture[str]) -> None:
    print_result({"recall": 0.5}, seed=3, started=time.perf_counter())
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert result["recall"] == 0.5
    assert result["seed"] == 3
    assert set(result["machine"]) == {"cores", "memory_gib", "processor", "gpu"}
    assert {"commit", "seconds"} <= set(result)
