"""Sums of adapters kept as factors: side by side, which is exact, and cut to a rank.

The sum of c * alpha / r * B A over adapters is [B1 .. Bn] [s1 A1; ..; sn An], one product of a rank that grows with every
adapter. Cut, it is the nearest product of the given rank (Eckart and Young 1936). No torch in here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from agents.runtime.adapter import Adapter

FloatArray = npt.NDArray[np.float32]


def side_by_side(adapters: Sequence[tuple[Adapter, float]], meta: Mapping[str, Any]) -> Adapter:
    """One adapter whose delta is the sum of coefficient times delta, up to float32 rounding of the scale.

    Its alpha is its rank, so that readers multiply by 1. Modules of fewer adapters are filled up with zeros: PEFT's and
    vLLM's readers know one rank for all. Raises ValueError without adapters.
    """
    if not adapters:
        raise ValueError("nothing to lay side by side")
    names = sorted({name for adapter, _ in adapters for name in adapter.modules})
    joined = {name: joined_factors(adapters, name) for name in names}
    rank = max(a.shape[0] for a, _ in joined.values())
    modules = {name: (filled(a, rank, 0), filled(b, rank, 1)) for name, (a, b) in joined.items()}
    return Adapter(adapters[0][0].base_hash, rank, float(rank), modules, meta)


def joined_factors(adapters: Sequence[tuple[Adapter, float]], name: str) -> tuple[FloatArray, FloatArray]:
    """A and B of one module, of all adapters that have it; coefficients and scales are in A."""
    parts = [(adapter, c) for adapter, c in adapters if name in adapter.modules]
    scaled = [np.float32(c * adapter.alpha / adapter.rank) * adapter.modules[name][0] for adapter, c in parts]
    return np.concatenate(scaled), np.concatenate([adapter.modules[name][1] for adapter, _ in parts], axis=1)


def filled(factor: FloatArray, rank: int, axis: int) -> FloatArray:
    """The factor with zeros behind it up to that rank along `axis`."""
    missing = [(0, 0), (0, 0)]
    missing[axis] = (0, rank - factor.shape[axis])
    return np.pad(factor, missing)


def cut(adapter: Adapter, rank: int) -> tuple[Adapter, float, float]:
    """The nearest adapter of at most this rank; the squared Frobenius norm that is gone, and that of the whole."""
    if rank < 1:
        raise ValueError(f"rank {rank} is not 1 or more")
    if adapter.rank <= rank:
        return (
            adapter,
            0.0,
            sum(square_norm(*factors, adapter.alpha / adapter.rank) for factors in adapter.modules.values()),
        )
    modules, gone, whole = {}, 0.0, 0.0
    for name, (a, b) in adapter.modules.items():
        left, values, right = _singular(a, b, adapter.alpha / adapter.rank)
        root = np.sqrt(values[:rank])
        cut_a, cut_b = root[:, None] * right[:rank], left[:, :rank] * root
        modules[name] = (
            filled(cut_a.astype(np.float32), rank, 0),
            filled(cut_b.astype(np.float32), rank, 1),
        )
        gone += float(np.square(values[rank:]).sum())
        whole += float(np.square(values).sum())
    return Adapter(adapter.base_hash, rank, float(rank), modules, adapter.meta), gone, whole


def square_norm(a: FloatArray, b: FloatArray, scale: float) -> float:
    """Squared Frobenius norm of scale * B A, from the factors' own products."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    return float(scale**2 * ((b.T @ b) * (a @ a.T)).sum())


def _singular(a: FloatArray, b: FloatArray, scale: float) -> tuple[Any, Any, Any]:
    """Singular value decomposition of scale * B A in float64, by way of its factors' triangles: never the full matrix."""
    q_b, r_b = np.linalg.qr(b.astype(np.float64))
    q_a, r_a = np.linalg.qr(a.astype(np.float64).T)
    left, values, right = np.linalg.svd(scale * (r_b @ r_a.T), full_matrices=False)
    return q_b @ left, values, right @ q_a.T
