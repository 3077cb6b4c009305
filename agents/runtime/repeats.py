"""What a growing text would repeat with its next token: the lengths of all earlier matches with its end, kept up to date.

For every place the length of the longest common suffix of the text up to there and of the whole text. One more token
changes all of them by one vectorised step (suffix(i) of the longer text is suffix(i - 1) + 1 where the tokens agree,
else 0), which is O(n) per token, like the Z-function of the reversed text, without computing it anew.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Breakers:
    """Where no repetition reaches across: single tokens, and sequences of tokens such as a speaker's tag."""

    is_one: Callable[[int], bool] = field(default=lambda _token: False)
    sequences: tuple[tuple[int, ...], ...] = ()

    def ends_at(self, ids: Sequence[int] | IntArray, end: int) -> bool:
        """Whether ids[:end] ends with a breaker."""
        if self.is_one(int(ids[end - 1])):
            return True
        return any(
            len(seq) <= end and all(int(ids[end - len(seq) + k]) == token for k, token in enumerate(seq))
            for seq in self.sequences
        )


class Repeats:
    """See the module. `ids` is the text so far; tokens are pushed as they are drawn."""

    def __init__(self, ids: Sequence[int], breakers: Breakers) -> None:
        self._breakers = breakers
        self._ids: IntArray = np.zeros(2 * len(ids) + 64, dtype=np.int64)
        self._ids[: len(ids)] = ids
        self._suffix: IntArray = np.zeros_like(self._ids)  # at i: of ids[:i + 1] and the whole text
        start = next((end for end in range(len(ids), 0, -1) if breakers.ends_at(ids, end)), 0)
        self._n = start
        for token in ids[start:]:
            self.push(int(token))

    def push(self, token: int) -> None:
        """The text grows by one token."""
        if self._n == len(self._ids):
            self._ids = np.concatenate([self._ids, np.zeros_like(self._ids)])
            self._suffix = np.concatenate([self._suffix, np.zeros_like(self._suffix)])
        n = self._n
        self._ids[n] = token
        self._n = n + 1
        if self._breakers.ends_at(self._ids, n + 1):
            self._suffix[: n + 1] = 0
            return
        before = np.concatenate([[0], self._suffix[: max(0, n - 1)]])[:n]
        self._suffix[:n] = np.where(self._ids[:n] == token, before + 1, 0)
        self._suffix[n] = 0  # the end of the text is no repetition of itself

    def continuations(self, least: int) -> tuple[IntArray, IntArray]:
        """The tokens that followed earlier matches of at least `least` tokens (at least one), each with the longest; a
        breaker goes on with nothing."""
        n = self._n
        found = np.nonzero(self._suffix[: max(0, n - 1)] >= max(1, least))[0]
        found = (
            found[[not self._breakers.is_one(int(token)) for token in self._ids[found + 1]]]
            if len(found)
            else found
        )
        if not len(found):
            return found, found
        tokens, places = np.unique(self._ids[found + 1], return_inverse=True)
        longest: IntArray = np.zeros(len(tokens), dtype=np.int64)
        np.maximum.at(longest, places, self._suffix[found])
        return tokens, longest
