"""APOLLO and APOLLO-Mini, written from algorithm 1 of Zhu et al. 2024 (arXiv:2412.05270): Adam's state at a small rank.

Of a matrix W with gradient G, turned so that G is (m, n) with m <= n: R = P G is the gradient seen through a random
projection P (r, m) with entries of variance 1 / r, drawn anew every `refresh` steps. Adam's moments are kept of R alone, 2 r n
numbers instead of 2 m n, and give R~ = M / (sqrt(V) + eps). How much longer R~ is than R, per column (APOLLO) or over all (Mini), is
the factor by which G itself is scaled:

    W <- W - lr * alpha * G diag(s) - lr * decay * W,   s_j = |R~_j| / |R_j|

and the norm of what is subtracted may grow by at most `growth` from one step to the next (the norm-growth limiter). So moments
decide how far each column goes and never where to: a column's step is its gradient times a number that is not negative.

A rank of at least m takes G itself for R; that is AdamW with one rate per column. Only matrices are trained here.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from consolidation.errors import StateUnfit
from consolidation.trainer.lora import LoraFactors
from consolidation.trainer.optimizer import BETAS, EPS
from memory.whole import whole_file

Matrices = Mapping[str, torch.Tensor]
_LEAST_SQUARE = 1e-30  # a smaller mean square is no gradient: its share in the second moment would vanish
_STATE = ("first", "second", "norm")  # the tensors of a matrix


@dataclass(frozen=True, slots=True)
class ApolloSettings:
    """`scale`: alpha; None is sqrt(m / r), with which a step is about as long as AdamW's at the same rate.

    R~ has r entries of about 1 in a column where AdamW's has m, while |R_j| is about |G_j|: hence the root.
    """

    rank: int = 8
    scaling: str = "channel"  # channel: APOLLO | tensor: APOLLO-Mini
    scale: float | None = None
    growth: float = 1.01  # gamma; math.inf: no limit
    refresh: int = 200  # T, steps
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        if self.scaling not in ("channel", "tensor"):
            raise ValueError(f"scaling {self.scaling!r} is not one of channel, tensor")
        if self.rank < 1 or self.refresh < 1 or self.growth <= 0:
            raise ValueError("rank, refresh and growth are positive")

    def alpha(self, m: int) -> float:
        """The factor for a matrix whose smaller dimension is `m`."""
        return math.sqrt(max(1.0, m / self.rank)) if self.scale is None else self.scale


MINI = ApolloSettings(rank=1, scaling="tensor")


@dataclass
class Moments:
    """Of one matrix: Adam's moments of R, both (r, n), and the norm () of the last scaled gradient; all float32."""

    first: torch.Tensor
    second: torch.Tensor
    norm: torch.Tensor
    count: int = 0
    is_primed: bool = False

    def advance(self, low: torch.Tensor) -> None:
        self.count += 1
        self.first.lerp_(low, 1 - BETAS[0])
        self.second.mul_(BETAS[1]).addcmul_(low, low, value=1 - BETAS[1])

    def fit(self, low: torch.Tensor) -> None:
        """Bring primed moments to the size of the first gradient that is followed; their proportions stay."""
        size = math.sqrt(float(self.second.mean()) / (1 - BETAS[1] ** self.count))
        ratio = float(low.square().mean().sqrt()) / size
        if ratio > 0:
            self.first.mul_(ratio)
            self.second.mul_(ratio**2)
            self.is_primed = False

    def direction(self) -> torch.Tensor:
        """R~, with Adam's correction for moments that began at zero."""
        root = self.second.div(1 - BETAS[1] ** self.count).sqrt_().add_(EPS)
        return self.first.div(1 - BETAS[0] ** self.count).div_(root)


