"""What decides and measures labels: thresholds of the best F1, F1 by label, and how sure true finds are.

Letters of shapes: N item, K label.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from memory.ports import FloatMatrix

CANDIDATES = np.linspace(0.04, 0.8, 77)  # thresholds that are tried
N_QUANTILES = 11


def best_thresholds(probabilities_NK: FloatMatrix, targets_NK: FloatMatrix) -> FloatMatrix:
    """Per label the threshold of the best F1, half counted and half expected.

    Rare labels have a handful of examples, on which the best count is luck; what the probabilities themselves lead to
    expect has no such noise. Smoothed over neighbouring thresholds.
    """
    wanted_NK = ((targets_NK + probabilities_NK) / 2).astype(np.float32)
    scores = np.stack([f1_per_label(probabilities_NK >= threshold, wanted_NK) for threshold in CANDIDATES])
    kernel = np.ones(5) / 5
    smooth = np.stack([np.convolve(np.pad(column, 2, mode="edge"), kernel, "valid") for column in scores.T])
    best: FloatMatrix = CANDIDATES[smooth.argmax(axis=1)].astype(np.float32)
    return best


def f1_per_label(predicted_NK: npt.NDArray[np.bool_], targets_NK: FloatMatrix) -> npt.NDArray[np.float64]:
    """2 TP / (predicted + actual) for each label; 0 where neither has any."""
    right = (predicted_NK * targets_NK).sum(axis=0)
    total = predicted_NK.sum(axis=0) + targets_NK.sum(axis=0)
    scores: npt.NDArray[np.float64] = 2 * right / np.maximum(total, 1)
    return scores


def quantiles(probabilities_NK: FloatMatrix, targets_NK: FloatMatrix, thresholds: FloatMatrix) -> FloatMatrix:
    """(K, 11): deciles of the probabilities of texts that have the label and pass its threshold."""
    rows = []
    for column, target, threshold in zip(probabilities_NK.T, targets_NK.T, thresholds, strict=True):
        found = column[(target > 0) & (column >= threshold)]
        values = found if len(found) >= 5 else np.linspace(threshold, 1, N_QUANTILES)
        rows.append(np.quantile(values, np.linspace(0, 1, N_QUANTILES)))
    return np.stack(rows).astype(np.float32)


def scores(
    predicted_NK: npt.NDArray[np.bool_], targets_NK: FloatMatrix, labels: Sequence[str]
) -> dict[str, Any]:
    """Macro F1 (mean over all labels, neutral among them, as in the paper), micro F1, and each label's F1."""
    per_label = f1_per_label(predicted_NK, targets_NK)
    right = float((predicted_NK * targets_NK).sum())
    return {
        "macro_f1": round(float(per_label.mean()), 4),
        "micro_f1": round(2 * right / max(1.0, float(predicted_NK.sum() + targets_NK.sum())), 4),
        "per_label": {label: round(float(f1), 4) for label, f1 in zip(labels, per_label, strict=True)},
        "n": len(targets_NK),
    }
