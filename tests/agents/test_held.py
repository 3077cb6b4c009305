from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from agents.held import MOST, held, withdrawn
from memory.types import Fact, Principle

NOW = datetime(2025, 3, 1, tzinfo=UTC)


def fact(predicate: str, value: str, **changes: Any) -> Fact:
    fields: dict[str, Any] = {
        "id": value, "subject_id": "a", "subject": "Ana", "predicate": predicate, "object": value, "object_id": None,
        "valid_from": None, "valid_to": None, "recorded_at": NOW, "retracted_at": None, "state": "stored",
        "status": "current", "confidence": 0.8, "origin": "observed", "rule": "test", "asserted_by": "Ana",
        "evidence": ("e1",),
    }  # fmt: skip
    return Fact(**fields | changes)


def test_what_somebody_fears_and_wants_becomes_lines_with_the_facts_messages() -> None:
    lines = held(
        [fact("wants", "a garden"), fact("fears", "deep water", confidence=0.9), fact("lives_in", "Porto")]
    )
    assert lines == [
        Principle("limit", "Is afraid of deep water", ("e1",)),
        Principle("value", "Wants a garden", ("e1",)),
    ]


def test_what_is_over_inferred_or_taken_back_makes_no_line() -> None:
    gone = fact("fears", "dogs", status="retracted")
    assert held([fact("wants", "a cat", status="past"), fact("wants", "it", origin="inferred"), gone]) == []
    assert withdrawn([gone, fact("fears", "cats")]) == [Principle("limit", "Is afraid of dogs", ("e1",))]


def test_facts_do_not_fill_a_constitution() -> None:
    assert len(held(fact("wants", str(i)) for i in range(20))) == MOST
