"""How task vectors stand to each other: the cosine of each two, and how often their signs conflict, whole and by module.

Cosines are those of the full deltas, from products of the factors in float64: <B1 A1, B2 A2> is the sum of
(B1' B2) * (A1 A2'). Signs conflict in the sense of TIES (Yadav et al. 2023, arXiv:2306.01708, section 3): each module of each
vector is trimmed to its largest numbers, and of those that two vectors both keep the share with opposite signs is counted;
vectors that know nothing of each other have a half. All pairs of a module come of one matrix product. What is in
memory is the factors, and one module of each dense vector. No torch in here.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from threadpoolctl import ThreadpoolController

from agents.runtime.adapter import Adapter
from consolidation.merging import Rule, Vector, check, check_parts, n_workers, weighed_part
from consolidation.recipe import Recipe, vector_of
from consolidation.stage import Progress, no_progress
from consolidation.trimming import Limit, limit_of
from consolidation.weighed import DoubleArray, FloatArray, Weighed, stretches

DENSITY = 0.2  # what TIES keeps in the paper
_BLOCK = re.compile(r"(?:^|\.)(\d+)\.(.+)$")

Weighing = Sequence[tuple[Vector, float]]
CountArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Pairs:
    """Sums over some modules, for each two of N vectors; all of shape (N, N)."""

    inner: DoubleArray  # inner products of coefficient times delta
    n_both: CountArray  # numbers that are kept of both
    n_opposed: CountArray  # of these, with opposite signs

    def __add__(self, other: Pairs) -> Pairs:
        return Pairs(self.inner + other.inner, self.n_both + other.n_both, self.n_opposed + other.n_opposed)

    @property
    def norms(self) -> DoubleArray:
        """Frobenius norms, shape (N,)."""
        return np.sqrt(np.maximum(np.diag(self.inner), 0.0))

    def cosine(self, one: int, other: int) -> float | None:
        """None where one of them has nothing here."""
        norms = self.norms
        size = float(norms[one] * norms[other])
        return max(-1.0, min(1.0, float(self.inner[one, other]) / size)) if size else None

    def conflicts(self, one: int, other: int) -> float | None:
        """None where no number is kept of both."""
        n_both = int(self.n_both[one, other])
        return int(self.n_opposed[one, other]) / n_both if n_both else None


@dataclass(frozen=True)
class Interference:
    """Of N vectors in the order they came in. `blocks`: by number of the model's block; `kinds`: by name within a block."""

    density: float
    whole: Pairs
    blocks: Mapping[int, Pairs]
    kinds: Mapping[str, Pairs]

    @property
    def n(self) -> int:
        return len(self.whole.inner)

    def pairs(self) -> list[tuple[int, int]]:
        """Each two vectors, those whose cosine is furthest from zero first."""
        found = [(one, other) for other in range(self.n) for one in range(other)]
        return sorted(found, key=lambda pair: -abs(self.whole.cosine(*pair) or 0.0))


def interference(
    vectors: Weighing, density: float = DENSITY, progress: Progress = no_progress
) -> Interference:
    """Of every two. A coefficient weighs, below zero it turns its vector round, and at zero the vector is not there.

    `density`: the share of each module's numbers that is kept before signs are compared. Raises BaseChanged, BadVector,
    BadRule.
    """
    check(vectors)
    rule = Rule("ties", density)
    names = sorted({name for vector, _ in vectors for name in vector.modules})
    whole = _nothing(len(vectors))
    blocks: dict[int, Pairs] = {}
    kinds: dict[str, Pairs] = {}
    controller = ThreadpoolController()
    with ThreadPoolExecutor(n_workers()) as pool:
        for place, name in enumerate(names):
            progress(place, len(names))
            with controller.limit(limits=1, user_api="blas"):
                found = _of_module(name, vectors, rule, pool)
            block, kind = place_of(name)
            whole += found
            kinds[kind] = kinds[kind] + found if kind in kinds else found
            if block is not None:
                blocks[block] = blocks[block] + found if block in blocks else found
    progress(len(names), len(names))
    return Interference(density, whole, dict(sorted(blocks.items())), dict(sorted(kinds.items())))


def of_recipe(home: Path, recipe: Recipe, progress: Progress = no_progress) -> Interference:
    """Of a recipe's vectors, trimmed as its rule trims them where it does.

    Raises MissingVector, BrokenAdapter, BrokenRecipe, BaseChanged, BadVector.
    """
    vectors = [(vector_of(home, recipe, entry), entry.coefficient) for entry in recipe.entries]
    density = recipe.density if recipe.rule == "ties" and recipe.density is not None else DENSITY
    return interference(vectors, density, progress)


