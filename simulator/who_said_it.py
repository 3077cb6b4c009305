"""Who of several people wrote a reply, by how they write: naive Bayes over runs of characters, learnt from real replies.

It is the judge of a persona: whoever trained it never saw a reply that it is asked about, and what it says of real
replies is the most that it can say of made ones. Counts are smoothed (Krichevsky & Trofimov 1981), the prior is even,
so that who writes more is not favoured. Numpy; the same replies give the same judge.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
GRAMS = (1, 2, 3, 4)  # characters
SMOOTHING = 0.5


@dataclass(frozen=True, slots=True)
class WhoSaidIt:
    """`column` of a run of characters in `weights_PG`: its log-probability with each of `people`."""

    people: tuple[str, ...]
    column: Mapping[str, int]
    weights_PG: Floats

    @classmethod
    def learn(cls, said: Mapping[str, Sequence[str]]) -> WhoSaidIt:
        """Of each person's real replies, by name. Raises ValueError where fewer than two have one."""
        people = tuple(name for name, texts in said.items() if any(texts))
        if len(people) < 2:
            raise ValueError("nobody can be told apart; give replies of two people or more")
        found = {name: list(chain.from_iterable(map(grams, said[name]))) for name in people}
        column = {gram: place for place, gram in enumerate(sorted(set(chain.from_iterable(found.values()))))}
        counts = np.full((len(people), len(column)), SMOOTHING)
        for row, name in enumerate(people):
            np.add.at(counts[row], [column[gram] for gram in found[name]], 1.0)
        return cls(people, column, np.log(counts / counts.sum(axis=1, keepdims=True)))

    def who(self, text: str) -> str | None:
        """The likeliest of the people; None of a text in which it knows no character."""
        columns = [self.column[gram] for gram in grams(text) if gram in self.column]
        if not columns:
            return None
        return self.people[int(self.weights_PG[:, columns].sum(axis=1).argmax())]

    def accuracy(self, said: Mapping[str, Sequence[str]]) -> float:
        """Share of the replies put down to who said them, the mean over those people who have any: each counts alike,
        and even guessing reaches one over their number. An empty reply is put down to nobody. NaN without replies."""
        shares = [
            np.mean([self.who(text) == name for text in texts]) for name, texts in said.items() if len(texts)
        ]
        return float(np.mean(shares)) if shares else float("nan")


def grams(text: str) -> list[str]:
    """Every run of GRAMS characters, case kept, with the text's edges."""
    if not text.strip():
        return []
    edged = f"\n{text.strip()}\n"
    return [edged[i : i + n] for n in GRAMS for i in range(len(edged) - n + 1)]
