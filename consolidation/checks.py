"""Numbers held against limits: what every gate is made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Check:
    """One number of the exam against its limit. `value` is None where it was not measured."""

    number: str
    value: float | None
    limit: float
    is_passed: bool
    is_at_least: bool  # which side of the limit is the good one

    def sentence(self) -> str:
        if self.value is None:
            return f"{self.number} was not measured"
        side = "under" if self.is_at_least else "over"
        return f"{self.number} {self.value:.3f} is {side} {self.limit:.3f}"

    def as_json(self) -> dict[str, Any]:
        return {
            "number": self.number,
            "value": self.value,
            "limit": self.limit,
            "passed": self.is_passed,
            "at_least": self.is_at_least,
        }


class Held:
    """What was held against limits, its `checks`: whether all are kept, and which are not."""

    __slots__ = ()
    checks: Sequence[Check]

    @property
    def is_kept(self) -> bool:
        return all(check.is_passed for check in self.checks)

    @property
    def failed(self) -> str:
        return "; ".join(check.sentence() for check in self.checks if not check.is_passed)