class Apollo:
    """Optimiser of named matrices. Same seed, names and gradients give the same bits; projections are never stored."""

    def __init__(self, weights: Matrices, settings: ApolloSettings, seed: int) -> None:
        """`weights` are updated in place by `update`."""
        for name, weight in weights.items():
            if weight.ndim != 2:
                raise ValueError(f"{name} has {weight.ndim} dimensions; APOLLO scales columns of matrices")
        self.settings = settings
        self.seed = seed
        self.step = 0
        self._weights = dict(weights)
        self.moments = {name: self._zeros(_wide(weight)) for name, weight in weights.items()}

    def _zeros(self, wide: torch.Tensor) -> Moments:
        shape = (min(self.settings.rank, wide.shape[0]), wide.shape[1])
        first = torch.zeros(shape, device=wide.device)
        return Moments(first, torch.zeros_like(first), torch.zeros((), device=wide.device))

    @torch.no_grad()
    def prime(self, gradients: Matrices) -> None:
        """Take a gradient into the moments and move no weight. Before the first update only.

        What was primed gets the size of the first gradient of `update`, matrix by matrix: a loss of another scale may prime. A
        matrix without gradient (LoRA's A while B is zero) stays cold. Gradients that are not finite are passed over.
        """
        if self.step:
            raise ValueError("moments are primed before the first update")
        if not math.isfinite(self._norm(gradients)):
            return
        for name, moments in self.moments.items():
            low = self._project(name, _wide(gradients[name]).float())
            if float(low.square().mean()) > _LEAST_SQUARE:
                moments.advance(low)
                moments.is_primed = True

    @torch.no_grad()
    def update(self, gradients: Matrices, lr: float) -> float:
        """One step in place; returns the norm of all gradients. Where that is not finite nothing changes."""
        norm = self._norm(gradients)
        if not math.isfinite(norm):
            return norm
        for name, weight in self._weights.items():
            wide = _wide(weight)
            change = self._scaled(name, _wide(gradients[name]).float())
            if self.settings.weight_decay:
                wide.mul_(1 - lr * self.settings.weight_decay)
            wide.add_(change, alpha=-lr * self.settings.alpha(wide.shape[0]))
        self.step += 1
        return norm

    def _norm(self, gradients: Matrices) -> float:
        norms = [torch.linalg.vector_norm(gradients[name].float()) for name in self._weights]
        return float(torch.stack(norms).norm())

    def _scaled(self, name: str, gradient: torch.Tensor) -> torch.Tensor:
        """G diag(s), limited in its growth."""
        moments, low = self.moments[name], self._project(name, gradient)
        if moments.is_primed:
            moments.fit(low)
        moments.advance(low)
        dim = 0 if self.settings.scaling == "channel" else None
        length = torch.linalg.vector_norm(low, dim=dim)
        factor = torch.linalg.vector_norm(moments.direction(), dim=dim) / length
        scaled = gradient * torch.where(length > 0, factor, 0.0)
        norm = torch.linalg.vector_norm(scaled)
        limit = torch.where(moments.norm > 0, self.settings.growth * moments.norm, math.inf)
        moments.norm = torch.minimum(norm, limit)  # after a step of nothing there is nothing to grow from
        return torch.where(norm > limit, scaled * (limit / norm), scaled)

    def _project(self, name: str, wide: torch.Tensor) -> torch.Tensor:
        m = wide.shape[0]
        if self.settings.rank >= m:
            return wide
        return self.projection(name, m).to(wide.device) @ wide

    def projection(self, name: str, m: int) -> torch.Tensor:
        """P (r, m) of a matrix at the present step, a function of seed, name and how often it was drawn anew."""
        key = f"{self.seed} {name} {self.step // self.settings.refresh}"
        number = int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "little") >> 1
        generator = torch.Generator().manual_seed(number)
        return torch.randn(self.settings.rank, m, generator=generator) / math.sqrt(self.settings.rank)

    # ---- state

    def save(self, file: Path) -> None:
        """All state but the weights, in one file, replaced by one rename."""
        notes = {
            **self._identity(),
            "step": self.step,
            "matrices": {name: [m.count, m.is_primed] for name, m in self.moments.items()},
        }
        tensors = {
            f"{name}.{part}": getattr(moments, part).cpu().contiguous()
            for name, moments in self.moments.items()
            for part in _STATE
        }
        with whole_file(file) as part:
            save_file(tensors, part, metadata={"notes": json.dumps(notes)})

    def restore(self, file: Path) -> None:
        """Go on from what `save` wrote, to the bit. Raises StateUnfit and changes nothing where it is of something else."""
        try:
            with safe_open(file, framework="pt") as opened:
                notes = json.loads(opened.metadata()["notes"])
                if {key: notes[key] for key in self._identity()} != self._identity():
                    raise StateUnfit(file.name, "it has other settings or another seed")
                if set(notes["matrices"]) != set(self.moments):
                    raise StateUnfit(file.name, "it is of other matrices")
                loaded = {
                    name: Moments(
                        *(opened.get_tensor(f"{name}.{part}") for part in _STATE),
                        *notes["matrices"][name],
                    )
                    for name in self.moments
                }
        except (OSError, SafetensorError, KeyError, ValueError, TypeError) as error:
            raise StateUnfit(file.name, f"{type(error).__name__} while reading it") from error
        for name, moments in loaded.items():
            if moments.first.shape != self.moments[name].first.shape:
                raise StateUnfit(file.name, f"{name} has another shape")
        for name, moments in loaded.items():
            for part in _STATE:
                setattr(moments, part, getattr(moments, part).to(self.moments[name].first.device))
        self.moments, self.step = loaded, int(notes["step"])

    def _identity(self) -> dict[str, object]:
        return {"settings": asdict(self.settings), "seed": self.seed}


def _wide(matrix: torch.Tensor) -> torch.Tensor:
    """A view with at least as many columns as rows: columns are the channels."""
    return matrix if matrix.shape[0] <= matrix.shape[1] else matrix.t()


def factor_matrices(factors: LoraFactors, flat: torch.Tensor) -> dict[str, torch.Tensor]:
    """Views of every A and B in a vector laid out like `factors.flat`: that vector or its gradient."""
    return {
        f"{name}.{letter}": factor
        for name, pair in factors.named(flat).items()
        for letter, factor in zip("AB", pair, strict=True)
    }
