"""Facts that hold, made without a store."""

from __future__ import annotations

from datetime import UTC, datetime

from memory.types import Fact


def fact(fact_id: str, subject_id: str, subject: str, predicate: str, value: str) -> Fact:
    return Fact(
        id=fact_id,
        subject_id=subject_id,
        subject=subject,
        predicate=predicate,
        object=value,
        object_id=None,
        valid_from=None,
        valid_to=None,
        recorded_at=datetime(2026, 1, 1, tzinfo=UTC),
        retracted_at=None,
        state="stored",
        status="current",
        confidence=0.9,
        origin="observed",
        rule="test",
        asserted_by=None,
        evidence=(),
    )
