"""The dense side of an index: the units nearest to a question's vector.

Up to `EXACT` units are compared one by one. Of more, the bulk stands in an HNSW graph (Malkov, Yashunin 2016,
https://arxiv.org/abs/1603.09320; usearch) over binary codes, and what it finds is compared again by the true vectors;
what came since is compared one by one. A code says of every number which quarter of its distribution it lies in, by
three bits, so that the Hamming distance of two codes counts quarters. Measured in docs/adr/0016.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
from usearch.index import Index as Graph

from memory.ports import FloatMatrix
from memory.search.columns import EPISODE, FACT, Bools, Columns, Floats, Ints

EXACT = 20_000  # units that are compared one by one
CONNECTIVITY = 16  # links of a code in the graph
EXPANSION_ADD = 48
RESCORED = 512  # codes whose true vectors are compared
QUARTILES = (-0.6745, 0.0, 0.6745)  # of a normal distribution
_MOST_RESCORED = 12_800
_ROWS = 8192  # vectors that are held as float32 at a time

Step = Callable[[int, int], None]


class Nearest:
    """Reads `columns` of a build; `recent` are the numbers that the graph lacks or has under an old vector."""

    def __init__(self, columns: Columns, graph: Graph | None, scale: FloatMatrix, recent: Ints) -> None:
        """`scale` (2, width) are mean and standard deviation of each number when the graph was made."""
        self.columns, self.graph, self.scale = columns, graph, scale
        self._recent = np.zeros(0, np.int64)
        self._matrix: FloatMatrix = np.zeros((0, columns.width), np.float32)
        self._slot: dict[int, int] = {}
        self.add(recent)

    @property
    def recent(self) -> Ints:
        return self._recent

    def add(self, numbers: Ints) -> None:
        """Take in units that are new, or whose vectors were set again."""
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
        if self.graph is not None or not len(self._recent):
            mean: FloatMatrix = self.scale[0]
            return mean
        made: FloatMatrix = self._matrix[: len(self._recent)].mean(axis=0)
        return made

    def search(self, vector: FloatMatrix, wanted: int, allowed: Bools | None) -> tuple[Ints, Floats]:
        """Numbers of the nearest units that are allowed, and their cosines; about `wanted` of them, best first."""
        numbers = self._recent
        cosines = np.asarray(self._matrix[: len(numbers)] @ vector, np.float64)
        if allowed is not None:
            seen = allowed[numbers]
            numbers, cosines = numbers[seen], cosines[seen]
        if self.graph is not None and len(self.graph):
            found = self._from_graph(vector, wanted, allowed)
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

    def _from_graph(self, vector: FloatMatrix, wanted: int, allowed: Bools | None) -> Ints:
        assert self.graph is not None
        if allowed is not None and int(allowed.sum()) <= EXACT:
            return np.flatnonzero(allowed)
        code = codes(np.asarray(vector)[None, :], self.scale)[0]
        count = RESCORED
        while True:
            self.graph.expansion_search = count  # type: ignore[misc]
            keys = self.graph.search(code, count, threads=1).keys.astype(np.int64)
            keys = keys[keys < self.columns.n]
            kept = keys if allowed is None else keys[allowed[keys]]
            if len(kept) >= min(wanted, RESCORED) or count >= min(_MOST_RESCORED, len(self.graph)):
                return kept
            count *= 4


def codes(vectors: FloatMatrix, scale: FloatMatrix) -> npt.NDArray[np.uint8]:
    """(N, bytes) which of three thresholds each number is above, packed: first all of the lowest threshold."""
    above = [np.packbits(vectors > scale[0] + level * scale[1], axis=1) for level in QUARTILES]
    return np.concatenate(above, axis=1)


def build_graph(columns: Columns, numbers: Ints, scale: FloatMatrix, path: Path, step: Step) -> None:
    """Write the graph over these units' codes."""
    graph = empty_graph(columns.width)
    add_to_graph(graph, columns, numbers, scale, step)
    graph.save(str(path))


def add_to_graph(graph: Graph, columns: Columns, numbers: Ints, scale: FloatMatrix, step: Step) -> None:
    """Add these units; those that are there are replaced."""
    held = numbers[graph.contains(numbers.astype(np.uint64))] if len(graph) else numbers[:0]
    for number in held.tolist():
        graph.remove(number)
    for start in range(0, len(numbers), _ROWS):
        part = numbers[start : start + _ROWS]
        add_codes(graph, part, codes(columns.vector[part].astype(np.float32), scale))
        step(start + len(part), len(numbers))


def add_codes(graph: Graph, numbers: Ints, made: npt.NDArray[np.uint8], threads: int = 0) -> None:
    """Add these units under their codes; 0 threads are as many as there are cores."""
    graph.add(numbers.astype(np.uint64), made, threads=threads)


def open_graph(path: Path, width: int, *, view: bool = True) -> Graph:
    """Map the graph, or load it to add to it. Raises ValueError or OSError for a damaged file."""
    graph = empty_graph(width)
    try:
        if view:
            graph.view(str(path))
        else:
            graph.load(str(path))
    except (RuntimeError, ValueError) as error:
        raise ValueError(f"{path.name} of the index is damaged") from error
    return graph


def empty_graph(width: int) -> Graph:
    return Graph(
        ndim=len(QUARTILES) * -(-width // 8) * 8,
        metric="hamming",
        dtype="b1",
        connectivity=CONNECTIVITY,
        expansion_add=EXPANSION_ADD,
        expansion_search=RESCORED,
    )


def searched_units(columns: Columns) -> Ints:
    """Numbers of the units that have a vector."""
    return np.flatnonzero(columns.of_kind(EPISODE, FACT))


def scale_of(columns: Columns, numbers: Ints) -> FloatMatrix:
    """`scale_from` these units' vectors, in steps that bound memory."""
    total, squares = np.zeros(columns.width), np.zeros(columns.width)
    for start in range(0, len(numbers), _ROWS):
        part = columns.vector[numbers[start : start + _ROWS]].astype(np.float32)
        total += part.sum(axis=0, dtype=np.float64)
        squares += np.square(part).sum(axis=0, dtype=np.float64)
    return _scale(total, squares, len(numbers))


def scale_from(vectors: FloatMatrix) -> FloatMatrix:
    """(2, width) mean and standard deviation of every number of these vectors."""
    total = vectors.sum(axis=0, dtype=np.float64)
    return _scale(total, np.square(vectors).sum(axis=0, dtype=np.float64), len(vectors))


def _scale(total: Floats, squares: Floats, n: int) -> FloatMatrix:
    mean = total / max(n, 1)
    spread = np.sqrt(np.maximum(squares / max(n, 1) - mean**2, 0.0))
    return np.stack([mean, spread]).astype(np.float32)
