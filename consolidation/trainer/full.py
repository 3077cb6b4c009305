"""The engine that trains the matrices themselves: every linear weight of the upper blocks, by autograd on any device.

For optimisers whose state is small beside the weights (`apollo`). What is trained belongs to the language model, so a step
changes it at once; whoever wants the base back keeps a copy of `weights`.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from agents.runtime.lm import LanguageModel
from consolidation.trainer.engine import StepResult, Text
from consolidation.trainer.handwritten import first_trained
from consolidation.trainer.injected import hidden_states, linear_names, padded_losses
from consolidation.trainer.losses import Head


class FullEngine:
    """`weights` and `gradients` by module name, float32, shape (out, in); the same tensors for as long as it lives."""

    name = "full"

    def __init__(self, language_model: LanguageModel, first_layer: float) -> None:
        """`first_layer`: matrices from this share of the depth on are trained, all else stays as it is."""
        if language_model.dtype != torch.float32:
            raise ValueError("small steps are rounded away in bfloat16; load the model with dtype float32")
        model = language_model.model
        self._decoder = model.get_decoder()
        self._head = Head(model.get_output_embeddings().weight.detach(), keep=False)
        names = linear_names(language_model, first_trained(language_model.n_layers, first_layer))
        self.weights: dict[str, torch.Tensor] = {}
        self.gradients: dict[str, torch.Tensor] = {}
        for name in names:
            weight = model.get_submodule(name).weight.requires_grad_()
            weight.grad = torch.zeros_like(weight)
            self.weights[name], self.gradients[name] = weight, weight.grad

    @torch.no_grad()
    def final_hidden(self, rows: Sequence[Sequence[int]]) -> list[torch.Tensor]:
        """Final normed hidden states (T, D) of each row, with the weights as they are now."""
        return [hidden_states(self._decoder, [row])[0] for row in rows]

    def prepare(self, texts: Sequence[Text]) -> None:
        """Forget what was computed of earlier teachers; of the rows nothing is kept."""
        self._head.forget()

    def step(self, texts: Sequence[Text], kl_weight: float) -> StepResult:
        """As `engine.Engine.step`; the gradient is in `gradients`."""
        for gradient in self.gradients.values():
            gradient.zero_()
        hidden = hidden_states(self._decoder, [text.ids for text in texts])
        losses, by_state = padded_losses(self._head, texts, hidden.detach(), kl_weight)
        torch.autograd.backward(hidden, by_state)
        return StepResult(losses, sum(len(text.ids) for text in texts))
