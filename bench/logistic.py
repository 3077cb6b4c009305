"""A logistic regression per label on the same features: what a linear reader of them reaches at most.

All labels at once by L-BFGS on standardised features, with a ridge whose weight a held-out fifth chooses. numpy and
scipy. Letters: N text, D feature, K label.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import minimize
from threadpoolctl import threadpool_limits

from consolidation.readouts import auroc
from memory.ports import FloatMatrix

RIDGES = (30.0, 300.0, 3000.0)  # against the summed log loss of all texts
MAX_STEPS = 120


@dataclass(frozen=True, slots=True)
class Regression:
    mean_D: FloatMatrix
    spread_D: FloatMatrix
    weights_DK: FloatMatrix
    bias_K: FloatMatrix

    def scores(self, features_ND: FloatMatrix) -> FloatMatrix:
        """Logits (N, K)."""
        return np.asarray((features_ND - self.mean_D) / self.spread_D @ self.weights_DK + self.bias_K)


def fit_best(features_ND: FloatMatrix, targets_NK: FloatMatrix, seed: int) -> tuple[Regression, float]:
    """The regression on all texts, and the ridge that read a held-out fifth best."""
    order = np.random.default_rng(seed).permutation(len(features_ND))
    held, rest = order[: len(order) // 5], order[len(order) // 5 :]

    def held_out(ridge: float) -> float:
        found = fit(features_ND[rest], targets_NK[rest], ridge * len(rest) / len(order))
        return macro(found.scores(features_ND[held]), targets_NK[held])

    best = max(RIDGES, key=held_out)
    return fit(features_ND, targets_NK, best), best


def fit(features_ND: FloatMatrix, targets_NK: FloatMatrix, ridge: float) -> Regression:
    mean, spread = features_ND.mean(axis=0), np.maximum(features_ND.std(axis=0), 1e-6)
    rows = ((features_ND - mean) / spread).astype(np.float32)
    shape = (rows.shape[1] + 1, targets_NK.shape[1])

    def loss(flat: Any) -> tuple[float, Any]:
        parameters = flat.reshape(shape)
        logits = rows @ parameters[:-1].astype(np.float32) + parameters[-1]
        error = 1 / (1 + np.exp(-logits)) - targets_NK
        gradient = np.vstack(
            [rows.T @ error.astype(np.float32) + ridge * parameters[:-1], error.sum(axis=0)[None]]
        )
        log_loss = np.logaddexp(0, logits).sum() - (logits * targets_NK).sum()
        return float(log_loss + ridge / 2 * np.square(parameters[:-1]).sum()), gradient.ravel()

    share = np.clip(targets_NK.mean(axis=0), 1e-4, 1 - 1e-4)
    start = np.zeros(shape)
    start[-1] = np.log(share / (1 - share))
    with threadpool_limits(
        limits=1
    ):  # more of them wait for each other by spinning wherever another program runs
        found = minimize(loss, start.ravel(), jac=True, method="L-BFGS-B", options={"maxiter": MAX_STEPS})
    weights = found.x.reshape(shape).astype(np.float32)
    return Regression(mean, spread, weights[:-1], weights[-1])


def aurocs(scores_NK: FloatMatrix, targets_NK: FloatMatrix) -> list[float | None]:
    """Per label; None where the texts have it all or none of them."""
    found: list[float | None] = []
    for scores, target in zip(scores_NK.T, targets_NK.T, strict=True):
        has = target > 0
        found.append(auroc(scores[has], scores[~has]) if has.any() and not has.all() else None)
    return found


def macro(scores_NK: FloatMatrix, targets_NK: FloatMatrix) -> float:
    return mean_of(aurocs(scores_NK, targets_NK))


def mean_of(values: Sequence[float | None]) -> float:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else float("nan")
