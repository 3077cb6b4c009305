"""What the training loop needs of a way to compute: cached rows in, losses and gradients out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch

from consolidation.trainer.lora import LoraFactors


@dataclass(frozen=True, slots=True)
class Text:
    """A tokenised row. `positions` are those whose next token has a loss; `teacher` makes the loss a KL.

    `teacher`: final normed hidden states of the original base at `positions`, (P, D).
    """

    id: str
    kind: str  # answer | negative | replay | style | validation | kl
    fact_id: str | None
    ids: tuple[int, ...]
    positions: tuple[int, ...]
    teacher: torch.Tensor | None = None


@dataclass(frozen=True, slots=True)
class StepResult:
    """`losses`: mean loss per text, in the order given, nats. Gradients are in `Engine.gradient`."""

    losses: list[float]
    n_tokens: int  # real tokens computed, without padding


class Engine(Protocol):
    """`factors.flat` is the parameter, `gradient` its gradient after `step`, both flat float32."""

    name: str
    obstacle: str  # why it computes slower than it might here, one line; "" where it does not
    factors: LoraFactors
    gradient: torch.Tensor

    def final_hidden(self, rows: Sequence[Sequence[int]]) -> list[torch.Tensor]:
        """Final normed hidden states (T, D) of each row with the weights as worn, no trained adapter."""

    def prepare(self, texts: Sequence[Text]) -> None:
        """Compute whatever stays the same over the whole training, once. Called after earlier adapters are worn."""

    def step(self, texts: Sequence[Text], kl_weight: float) -> StepResult:
        """Zero the gradient, then mean answer loss + kl_weight * mean KL over supervised positions, and its gradient."""
