"""The engine for every other model: peft's own modules injected into transformers' model, autograd, any device.

One padded batch per step, the whole model forward; frozen blocks have no graph below the first trained one. Used
where the hand-written blocks do not fit: other architectures, large models.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import torch
from peft import LoraConfig, inject_adapter_in_model
from torch import nn

from agents.runtime.decoding import pad_right
from agents.runtime.lm import LanguageModel
from consolidation.trainer.engine import StepResult, Text
from consolidation.trainer.handwritten import first_trained
from consolidation.trainer.lora import LoraFactors
from consolidation.trainer.losses import Head, text_weights

_LAYER = re.compile(r"\.(\d+)\.")


class InjectedEngine:
    """See `engine.Engine` and the module. After `prepare` the language model is changed for good."""

    name = "peft"
    obstacle = ""

    def __init__(self, language_model: LanguageModel, rank: int, alpha: float, first_layer: float) -> None:
        self._model = language_model.model
        self._device = language_model.device
        self._decoder = self._model.get_decoder()
        self._head = Head(self._model.get_output_embeddings().weight.detach(), keep=False)
        self._first = first_trained(language_model.n_layers, first_layer)
        self._targets = linear_names(language_model, self._first)
        shapes = []
        for name in self._targets:
            module = self._model.get_submodule(name)
            shapes.append([(name, module.in_features, module.out_features)])
        self.factors = LoraFactors(shapes, rank, alpha)
        self.factors.flat = self.factors.flat.to(self._device)
        self.gradient = torch.zeros_like(self.factors.flat)
        self._parameters: list[tuple[nn.Parameter, nn.Parameter]] = []

    def final_hidden(self, rows: Sequence[Sequence[int]]) -> list[torch.Tensor]:
        with torch.no_grad():
            return [hidden_states(self._decoder, [row])[0] for row in rows]

    def prepare(self, texts: Sequence[Text]) -> None:
        """Inject the adapter. Nothing is cached: rows of any length go through the whole model."""
        self._head.forget()
        config = LoraConfig(
            r=self.factors.rank,
            lora_alpha=int(self.factors.alpha),
            lora_dropout=0.0,
            target_modules=self._targets,
        )
        inject_adapter_in_model(config, self._model)
        for name in self._targets:
            module = self._model.get_submodule(name)
            a, b = module.lora_A["default"], module.lora_B["default"]
            a.float(), b.float()
            self._parameters.append((a.weight, b.weight))

    def step(self, texts: Sequence[Text], kl_weight: float) -> StepResult:
        self._load_factors()
        hidden = hidden_states(self._decoder, [text.ids for text in texts])
        losses, gradient = padded_losses(self._head, texts, hidden.detach(), kl_weight)
        torch.autograd.backward(hidden, gradient)
        self._store_gradients()
        return StepResult(losses, sum(len(text.ids) for text in texts))

    def _load_factors(self) -> None:
        with torch.no_grad():
            for group, (a, b) in zip(self.factors.groups, self._parameters, strict=True):
                a.copy_(group.a(self.factors.flat))
                b.copy_(group.bs(self.factors.flat)[0])
                a.grad = b.grad = None

    def _store_gradients(self) -> None:
        self.gradient.zero_()
        for group, (a, b) in zip(self.factors.groups, self._parameters, strict=True):
            if a.grad is not None and b.grad is not None:
                group.a(self.gradient).copy_(a.grad)
                group.bs(self.gradient)[0].copy_(b.grad)


def linear_names(language_model: LanguageModel, first: int) -> list[str]:
    """Every linear module in a block from the first trained one on."""
    names = []
    for name, module in language_model.model.named_modules():
        found = _LAYER.search(name)
        if isinstance(module, nn.Linear) and found and int(found.group(1)) >= first:
            names.append(name)
    return names


def hidden_states(decoder: nn.Module, rows: Sequence[Sequence[int]]) -> torch.Tensor:
    """Final normed hidden states (B, T, D) of rows padded to the longest; with a graph where gradients are on."""
    device = next(decoder.parameters()).device
    ids, mask = (tensor.to(device) for tensor in pad_right(rows, 0))
    output: torch.Tensor = decoder(input_ids=ids, attention_mask=mask, use_cache=False).last_hidden_state
    return output


@torch.no_grad()
def padded_losses(
    head: Head, texts: Sequence[Text], hidden: torch.Tensor, kl_weight: float
) -> tuple[list[float], torch.Tensor]:
    """Mean loss per text, and the gradient of the step's loss with respect to the hidden states (B, T, D)."""
    weights = text_weights(texts, kl_weight)
    rows = torch.tensor([i for i, text in enumerate(texts) for _ in text.positions], device=hidden.device)
    at = torch.tensor([p for text in texts for p in text.positions], device=hidden.device)
    losses, values = head.losses(texts, weights, hidden[rows, at])
    gradient = torch.zeros_like(hidden)
    gradient[rows, at] = values.to(hidden.dtype)
    return losses, gradient
