"""Two exact one-sided tests of whether a model has an inkling of facts that it should not know. Pure functions.

`signed_rank_p` is Wilcoxon's signed-rank test (1945) with its whole distribution counted out, ties by middle ranks and
zeros left out. `among_controls_p` is a permutation test: where the model never saw the facts, each true value is any one
of its controls, so that its place among them is even; it needs no other assumption, and few facts are enough.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]


def signed_rank_p(differences: Sequence[float]) -> float:
    """P that chance alone, with the sign of each difference a fair coin, makes them as positive as they are."""
    doubled = _doubled_ranks([abs(value) for value in differences if value])
    signs = [value > 0 for value in differences if value]
    found = sum(rank for rank, is_positive in zip(doubled, signs, strict=True) if is_positive)
    ways = [1]
    for rank in doubled:
        ways = _added(ways, (0, rank))
    return float(Fraction(sum(ways[found:]), 2 ** len(doubled)))


def among_controls_p(places: Sequence[int], n_controls: Sequence[int]) -> float:
    """P that even chance puts the true values as far in front as `places` says, all together.

    `places` counts from 1, before all controls, to `n_controls` + 1, behind them.
    """
    ways = [1]
    for place, n in zip(places, n_controls, strict=True):
        if not 1 <= place <= n + 1:
            raise ValueError(f"place {place} is none among {n} controls")
        ways = _added(ways, range(1, n + 2))
    return float(Fraction(sum(ways[: sum(places) + 1]), sum(ways)))


def places(scores_NK: FloatArray) -> list[int]:
    """Of each row, the place of its first number among all of it, the largest being 1; behind those that equal it."""
    return [int((row[1:] >= row[0]).sum()) + 1 for row in scores_NK]


def middle_ranks(scores_NK: FloatArray) -> list[float]:
    """The same, with half a place for each that equals it: what is even has the middle."""
    return [float((row[1:] > row[0]).sum() + (row[1:] == row[0]).sum() / 2 + 1) for row in scores_NK]


def _doubled_ranks(sizes: Sequence[float]) -> list[int]:
    """Twice the rank of each size, the smallest being 1; equal ones share the middle of theirs."""
    ordered = sorted(sizes)
    first = {size: place for place, size in reversed(list(enumerate(ordered, 1)))}
    last = {size: place for place, size in enumerate(ordered, 1)}
    return [first[size] + last[size] for size in sizes]


def _added(ways: Sequence[int], steps: Sequence[int]) -> list[int]:
    """In how many ways each sum comes about once one of the steps is added to what was counted."""
    summed = [0] * (len(ways) + max(steps))
    for total, n in enumerate(ways):
        if n:
            for step in steps:
                summed[total + step] += n
    return summed
