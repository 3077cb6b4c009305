"""The entailment head in torch, for training: the forward pass of BERT over matrices with the changes in them.

What a step needs is computed once for all its rows: `merged` adds the low-rank changes to the frozen matrices, the rows
run on the sums, and the gradient of each sum goes on to its two factors. The forward pass is that of `EntailmentHead`
(agents/entailment.py) with dropout; a test holds the two together. Imports torch; only the trainer imports this.
Letters of shapes as in `entailment.py`; P place of dropout.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch.nn import functional

from agents.encoder_network import (
    KINDS,
    POSITIONS,
    Tensors,
    layer,
    mask_of,
    matrices_from,
    mean,
    new_factors,
    norm,
    with_factors,
)
from agents.entailment import LABELS
from memory.embedders.minilm import WEIGHTS, WORDS

OUT, BIAS = "out", "bias"


@dataclass(frozen=True, slots=True)
class Batch:
    ids_BT: torch.Tensor
    kinds_BT: torch.Tensor  # 0 first text, 1 second
    is_real_BT: torch.Tensor
    labels_B: torch.Tensor


class PairNetwork:
    """The encoder's tensors, frozen, and what learns (`trained`): two factors for each matrix (LoRA,
    https://arxiv.org/abs/2106.09685, eq. 3; B starts at zero), the token kinds and the layer on top."""

    def __init__(self, folder: Path, rank: int, scale: float, seed: int, dtype: torch.dtype) -> None:
        found = load_file(folder / WEIGHTS)
        self._dtype = dtype
        self._scale = scale
        self._matrices = matrices_from(found, 0)
        others = {name: tensor for name, tensor in found.items() if name not in self._matrices}
        self._frozen = {
            name: tensor.to(dtype) for name, tensor in others.items() if tensor.is_floating_point()
        }
        self._n_layers = sum(name.endswith("intermediate.dense.bias") for name in found)
        self.n_dropped = 2 * self._n_layers + 1
        self.width = found[WORDS].shape[1]
        self.trained = self._start(found[KINDS].float(), rank, torch.Generator().manual_seed(seed))

    def _start(self, kinds: torch.Tensor, rank: int, rng: torch.Generator) -> dict[str, torch.Tensor]:
        """What learns, under the names that the saved head uses."""
        started = {KINDS: kinds.clone(), **new_factors(self._matrices, rank, rng)}
        started[OUT] = torch.randn(3 * self.width, len(LABELS), generator=rng) * 0.02
        started[BIAS] = torch.zeros(len(LABELS))
        return {name: tensor.requires_grad_() for name, tensor in started.items()}

    @property
    def n_parameters(self) -> int:
        return sum(tensor.numel() for part in (self._matrices, self._frozen) for tensor in part.values())

    def merged(self) -> dict[str, torch.Tensor]:
        """The tensors that learn, as the forward pass uses them: the matrices with their changes, and the rest."""
        found = {name: self.trained[name] for name in (OUT, BIAS)}
        found[KINDS] = self.trained[KINDS].to(self._dtype)
        return found | with_factors(self._matrices, self.trained, self._scale, self._dtype)

    def logits(self, merged: Tensors, batch: Batch, kept_PBD: torch.Tensor | None = None) -> torch.Tensor:
        """(B, K). `kept_PBD` multiplies each place of dropout, all tokens of a pair alike; without it nothing drops."""
        weights = {**self._frozen, **merged}
        x_BTD = self._embed(weights, batch)
        mask = mask_of(batch.is_real_BT, self._dtype)
        for number in range(self._n_layers):
            kept = None if kept_PBD is None else kept_PBD[2 * number : 2 * number + 2].to(self._dtype)
            x_BTD = layer(weights, f"encoder.layer.{number}", x_BTD, mask, kept)
        is_second_BT = batch.kinds_BT.bool()
        x_BTD = x_BTD.float()
        first_BD = mean(x_BTD, batch.is_real_BT & ~is_second_BT)
        second_BD = mean(x_BTD, is_second_BT)
        if kept_PBD is not None:
            first_BD, second_BD = first_BD * kept_PBD[-1], second_BD * kept_PBD[-1]
        features_BF = torch.cat([first_BD, second_BD, (first_BD - second_BD).abs()], dim=1)
        return features_BF @ weights[OUT] + weights[BIAS]

    def _embed(self, weights: Tensors, batch: Batch) -> torch.Tensor:
        is_kind_BT2 = functional.one_hot(batch.kinds_BT, 2).to(self._dtype)
        x_BTD = weights[WORDS][batch.ids_BT] + weights[POSITIONS][: batch.ids_BT.shape[1]]
        return norm(weights, "embeddings.LayerNorm", x_BTD + is_kind_BT2 @ weights[KINDS])
