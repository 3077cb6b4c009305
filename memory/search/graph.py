"""Personalised PageRank over the graph: what is near, by links, to what the question names and what it matched.

Places of the walk are numbers: unit or node `i` is place 2i, the session whose first unit is `i` is place 2i + 1.
Most links lie in mapped arrays (rows of neighbours, both directions); those of units that came or changed since are
a short list beside them. The rank is found by pushing probability forward from the seeds, so that its cost depends
on what is near them and not on the size of the graph: Andersen, Chung, Lang 2006
(https://doi.org/10.1109/FOCS.2006.44). As retrieval: HippoRAG (https://arxiv.org/abs/2405.14831).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from memory.search.columns import Bools, Floats, Ints

DAMPING = 0.5
MAX_STEPS = 5_000  # links followed in one walk; 20,000 find no more on LoCoMo dev
LEVELS = (1e-4, 1e-5, 1e-6, 1e-7, 1e-8)  # mass per link from which a place passes it on, coarse first

# How strongly each kind of link leads on.
NEXT = 1.0  # to the neighbouring message of a session
EVIDENCE = 1.0  # between a fact and a message it rests on
IN_SESSION = 0.5
ABOUT = 0.5  # between a fact and its subject or object
SPOKEN_BY = 0.1


@dataclass(frozen=True, slots=True)
class Links:
    """Links as three arrays. `source` is the place of the unit or node that the link belongs to."""

    source: npt.NDArray[np.int32]
    target: npt.NDArray[np.int32]
    weight: npt.NDArray[np.float32]

    @classmethod
    def of(cls, rows: list[tuple[int, int, float]]) -> Links:
        made = np.array(rows, np.float64).reshape(-1, 3)
        return cls(made[:, 0].astype(np.int32), made[:, 1].astype(np.int32), made[:, 2].astype(np.float32))

    @classmethod
    def joined(cls, parts: list[Links]) -> Links:
        return cls(
            np.concatenate([np.zeros(0, np.int32), *(part.source for part in parts)]),
            np.concatenate([np.zeros(0, np.int32), *(part.target for part in parts)]),
            np.concatenate([np.zeros(0, np.float32), *(part.weight for part in parts)]),
        )

    def __len__(self) -> int:
        return len(self.source)

    def only(self, mask: Bools | Ints) -> Links:
        return Links(self.source[mask], self.target[mask], self.weight[mask])


_ARRAYS = ("start", "neighbour", "weight", "mine")


class Rows:
    """Neighbours of each of `n_places` places, in both directions."""

    def __init__(
        self,
        start: npt.NDArray[np.int64],
        neighbour: npt.NDArray[np.int32],
        weight: npt.NDArray[np.float32],
        mine: Bools,  # whether the link belongs to the place of the row
    ) -> None:
        self.start, self.neighbour, self.weight, self.mine = start, neighbour, weight, mine
        self.n_places = len(start) - 1

    @classmethod
    def of(cls, links: Links, n_places: int) -> Rows:
        row = np.concatenate([links.source, links.target])
        order = np.argsort(row, kind="stable")
        start = np.zeros(n_places + 1, np.int64)
        np.cumsum(np.bincount(row, minlength=n_places), out=start[1:])
        neighbour = np.concatenate([links.target, links.source])[order]
        weight = np.concatenate([links.weight, links.weight])[order]
        return cls(start, neighbour, weight, order < len(links))

    @classmethod
    def load(cls, folder: Path, name: str) -> Rows:
        mapped = (np.load(folder / f"{name}.{array}.npy", mmap_mode="r") for array in _ARRAYS)
        return cls(*(np.asarray(array) for array in mapped))

    def save(self, folder: Path, name: str) -> None:
        for array in _ARRAYS:
            np.save(folder / f"{name}.{array}.npy", getattr(self, array))

    def links(self) -> Links:
        """Each link once, under its owner."""
        row = np.repeat(np.arange(self.n_places, dtype=np.int32), np.diff(self.start))
        mine = np.asarray(self.mine)
        return Links(row[mine], self.neighbour[mine], self.weight[mine])

    def degrees(self) -> Floats:
        total = np.concatenate([[0.0], np.cumsum(self.weight, dtype=np.float64)])
        degrees: Floats = total[self.start[1:]] - total[self.start[:-1]]
        return degrees

    def of_places(self, places: Ints) -> tuple[Ints, Ints]:
        """(index into `places`, index into the rows' entries) of every link of these places."""
        starts = self.start[places]
        counts = self.start[places + 1] - starts
        which = np.repeat(np.arange(len(places)), counts)
        shift = np.repeat(starts - np.concatenate([[0], np.cumsum(counts)[:-1]]), counts)
        return which, np.arange(len(which)) + shift


class Walk:
    """The graph as it is now: mapped rows, less the links of places in `moved`, and the links that came since."""

    def __init__(self, base: Rows, recent: Links, moved: Ints, n_places: int) -> None:
        """`moved` are places of the base whose own links count no longer; what they link to now is in `recent`."""
        self._base = base
        self.n_places = max(n_places, base.n_places)
        self._places, rows = np.unique(
            np.concatenate([recent.source, recent.target]), return_inverse=True
        )  # the few that have recent links
        half = len(recent)
        short = Links(rows[:half].astype(np.int32), rows[half:].astype(np.int32), recent.weight)
        self._recent = Rows.of(short, len(self._places))
        self._moved = np.zeros(0, bool)
        self.degree = np.zeros(self.n_places)
        self.degree[: base.n_places] = base.degrees()
        self._count = np.zeros(self.n_places, np.int64)
        self._count[: base.n_places] = np.diff(base.start)
        np.add.at(self.degree, self._places, self._recent.degrees())
        np.add.at(self._count, self._places, np.diff(self._recent.start))
        if len(moved):
            self._forget(moved)

    def rank(self, places: Ints, mass: Floats, max_steps: int = MAX_STEPS) -> tuple[Ints, Floats, float]:
        """(places, rank, bound) of a walker who returns to the seeds half of the time.

        No rank is too high; none is too low by more than `bound` times the degree of its place. Empty for no seeds.
        """
        total = float(mass.sum())
        if total <= 0:
            return np.zeros(0, np.int64), np.zeros(0), 0.0
        at = _State(self.n_places)
        np.add.at(at.rest, places, mass / total)
        reached = at.first_met(places)
        costs = np.maximum(self._count[reached], 1)
        left = max_steps
        for level in LEVELS:
            while left > 0:
                is_ready = at.rest[reached] > level * costs
                is_ready &= costs <= left
                ready, cost = reached[is_ready], np.cumsum(costs[is_ready])
                ready = ready[: int(np.searchsorted(cost, left, side="right"))]
                if not len(ready):
                    break
                left -= int(cost[len(ready) - 1])
                new = np.concatenate([reached[:0], *map(at.first_met, self._push(at, ready))])
                reached = np.concatenate([reached, new])
                costs = np.concatenate([costs, np.maximum(self._count[new], 1)])
        bound = float((at.rest[reached] / np.maximum(self.degree[reached], 1e-12)).max())
        return reached, at.rank[reached], bound

    def _push(self, at: _State, ready: Ints) -> list[Ints]:
        """Keep half of what waits at these places, pass the other half on along their links."""
        waiting = at.rest[ready]
        at.rank[ready] += (1 - DAMPING) * waiting
        at.rest[ready] = 0.0
        share = DAMPING * waiting / np.maximum(self.degree[ready], 1e-12)
        reached = []
        in_base = ready < self._base.n_places
        which, entry = self._base.of_places(ready[in_base])
        if len(entry):
            target, weight = self._base.neighbour[entry], self._base.weight[entry]
            if len(self._moved):
                source = ready[in_base][which]
                weight = weight * ~self._moved[np.where(self._base.mine[entry], source, target)]
            np.add.at(at.rest, target, share[in_base][which] * weight)
            reached.append(target.astype(np.int64))
        if len(self._places):
            row = np.minimum(np.searchsorted(self._places, ready), len(self._places) - 1)
            here = self._places[row] == ready
            which, entry = self._recent.of_places(row[here])
            target = self._places[self._recent.neighbour[entry]]
            np.add.at(at.rest, target, share[here][which] * self._recent.weight[entry])
            reached.append(target.astype(np.int64))
        return reached

    def _forget(self, moved: Ints) -> None:
        self._moved = np.zeros(self.n_places, bool)
        self._moved[moved] = True
        own = moved[moved < self._base.n_places]
        which, entry = self._base.of_places(own)
        mine = np.asarray(self._base.mine[entry])
        which, entry = which[mine], entry[mine]
        for ends in (own[which], self._base.neighbour[entry]):
            np.subtract.at(self.degree, ends, self._base.weight[entry])
            np.subtract.at(self._count, ends, 1)


class _State:
    """Where one walk stands: per place, what it keeps and what waits to be passed on. Only what is met takes memory."""

    def __init__(self, n_places: int) -> None:
        self.rank, self.rest = np.zeros(n_places), np.zeros(n_places)
        self._met = np.zeros(n_places, bool)

    def first_met(self, places: Ints) -> Ints:
        """Those that this walk has not met, each once; they are met now."""
        new = np.sort(places[~self._met[places]])
        if len(new):
            new = new[np.concatenate([[True], new[1:] != new[:-1]])]
            self._met[new] = True
        return new
