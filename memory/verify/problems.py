"""What a proof finds: one line each, with what to do about it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

MOST = 20  # problems of one kind that are told one by one


@dataclass(frozen=True, slots=True)
class Problem:
    """`check` names the proof, `what` the row or file by id, `remedy` what to do. No words of anybody."""

    check: str
    what: str
    remedy: str

    def as_json(self) -> dict[str, str]:
        return {"check": self.check, "what": self.what, "remedy": self.remedy}


@dataclass(frozen=True, slots=True)
class Report:
    problems: tuple[Problem, ...]
    counts: dict[str, int]  # what was looked at

    def as_json(self) -> dict[str, Any]:
        return {
            "sound": not self.problems,
            "problems": [problem.as_json() for problem in self.problems],
            "counts": self.counts,
        }


def several(check: str, whats: Iterable[str], remedy: str) -> Iterator[Problem]:
    """One problem each for the first MOST, and one that counts the others."""
    found: Sequence[str] = list(whats)
    for what in found[:MOST]:
        yield Problem(check, what, remedy)
    if len(found) > MOST:
        yield Problem(check, f"and {len(found) - MOST} more of the same", remedy)
