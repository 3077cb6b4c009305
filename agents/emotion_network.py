"""The emotion head in torch, for training: the upper layers of the encoder learn as a whole, the lower ones stay.

The forward pass is that of `emotion_head.Reader` with dropout; a test holds the two together. Imports torch; only the
trainer imports this. Letters of shapes as in `emotion_head.py`; T token, P place of dropout, S sample of dropout.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch.nn import functional

from agents.encoder_network import KINDS, POSITIONS, Tensors, layer, mask_of, mean, norm
from memory.embedders.minilm import WEIGHTS, WORDS
from memory.ports import FloatMatrix

OUT, BIAS, GRAMS = "out", "bias", "grams"


@dataclass(frozen=True, slots=True)
class Batch:
    ids_BT: torch.Tensor
    is_real_BT: torch.Tensor
    grams: torch.Tensor  # numbers of the n-grams of all rows, one after the other
    starts_B: torch.Tensor  # where those of each row begin
    targets_BK: torch.Tensor


class EmotionNetwork:
    """`trained` are the tensors from layer `first` on, the layer on top and the weights of n-grams; the rest is frozen."""

    def __init__(
        self, folder: Path, first: int, shares_K: FloatMatrix, n_grams: int, seed: int, dtype: torch.dtype
    ) -> None:
        found = {n: t.float() for n, t in load_file(folder / WEIGHTS).items() if t.is_floating_point()}
        self._dtype = dtype
        self._first = first
        self._n_layers = sum(name.endswith("intermediate.dense.bias") for name in found)
        upper = tuple(f"encoder.layer.{number}." for number in range(first, self._n_layers))
        self.base = {name: tensor for name, tensor in found.items() if name.startswith(upper)}
        self._frozen = {name: t.to(dtype) for name, t in found.items() if name not in self.base}
        self.width = found[WORDS].shape[1]
        rng = torch.Generator().manual_seed(seed)
        shares = torch.from_numpy(shares_K).clamp(1e-4, 1 - 1e-4)
        started = {name: tensor.clone() for name, tensor in self.base.items()}
        started[OUT] = torch.randn(self.width, len(shares), generator=rng) * 0.02
        started[BIAS] = torch.log(shares / (1 - shares))
        started[GRAMS] = torch.zeros(n_grams, len(shares))
        self.trained = {name: tensor.requires_grad_() for name, tensor in started.items()}

    @property
    def n_dropped(self) -> int:
        return 2 * (self._n_layers - self._first)

    @property
    def n_parameters(self) -> int:
        return sum(tensor.numel() for part in (self._frozen, self.trained) for tensor in part.values())

    def merged(self) -> dict[str, torch.Tensor]:
        """What learns, as the forward pass uses it: the encoder's tensors in its precision."""
        return {name: t.to(self._dtype) if name in self.base else t for name, t in self.trained.items()}

    def logits(
        self,
        merged: Tensors,
        batch: Batch,
        kept_PBD: torch.Tensor | None = None,
        kept_SBD: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """(B, K); with `kept_SBD` (S, B, K), one for each sample of what the pooled vector keeps.

        `kept_PBD` multiplies each place of dropout within the layers, all tokens of a text alike.
        """
        weights = {**self._frozen, **merged}
        mask = mask_of(batch.is_real_BT, self._dtype)
        x_BTD = self._lower(weights, batch, mask)
        for number in range(self._first, self._n_layers):
            place = 2 * (number - self._first)
            kept = None if kept_PBD is None else kept_PBD[place : place + 2].to(self._dtype)
            x_BTD = layer(weights, f"encoder.layer.{number}", x_BTD, mask, kept)
        pooled_BD = mean(x_BTD.float(), batch.is_real_BT)
        if kept_SBD is not None:
            pooled_BD = pooled_BD * kept_SBD
        from_grams_BK = functional.embedding_bag(batch.grams, weights[GRAMS], batch.starts_B, mode="sum")
        return pooled_BD @ weights[OUT] + weights[BIAS] + from_grams_BK

    @torch.no_grad()
    def _lower(self, weights: Tensors, batch: Batch, mask: torch.Tensor | None) -> torch.Tensor:
        x_BTD = weights[WORDS][batch.ids_BT] + weights[POSITIONS][: batch.ids_BT.shape[1]] + weights[KINDS][0]
        x_BTD = norm(weights, "embeddings.LayerNorm", x_BTD)
        for number in range(self._first):
            x_BTD = layer(weights, f"encoder.layer.{number}", x_BTD, mask, None)
        return x_BTD
