"""Llama's decoder block with LoRA, forward and backward by hand, over rows of different lengths at once.

Why by hand: in rows of thirty tokens torch's own attention, norm and autograd cost several times the matrix
products (docs/adr/0008-trainer.md has the figures). Tokens of all rows lie in one matrix (M, D); only attention
looks at rows, chunk by chunk, a chunk being B rows padded right to T tokens. Padding needs no mask: a causal row
never looks right. Nothing here trains the base's own weights. Equality with transformers' block under autograd
is a test.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F

from consolidation.trainer.lora import Group

_MINUS = -30000.0


@dataclass(frozen=True, slots=True)
class Chunk:
    """Rows `start : start + B * T` of the token matrix are B texts of T positions each."""

    start: int
    b: int
    t: int

    @property
    def tokens(self) -> slice:
        return slice(self.start, self.start + self.b * self.t)


@dataclass(slots=True)
class Lora:
    """The factors of one group in computing dtype, and where their gradients go."""

    group: Group
    a: torch.Tensor  # (k * r, in)
    b: torch.Tensor  # (out, k * r), block diagonal
    scale: float
    gradient: torch.Tensor  # flat float32


@dataclass(slots=True)
class Linear:
    """y = x W^T + s (x A^T) B^T with W frozen; `lora` None for a plain layer."""

    weight: torch.Tensor  # (out, in)
    lora: Lora | None = None

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
        y = F.linear(x, self.weight)
        if self.lora is None:
            return y, None
        t = F.linear(x, self.lora.a).mul_(self.lora.scale)
        return y.addmm_(t, self.lora.b.t()), t

    def backward(self, gy: torch.Tensor, x: torch.Tensor, t: torch.Tensor | None) -> torch.Tensor:
        """dL/dx (M, in); adds dL/dA and dL/dB to the flat gradient."""
        gx = gy @ self.weight
        lora = self.lora
        if lora is None or t is None:
            return gx
        gt = (gy @ lora.b).mul_(lora.scale)
        lora.group.a(lora.gradient).add_(gt.t() @ x)
        lora.group.add_b_gradient(lora.gradient, gy.t() @ t)
        return gx.addmm_(gt, lora.a)


class Norm:
    """RMSNorm in float32 (Zhang and Sennrich 2019, arXiv:1910.07467, eq. 4)."""

    def __init__(self, weight: torch.Tensor, eps: float) -> None:
        self.weight = weight
        self.eps = eps

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Normed x, and 1 / rms (M, 1) float32."""
        wide = x.float()
        length = torch.linalg.vector_norm(wide, dim=-1, keepdim=True)
        rstd = (length.square_().div_(x.shape[-1])).add_(self.eps).rsqrt_()
        return (wide * rstd).to(x.dtype).mul_(self.weight), rstd

    def backward(self, gy: torch.Tensor, x: torch.Tensor, rstd: torch.Tensor) -> torch.Tensor:
        """g = gy * w; dx = rstd * g - x * rstd^3 * mean(g * x)."""
        g = (gy * self.weight).float()
        wide = x.float()
        mean = (g * wide).sum(-1, keepdim=True).div_(x.shape[-1])
        return g.mul_(rstd).sub_(wide.mul_(rstd.pow(3).mul_(mean))).to(gy.dtype)


@dataclass(frozen=True, slots=True)
class Heads:
    n_q: int
    n_kv: int
    size: int
    scale: float


@dataclass(slots=True)
class Rope:
    """cos and signed sin for positions 0..T, shape (T, 1, head)."""

    cos: torch.Tensor
    sin: torch.Tensor  # first half negated, so that x * cos + swap(x) * sin turns x

    def turn(self, x: torch.Tensor, *, back: bool = False) -> torch.Tensor:
        """Rotate (B, T, H, head) by position; `back` by the opposite angle."""
        t = x.shape[1]
        half = x.shape[-1] // 2
        swapped = torch.cat((x[..., half:], x[..., :half]), dim=-1).mul_(self.sin[:t])
        turned = x * self.cos[:t]
        return turned.sub_(swapped) if back else turned.add_(swapped)


def _attend(
    qkv: torch.Tensor, chunk: Chunk, heads: Heads, rope: Rope
) -> tuple[torch.Tensor, tuple[torch.Tensor, ...]]:
    """Causal attention of one chunk; output (B * T, n_q * head) and what its backward needs."""
    b, t, n_q, n_kv, d = chunk.b, chunk.t, heads.n_q, heads.n_kv, heads.size
    per = n_q // n_kv
    x = qkv[chunk.tokens].view(b, t, n_q + 2 * n_kv, d)
    turned = rope.turn(x[:, :, : n_q + n_kv])
    q = turned[:, :, :n_q].reshape(b, t, n_kv, per, d).permute(0, 2, 3, 1, 4).reshape(b * n_kv, per * t, d)
    k = turned[:, :, n_q:].permute(0, 2, 1, 3).reshape(b * n_kv, t, d)
    v = x[:, :, n_q + n_kv :].permute(0, 2, 1, 3).reshape(b * n_kv, t, d)
    mask = torch.full((t, t), _MINUS, dtype=q.dtype, device=q.device).triu_(1).repeat(per, 1)
    p = torch.baddbmm(mask.unsqueeze(0), q, k.transpose(1, 2), alpha=heads.scale).softmax(-1)
    out = torch.bmm(p, v).view(b, n_kv, per, t, d).permute(0, 3, 1, 2, 4).reshape(b * t, n_q * d)
    return out, (q, k, v, p)