def place_of(module: str) -> tuple[int | None, str]:
    """The number of the block that a module is in, None outside of them; and what it is called in every block alike."""
    matched = _BLOCK.search(module)
    return (int(matched[1]), matched[2]) if matched else (None, module)


def _nothing(n: int) -> Pairs:
    return Pairs(np.zeros((n, n)), np.zeros((n, n), np.int64), np.zeros((n, n), np.int64))


def _of_module(name: str, vectors: Weighing, rule: Rule, pool: Executor) -> Pairs:
    """Of the vectors that have the module; the rows and columns of others are zero."""
    places = [place for place, (vector, c) in enumerate(vectors) if c and name in vector.modules]
    found = _nothing(len(vectors))
    if not places:
        return found
    chosen = [vectors[place] for place in places]
    turned = [(vector, weighed_part(vector, name, math.copysign(1.0, c))) for vector, c in chosen]
    check_parts(name, turned, rule)
    parts = [part for _, part in turned]
    limits = list(pool.map(lambda part: limit_of(part, rule.density), parts))
    here = np.ix_(places, places)
    work = _Signs(parts, limits)
    for agreeing, both in pool.map(work.compare, stretches(parts[0].shape)):
        found.n_both[here] += both
        found.n_opposed[here] += (both - agreeing) // 2
    weights = np.array([c for _, c in chosen])
    found.inner[here] = _inner(name, [vector for vector, _ in chosen]) * np.outer(weights, weights)
    return found


@dataclass(frozen=True, slots=True)
class _Signs:
    parts: Sequence[Weighed]
    limits: Sequence[Limit | None]

    def compare(self, stretch: tuple[int, int]) -> tuple[CountArray, CountArray]:
        """For each two parts: how many kept signs agree less how many do not, and how many there are."""
        first, last = stretch
        width = self.parts[0].shape[1]
        signs = np.empty(
            (len(self.parts), (last - first) * width), np.float32
        )  # sums of it are exact to 2 ** 24
        for row, part, limit in zip(signs, self.parts, self.limits, strict=True):
            numbers = part.rows(first, last)
            if limit is not None:
                limit.trim(numbers, first * width)
            np.sign(numbers.reshape(-1), out=row)
        agreeing = (signs @ signs.T).astype(np.int64)
        np.abs(signs, out=signs)
        return agreeing, (signs @ signs.T).astype(np.int64)


def _inner(name: str, vectors: Sequence[Vector]) -> DoubleArray:
    """Inner products of one module's deltas, float64 (N, N): factors are never multiplied out."""
    found = np.zeros((len(vectors), len(vectors)))
    factored = [place for place, vector in enumerate(vectors) if isinstance(vector, Adapter)]
    dense = [place for place, vector in enumerate(vectors) if not isinstance(vector, Adapter)]
    deltas = [vectors[place].delta(name) for place in dense]
    if factored:
        joined = _Joined.of(name, [vector for vector in vectors if isinstance(vector, Adapter)])
        found[np.ix_(factored, factored)] = joined.with_each_other()
        for place, delta in zip(dense, deltas, strict=True):
            found[place, factored] = found[factored, place] = joined.with_delta(delta)
    for first, last in stretches(deltas[0].shape) if deltas else ():
        rows = np.stack([delta[first:last].astype(np.float64).reshape(-1) for delta in deltas])
        found[np.ix_(dense, dense)] += rows @ rows.T
    return found


@dataclass(frozen=True, slots=True)
class _Joined:
    """The factors of one module of several vectors, below and beside each other, float64."""

    a: DoubleArray  # (sum of ranks, in), with the scales
    b: DoubleArray  # (out, sum of ranks)
    starts: Sequence[int]  # where each vector's ranks begin

    @classmethod
    def of(cls, name: str, adapters: Sequence[Adapter]) -> _Joined:
        pairs = [adapter.modules[name] for adapter in adapters]
        scales = [adapter.alpha / adapter.rank for adapter in adapters]
        a = np.concatenate(
            [scale * a.astype(np.float64) for (a, _), scale in zip(pairs, scales, strict=True)]
        )
        b = np.concatenate([b.astype(np.float64) for _, b in pairs], axis=1)
        ranks = [len(a) for a, _ in pairs]
        return cls(a, b, [sum(ranks[:place]) for place in range(len(ranks))])

    def with_each_other(self) -> DoubleArray:
        products = (self.b.T @ self.b) * (self.a @ self.a.T)
        return np.add.reduceat(np.add.reduceat(products, self.starts, axis=0), self.starts, axis=1)

    def with_delta(self, delta: FloatArray) -> DoubleArray:
        across = np.zeros_like(self.a)
        for first, last in stretches(delta.shape):
            across += self.b[first:last].T @ delta[first:last].astype(np.float64)
        return np.add.reduceat((across * self.a).sum(axis=1), self.starts)
