"""Task vectors merged on their full deltas, module by module: plain sum, TIES and DARE; and sums kept as factors.

Factors of different adapters are never added to each other: that makes cross terms. A module is made a stretch of rows
at a time from the factors, so that what is in memory is the adapters, one merged module and a little more. The same
vectors in the same order give the same bits, whatever the number of cores. No torch in here.

TIES: Yadav et al. 2023 (arXiv:2306.01708), section 3. DARE: Yu et al. 2024 (arXiv:2311.03099), eq. 3.
"""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from threadpoolctl import ThreadpoolController

from agents.errors import BaseChanged
from agents.runtime.adapter import Adapter
from consolidation.errors import BadRule, BadVector
from consolidation.factors import side_by_side
from consolidation.trimming import Flags, Limit, limit_of
from consolidation.weighed import (
    FloatArray,
    Weighed,
    WeighedDelta,
    WeighedFactors,
    stretches,
)

RULES = ("sum", "ties", "dare")
MOST_WORKERS = 4  # each needs an array of a module's size while limits are looked for
_ROUNDING = 2.0**-23
_LARGEST = float(np.finfo(np.float32).max)


class Vector(Protocol):
    """What every task vector offers; `Adapter` is one."""

    @property
    def base_hash(self) -> str: ...

    @property
    def sha256(self) -> str: ...

    @property
    def modules(self) -> Collection[str]: ...

    def delta(self, module: str, /) -> FloatArray:
        """What it adds to the module's weight, float32 (out, in)."""


@dataclass(frozen=True, slots=True)
class Rule:
    """How vectors become one. `density`: the share of numbers that TIES and DARE keep of each vector's modules.

    `seed` is DARE's. Raises BadRule.
    """

    name: str = "sum"  # sum | ties | dare
    density: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.name not in RULES:
            raise BadRule(f"there is no rule {self.name}; use one of {', '.join(RULES)}")
        if not 0 < self.density <= 1:
            raise BadRule(f"a density of {self.density} keeps nothing or more than all; use one in (0, 1]")


def combine(vectors: Sequence[tuple[Vector, float]], rule: Rule) -> Iterator[tuple[str, FloatArray]]:
    """Module by module, in order of name, the merged delta, float32 (out, in). Nothing for no vectors: the plain base.

    Coefficients weigh the vectors before signs are elected; at zero a vector is left out. Raises BaseChanged with both
    hashes, and BadVector for numbers that are not finite or modules whose shapes differ.
    """
    check(vectors)
    weighed = [(vector, coefficient) for vector, coefficient in vectors if coefficient]
    controller = ThreadpoolController()
    with ThreadPoolExecutor(n_workers()) as pool:
        for name in sorted({name for vector, _ in weighed for name in vector.modules}):
            with controller.limit(limits=1, user_api="blas"):
                merged = _merged(name, weighed, rule, pool)
            yield name, merged


def check(vectors: Sequence[tuple[Vector, float]]) -> None:
    """Raises BaseChanged or BadVector where the vectors cannot be merged, as far as that is known without reading them."""
    for vector, coefficient in vectors:
        if vector.base_hash != vectors[0][0].base_hash:
            raise BaseChanged(vector.base_hash, vectors[0][0].base_hash)
        if not math.isfinite(coefficient):
            raise BadVector(vector.sha256, f"its coefficient is {coefficient}")
    shapes: dict[str, tuple[int, int]] = {}
    for vector in (vector for vector, _ in vectors if isinstance(vector, Adapter)):
        for name, (a, b) in vector.modules.items():
            if not (np.isfinite(a).all() and np.isfinite(b).all()):
                raise BadVector(vector.sha256, f"{name} holds numbers that are not finite")
            shape = shapes.setdefault(name, (b.shape[0], a.shape[1]))
            if a.shape[0] != b.shape[1] or shape != (b.shape[0], a.shape[1]):
                raise BadVector(vector.sha256, f"{name} is {b.shape} by {a.shape}, where {shape} is expected")


def n_workers() -> int:
    """How many stretches are worked on at once."""
    n_cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(MOST_WORKERS, n_cores)


def _merged(name: str, vectors: Sequence[tuple[Vector, float]], rule: Rule, pool: Executor) -> FloatArray:
    chosen = [(vector, weighed_part(vector, name, c)) for vector, c in vectors if name in vector.modules]
    parts = [part for _, part in chosen]
    check_parts(name, chosen, rule)
    merged = np.empty(parts[0].shape, dtype=np.float32)
    if rule.name == "ties":
        limits = list(pool.map(lambda part: limit_of(part, rule.density), parts))
        work: Callable[[tuple[int, int]], None] = _Election(parts, limits, merged).hold
    else:
        drops = [_Drop(vector.sha256, name, rule) if rule.name == "dare" else None for vector, _ in chosen]
        work = _Sum(parts, drops, merged).add
    list(pool.map(work, stretches(parts[0].shape)))
    return merged


def check_parts(name: str, chosen: Sequence[tuple[Vector, Weighed]], rule: Rule) -> None:
    """Raises BadVector for parts of one module whose shapes differ, or numbers that are or would become too large."""
    room = _LARGEST * (rule.density if rule.name == "dare" else 1.0)
    for vector, part in chosen:
        if part.shape != chosen[0][1].shape:
            raise BadVector(vector.sha256, f"{name} is {part.shape}, where others have {chosen[0][1].shape}")
        if math.isnan(part.most) or math.isinf(part.most):
            raise BadVector(vector.sha256, f"{name} holds numbers that are not finite")
        room -= part.most
        if room < 0:
            raise BadVector(vector.sha256, f"{name} grows beyond what float32 holds; lower its coefficient")


