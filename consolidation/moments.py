"""Count, sum and second moment of activations: all that a direction needs to know of the texts it was made from.

Moments of two sets of texts add up, so directions can be kept current without a pass over old examples: keep one
`Moments` per concept for its positives and one for its negatives (without second moments), and one for all texts
together (with them), add tonight's to each, and give them to `readouts.directions_from`.
Letters: N text, L layer, D hidden, K concept. float64 throughout; numpy only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from memory.ports import FloatMatrix

Sums = npt.NDArray[np.float64]
LEAST_SHARE = (
    0.85  # the best estimate reads worse: small variances blow up what means of few texts err by (ADR 40)
)


@dataclass(frozen=True, slots=True)
class Moments:
    """Of `count` texts. `first_LD / count` is their mean; `second_LDD` is None where nobody needs a covariance."""

    count: int
    first_LD: Sums  # sum of x
    second_LDD: Sums | None = None  # sum of x xᵀ

    @classmethod
    def of(cls, acts_NLD: FloatMatrix, *, with_second: bool = False) -> Moments:
        """Of these texts. Activations may be float32; sums are float64."""
        first = acts_NLD.sum(axis=0, dtype=np.float64)
        if not with_second:
            return cls(len(acts_NLD), first)
        layers = [np.asarray(acts_NLD[:, k], dtype=np.float64) for k in range(acts_NLD.shape[1])]
        return cls(len(acts_NLD), first, np.stack([acts_ND.T @ acts_ND for acts_ND in layers]))

    def __add__(self, other: Moments) -> Moments:
        """Of both sets of texts. Second moments are kept where both have them."""
        return Moments(self.count + other.count, self.first_LD + other.first_LD, _both(self, other, sign=1))

    def __sub__(self, other: Moments) -> Moments:
        """Of the texts that are left when `other`, a part of these, is taken out: a fold, or what is erased."""
        return Moments(self.count - other.count, self.first_LD - other.first_LD, _both(self, other, sign=-1))

    @property
    def mean_LD(self) -> Sums:
        """Zero where there is no text."""
        return self.first_LD / max(1, self.count)

    def covariance_DD(self, layer: int) -> Sums:
        """Around the mean, of the layer with that index in `first_LD`. Raises ValueError without second moments."""
        if self.second_LDD is None:
            raise ValueError("these moments were made without second moments; make them with_second=True")
        mean_D = self.mean_LD[layer]
        centred: Sums = self.second_LDD[layer] / max(1, self.count) - np.outer(mean_D, mean_D)
        return centred


def _both(one: Moments, other: Moments, *, sign: int) -> Sums | None:
    if one.second_LDD is None or other.second_LDD is None:
        return None
    return one.second_LDD + sign * other.second_LDD


def differences(positive: Sequence[Moments], negative: Sequence[Moments]) -> FloatMatrix:
    """mean(positive) - mean(negative) per layer and concept, (L, K, D); zero where either side has no text."""
    rows = [
        plus.mean_LD - minus.mean_LD if plus.count and minus.count else np.zeros_like(plus.mean_LD)
        for plus, minus in zip(positive, negative, strict=True)
    ]
    return np.stack(rows, axis=1).astype(np.float32)


def whitened(
    differences_LKD: FloatMatrix, everything: Moments, least_share: float = LEAST_SHARE
) -> tuple[FloatMatrix, tuple[float, ...]]:
    """Fisher's directions Σ⁻¹ (μ₊ - μ₋) and how much Σ was shrunk at each layer.

    Σ is the covariance of all texts, which for one concept against the rest gives the direction that the covariance
    within the classes gives (they differ by a multiple of the difference's outer product).
    """
    directions, shares = [], []
    for layer, difference_KD in enumerate(differences_LKD):
        scale_D, correlation_DD, share = shrunk(
            everything.covariance_DD(layer), everything.count, least_share
        )
        solved_DK = np.linalg.solve(correlation_DD, (difference_KD / scale_D).T.astype(np.float64))
        directions.append((solved_DK.T / scale_D).astype(np.float32))
        shares.append(share)
    return np.stack(directions), tuple(shares)


def shrunk(covariance_DD: Sums, count: int, least_share: float = LEAST_SHARE) -> tuple[Sums, Sums, float]:
    """Standard deviations (D,), the correlations shrunk towards none, and by which share in [0, 1].

    The share is at least `least_share`, and the oracle approximating one where that is more (Chen, Wiesel, Eldar, Hero
    2010, https://arxiv.org/abs/0907.4698, equation 23). Of correlations, because a few dimensions of a residual stream
    have a thousandfold variance and would make the mean variance, to which the paper shrinks, one that fits no other.
    """
    n_dims = len(covariance_DD)
    variance_D = np.diag(covariance_DD)
    floor = 1e-8 * max(float(variance_D.mean()), 1e-12)
    scale_D = np.sqrt(np.maximum(variance_D, floor))
    correlation: Sums = covariance_DD / np.outer(scale_D, scale_D)
    squares = float(np.square(correlation).sum())
    share = max(least_share, _oas(squares, n_dims, count))
    mixed = (1 - share) * correlation + share * np.eye(n_dims)
    return scale_D, mixed, share


def _oas(squares: float, n_dims: int, count: int) -> float:
    """tr(S²) = squares, tr(S) = n_dims."""
    above = (1 - 2 / n_dims) * squares + n_dims**2
    below = (count + 1 - 2 / n_dims) * (squares - n_dims)
    return float(min(1.0, above / below)) if below > 0 else 1.0
