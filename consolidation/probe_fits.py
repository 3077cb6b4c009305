"""Linear classifiers on activations of one layer: mass-mean, mass-mean with covariance, logistic, and truth in two dimensions.

Each is a few unit directions with coefficients and a bias: the logit of "yes" is the weighted sum of the projections.
Letters: N text, D hidden, K direction. numpy and scipy only; which layer, and whether it is any good, is
`probe_training`'s matter.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize, minimize_scalar

from memory.ports import FloatMatrix

MASS_MEAN, CORRECTED, LOGISTIC, TWO_D = "mass-mean", "mass-mean-covariance", "logistic", "two-d"
RIDGE = 1.0  # weight of half the squared length of the weights, against the summed log loss
_STEEPEST = 4.0  # bound on the logarithm of the factor by which logits are scaled

Flags = npt.NDArray[np.bool_]  # (N,)
Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Linear:
    """`directions`: unit rows. The logit is `coefficients` @ (`directions` @ x) + `bias`."""

    directions_KD: FloatMatrix
    coefficients: tuple[float, ...]  # K
    bias: float

    def logits(self, acts_ND: FloatMatrix) -> Array:
        projections_NK = acts_ND.astype(np.float64) @ self.directions_KD.T.astype(np.float64)
        return np.asarray(projections_NK @ np.array(self.coefficients) + self.bias)

    def scaled(self, factor: float) -> Linear:
        """The same decisions with logits that many times as large."""
        return replace(
            self, coefficients=tuple(factor * one for one in self.coefficients), bias=factor * self.bias
        )


Fit = Callable[[FloatMatrix, Flags, Flags], Linear]


def mass_mean(acts_ND: FloatMatrix, is_yes: Flags, _is_negated: Flags) -> Linear:
    """The difference of the class means, cut at their middle (https://arxiv.org/abs/2310.06824, section 4.1)."""
    yes, no = _means(acts_ND, is_yes)
    return _through(yes - no, (yes + no) / 2)


def corrected(acts_ND: FloatMatrix, is_yes: Flags, _is_negated: Flags) -> Linear:
    """The same, tilted by the inverse covariance within the classes (there, section 4.1: for texts of the same kind).

    The covariance is shrunk towards a multiple of the identity, since there are fewer texts than dimensions
    (Ledoit and Wolf 2004, https://doi.org/10.1016/S0047-259X(03)00096-4).
    """
    yes, no = _means(acts_ND, is_yes)
    centred_ND = acts_ND.astype(np.float64) - np.where(is_yes[:, None], yes, no)
    tilted = np.asarray(np.linalg.solve(shrunk_covariance(centred_ND), yes - no), dtype=np.float64)
    return _through(tilted, (yes + no) / 2)


def logistic(acts_ND: FloatMatrix, is_yes: Flags, _is_negated: Flags) -> Linear:
    """Logistic regression on standardised dimensions, with a ridge on the weights."""
    mean = acts_ND.mean(axis=0, dtype=np.float64)
    spread = acts_ND.std(axis=0, dtype=np.float64)
    spread[spread < 1e-6] = 1.0
    rows_ND = (acts_ND - mean) / spread
    # in the coordinates of the rows' own span the ridge is the same and there are no more numbers than rows
    left_NN, lengths, right_ND = np.linalg.svd(rows_ND, full_matrices=False)
    weights, bias = _regress(left_NN * lengths, is_yes)
    weights_D = (right_ND.T @ weights) / spread
    return _unit(weights_D, bias - float(weights_D @ mean))


def two_d(acts_ND: FloatMatrix, is_yes: Flags, is_negated: Flags) -> Linear:
    """Truth, and how affirmed and negated differ: two directions, and the line that parts them (TTPD,
    https://arxiv.org/abs/2407.12831).

    Activations about the mean of their polarity are taken as truth (+1, -1) times a general direction plus truth times
    polarity times another, by least squares; the first of these is kept, so that what flips with a "not" is not in it.
    Beside it stands the direction that tells the polarities apart.
    """
    truth, polarity = np.where(is_yes, 1.0, -1.0), np.where(is_negated, -1.0, 1.0)
    centred_ND = acts_ND.astype(np.float64)
    for side in np.unique(is_negated):
        centred_ND[is_negated == side] -= centred_ND[is_negated == side].mean(axis=0)
    design_N2 = np.stack([truth, truth * polarity], axis=1)
    (towards_truth, _), *_ = np.linalg.lstsq(design_N2, centred_ND, rcond=None)
    negation = logistic(acts_ND, ~is_negated, is_negated)
    directions = np.stack([towards_truth / max(_length(towards_truth), 1e-12), negation.directions_KD[0]])
    projections_N2 = acts_ND @ directions.T
    mean, spread = projections_N2.mean(axis=0), np.maximum(projections_N2.std(axis=0), 1e-6)
    weights, bias = _regress((projections_N2 - mean) / spread, is_yes)
    return Linear(
        directions.astype(np.float32),
        tuple(map(float, weights / spread)),
        bias - float(weights / spread @ mean),
    )


FITS: Mapping[str, Fit] = {MASS_MEAN: mass_mean, CORRECTED: corrected, LOGISTIC: logistic, TWO_D: two_d}


def cells(is_yes: Flags, is_negated: Flags) -> tuple[int, int, int, int]:
    """How many affirmed true, affirmed false, negated true and negated false statements there are."""
    return (
        int((is_yes & ~is_negated).sum()),
        int((~is_yes & ~is_negated).sum()),
        int((is_yes & is_negated).sum()),
        int((~is_yes & is_negated).sum()),
    )


def shrunk_covariance(centred_ND: Array) -> Array:
    """The covariance of rows about 0, moved towards a multiple of the identity by the amount that Ledoit and Wolf estimate."""
    n, dims = centred_ND.shape
    sample = centred_ND.T @ centred_ND / n
    mean_variance = float(np.trace(sample)) / dims
    apart = float(((sample - mean_variance * np.eye(dims)) ** 2).sum())
    noise = (float(((centred_ND**2).sum(axis=1) ** 2).sum()) / n - float((sample**2).sum())) / n
    share = min(1.0, max(noise, 0.0) / apart) if apart > 0 else 1.0
    floor = 1e-9 + 1e-6 * mean_variance
    return np.asarray((1 - share) * sample + (share * mean_variance + floor) * np.eye(dims))


def steepness(logits_N: Array, is_yes: Flags) -> float:
    """The factor that makes held-out logits probabilities; the decisions stay as they are (Platt scaling without a shift)."""
    signed = np.where(is_yes, logits_N, -logits_N)

    def loss(log_factor: float) -> float:
        return float(np.logaddexp(0.0, -np.exp(log_factor) * signed / typical).mean())

    typical = float(np.abs(logits_N).mean()) or 1.0
    found = minimize_scalar(loss, bounds=(-_STEEPEST, _STEEPEST), method="bounded")
    return float(np.exp(found.x)) / typical


def _regress(rows_NK: Array, is_yes: Flags) -> tuple[Array, float]:
    """Weights and bias that minimise the summed log loss and the ridge; the bias bears none."""
    sign = np.where(is_yes, 1.0, -1.0)

    def loss(parameters: Array) -> tuple[float, Array]:
        weights, bias = parameters[:-1], parameters[-1]
        margin = sign * (rows_NK @ weights + bias)
        pull = -sign * np.exp(-np.logaddexp(0.0, margin))  # of each row on its logit
        gradient = np.append(rows_NK.T @ pull + RIDGE * weights, pull.sum())
        return float(np.logaddexp(0.0, -margin).sum() + RIDGE / 2 * weights @ weights), gradient

    found: Any = minimize(
        loss, np.zeros(rows_NK.shape[1] + 1), jac=True, method="L-BFGS-B", options={"maxiter": 500}
    )
    return np.asarray(found.x[:-1]), float(found.x[-1])


def _means(acts_ND: FloatMatrix, is_yes: Flags) -> tuple[Array, Array]:
    return acts_ND[is_yes].mean(axis=0, dtype=np.float64), acts_ND[~is_yes].mean(axis=0, dtype=np.float64)


def _through(normal: Array, point: Array) -> Linear:
    return _unit(normal, -float(normal @ point))


def _unit(weights: Array, bias: float) -> Linear:
    length = max(_length(weights), 1e-12)
    return Linear((weights / length)[None].astype(np.float32), (length,), bias)


def _length(vector: Array) -> float:
    return float(np.linalg.norm(vector))
