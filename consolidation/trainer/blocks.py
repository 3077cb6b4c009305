"""Llama's decoder block with LoRA, forward and backward by hand, over rows of different lengths at once.

Why by hand: in rows of thirty tokens torch's own attention, norm and autograd cost several times the matrix
products (docs/training-speed.md has the figures). Tokens of all rows lie in one matrix (M, D); only attention looks at
rows, through the lines of `Spread`. Results go to buffers that are used again in the next step, and the narrow LoRA
products ride on the wide ones (`Linear`). Nothing here trains the base's own weights. Equality with transformers'
block under autograd is a test.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from consolidation.trainer.fused import compiled_for
from consolidation.trainer.lora import Group
from consolidation.trainer.spread import Heads, Spread


class Scratch:
    """Named buffers that are kept: freshly allocated memory costs a page fault every four kilobytes.

    And the compiled passes for such numbers in `fused`, None where there are none.
    """

    def __init__(self, dtype: torch.dtype, device: torch.device) -> None:
        self.dtype = dtype
        self.device = device
        self.fused = compiled_for(dtype, device).fused
        self._buffers: dict[str, torch.Tensor] = {}

    def take(self, name: str, *shape: int, dtype: torch.dtype | None = None) -> torch.Tensor:
        """The buffer in this shape, with whatever it held before."""
        size = math.prod(shape)
        buffer = self._buffers.get(name)
        if buffer is None or buffer.numel() < size:
            buffer = torch.empty(size + size // 8, dtype=dtype or self.dtype, device=self.device)
            self._buffers[name] = buffer
        return buffer[:size].view(shape)


class Linear:
    """y = x W^T + s (x A^T) B^T with W frozen; k is the rank of the factors side by side, 0 for a plain layer.

    Forward is one wide product, [x, t] [W, s B]^T with t = x A^T; so is dL/dx = [gy, gt] [W; A] with gt = s gy B. Inputs
    and gradients therefore come with k free columns on the right, which are filled here.
    """

    def __init__(self, weight: torch.Tensor, k: int = 0) -> None:
        self.n_out, self.n_in = weight.shape
        self.k = k
        if k == 0:
            self.wide = self.tall = weight
            return
        self.wide = weight.new_zeros(self.n_out, self.n_in + k)  # [W, s B]
        self.tall = weight.new_zeros(self.n_out + k, self.n_in)  # [W; A]
        self.wide[:, : self.n_in] = weight
        self.tall[: self.n_out] = weight

    def plain(self) -> Linear:
        """The same layer without LoRA; shares memory."""
        return Linear(self.wide[:, : self.n_in])

    def load(self, group: Group, flat: torch.Tensor, scale: float) -> None:
        """Take the factors of this step."""
        self.tall[self.n_out :] = group.a(flat)
        row, column = 0, self.n_in
        for b in group.bs(flat):
            self.wide[row : row + len(b), column : column + group.rank] = b * scale
            row, column = row + len(b), column + group.rank

    def forward(self, x: torch.Tensor, out: torch.Tensor) -> torch.Tensor:
        """y (M, out) into `out`, from x (M, in + k)."""
        if self.k:
            torch.mm(x[:, : self.n_in], self.tall[self.n_out :].t(), out=x[:, self.n_in :])
        return torch.mm(x, self.wide.t(), out=out)

    def factor_gradients(
        self, gy: torch.Tensor, x: torch.Tensor, group: Group, scale: float, gradient: torch.Tensor
    ) -> None:
        """Write dL/dA and dL/dB from dL/dy (M, out + k) and the x of `forward`; fills the free columns of gy."""
        torch.mm(gy[:, : self.n_out], self.wide[:, self.n_in :], out=gy[:, self.n_out :])
        group.a(gradient).copy_(gy[:, self.n_out :].t() @ x[:, : self.n_in])
        group.set_b_gradient(gradient, x[:, self.n_in :].t() @ gy[:, : self.n_out], scale)

    def backward(self, gy: torch.Tensor, out: torch.Tensor) -> torch.Tensor:
        """dL/dx (M, in) into `out`, after `factor_gradients`."""
        return torch.mm(gy, self.tall, out=out)


class Norm:
    """RMSNorm in float32 (Zhang and Sennrich 2019, arXiv:1910.07467, eq. 4)."""

    def __init__(self, weight: torch.Tensor, eps: float) -> None:
        self.weight = weight.float()
        self.eps = eps

    def forward(
        self,
        x: torch.Tensor,
        out: torch.Tensor,
        rstd: torch.Tensor,
        scratch: Scratch,
        add: torch.Tensor | None = None,
    ) -> None:
        """Normed x into `out`, 1 / rms (M, 1) float32 into `rstd`; with `add`, x += add first."""
        if scratch.fused is not None:
            scratch.fused.norm_forward(x, self.weight, self.eps, out, rstd, add)
            return
        if add is not None:
            x.add_(add)
        wide = scratch.take("norm_x", *x.shape, dtype=torch.float32).copy_(x)
        torch.linalg.vector_norm(wide, dim=-1, keepdim=True, out=rstd)
        rstd.square_().div_(x.shape[-1]).add_(self.eps).rsqrt_()
        out.copy_(wide.mul_(rstd).mul_(self.weight))

    def backward(
        self, gy: torch.Tensor, x: torch.Tensor, rstd: torch.Tensor, g: torch.Tensor, scratch: Scratch
    ) -> None:
        """g += dL/dx = rstd * gy w - x * rstd^3 * mean(gy w * x)."""
        if scratch.fused is not None and gy.dtype is scratch.dtype:
            scratch.fused.norm_backward(gy, x, rstd, self.weight, g)
            return
        gw = scratch.take("norm_g", *x.shape, dtype=torch.float32).copy_(gy).mul_(self.weight)
        wide = scratch.take("norm_x", *x.shape, dtype=torch.float32).copy_(x)
        product = scratch.take("norm_gx", *x.shape, dtype=torch.float32)
        mean = torch.mul(gw, wide, out=product).sum(-1, keepdim=True).div_(-x.shape[-1])
        gw.mul_(rstd).addcmul_(wide, rstd.pow(3).mul_(mean))
        g.add_(scratch.take("norm_out", *x.shape).copy_(gw))


def _attend(lines: torch.Tensor, spread: Spread, scratch: Scratch, name: str) -> torch.Tensor:
    """Causal attention of all chunks: lines of the output, (positions * n_q, head). Keeps the probabilities."""
    heads = spread.heads
    out = scratch.take("attended_lines", spread.n_positions * heads.n_q, heads.size)
    for i, chunk in enumerate(spread.chunks):
        q, k, v = spread.parts(lines, chunk)
        p = scratch.take(f"{name}.p{i}", len(q), q.shape[1], chunk.t)
        if scratch.fused is not None:
            scratch.fused.softmax_forward(torch.bmm(q, k.transpose(1, 2), out=p), heads.scale)
        else:
            scores = scratch.take("scores", *p.shape)
            torch.baddbmm(spread.masks[i], q, k.transpose(1, 2), alpha=heads.scale, out=scores)
            p.copy_(torch.softmax(scores, -1, dtype=torch.float32))
        torch.bmm(p, v, out=spread.queries(out, chunk))
    return out


def _attend_backward(
    g: torch.Tensor, lines: torch.Tensor, spread: Spread, scratch: Scratch, name: str
) -> torch.Tensor:
    """dL/d(lines) from dL/d(output lines); for queries and keys before the scale, which `Spread.gather` puts on them."""
    out = scratch.take("g_lines", *lines.shape)
    for i, chunk in enumerate(spread.chunks):
        q, k, v = spread.parts(lines, chunk)
        gq, gk, gv = spread.parts(out, chunk)
        go = spread.queries(g, chunk)
        p = scratch.take(f"{name}.p{i}", len(q), q.shape[1], chunk.t)
        gp = torch.bmm(go, v.transpose(1, 2), out=scratch.take("scores", *p.shape))
        if scratch.fused is not None:
            scratch.fused.softmax_backward(gp, p)
            gs = gp
        else:
            gs = torch.ops.aten._softmax_backward_data(gp, p, -1, p.dtype)
        torch.bmm(gs, k, out=gq)
        torch.bmm(gs.transpose(1, 2), q, out=gk)
        torch.bmm(p.transpose(1, 2), go, out=gv)
    return out


def _swiglu(gu: torch.Tensor, a: torch.Tensor, scratch: Scratch, name: str) -> None:
    """silu(gate) * up into `a` (M, F), from both side by side (M, 2 F). Keeps silu(gate) where torch computes."""
    if scratch.fused is not None:
        scratch.fused.swiglu_forward(gu, a)
        return
    gate, up = gu.chunk(2, dim=-1)
    s = torch.ops.aten.silu.out(gate, out=scratch.take(f"{name}.s", *a.shape))
    torch.mul(s, up, out=a)


def _swiglu_backward(
    ga: torch.Tensor, gu: torch.Tensor, ggu: torch.Tensor, scratch: Scratch, name: str
) -> None:
    """dL/d(gate, up) (M, 2 F) into `ggu`; changes `ga`."""
    if scratch.fused is not None:
        scratch.fused.swiglu_backward(ga, gu, ggu)
        return
    gate, up = gu.chunk(2, dim=-1)
    g_gate, g_up = ggu.chunk(2, dim=-1)
    torch.mul(ga, scratch.take(f"{name}.s", *ga.shape), out=g_up)
    torch.ops.aten.silu_backward.grad_input(ga.mul_(up), gate, grad_input=g_gate)


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

    def plain(self) -> Block:
        """The same block without LoRA; shares memory."""
        qkv, o, gate_up, down = (linear.plain() for linear in self.linears)
        return Block(self.norm_1, qkv, o, self.norm_2, gate_up, down, self.heads)

    @property
    def linears(self) -> tuple[Linear, Linear, Linear, Linear]:
        """In the order of the LoRA groups."""
        return self.qkv, self.o, self.gate_up, self.down

    def forward(self, h: torch.Tensor, spread: Spread, scratch: Scratch, name: str) -> torch.Tensor:
        """The residual (M, D) after the block. What `backward` needs stays in buffers that begin with `name`."""
        m, d = h.shape
        take = scratch.take
        x1 = take(f"{name}.x1", m, d + self.qkv.k)
        self.norm_1.forward(h, x1[:, :d], take(f"{name}.rstd_1", m, 1, dtype=torch.float32), scratch)
        qkv = self.qkv.forward(x1, take("qkv", m, self.qkv.n_out))
        lines = take(f"{name}.lines", spread.n_positions * self.heads.n, self.heads.size)
        spread.spread(qkv, lines, take)
        attended = take(f"{name}.attended", m, self.o.n_in + self.o.k)
        spread.gather_output(_attend(lines, spread, scratch, name), attended[:, : self.o.n_in])
        middle = self.o.forward(attended, take(f"{name}.middle", m, d))
        x2 = take(f"{name}.x2", m, d + self.gate_up.k)
        rstd_2 = take(f"{name}.rstd_2", m, 1, dtype=torch.float32)
        self.norm_2.forward(middle, x2[:, :d], rstd_2, scratch, add=h)
        gu = self.gate_up.forward(x2, take(f"{name}.gu", m, self.gate_up.n_out))
        a = take(f"{name}.a", m, self.down.n_in + self.down.k)
        _swiglu(gu, a[:, : self.down.n_in], scratch, name)
        return self.down.forward(a, take(f"{name}.y", m, d)).add_(middle)

    def backward(
        self,
        g: torch.Tensor,
        h: torch.Tensor,
        spread: Spread,
        scratch: Scratch,
        name: str,
        trained: Trained,
        *,
        to_input: bool = True,
    ) -> None:
        """Turn dL/dy in the first D columns of `g` into dL/dh, in place, and write the gradients of the factors.

        `h`: the block's input. `to_input` False spares the last products of the lowest block.
        """
        m, d = h.shape
        take = scratch.take
        for_qkv, for_o, for_gate_up, for_down = trained.groups
        a, gu = (
            take(f"{name}.a", m, self.down.n_in + self.down.k),
            take(f"{name}.gu", m, self.gate_up.n_out),
        )
        trained.write(self.down, for_down, g, a)
        ga = self.down.backward(g, take("ga", m, self.down.n_in))
        ggu = take("ggu", m, self.gate_up.n_out + self.gate_up.k)
        _swiglu_backward(ga, gu, ggu[:, : self.gate_up.n_out], scratch, name)
        trained.write(self.gate_up, for_gate_up, ggu, take(f"{name}.x2", m, d + self.gate_up.k))
        gx = self.gate_up.backward(ggu, take("gx", m, d))
        middle, rstd_2 = take(f"{name}.middle", m, d), take(f"{name}.rstd_2", m, 1, dtype=torch.float32)
        self.norm_2.backward(gx, middle, rstd_2, g[:, :d], scratch)
        trained.write(self.o, for_o, g, take(f"{name}.attended", m, self.o.n_in + self.o.k))
        g_attended = take("g_attended", m + 1, self.o.n_in)
        self.o.backward(g, g_attended[:m])
        lines = take(f"{name}.lines", spread.n_positions * self.heads.n, self.heads.size)
        g_lines = _attend_backward(spread.spread_output(g_attended), lines, spread, scratch, name)
        gqkv = take("gqkv", m, self.qkv.n_out + self.qkv.k)
        spread.gather(g_lines, gqkv[:, : self.qkv.n_out], take)
        x1 = take(f"{name}.x1", m, d + self.qkv.k)
        trained.write(self.qkv, for_qkv, gqkv, x1)
        if to_input:
            self.qkv.backward(gqkv, gx)
            rstd_1 = take(f"{name}.rstd_1", m, 1, dtype=torch.float32)
            self.norm_1.backward(gx, h, rstd_1, g[:, :d], scratch)


@dataclass(slots=True)
class Trained:
    """The groups of one block's linears, and where their gradients go."""

    groups: tuple[Group, ...]
    scale: float
    gradient: torch.Tensor  # flat float32

    def write(self, linear: Linear, group: Group, gy: torch.Tensor, x: torch.Tensor) -> None:
        linear.factor_gradients(gy, x, group, self.scale, self.gradient)
