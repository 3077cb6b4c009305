"""The layers of the embedded sentence encoder in torch, as functions of its tensors, for the trainers of heads on it.

The same sums as in `memory.embedders.minilm`, in any precision and with gradients; tests of the heads hold the two together.
Attention is two plain products: torch's fused kernel took half of a step in bfloat16 with heads 32 wide. Imports torch.
Letters of shapes: B batch, T token, D width, H head of attention, d its width.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch.nn import functional

from memory.embedders.minilm import N_HEADS

KINDS, POSITIONS = (f"embeddings.{kind}_embeddings.weight" for kind in ("token_type", "position"))
EPSILON = 1e-12  # of the norms, as in the encoder's configuration

Tensors = Mapping[str, torch.Tensor]


def matrices_from(found: Tensors, first: int) -> dict[str, torch.Tensor]:
    """The matrices of the encoder's layers from that one on, in single precision: those that get factors."""
    return {
        name: tensor.float()
        for name, tensor in found.items()
        if name.startswith("encoder.") and tensor.dim() == 2 and int(name.split(".")[2]) >= first
    }


def new_factors(matrices: Tensors, rank: int, rng: torch.Generator) -> dict[str, torch.Tensor]:
    """NAME.a and NAME.b for every NAME.weight, whose product is zero at first (LoRA, arXiv:2106.09685, eq. 3)."""
    made: dict[str, torch.Tensor] = {}
    for name, matrix in matrices.items():
        stem = name.removesuffix(".weight")
        n_out, n_in = matrix.shape
        made[f"{stem}.a"] = torch.randn(rank, n_in, generator=rng) * n_in**-0.5
        made[f"{stem}.b"] = torch.zeros(n_out, rank)
    return made


def with_factors(
    matrices: Tensors, trained: Tensors, scale: float, dtype: torch.dtype
) -> dict[str, torch.Tensor]:
    """The matrices with `scale` B A added to each, in the precision of the forward pass."""
    found: dict[str, torch.Tensor] = {}
    for name, matrix in matrices.items():
        stem = name.removesuffix(".weight")
        a, b = trained[f"{stem}.a"], trained[f"{stem}.b"]
        found[name] = torch.addmm(matrix, b, a, alpha=scale).to(dtype)
    return found


def mask_of(is_real_BT: torch.Tensor, dtype: torch.dtype) -> torch.Tensor | None:
    """What is added to scores of attention so that padding is not looked at; None where there is no padding."""
    if bool(is_real_BT.all()):
        return None
    penalty = torch.zeros(is_real_BT.shape, dtype=dtype)
    return penalty.masked_fill_(~is_real_BT, -torch.inf)[:, None, None, :]


def layer(
    weights: Tensors, name: str, x_BTD: torch.Tensor, mask: torch.Tensor | None, kept_2BD: torch.Tensor | None
) -> torch.Tensor:
    b, t, d = x_BTD.shape
    q_BHTd, k_BHTd, v_BHTd = (
        linear(weights, f"{name}.attention.self.{part}", x_BTD).view(b, t, N_HEADS, -1).transpose(1, 2)
        for part in ("query", "key", "value")
    )
    scores_BHTT = q_BHTd * (d // N_HEADS) ** -0.5 @ k_BHTd.transpose(2, 3)
    shares_BHTT = (scores_BHTT if mask is None else scores_BHTT + mask).softmax(dim=-1)
    mixed_BTD = (shares_BHTT @ v_BHTd).transpose(1, 2).reshape(b, t, d)
    attended_BTD = linear(weights, f"{name}.attention.output.dense", mixed_BTD)
    if kept_2BD is not None:
        attended_BTD = attended_BTD * kept_2BD[0, :, None]
    x_BTD = norm(weights, f"{name}.attention.output.LayerNorm", x_BTD + attended_BTD)
    wide = functional.gelu(linear(weights, f"{name}.intermediate.dense", x_BTD))
    out_BTD = linear(weights, f"{name}.output.dense", wide)
    if kept_2BD is not None:
        out_BTD = out_BTD * kept_2BD[1, :, None]
    return norm(weights, f"{name}.output.LayerNorm", x_BTD + out_BTD)


def linear(weights: Tensors, name: str, x: torch.Tensor) -> torch.Tensor:
    return functional.linear(x, weights[f"{name}.weight"], weights[f"{name}.bias"])


def norm(weights: Tensors, name: str, x: torch.Tensor) -> torch.Tensor:
    gain, offset = weights[f"{name}.weight"], weights[f"{name}.bias"]
    return functional.layer_norm(x, gain.shape, gain, offset, EPSILON)


def mean(x_BTD: torch.Tensor, is_in_BT: torch.Tensor) -> torch.Tensor:
    """(B, D): mean of the tokens that are in."""
    weights_BT = is_in_BT / is_in_BT.sum(dim=1, keepdim=True)
    return torch.einsum("btd,bt->bd", x_BTD, weights_BT)
