"""Linear classifiers on activations of one layer: mass-mean, mass-mean with covariance, logistic, and truth in two dimensions.

Each is a few unit directions with coefficients and a bias: the logit of "yes" is the weighted sum of the projections.
Letters: N text, D hidden, K direction. numpy and scipy only; which layer, and whether it is any good, is
`probe_training`'s matter.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from memory.ports import FloatMatrix

MASS_MEAN, CORRECTED, LOGISTIC, TWO_D = "mass-mean", "mass-mean-covariance", "logistic", "two-d"
RIDGE = 1.0  # weight of half the squared length of the weights, against the summed log loss
_MOST_STEPS = 50  # of Newton's; a dozen are usual
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
    return _through(solve_shrunk(centred_ND, yes - no), (yes + no) / 2)


def logistic(acts_ND: FloatMatrix, is_yes: Flags, _is_negated: Flags) -> Linear:
    """Logistic regression on standardised dimensions, with a ridge on the weights."""
    mean = acts_ND.mean(axis=0, dtype=np.float64)
    spread = acts_ND.std(axis=0, dtype=np.float64)
    spread[spread < 1e-6] = 1.0
    rows_ND = (acts_ND - mean) / spread
    rows_NR, span_RD = _in_own_span(rows_ND)
    weights, bias = _regress(rows_NR, is_yes)
    weights_D = (weights @ span_RD) / spread
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


def solve_shrunk(centred_ND: Array, vector_D: Array) -> Array:
    """The vector times the inverse covariance of rows about 0, that moved towards a multiple of the identity by the share
    that Ledoit and Wolf estimate. With fewer rows than dimensions no matrix of D by D is made (Woodbury's identity)."""
    n, dims = centred_ND.shape
    gram_NN = centred_ND @ centred_ND.T
    squares_N = np.diag(gram_NN)
    mean_variance = float(squares_N.sum()) / n / dims
    of_sample = float((gram_NN**2).sum()) / n**2  # squared length of the sample's covariance
    apart = of_sample - dims * mean_variance**2
    noise = (float((squares_N**2).sum()) / n - of_sample) / n
    share = min(1.0, max(noise, 0.0) / apart) if apart > 0 else 1.0
    floor = share * mean_variance + 1e-6 * mean_variance + 1e-12
    if n >= dims:
        covariance_DD = (1 - share) / n * (centred_ND.T @ centred_ND) + floor * np.eye(dims)
        return np.asarray(np.linalg.solve(covariance_DD, vector_D))
    inner_NN = floor * np.eye(n) + (1 - share) / n * gram_NN
    inside_N = np.linalg.solve(inner_NN, centred_ND @ vector_D)
    return np.asarray((vector_D - (1 - share) / n * centred_ND.T @ inside_N) / floor)


def steepness(logits_N: Array, is_yes: Flags) -> float:
    """The factor that makes held-out logits probabilities; the decisions stay as they are (Platt scaling without a shift)."""
    from scipy.optimize import minimize_scalar  # takes longer to load than what most callers do

    signed = np.where(is_yes, logits_N, -logits_N)

    def loss(log_factor: float) -> float:
        return float(np.logaddexp(0.0, -np.exp(log_factor) * signed / typical).mean())

    typical = float(np.abs(logits_N).mean()) or 1.0
    found = minimize_scalar(loss, bounds=(-_STEEPEST, _STEEPEST), method="bounded")
    return float(np.exp(found.x)) / typical


def _in_own_span(rows_ND: Array) -> tuple[Array, Array]:
    """The rows in coordinates of their span, and its orthonormal basis: a ridge is the same there, and the numbers are fewer."""
    n, dims = rows_ND.shape
    if n >= dims:
        return rows_ND, np.eye(dims)
    values_N, vectors_NN = np.linalg.eigh(rows_ND @ rows_ND.T)
    kept = values_N > 1e-9 * max(float(values_N[-1]), 1e-12)
    lengths_R, turns_NR = np.sqrt(values_N[kept]), vectors_NN[:, kept]
    return turns_NR * lengths_R, (turns_NR / lengths_R).T @ rows_ND


def _regress(rows_NK: Array, is_yes: Flags) -> tuple[Array, float]:
    """Weights and bias that minimise the summed log loss and the ridge, by Newton's steps; the bias bears no ridge."""
    sign = np.where(is_yes, 1.0, -1.0)
    design = np.column_stack([rows_NK, np.ones(len(rows_NK))])
    ridge = np.append(np.full(rows_NK.shape[1], RIDGE), 1e-6)

    def loss(parameters: Array) -> float:
        return float(np.logaddexp(0.0, -sign * (design @ parameters)).sum() + ridge @ parameters**2 / 2)

    found = np.zeros(design.shape[1])
    for _ in range(_MOST_STEPS):
        wrong = np.exp(-np.logaddexp(0.0, sign * (design @ found)))  # probability of the other label
        gradient = design.T @ (-sign * wrong) + ridge * found
        curvature = (design.T * (wrong * (1 - wrong))) @ design + np.diag(ridge)
        step, length = np.linalg.solve(curvature, gradient), 1.0
        while length > 1e-4 and loss(found - length * step) > loss(found):
            length /= 2
        found = found - length * step
        if float(np.abs(gradient).max()) < 1e-6:
            break
    return found[:-1], float(found[-1])


def _means(acts_ND: FloatMatrix, is_yes: Flags) -> tuple[Array, Array]:
    return acts_ND[is_yes].mean(axis=0, dtype=np.float64), acts_ND[~is_yes].mean(axis=0, dtype=np.float64)


def _through(normal: Array, point: Array) -> Linear:
    return _unit(normal, -float(normal @ point))


def _unit(weights: Array, bias: float) -> Linear:
    length = max(_length(weights), 1e-12)
    return Linear((weights / length)[None].astype(np.float32), (length,), bias)


def _length(vector: Array) -> float:
    return float(np.linalg.norm(vector))
