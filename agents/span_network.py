"""The span head in torch, for training: the forward pass of BERT over matrices with the changes in them, and the loss.

The forward pass is that of `SpanHead` (agents/span_head.py) with dropout; a test holds the two together. Imports torch; only
the trainer imports this. Letters of shapes as in `span_head.py`; O place of dropout, F all outputs side by side.
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
    new_factors,
    norm,
    with_factors,
)
from agents.span_head import POINTER, WIDTHS
from memory.embedders.minilm import WEIGHTS, WORDS

OUT, BIAS = "out", "bias"
ASIDE = -1  # a token of which something is not asked
OBJECT_WEIGHT = 2.0  # of a token of an object, against one of no object
CHANGE_SHARE, SUBJECT_SHARE = 0.08, 0.12  # of the loss, beside that of the labels


@dataclass(frozen=True, slots=True)
class Batch:
    ids_BT: torch.Tensor
    kinds_BT: torch.Tensor  # 0 message before, 1 text
    is_real_BT: torch.Tensor
    labels_BT: torch.Tensor  # ASIDE outside the text
    changes_BT: torch.Tensor  # ASIDE outside objects
    subjects_BT: torch.Tensor  # place of the subject, ASIDE outside objects


@dataclass(frozen=True, slots=True)
class Shape:
    """Of what learns: two factors of this rank for each matrix from the layer `first` on."""

    rank: int
    scale: float
    first: int


class SpanNetwork:
    """The encoder's tensors, frozen, and what learns (`trained`): two factors for each matrix of the upper layers (LoRA,
    https://arxiv.org/abs/2106.09685, eq. 3; B starts at zero), and the layer on top."""

    def __init__(self, folder: Path, shape: Shape, seed: int, dtype: torch.dtype) -> None:
        found = load_file(folder / WEIGHTS)
        self._dtype = dtype
        self._shape = shape
        self._matrices = matrices_from(found, shape.first)
        others = {name: tensor for name, tensor in found.items() if name not in self._matrices}
        self._frozen = {
            name: tensor.to(dtype) for name, tensor in others.items() if tensor.is_floating_point()
        }
        self._n_layers = sum(name.endswith("intermediate.dense.bias") for name in found)
        self.n_dropped = 2 * self._n_layers + 1
        self.width = found[WORDS].shape[1]
        self.trained = self._start(torch.Generator().manual_seed(seed))

    def _start(self, rng: torch.Generator) -> dict[str, torch.Tensor]:
        """What learns, under the names that the saved head uses."""
        started = new_factors(self._matrices, self._shape.rank, rng)
        started[OUT] = torch.randn(self.width, sum(WIDTHS), generator=rng) * 0.02
        started[BIAS] = torch.zeros(sum(WIDTHS))
        return {name: tensor.requires_grad_() for name, tensor in started.items()}

    @property
    def n_parameters(self) -> int:
        return sum(tensor.numel() for part in (self._matrices, self._frozen) for tensor in part.values())

    def merged(self) -> dict[str, torch.Tensor]:
        """The tensors that learn, as the forward pass uses them: the matrices with their changes, and the rest."""
        found = {name: self.trained[name] for name in (OUT, BIAS)}
        return found | with_factors(self._matrices, self.trained, self._shape.scale, self._dtype)

    def scores(self, merged: Tensors, batch: Batch, kept_OBD: torch.Tensor | None = None) -> torch.Tensor:
        """(B, T, F). `kept_OBD` multiplies each place of dropout, all tokens of a row alike; without it nothing drops."""
        weights = {**self._frozen, **merged}
        mask = mask_of(batch.is_real_BT, self._dtype)
        with torch.no_grad():
            x_BTD = self._embed(weights, batch)
            for number in range(self._shape.first):
                x_BTD = layer(weights, f"encoder.layer.{number}", x_BTD, mask, None)
        for number in range(self._shape.first, self._n_layers):
            kept = None if kept_OBD is None else kept_OBD[2 * number : 2 * number + 2].to(self._dtype)
            x_BTD = layer(weights, f"encoder.layer.{number}", x_BTD, mask, kept)
        x_BTD = x_BTD.float()
        if kept_OBD is not None:
            x_BTD = x_BTD * kept_OBD[-1, :, None]
        return x_BTD @ weights[OUT] + weights[BIAS]

    def loss(
        self, merged: Tensors, batch: Batch, kept_OBD: torch.Tensor | None, smoothing: float
    ) -> torch.Tensor:
        """Mean over the batch's tokens, those of objects weighing more."""
        out_BTF = self.scores(merged, batch, kept_OBD)
        labels, changes, asks, offers = torch.split(out_BTF, list(WIDTHS), dim=-1)
        places_BTT = asks @ offers.transpose(1, 2) * POINTER**-0.5
        places_BTT = places_BTT.masked_fill(~batch.is_real_BT[:, None, :], -1e9)
        wanted = batch.labels_BT.flatten()
        each = functional.cross_entropy(
            labels.flatten(0, 1), wanted.clamp(min=0), reduction="none", label_smoothing=smoothing
        )
        weights = torch.where(wanted > 0, OBJECT_WEIGHT, 1.0) * (wanted >= 0)
        n_objects = (batch.subjects_BT >= 0).sum().clamp(min=1)
        return (
            (each * weights).sum() / (wanted >= 0).sum().clamp(min=1)
            + CHANGE_SHARE * _summed(changes, batch.changes_BT) / n_objects
            + SUBJECT_SHARE * _summed(places_BTT, batch.subjects_BT) / n_objects
        )

    def _embed(self, weights: Tensors, batch: Batch) -> torch.Tensor:
        is_kind_BT2 = functional.one_hot(batch.kinds_BT, 2).to(self._dtype)
        x_BTD = weights[WORDS][batch.ids_BT] + weights[POSITIONS][: batch.ids_BT.shape[1]]
        return norm(weights, "embeddings.LayerNorm", x_BTD + is_kind_BT2 @ weights[KINDS])


def _summed(logits: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    return functional.cross_entropy(
        logits.flatten(0, 1), wanted.flatten(), ignore_index=ASIDE, reduction="sum"
    )
