"""Choosing the next token from logits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch


@dataclass(frozen=True, slots=True)
class Sampling:
    """How text is drawn. `temperature` 0 is greedy. Filters apply in the order of the fields."""

    max_new_tokens: int = 128
    repetition_penalty: float = 1.0  # > 1 makes tokens of the last `penalty_window` less likely
    penalty_window: int = 64
    temperature: float = 0.7
    top_k: int = 0  # 0: all
    min_p: float = 0.05  # share of the likeliest token's probability below which a token is never drawn
    top_p: float = 1.0
    seed: int = 0

    def generator(self) -> torch.Generator:
        return torch.Generator().manual_seed(self.seed)


def next_token(
    logits_V: torch.Tensor, sampling: Sampling, recent: Sequence[int], generator: torch.Generator
) -> int:
    """Draw one token id from float logits of shape (V,)."""
    logits = _penalise(logits_V.float().cpu(), sampling, recent)
    if sampling.temperature <= 0:
        return int(logits.argmax())
    probabilities = _filter(torch.softmax(logits / sampling.temperature, dim=-1), sampling)
    return int(torch.multinomial(probabilities, 1, generator=generator))


def _penalise(logits: torch.Tensor, sampling: Sampling, recent: Sequence[int]) -> torch.Tensor:
    """Divide positive, multiply negative logits of recent tokens (Keskar et al. 2019, arXiv:1909.05858, eq. 2)."""
    window = list(recent[-sampling.penalty_window :]) if sampling.penalty_window else []
    if sampling.repetition_penalty == 1.0 or not window:
        return logits
    ids = torch.tensor(sorted(set(window)))
    seen = logits[ids]
    logits = logits.clone()
    logits[ids] = torch.where(
        seen > 0, seen / sampling.repetition_penalty, seen * sampling.repetition_penalty
    )
    return logits


def _filter(probabilities: torch.Tensor, sampling: Sampling) -> torch.Tensor:
    if sampling.top_k > 0:
        floor = probabilities.topk(min(sampling.top_k, probabilities.numel())).values[-1]
        probabilities = probabilities.where(probabilities >= floor, 0.0)
    if sampling.min_p > 0:
        probabilities = probabilities.where(probabilities >= sampling.min_p * probabilities.max(), 0.0)
    if sampling.top_p < 1:
        ordered, order = probabilities.sort(descending=True)
        before = ordered.cumsum(-1) - ordered
        kept = ordered.where(before < sampling.top_p * ordered.sum(), 0.0)
        probabilities = torch.zeros_like(probabilities).scatter(0, order, kept)
    return probabilities
