"""Which numbers of a vector's module are kept when it is trimmed by magnitude, decided as float64 decides.

Float32 cannot tell numbers apart that lie closer to the limit than its own rounding; those few are made again in
float64 and put in order by magnitude, equals by their place. So the same numbers are kept on every machine, and a merge
agrees with a float64 reference where rounding alone would swap some. No torch in here.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from consolidation.weighed import FloatArray, Places, Weighed, stretches

Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Limit:
    """Numbers of magnitude `least` and more are kept, but for the exceptions; places ascend."""

    least: np.float32
    kept: Places  # although smaller in float32
    dropped: Places  # although large enough in float32

    def trim(self, numbers: FloatArray, first: int) -> Flags:
        """Set what is not kept of a stretch to zero; `first` is the place of its first number. Which are kept, flat."""
        flat = numbers.reshape(-1)
        is_kept = np.abs(flat) >= self.least
        last = first + flat.size
        is_kept[_within(self.kept, first, last) - first] = True
        is_kept[_within(self.dropped, first, last) - first] = False
        np.multiply(flat, is_kept, out=flat)
        return is_kept


def _within(places: Places, first: int, last: int) -> Places:
    start, stop = np.searchsorted(places, (first, last))
    return places[start:stop]


def n_kept(n_numbers: int, density: float) -> int:
    """The share of a module's numbers, rounded down, but one at least."""
    return min(n_numbers, max(1, int(density * n_numbers)))


def limit_of(part: Weighed, density: float) -> Limit | None:
    """Where to trim the part; None where everything is kept. Needs one float32 array of the module's size."""
    n_numbers = part.shape[0] * part.shape[1]
    keep = n_kept(n_numbers, density)
    if keep == n_numbers:
        return None
    magnitudes = np.empty(n_numbers, dtype=np.float32)
    for first, last in stretches(part.shape):
        place = slice(first * part.shape[1], last * part.shape[1])
        np.abs(part.rows(first, last).reshape(-1), out=magnitudes[place])
    magnitudes.partition(n_numbers - keep)
    least = magnitudes[n_numbers - keep]
    if not least:
        return None  # fewer numbers than that are not zero
    room = 2 * (part.absolute + part.relative * float(least))
    n_above = int(np.count_nonzero(magnitudes[n_numbers - keep :] > _up(float(least) + room)))
    del magnitudes
    return _sorted_out(part, least, room, keep - n_above)


def _sorted_out(part: Weighed, least: np.float32, room: float, n_wanted: int) -> Limit:
    """The limit with its exceptions: of the numbers within `room` of it the `n_wanted` first are kept."""
    low, high = max(_down(float(least) - room), _up(0.0)), _up(float(least) + room)
    unsure, are_large = [], []
    for first, last in stretches(part.shape):
        numbers = np.abs(part.rows(first, last).reshape(-1))
        found = np.flatnonzero((numbers >= low) & (numbers <= high))
        unsure.append(found + first * part.shape[1])
        are_large.append(numbers[found] >= least)
    places, is_large = np.concatenate(unsure), np.concatenate(are_large)
    order = np.argsort(-np.abs(part.exact(places)), kind="stable")
    is_kept = np.zeros(len(places), dtype=bool)
    is_kept[order[:n_wanted]] = True
    return Limit(least, places[is_kept & ~is_large], places[is_large & ~is_kept])


def _up(number: float) -> np.float32:
    return np.float32(np.nextafter(np.float32(number), np.float32(np.inf)))


def _down(number: float) -> np.float32:
    return np.float32(np.nextafter(np.float32(number), np.float32(-np.inf)))
