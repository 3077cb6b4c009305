"""The nearest product of a given rank to a full delta, and how much of it that leaves out.

Small matrices are decomposed in full. Of large ones the leading subspace is found by block power iteration from a start
that hangs on the module's name (Halko, Martinsson and Tropp 2011, arXiv:0909.4061, algorithm 4.4), which never forms more than
a few thin matrices; what is left out is measured on the result. No torch in here.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from agents.runtime.adapter import Adapter
from consolidation.errors import BadVector
from consolidation.weighed import stretches

FloatArray = npt.NDArray[np.float32]

DECOMPOSED = 768  # the shorter side of what is decomposed in full
_MORE = 16  # directions followed beside those that are kept
_TURNS = 8


def factored(
    deltas: Iterable[tuple[str, FloatArray]], rank: int, base_hash: str, meta: Mapping[str, Any]
) -> Adapter:
    """An adapter of that rank, nearest to the deltas module by module; one delta is in memory at a time.

    `meta` gains `residual`: the Frobenius norm of what is left out over that of the whole, and the same by module.
    Raises BadVector for numbers that are not finite.
    """
    if rank < 1:
        raise ValueError(f"rank {rank} is not 1 or more")
    modules: dict[str, tuple[FloatArray, FloatArray]] = {}
    by_module: dict[str, float] = {}
    gone = whole = 0.0
    for name, delta in deltas:
        if not np.isfinite(delta).all():
            raise BadVector(name, "it holds numbers that are not finite")
        modules[name] = nearest(delta, rank, name)
        lost, norm = _square_distance(delta, *modules[name]), _square_norm(delta)
        by_module[name] = math.sqrt(lost / norm) if norm else 0.0
        gone, whole = gone + lost, whole + norm
    residual = math.sqrt(gone / whole) if whole else 0.0
    return Adapter(
        base_hash,
        rank,
        float(rank),
        modules,
        {**meta, "residual": residual, "residual_by_module": by_module},
    )


def nearest(delta: FloatArray, rank: int, name: str) -> tuple[FloatArray, FloatArray]:
    """A (rank, in) and B (out, rank), B A nearest to the delta; ranks that it has not got are zeros."""
    left, values, right = _leading(delta, min(rank, *delta.shape), name)
    root = np.sqrt(values)
    a = np.zeros((rank, delta.shape[1]), dtype=np.float32)
    b = np.zeros((delta.shape[0], rank), dtype=np.float32)
    a[: len(root)], b[:, : len(root)] = root[:, None] * right, left * root
    return a, b


def _leading(delta: FloatArray, rank: int, name: str) -> tuple[Any, Any, Any]:
    """The leading singular triplets."""
    n_followed = rank + _MORE
    if min(delta.shape) <= max(DECOMPOSED, n_followed):
        left, values, right = np.linalg.svd(delta, full_matrices=False)
        return left[:, :rank], values[:rank], right[:rank]
    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little")
    start = np.random.Generator(np.random.Philox(seed)).standard_normal((delta.shape[1], n_followed))
    followed = np.linalg.qr(delta @ start.astype(np.float32))[0]
    for _ in range(_TURNS):
        followed = np.linalg.qr(delta @ np.linalg.qr(delta.T @ followed)[0])[0]
    left, values, right = np.linalg.svd(followed.T @ delta, full_matrices=False)
    return followed @ left[:, :rank], values[:rank], right[:rank]


def _square_distance(delta: FloatArray, a: FloatArray, b: FloatArray) -> float:
    width = delta.shape[1]
    return sum(
        _square_norm(delta[first:last] - b[first:last] @ a)
        for first, last in stretches((delta.shape[0], width))
    )


def _square_norm(numbers: FloatArray) -> float:
    return sum(
        float(np.square(numbers[first:last], dtype=np.float64).sum())
        for first, last in stretches((numbers.shape[0], numbers.shape[1]))
    )
