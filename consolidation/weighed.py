"""One module of one task vector times its coefficient, as merging reads it: stretches of rows in float32, single numbers in
float64, and how far the two can be apart.

Rows are made in stretches of a fixed size by one thread each, so that their bits depend neither on the number of
cores nor on who asks. No torch in here.
"""

from __future__ import annotations

import math
from typing import Protocol

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]
DoubleArray = npt.NDArray[np.float64]
Places = npt.NDArray[np.int64]  # of numbers in a module, row after row

STRETCH = 1 << 18  # numbers made at a time: a few arrays of them stay in a core's cache
_HALF_ULP = 2.0**-24  # rounding of one float32 operation, relative
_TINY = 1e-37  # below it float32 loses digits
_AT_ONCE = 1 << 16  # numbers made in float64 at a time


class Weighed(Protocol):
    """`absolute` and `relative` bound the error of a float32 number x: at most absolute + relative * |x|.

    `most` bounds its magnitude; it is not finite where a number that it is made of is not.
    """

    shape: tuple[int, int]  # (out, in)
    most: float
    absolute: float
    relative: float

    def rows(self, first: int, last: int) -> FloatArray: ...

    def exact(self, places: Places) -> DoubleArray: ...


def stretches(shape: tuple[int, int]) -> list[tuple[int, int]]:
    """The rows [first, last) that are worked on together, for a module of that shape."""
    height = max(1, STRETCH // max(1, shape[1]))
    return [(first, min(first + height, shape[0])) for first in range(0, shape[0], height)]


class WeighedFactors:
    """coefficient * scale * B A, made when it is asked for."""

    relative = 0.0

    def __init__(self, a: FloatArray, b: FloatArray, scale: float, coefficient: float) -> None:
        self.shape = (b.shape[0], a.shape[1])
        self._factor = scale * coefficient
        self._a, self._b = np.ascontiguousarray(a), b
        with np.errstate(over="ignore", invalid="ignore"):  # `most` tells
            self._scaled = (b.astype(np.float64) * self._factor).astype(np.float32)
        self.most = _longest(b, 1) * _longest(a, 0) * abs(self._factor)
        # Higham, Accuracy and Stability of Numerical Algorithms, section 3.5, with one rounding more for the scale
        self.absolute = (a.shape[0] + 2) * _HALF_ULP * self.most + (_TINY if self.most else 0.0)

    def rows(self, first: int, last: int) -> FloatArray:
        return self._scaled[first:last] @ self._a

    def exact(self, places: Places) -> DoubleArray:
        found = np.empty(len(places))
        for start in range(0, len(places), _AT_ONCE):
            row, column = np.divmod(places[start : start + _AT_ONCE], self.shape[1])
            left, right = self._b[row].astype(np.float64), self._a[:, column].astype(np.float64)
            found[start : start + _AT_ONCE] = self._factor * np.einsum("nr,rn->n", left, right)
        return found


class WeighedDelta:
    """coefficient * delta, for a delta that is at hand in full."""

    absolute = 0.0

    def __init__(self, delta: FloatArray, coefficient: float) -> None:
        self.shape = (delta.shape[0], delta.shape[1])
        self._delta, self._coefficient = delta, coefficient
        is_exact = math.frexp(coefficient)[0] in (0.5, -0.5)  # a power of two
        self.relative = 0.0 if is_exact else 2 * _HALF_ULP
        self.most = float(np.abs(delta).max(initial=0.0)) * abs(coefficient)

    def rows(self, first: int, last: int) -> FloatArray:
        return np.float32(self._coefficient) * self._delta[first:last]

    def exact(self, places: Places) -> DoubleArray:
        return self._coefficient * self._delta.reshape(-1)[places].astype(np.float64)


def _longest(factor: FloatArray, axis: int) -> float:
    """The largest Euclidean norm of a row or column."""
    squares = np.square(factor, dtype=np.float64).sum(axis=axis)
    return math.sqrt(float(squares.max(initial=0.0)))
