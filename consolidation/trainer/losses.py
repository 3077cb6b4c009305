"""Losses at supervised positions and their gradients with respect to the final hidden state, by hand.

Logits exist only for the positions that have a loss, a slice at a time, and are turned into their own gradient.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F

_SLICE = 256  # positions whose logits exist at once; the head is read once per slice


def answer_loss(
    hidden_PD: torch.Tensor, targets_P: torch.Tensor, head_VD: torch.Tensor, weight: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """-log p(target) per position (P,) float32, and the gradient of weight * their sum (P, D)."""
    losses, gradients = [], []
    for hidden, targets in zip(torch.split(hidden_PD, _SLICE), torch.split(targets_P, _SLICE), strict=True):
        logp = torch.log_softmax(F.linear(hidden, head_VD), dim=-1)
        at = targets.unsqueeze(1)
        losses.append(-logp.gather(1, at).squeeze(1).float())
        p = logp.exp_()
        p.scatter_add_(1, at, torch.full_like(at, -1, dtype=p.dtype))
        gradients.append((p @ head_VD).mul_(weight))
    return torch.cat(losses), torch.cat(gradients)


def kl_loss(
    hidden_PD: torch.Tensor, teacher_PD: torch.Tensor, head_VD: torch.Tensor, weight: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """KL(teacher || model) per position (P,) float32, and the gradient of weight * their sum (P, D)."""
    losses, gradients = [], []
    for hidden, teacher in zip(torch.split(hidden_PD, _SLICE), torch.split(teacher_PD, _SLICE), strict=True):
        logq = torch.log_softmax(F.linear(hidden, head_VD), dim=-1)
        logp = torch.log_softmax(F.linear(teacher, head_VD), dim=-1)
        p = logp.exp()
        losses.append(logp.sub_(logq).mul_(p).sum(-1, dtype=torch.float32))
        difference = logq.exp_().sub_(p)
        gradients.append((difference @ head_VD).mul_(weight))
    return torch.cat(losses), torch.cat(gradients)
