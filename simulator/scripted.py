"""The engine that says what it was given: for trying entrances, pages and guards without a model."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from simulator.ports import Piece

if TYPE_CHECKING:
    from agents.sampling import Sampling

_PIECE = re.compile(r"\s*\S+|\s+$")


class ScriptedEngine:
    """Each draw is the next of `replies`, from the first again after the last; `said` is not looked at.

    A piece is a word with the blanks before it, and counts as one token.
    """

    name = "scripted"

    def __init__(self, replies: Sequence[str]) -> None:
        if not replies:
            raise ValueError("a script holds at least one reply")
        self._replies = tuple(replies)
        self.n_drawn = 0

    def stream(
        self, messages: Sequence[dict[str, str]], sampling: Sampling, *, said: str = ""
    ) -> Iterator[Piece]:
        reply = self._replies[self.n_drawn % len(self._replies)]
        self.n_drawn += 1
        for match in list(_PIECE.finditer(reply))[: sampling.max_new_tokens]:
            yield Piece(match.group())

    def fits(self, messages: Sequence[dict[str, str]]) -> bool:
        return True

    def close(self) -> None:
        self.n_drawn = 0
