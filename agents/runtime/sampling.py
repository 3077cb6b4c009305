"""Choosing the next token from logits: penalties for what came before, filters, and the draw.

All of it is per call and repeatable under a seed. What is drawn from is small after the filters, so the sort of
top-p and the draw itself work on the tokens that are left and not on the whole vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch

from agents.runtime.repeats import Breakers, Repeats
from agents.sampling import Sampling

_LEFT = 1024  # tokens among which top-p is looked for first


class Sampler:
    """Draws one text: holds the dice and what was drawn so far.

    `ids` came before; `history` is what must not be repeated, `ids` where it is not given. Tokens in `exempt` and breakers
    are never penalised: a reply may end, and a next message begin, as often as any other.
    """

    def __init__(
        self,
        sampling: Sampling,
        ids: Sequence[int],
        *,
        history: Sequence[int] | None = None,
        breakers: Breakers | None = None,
        exempt: frozenset[int] = frozenset(),
    ) -> None:
        self.sampling = sampling
        self._generator = torch.Generator().manual_seed(sampling.seed)
        self._breakers = breakers or Breakers()
        self._exempt = exempt
        past = ids if history is None else history
        self._recent = list(past[-sampling.penalty_window :]) if sampling.penalty_window else []
        self._repeats = None
        if sampling.dry_multiplier > 0:
            past = past[max(0, len(past) - sampling.dry_window) :]
            self._repeats = Repeats(past, self._breakers)

    def draw(self, logits_V: torch.Tensor) -> tuple[int, float]:
        """A token id from float logits of shape (V,), and the entropy of softmax(logits) in nats.

        The entropy is the model's own, before penalties, temperature and filters.
        """
        logits = logits_V.float().cpu()
        entropy = entropy_of(logits)
        token = self._choose(self._penalised(logits))
        self._recent.append(token)
        if self._repeats is not None:
            self._repeats.push(token)
        return token, entropy

    def _choose(self, logits: torch.Tensor) -> int:
        if self.sampling.temperature <= 0:
            return int(logits.argmax())
        tokens, weights = likely(torch.softmax(logits / self.sampling.temperature, dim=-1), self.sampling)
        return int(tokens[torch.multinomial(weights, 1, generator=self._generator)])

    def _penalised(self, logits: torch.Tensor) -> torch.Tensor:
        """Divide positive, multiply negative logits of recent tokens (Keskar et al. 2019, arXiv:1909.05858, eq. 2)."""
        how = self.sampling
        window = self._recent[-how.penalty_window :] if how.penalty_window else []
        if how.repetition_penalty != 1.0 and window:
            said = sorted(
                one for one in set(window) if one not in self._exempt and not self._breakers.is_one(one)
            )
            ids = torch.tensor(said, dtype=torch.long)
            seen = logits[ids]
            logits = logits.clone()
            logits[ids] = torch.where(seen > 0, seen / how.repetition_penalty, seen * how.repetition_penalty)
        if self._repeats is not None:
            tokens, lengths = self._repeats.continuations(how.dry_allowed_length)
            if len(tokens):
                logits = logits.clone()
                logits[torch.from_numpy(tokens)] -= torch.from_numpy(dry_penalties(lengths, how))
        return logits


def dry_penalties(lengths: npt.NDArray[np.int64], sampling: Sampling) -> npt.NDArray[np.float32]:
    """multiplier * base ** (length - allowed_length), no more than 1e4."""
    excess = np.minimum(lengths - sampling.dry_allowed_length, 64).astype(np.float64)
    return np.minimum(sampling.dry_multiplier * sampling.dry_base**excess, 1e4).astype(np.float32)


def entropy_of(logits_V: torch.Tensor) -> float:
    """Of softmax(logits), in nats; tokens at minus infinity have no part in it."""
    logprobs = torch.log_softmax(logits_V, dim=-1)
    return float(-(logprobs.exp() * logprobs.clamp(min=-1e4)).sum())


def likely(probabilities_V: torch.Tensor, sampling: Sampling) -> tuple[torch.Tensor, torch.Tensor]:
    """The tokens that top-k, min-p and top-p leave, with their probabilities (not renormalised), the likeliest first
    where top-p sorted them. At least one."""
    weights = probabilities_V
    floor = sampling.min_p * weights.max()
    if sampling.top_k > 0:
        floor = torch.maximum(floor, weights.topk(min(sampling.top_k, weights.numel())).values[-1])
    tokens = torch.nonzero((weights >= floor) & (weights > 0))[:, 0]
    weights = weights[tokens]
    if sampling.top_p >= 1:
        return tokens, weights
    n = min(_LEFT, len(tokens))
    limit = sampling.top_p * weights.sum()
    ordered, order = weights.topk(n)
    if n < len(tokens) and ordered.sum() < limit:
        ordered, order = weights.sort(descending=True, stable=True)
    is_kept = (ordered.cumsum(-1) - ordered) < limit
    is_kept[0] = True
    return tokens[order[is_kept]], ordered[is_kept]
