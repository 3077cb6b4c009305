"""A recurring behaviour of a person, and how sure it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Q_STRONG, Q_WEAK = 0.05, 0.2  # a stored pattern was once below the first, and ends above the second
MOST_EVIDENCE = 24  # messages


@dataclass(frozen=True, slots=True)
class Counts:
    """Sessions: of `n_when` in the state `k_when` showed it, of `n_else` others `k_else` did. `q` is after correction."""

    k_when: int
    n_when: int
    k_else: int
    n_else: int
    p: float
    q: float


@dataclass(frozen=True, slots=True)
class Pattern:
    """`text` follows a name: "goes quiet when stressed". Evidence is in time order, of one conversation."""

    person_id: str
    text: str
    kind: Literal["told", "shown"]
    told_by: str  # name of who said it; of a shown one, the person themselves
    evidence: tuple[str, ...]
    confidence: float
    counts: Counts | None = None  # of a shown one

    @property
    def is_strong(self) -> bool:
        """Whether it is good enough to be stored; a weaker one only keeps what is stored from ending."""
        return self.counts is None or self.counts.q <= Q_STRONG
