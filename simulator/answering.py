"""What a persona owes to a question, held against what it is about to say.

Where the graph answers, the reply's first part holds the answer; where it says that the persona cannot know, the first
part says so. After some draws that do not, a plain sentence stands in (`Objection.instead`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from simulator.ports import Guard, Objection, Piece

MAX_DRAWS = 3


@dataclass(slots=True)
class Owed:
    """A `Guard` of one reply. `is_given`: whether a text gives what is owed; `plain`: the sentence that does."""

    reason: str
    is_given: Callable[[str], bool]
    plain: str
    name: str = "owed"
    _n_objected: int = field(default=0)

    def objection(self, said: str, part: str, pieces: Sequence[Piece]) -> Objection | None:
        if said or self.is_given(part):
            return None
        self._n_objected += 1
        return Objection(self.name, self.reason, self.plain if self._n_objected >= MAX_DRAWS else None)

    def heard(self, speaker: str, text: str) -> None:
        """A reply owes to its own question only."""


@dataclass(frozen=True, slots=True)
class ButForOwed:
    """Another guard, which lets pass what is owed: who is asked the same thing twice may say the same thing twice."""

    guard: Guard
    is_given: Callable[[str], bool]

    @property
    def name(self) -> str:
        return self.guard.name

    def objection(self, said: str, part: str, pieces: Sequence[Piece]) -> Objection | None:
        return None if not said and self.is_given(part) else self.guard.objection(said, part, pieces)

    def heard(self, speaker: str, text: str) -> None:
        self.guard.heard(speaker, text)
