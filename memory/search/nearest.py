"""The dense side of an index: the units nearest to a question's vector.

Up to `EXACT` units are compared one by one. Of more, the bulk stands in inverted lists over product codes of four bits
(Jegou, Douze, Schmid 2011, https://doi.org/10.1109/TPAMI.2010.57; Andre, Kermarrec, Le Scouarnec 2017,
https://doi.org/10.1145/3078971.3078992; faiss): the vectors are parted into cells by k-means, a search reads the codes
of the nearest cells, and what it finds is compared again by the true vectors. What came since is compared one by one.
Measured in docs/adr/0016.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from copy import copy
from pathlib import Path

import faiss
import numpy as np

from memory.ports import FloatMatrix
from memory.search.columns import EPISODE, FACT, Bools, Columns, Floats, Ints

EXACT = 20_000  # units that are compared one by one
RESCORED = 512  # codes whose true vectors are compared
SAMPLE_PER_LIST = 40  # vectors that k-means sees for each list; faiss asks for 39
MOST_LISTS = 65_536
_LEAST_PROBES, _PROBES_PER_LIST = 128, 1 / 16  # lists that a search reads, at least
_K_MEANS_STEPS = 10
_OUTGROWN = 4  # times as many units as the lists were made for: they are made again
_ROWS = 8192  # vectors that are held as float32 at a time

Step = Callable[[int, int], None]


class Nearest:
    """Reads `columns` of a build; `recent` are the numbers that the lists lack or have under an old vector.

    Safe for threads: what was given out stays as it is, but for vectors that are set again.
    """

    def __init__(
        self, columns: Columns, lists: faiss.IndexIVF | None, mean: FloatMatrix, recent: Ints
    ) -> None:
        """`mean` (width,) is the mean vector of all units when the lists were made."""
        self.columns, self.lists, self.mean = columns, lists, mean
        self._chosen: tuple[Bools, _Selector] | None = None  # of the last search's limits
        self._recent = np.zeros(0, np.int64)
        self._centre: FloatMatrix | None = None
        self._matrix: FloatMatrix = np.zeros((0, columns.width), np.float32)
        self._slot: dict[int, int] = {}
        self._add(recent)

    @property
    def recent(self) -> Ints:
        return self._recent

    def with_units(self, columns: Columns, numbers: Ints) -> Nearest:
        """With units that are new in these columns, or whose vectors were set again. Only one may come of each."""
        made = copy(self)
        made.columns, made._centre, made._chosen = columns, None, None
        made._add(numbers)
        return made

    def _add(self, numbers: Ints) -> None:
        if not len(numbers):
            return
        vectors = self.columns.vector[numbers].astype(np.float32)
        known = np.fromiter((number in self._slot for number in numbers.tolist()), bool, len(numbers))
        for number, vector in zip(numbers[known].tolist(), vectors[known], strict=True):
            self._matrix[self._slot[number]] = vector
        new = numbers[~known]
        start = len(self._recent)
        self._slot.update((number, start + i) for i, number in enumerate(new.tolist()))
        self._recent = np.concatenate([self._recent, new])
        if len(self._recent) > len(self._matrix):
            room = np.zeros((len(self._recent) + len(self._recent) // 2 + 64, self.columns.width), np.float32)
            room[:start] = self._matrix[:start]
            self._matrix = room
        self._matrix[start : start + len(new)] = vectors[~known]

    @property
    def centre(self) -> FloatMatrix:
        """The mean vector: of all units where they are few, else of those at the last full build."""
        if self.lists is not None or not len(self._recent):
            return self.mean
        if self._centre is None:
            self._centre = self._matrix[: len(self._recent)].mean(axis=0)
        return self._centre

    def search(self, vector: FloatMatrix, wanted: int, allowed: Bools | None) -> tuple[Ints, Floats]:
        """Numbers of the nearest units that are allowed, and their cosines; about `wanted` of them, best first."""
        numbers = self._recent
        cosines = np.asarray(self._matrix[: len(numbers)] @ vector, np.float64)
        if allowed is not None:
            seen = allowed[numbers]
            numbers, cosines = numbers[seen], cosines[seen]
        if self.lists is not None:
            found = self._from_lists(self.lists, vector, wanted, allowed)
            found = found[~np.isin(found, numbers)] if len(numbers) else found
            numbers = np.concatenate([numbers, found])
            cosines = np.concatenate([cosines, self.cosines(found, vector)])
        if len(numbers) > wanted:
            best = np.argpartition(-cosines, wanted - 1)[:wanted]
            numbers, cosines = numbers[best], cosines[best]
        order = np.lexsort((numbers, -cosines))
        return numbers[order], cosines[order]

    def cosines(self, numbers: Ints, vector: FloatMatrix) -> Floats:
        """Exact cosines of these units."""
        parts = [
            self.columns.vector[numbers[start : start + _ROWS]].astype(np.float32) @ vector
            for start in range(0, len(numbers), _ROWS)
        ]
        return np.concatenate([np.zeros(0), *parts])

    def _from_lists(
        self, lists: faiss.IndexIVF, vector: FloatMatrix, wanted: int, allowed: Bools | None
    ) -> Ints:
        selector: faiss.IDSelector = faiss.IDSelectorAll()
        if allowed is not None:
            last = self._chosen
            if last is None or last[0] is not allowed:
                self._chosen = last = allowed, _Selector(allowed)
            chosen = last[1]
            if chosen.n <= EXACT:
                return np.flatnonzero(allowed)
            selector = chosen.selector
        n_probes = max(_LEAST_PROBES, int(lists.nlist * _PROBES_PER_LIST))
        faiss.omp_set_num_threads(1)  # of this thread; one question gains nothing from more
        while True:
            limits = faiss.SearchParametersIVF()
            limits.nprobe, limits.sel = min(n_probes, lists.nlist), selector
            question = np.ascontiguousarray(vector, np.float32)[None, :]
            keys = lists.search(question, RESCORED, params=limits)[1][0]
            # a unit whose vector was set again stands in the lists twice
            found: Ints = np.unique(keys[(keys >= 0) & (keys < self.columns.n)])
            if len(found) >= min(wanted, RESCORED) or n_probes >= lists.nlist:
                return found
            n_probes *= 4


class _Selector:
    """Limits as faiss takes them; most searches have those of the one before."""

    def __init__(self, allowed: Bools) -> None:
        self.n = int(allowed.sum())
        bits = np.packbits(allowed, bitorder="little")
        self.selector = faiss.IDSelectorBitmap(bits)  # type: ignore[arg-type,call-arg]  # the stubs are C++'s


def n_lists_for(n: int) -> int:
    """Lists for so many units: twice the square root, so that a search reads few of them and none is long."""
    return int(min(max(2 * np.sqrt(n), 16), MOST_LISTS))


def train(sample: FloatMatrix, n: int) -> faiss.IndexIVF:
    """Empty lists for `n` units like those of the sample (S, width)."""
    width = sample.shape[1]
    n_codes = width // 2 if width % 2 == 0 else width
    n_lists = min(n_lists_for(n), len(sample) // SAMPLE_PER_LIST)
    lists = faiss.index_factory(width, f"IVF{max(n_lists, 1)},PQ{n_codes}x4fs", faiss.METRIC_L2)
    assert isinstance(lists, faiss.IndexIVF)
    lists.cp.niter = _K_MEANS_STEPS
    lists.train(np.ascontiguousarray(sample, np.float32))
    return lists


def build_lists(columns: Columns, numbers: Ints, step: Step) -> faiss.IndexIVF:
    """Lists over these units."""
    faiss.omp_set_num_threads(os.cpu_count() or 1)
    wanted = SAMPLE_PER_LIST * n_lists_for(len(numbers))
    every = np.linspace(0, len(numbers) - 1, min(wanted, len(numbers))).astype(np.int64)
    lists = train(columns.vector[numbers[every]].astype(np.float32), len(numbers))
    add_to_lists(lists, columns, numbers, step)
    return lists


def is_outgrown(lists: faiss.IndexIVF, n: int) -> bool:
    """Whether there are so many units by now that the lists would be others."""
    return bool(lists.nlist * np.sqrt(_OUTGROWN) < n_lists_for(n))


def add_to_lists(lists: faiss.IndexIVF, columns: Columns, numbers: Ints, step: Step) -> None:
    """Add these units. One that is there already stays under its old vector as well; a search compares the new."""
    for start in range(0, len(numbers), _ROWS):
        part = numbers[start : start + _ROWS]
        lists.add_with_ids(columns.vector[part].astype(np.float32), part)
        step(start + len(part), len(numbers))


def save_lists(lists: faiss.IndexIVF, path: Path) -> None:
    faiss.write_index(lists, str(path))


def open_lists(path: Path, width: int, *, view: bool = True) -> faiss.IndexIVF:
    """Map the lists, or load them to add to them. Raises ValueError or OSError for a damaged file."""
    path.stat()
    try:
        lists = faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC if view else 0)
    except RuntimeError as error:
        raise ValueError(f"{path.name} of the index is damaged") from error
    if not isinstance(lists, faiss.IndexIVF) or lists.d != width:
        raise ValueError(f"{path.name} of the index is damaged")
    return lists


def searched_units(columns: Columns) -> Ints:
    """Numbers of the units that have a vector."""
    return np.flatnonzero(columns.of_kind(EPISODE, FACT))


def mean_of(columns: Columns, numbers: Ints) -> FloatMatrix:
    """The mean of these units' vectors, in steps that bound memory; zero of none."""
    total = np.zeros(columns.width)
    for start in range(0, len(numbers), _ROWS):
        total += (
            columns.vector[numbers[start : start + _ROWS]].astype(np.float32).sum(axis=0, dtype=np.float64)
        )
    made: FloatMatrix = (total / max(len(numbers), 1)).astype(np.float32)
    return made
