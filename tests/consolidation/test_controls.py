"""Claims about controls: of the value's kind, apart from all that the subject ever had, the same under the same dice."""

from __future__ import annotations

import random
import re
from datetime import date

import pytest

from consolidation.controls import N_CONTROLS, control_values
from consolidation.scoring import gives
from memory.registry import Registry

REGISTRY = Registry.load()


def drawn(
    predicate: str, value: str, own: tuple[str, ...] = (), others: tuple[str, ...] = ()
) -> tuple[str, ...]:
    return control_values(predicate, value, REGISTRY, own=own, others=others, dice=random.Random(3))


@pytest.mark.parametrize("predicate", [*REGISTRY.names(), "collects_spoons"])
def test_every_predicate_has_enough_controls(predicate: str) -> None:
    found = drawn(predicate, "Lisbon", own=("Porto",), others=("Faro",))
    assert len(set(found)) == N_CONTROLS
    assert not any(gives(control, value) for control in found for value in ("Lisbon", "Porto", "Faro"))
    assert found == drawn(predicate, "Lisbon", own=("Porto",), others=("Faro",))


def test_a_value_that_others_have_is_set_beside_what_others_have() -> None:
    others = ("Faro", "Braga", "Lisbon", "Evora")
    assert set(drawn("lives_in", "Lisbon", others=others)[:3]) == {"Faro", "Braga", "Evora"}
    assert not set(drawn("lives_in", "Lisbon", others=others[:2])) & set(others)


def test_what_gives_the_value_is_no_control() -> None:
    assert not any("Ghent" in control for control in drawn("lives_in", "a flat in Ghent"))


@pytest.mark.parametrize(
    ("predicate", "value", "shape"),
    [
        ("phone_number", "+351 912 345 678", r"\+\d{3} \d{3} \d{3} \d{3}"),
        ("age", "38", r"\d{1,3}"),
        ("number_of_children", "2", r"\d{1,2}"),
        ("medication_dose", "20 mg twice a day", r"[1-9]\d mg twice a day"),
        ("email", "marta@example.org", r"\w+\.\w+@example\.org"),
        ("address", "4 Rua das Flores, Porto", r"\d+ [A-Z][\w ]+"),
        ("owns", "a 1998 Volvo", r"[a-z ]+"),
        ("sister", "Marta", r"\w+"),
        ("boss", "Marta Reis", r"\w+ \w+"),
    ],
)
def test_controls_have_the_shape_of_the_value(predicate: str, value: str, shape: str) -> None:
    assert all(re.fullmatch(shape, control) for control in drawn(predicate, value))


def test_days_stay_days() -> None:
    assert len({date.fromisoformat(control) for control in drawn("birthday", "1987-03-14")}) == N_CONTROLS
