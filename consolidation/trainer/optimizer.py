"""AdamW on one flat vector (Loshchilov and Hutter 2017, arXiv:1711.05101, algorithm 2), without weight decay.

B factors start at zero and A factors small; decay on them pulls towards the base, which the KL term does better.
Written out so that its whole state is two tensors and a count.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

BETAS = (0.9, 0.98)
EPS = 1e-8
MAX_NORM = 1.0


@dataclass
class Adam:
    first: torch.Tensor
    second: torch.Tensor
    count: int = 0

    @classmethod
    def zeros_like(cls, flat: torch.Tensor) -> Adam:
        return cls(torch.zeros_like(flat), torch.zeros_like(flat))

    @torch.no_grad()
    def update(self, flat: torch.Tensor, gradient: torch.Tensor, lr: float) -> float:
        """One step in place, gradient clipped to MAX_NORM; returns the norm before clipping."""
        norm = float(torch.linalg.vector_norm(gradient))
        if norm > MAX_NORM:
            gradient.mul_(MAX_NORM / norm)
        self.count += 1
        self.first.lerp_(gradient, 1 - BETAS[0])
        self.second.mul_(BETAS[1]).addcmul_(gradient, gradient, value=1 - BETAS[1])
        corrected = self.second.div(1 - BETAS[1] ** self.count).sqrt_().add_(EPS)
        flat.addcdiv_(self.first, corrected, value=-lr / (1 - BETAS[0] ** self.count))
        return norm
