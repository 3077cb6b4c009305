"""Which messages no reader sees: orders to machines, and what holds something of a kind that is to be left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from agents.pasted import pasted
from memory.sensitive import left_out
from memory.types import Episode


@dataclass(frozen=True, slots=True)
class Withholding:
    """Implements Withhold. `kinds` as in memory.sensitive."""

    kinds: tuple[str, ...] = ()

    def __call__(self, episodes: Sequence[Episode]) -> frozenset[str]:
        return pasted(episodes) | left_out(episodes, self.kinds)
