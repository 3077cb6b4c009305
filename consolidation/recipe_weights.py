"""The weights that a recipe stands for, made anew: their numbers, their hash, their size, and how far two are apart.

A module at a time, so that what is in memory is the vectors and two modules. No torch in here.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from heapq import merge
from itertools import groupby
from operator import itemgetter
from pathlib import Path

import numpy as np

from agents.runtime.adapter import Adapter
from consolidation.factors import square_norm
from consolidation.recipe import FloatArray, Recipe, by_rule, deltas, vectors_of
from consolidation.vectors import hashed

Weights = Iterator[tuple[str, FloatArray]]


def rebuilt(home: Path, recipe: Recipe) -> Weights:
    """What the recipe adds to the base, module by module in order of name; dense, float32, shape (out, in).

    The same recipe gives the same bytes on every rebuild on a CPU. Raises as `recipe_adapters`.
    """
    vectors = vectors_of(home, recipe)
    return deltas(vectors) if recipe.rule == "sum" else by_rule(recipe, vectors)


def rebuilt_sha256(home: Path, recipe: Recipe) -> str:
    """Hash of all that `rebuilt` gives: names, shapes and numbers."""
    digest = hashlib.sha256(recipe.base_hash.encode())
    for _ in hashed(digest, rebuilt(home, recipe)):
        pass
    return digest.hexdigest()


def norm(vector: Adapter) -> float:
    """Frobenius norm of all its deltas together, from products of the factors alone."""
    scale = vector.alpha / vector.rank
    total = sum(square_norm(a, b, scale) for a, b in vector.modules.values())
    return math.sqrt(max(total, 0.0))


def size(weights: Weights) -> float:
    """Frobenius norm of all modules together."""
    return float(np.sqrt(sum(_square(delta) for _, delta in weights)))


def distance(one: Weights, other: Weights) -> tuple[float, float]:
    """Frobenius norm of the difference, and that of `other`. Both come in order of name; a module of one alone counts whole."""
    apart = whole = 0.0
    sides = merge(_sided(one, 0), _sided(other, 1), key=itemgetter(0, 1))
    for _, found in groupby(sides, key=itemgetter(0)):
        deltas_of = {side: delta for _, side, delta in found}
        new, old = deltas_of.get(0), deltas_of.get(1)
        whole += _square(old) if old is not None else 0.0
        if new is not None and old is not None:
            apart += _square(new - old)
        else:
            apart += sum(map(_square, deltas_of.values()))
    return float(np.sqrt(apart)), float(np.sqrt(whole))


def _sided(weights: Weights, side: int) -> Iterator[tuple[str, int, FloatArray]]:
    return ((name, side, delta) for name, delta in weights)


def _square(delta: FloatArray) -> float:
    return float(np.square(delta, dtype=np.float64).sum())