def weighed_part(vector: Vector, name: str, coefficient: float) -> Weighed:
    """One module of the vector, times the coefficient; a dense one is read into memory."""
    if isinstance(vector, Adapter):
        a, b = vector.modules[name]
        return WeighedFactors(a, b, vector.alpha / vector.rank, coefficient)
    return WeighedDelta(vector.delta(name), coefficient)


@dataclass(frozen=True, slots=True)
class _Drop:
    """DARE's lots for one module of one vector. They hang on nothing but the seed, the vector and the module's name."""

    vector: str
    module: str
    rule: Rule

    def apply(self, numbers: FloatArray, first: int) -> None:
        """Drop of a stretch, and weigh what stays so that the expected value is the same."""
        text = f"{self.rule.seed}\0{self.vector}\0{self.module}".encode()
        key = int.from_bytes(hashlib.sha256(text).digest()[:16], "little")
        block, ahead = divmod(
            first, 8
        )  # one step of the generator makes four 64-bit numbers, which are eight lots
        n_raw = -(-(ahead + numbers.size) // 2)
        lots = (
            np.random.Philox(key=key, counter=block).random_raw(n_raw).astype("<u8", copy=False).view("<u4")
        )
        is_kept = lots[ahead : ahead + numbers.size] < self.rule.density * 2.0**32
        np.multiply(numbers.reshape(-1), is_kept, out=numbers.reshape(-1))
        np.multiply(numbers, np.float32(1 / self.rule.density), out=numbers)


@dataclass(frozen=True, slots=True)
class _Sum:
    parts: Sequence[Weighed]
    drops: Sequence[_Drop | None]
    merged: FloatArray

    def add(self, stretch: tuple[int, int]) -> None:
        first, last = stretch
        total = self.merged[first:last]
        total[:] = 0
        for part, drop in zip(self.parts, self.drops, strict=True):
            numbers = part.rows(first, last)
            if drop is not None:
                drop.apply(numbers, first * part.shape[1])
            total += numbers


@dataclass(frozen=True, slots=True)
class _Election:
    """TIES after the trimming: the sign that weighs more, and the mean of the numbers that have it.

    Where the signs weigh the same none is elected and the number is zero: a vector and its negation leave nothing.
    """

    parts: Sequence[Weighed]
    limits: Sequence[Limit | None]
    merged: FloatArray

    def hold(self, stretch: tuple[int, int]) -> None:
        first, last = stretch
        start, width = first * self.merged.shape[1], self.merged.shape[1]
        up, down = (np.zeros((last - first, width), np.float32) for _ in range(2))
        counts = np.uint8 if len(self.parts) < 256 else np.uint32
        n_up, n_down = (np.zeros((last - first, width), counts) for _ in range(2))
        kept: list[Flags | None] = []
        for part, limit in zip(self.parts, self.limits, strict=True):
            numbers = part.rows(first, last)
            kept.append(None if limit is None else limit.trim(numbers, start))
            up += np.maximum(numbers, 0)
            down += np.minimum(numbers, 0)
            n_up += (numbers > 0).view(np.uint8)
            n_down += (numbers < 0).view(np.uint8)
        balance = up + down
        self._recount(balance, up, down, kept, start)
        up /= np.maximum(n_up, 1)
        down /= np.maximum(n_down, 1)
        self.merged[first:last] = np.where(balance > 0, up, np.where(balance < 0, down, np.float32(0)))

    def _recount(
        self, balance: FloatArray, up: FloatArray, down: FloatArray, kept: Sequence[Flags | None], start: int
    ) -> None:
        """Where rounding could have turned the sign, the sum in float64 decides."""
        absolute = sum(part.absolute for part in self.parts)
        relative = _ROUNDING * (len(self.parts) + 2) + max(part.relative for part in self.parts)
        room = (up - down) * np.float32(relative) + np.float32(absolute)
        unsure = np.flatnonzero((np.abs(balance) <= room) & (up > 0) & (down < 0))
        if not len(unsure):
            return
        exact = np.zeros(len(unsure))
        for part, flags in zip(self.parts, kept, strict=True):
            voice = part.exact(unsure + start)
            exact += voice if flags is None else voice * flags[unsure]
        balance.reshape(-1)[unsure] = np.sign(exact)


def add(vectors: Sequence[tuple[Adapter, float]]) -> Adapter:
    """The sum of coefficient times vector, as factors side by side: exact, of a rank that is the sum of the ranks.

    Raises BaseChanged, BadVector, and ValueError without vectors.
    """
    check(vectors)
    return side_by_side(vectors, _made_by("add", vectors))


def scale(vector: Adapter, coefficient: float) -> Adapter:
    """The vector times a number: its factors are the same, bit for bit, but for their sign."""
    check([(vector, coefficient)])
    meta = _made_by("scale", [(vector, coefficient)])
    modules = {name: (a, np.negative(b) if coefficient < 0 else b) for name, (a, b) in vector.modules.items()}
    return Adapter(vector.base_hash, vector.rank, vector.alpha * abs(coefficient), modules, meta)


def negate(vector: Adapter) -> Adapter:
    """The vector that takes away what this one adds, exactly."""
    return scale(vector, -1.0)


def analogy(a: Adapter, b: Adapter, c: Adapter) -> Adapter:
    """What is to c as b is to a: b - a + c (Ilharco et al. 2023, arXiv:2212.04089, section 5), exact."""
    return add([(b, 1.0), (a, -1.0), (c, 1.0)])


def _made_by(operation: str, vectors: Sequence[tuple[Adapter, float]]) -> dict[str, object]:
    return {"operation": operation, "of": [[vector.sha256, coefficient] for vector, coefficient in vectors]}
