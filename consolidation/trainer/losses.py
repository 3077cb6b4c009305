"""Losses at supervised positions and their gradients with respect to the final hidden state, by hand.

Both losses are cross entropies against a mean word vector t: that of the next word, or the teacher's expectation over all
words. With h the state and w_v the words' vectors, -E[log p] = log sum_v exp(h w_v - h t), and its gradient is
E_p[w_v] - t. So the vocabulary is read once for both kinds, a block at a time that stays in the cache; logits of all
words are never held; and a teacher costs nothing in a step. The sum is at least 1; where a loss is above 88 nats it
overflows and the loss is infinite.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from consolidation.trainer.engine import Text

_WORDS = 2048  # words whose logits are held at once
_TILE = 32  # rows of a multiple of this suit the matrix units
_NONE = -1  # in the place of a word where there is a teacher


def text_weights(texts: Sequence[Text], kl_weight: float) -> list[float]:
    """What each position of a text counts: the mean over answer positions plus `kl_weight` times that over KL positions."""
    n_kl = sum(len(text.positions) for text in texts if text.teacher is not None)
    n_answer = sum(len(text.positions) for text in texts) - n_kl
    return [kl_weight / max(1, n_kl) if text.teacher is not None else 1 / max(1, n_answer) for text in texts]


@dataclass(frozen=True, slots=True)
class Aim:
    """What positions should say: mean word vectors (P, D), what the loss is counted from (P,), both float32.

    `words` (P,): the word where it is only one. Its share is computed apart, because near 1 it would be rounded away.
    """

    mean: torch.Tensor
    floor: torch.Tensor
    words: torch.Tensor


class Head:
    """The output matrix (V, D) in blocks of words, each vector followed by ones."""

    def __init__(self, weight: torch.Tensor, *, keep: bool) -> None:
        """`keep`: hold a copy of the matrix in this form; else it is made block by block each time."""
        self._weight = weight
        self._size = weight.shape[1]
        self._spare = 2 + -(self._size + 2) % _TILE
        self._kept = list(self._make()) if keep else None
        self._aims: dict[str, Aim] = {}

    def losses(
        self, texts: Sequence[Text], weights: Sequence[float], hidden: torch.Tensor
    ) -> tuple[list[float], torch.Tensor]:
        """Mean loss per text from the states (P, D) at all positions in order: -log p(next word) or KL(teacher || model).

        And the gradient of the sum of weight * loss over positions, (P, D) float32.
        """
        if not len(hidden):
            return [0.0] * len(texts), hidden.float()
        aims = [self._aim(text) for text in texts]
        aim = Aim(*(torch.cat([getattr(part, name) for part in aims]) for name in ("mean", "floor", "words")))
        lengths = [len(text.positions) for text in texts]
        values, gradient = self._loss(hidden, aim)
        weight = torch.tensor(weights, device=hidden.device).repeat_interleave(
            torch.tensor(lengths, device=hidden.device)
        )
        means = [float(part.mean()) if len(part) else 0.0 for part in torch.split(values, lengths)]
        return means, gradient.mul_(weight.unsqueeze(1))

    def forget(self) -> None:
        """Drop what was computed of teachers."""
        self._aims.clear()

    def _aim(self, text: Text) -> Aim:
        if text.teacher is None:
            words = torch.tensor([text.ids[p + 1] for p in text.positions], device=self._weight.device)
            return Aim(self._weight[words].float(), torch.zeros(words.shape, device=words.device), words)
        if text.id not in self._aims:
            self._aims[text.id] = self._teacher(text.teacher)
        return self._aims[text.id]

    def _teacher(self, hidden: torch.Tensor) -> Aim:
        """The distributions that final states (P, D) stand for; `floor` is their entropy."""
        none = torch.full((len(hidden),), _NONE, device=hidden.device)
        reference = F.linear(hidden, self._weight).amax(-1).float()
        total, mean = self._sums(hidden, reference, none)
        mean.div_(total)
        return Aim(mean, total.log_().squeeze(1) + reference - _dots(hidden, mean), none)

    def _loss(self, hidden: torch.Tensor, aim: Aim) -> tuple[torch.Tensor, torch.Tensor]:
        """Loss and its gradient per position. exp(h t - h t) = 1 is the share of a word that was left out of the sums."""
        others, gradient = self._sums(hidden, _dots(hidden, aim.mean), aim.words)
        is_word = (aim.words != _NONE).float().unsqueeze(1)
        gradient.sub_(others * aim.mean).div_(others + is_word)
        return torch.log1p(others + (is_word - 1)).squeeze(1) - aim.floor, gradient

    def _sums(
        self, hidden: torch.Tensor, reference: torch.Tensor, without: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """sum_v e_v (P, 1) and sum_v e_v w_v (P, D) in float32; e_v = exp(h w_v - reference), 0 for the word `without`."""
        n, size = hidden.shape
        x = hidden.new_zeros(n, size + self._spare)
        x[:, :size] = hidden
        rounded = reference.to(x.dtype)  # the product itself subtracts, before it rounds
        x[:, size] = -rounded
        x[:, size + 1] = (rounded.float() - reference).to(x.dtype)
        sums = torch.zeros(x.shape, dtype=torch.float32, device=x.device)
        buffer, part = x.new_empty(n * _WORDS), torch.empty_like(x)
        for i, block in enumerate(self._kept or self._make()):
            e = torch.mm(x, block.t(), out=buffer[: n * len(block)].view(n, -1)).exp_()
            rows = torch.nonzero(without.div(_WORDS, rounding_mode="floor") == i).squeeze(1)
            if len(rows):
                e[rows, without[rows] % _WORDS] = 0
            sums.add_(torch.mm(e, block, out=part))
        return sums[:, size : size + 1], sums[:, :size]

    def _make(self) -> Iterator[torch.Tensor]:
        for words in torch.split(self._weight, _WORDS):
            yield torch.cat((words, words.new_ones(len(words), self._spare)), dim=1)


def _dots(hidden: torch.Tensor, mean: torch.Tensor) -> torch.Tensor:
    return (hidden.float() * mean).sum(-1)
