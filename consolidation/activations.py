"""Residuals of many texts, read a chunk at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from consolidation.stage import Progress
from memory.ports import FloatMatrix


def in_chunks(
    read: Callable[[Sequence[str]], tuple[FloatMatrix, FloatMatrix]],
    texts: Sequence[str],
    chunk: int,
    progress: Progress,
) -> tuple[FloatMatrix, FloatMatrix]:
    """Activations (N, L, D) of the texts, of which there must be one, and the mean over them of what `read` gives as
    their mean residual norms (L,). Progress is told before each chunk."""
    parts, norms = [], []
    for start in range(0, len(texts), chunk):
        progress(start, len(texts))
        acts_NLD, norms_L = read(texts[start : start + chunk])
        parts.append(acts_NLD)
        norms.append(norms_L * len(acts_NLD))
    return np.concatenate(parts), np.asarray(np.sum(norms, axis=0) / len(texts), dtype=np.float32)