def _attend_backward(
    g: torch.Tensor,
    saved: tuple[torch.Tensor, ...],
    chunk: Chunk,
    heads: Heads,
    rope: Rope,
    out: torch.Tensor,
) -> None:
    """Write dL/d(qkv) of one chunk into `out` (M, qkv)."""
    q, k, v, p = saved
    b, t, n_q, n_kv, d = chunk.b, chunk.t, heads.n_q, heads.n_kv, heads.size
    per = n_q // n_kv
    go = g[chunk.tokens].view(b, t, n_kv, per, d).permute(0, 2, 3, 1, 4).reshape(b * n_kv, per * t, d)
    gp = torch.bmm(go, v.transpose(1, 2))
    gs = torch.ops.aten._softmax_backward_data(gp, p, -1, p.dtype).mul_(heads.scale)
    gq, gk, gv = torch.bmm(gs, k), torch.bmm(gs.transpose(1, 2), q), torch.bmm(p.transpose(1, 2), go)
    gx = out[chunk.tokens].view(b, t, n_q + 2 * n_kv, d)
    turned = torch.cat(
        (
            gq.view(b, n_kv, per, t, d).permute(0, 3, 1, 2, 4).reshape(b, t, n_q, d),
            gk.view(b, n_kv, t, d).transpose(1, 2),
        ),
        dim=2,
    )
    gx[:, :, : n_q + n_kv] = rope.turn(turned, back=True)
    gx[:, :, n_q + n_kv :] = gv.view(b, n_kv, t, d).transpose(1, 2)


@dataclass(slots=True)
class Block:
    """One decoder block; weights of modules with one input are fused."""

    norm_1: Norm
    qkv: Linear
    o: Linear
    norm_2: Norm
    gate_up: Linear
    down: Linear
    heads: Heads

    def forward(
        self, h: torch.Tensor, chunks: Sequence[Chunk], rope: Rope, *, keep: bool = True
    ) -> tuple[torch.Tensor, tuple[Any, ...] | None]:
        """The residual (M, D) after the block, and what `backward` needs where `keep`."""
        x1, rstd_1 = self.norm_1.forward(h)
        qkv, t_qkv = self.qkv.forward(x1)
        parts = [_attend(qkv, chunk, self.heads, rope) for chunk in chunks]
        attended = parts[0][0] if len(parts) == 1 else torch.cat([part[0] for part in parts])
        o, t_o = self.o.forward(attended)
        middle = o.add_(h)
        x2, rstd_2 = self.norm_2.forward(middle)
        gu, t_gu = self.gate_up.forward(x2)
        gate, up = gu.chunk(2, dim=-1)
        s = F.silu(gate)
        a = s * up
        y, t_down = self.down.forward(a)
        y.add_(middle)
        if not keep:
            return y, None
        attention = [part[1] for part in parts]
        return y, (h, rstd_1, x1, t_qkv, attention, attended, t_o, middle, rstd_2, x2, t_gu, gu, s, a, t_down)

    def backward(
        self,
        g: torch.Tensor,
        saved: tuple[Any, ...],
        chunks: Sequence[Chunk],
        rope: Rope,
        *,
        to_input: bool = True,
    ) -> torch.Tensor:
        """dL/dh of the block's input from dL/dy; `to_input` False spares the last products of the lowest block."""
        h, rstd_1, x1, t_qkv, attention, attended, t_o, middle, rstd_2, x2, t_gu, gu, s, a, t_down = saved
        ga = self.down.backward(g, a, t_down)
        gate, up = gu.chunk(2, dim=-1)
        ggu = torch.empty_like(gu)
        torch.mul(ga, s, out=ggu[:, s.shape[1] :])
        ggu[:, : s.shape[1]] = torch.ops.aten.silu_backward(ga.mul_(up), gate)
        g_middle = self.norm_2.backward(self.gate_up.backward(ggu, x2, t_gu), middle, rstd_2).add_(g)
        g_attended = self.o.backward(g_middle, attended, t_o)
        g_qkv = torch.empty(len(h), self.qkv.weight.shape[0], dtype=h.dtype, device=h.device)
        for chunk, part in zip(chunks, attention, strict=True):
            _attend_backward(g_attended, part, chunk, self.heads, rope, g_qkv)
        gx1 = self.qkv.backward(g_qkv, x1, t_qkv)
        return self.norm_1.backward(gx1, h, rstd_1).add_(g_middle) if to_input else g_middle
