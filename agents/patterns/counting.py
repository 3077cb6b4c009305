"""Is a behaviour more frequent in one kind of moment than in others? The test, and its correction for many questions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt


def fisher_greater(k_when: int, n_when: int, k_else: int, n_else: int) -> float:
    """P of at least `k_when` of `n_when` under no difference, the margins given (hypergeometric)."""
    from scipy.stats import hypergeom

    return float(hypergeom.sf(k_when - 1, n_when + n_else, k_when + k_else, n_when))


def corrected(ps: Sequence[float]) -> list[float]:
    """Benjamini and Hochberg's q values, in the order of the p values."""
    p_U: npt.NDArray[np.float64] = np.asarray(ps, np.float64)
    if not len(p_U):
        return []
    order = np.argsort(p_U)
    scaled = p_U[order] * len(p_U) / np.arange(1, len(p_U) + 1)
    q_U = np.empty_like(p_U)
    q_U[order] = np.minimum.accumulate(scaled[::-1])[::-1]
    return [float(q) for q in np.minimum(q_U, 1.0)]
