from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memory import values


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("Matosinhos", "house in Matosinhos"),
        ("the oceanarium", "Oceanarium"),
        ("Clínica Maré", "clinica mare"),
        ("three", "3"),
        ("thirty-eight", "38"),
        ("2025-10-04", "Saturday 4 October"),
        ("14 November", "November 14th"),
        ("speech therapist", "speech therapist at Maré"),
        ("1,25 mg", "bisoprolol 1.25 mg"),
        ("Gothenburg", "Gothenburg, Sweden"),
        ("Matosinhos", "Matozinhos"),
    ],
)
def test_these_are_the_same_value(a: str, b: str) -> None:
    assert values.is_same(a, b)
    assert values.is_same(b, a)


@pytest.mark.parametrize(
    ("a", "b", "kind"),
    [
        ("Porto", "Lisbon", "place"),
        ("York", "New York", "place"),
        ("Porto", "Porto Alegre", "place"),
        ("single", "not single", "text"),
        ("2025-10-04", "5 October", "date"),
        ("2025-10-04", "4 October 2024", "date"),
        ("+46 70 555 01 42", "+46 70 555 01 97", "text"),
        ("2.5 mg", "bisoprolol 1.25 mg", "text"),
        ("Martina", "Martino", "person"),
        ("nurse", "former nurse", "text"),
    ],
)
def test_these_are_different_values(a: str, b: str, kind: str) -> None:
    assert not values.is_same(a, b, kind=kind)
    assert not values.is_same(b, a, kind=kind)


def test_strictly_the_rest_must_be_set_off() -> None:
    assert values.is_same("dogs", "hot dogs")
    assert not values.is_same("dogs", "hot dogs", is_strict=True)
    assert values.is_same("coffee", "coffee with milk", is_strict=True)


@pytest.mark.parametrize(
    ("a", "b", "kept"),
    [
        ("Matosinhos", "house in Matosinhos", "house in Matosinhos"),
        ("4 October", "2025-10-04", "2025-10-04"),
        ("2025-10-04", "Saturday 4 October", "2025-10-04"),
        ("Göteborg", "goteborg", "Göteborg"),
    ],
)
def test_the_fuller_value_says_more(a: str, b: str, kept: str) -> None:
    assert values.fuller(a, b) == kept


@given(st.text(max_size=30), st.text(max_size=30))
def test_sameness_is_symmetric_and_reflexive(a: str, b: str) -> None:
    assert values.is_same(a, a)
    assert values.is_same(a, b) == values.is_same(b, a)
