"""All LoRA factors of a model in one flat float32 vector, so that an optimiser step is a handful of operations.

Modules that read the same input form a group (q, k and v; gate and up): their A factors lie one after the other
and are one matrix. A starts uniform in +-1/sqrt(in), B at zero, as in peft, unless they begin as an adapter's (`begin_from`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from agents.runtime.adapter import Adapter
from consolidation.errors import StartUnfit


@dataclass(frozen=True, slots=True)
class Group:
    """Modules with one input. Offsets are into the flat vector: A's (k * rank, in), then each B's (out, rank)."""

    names: tuple[str, ...]
    n_in: int
    n_outs: tuple[int, ...]
    offset: int
    rank: int

    @property
    def a_size(self) -> int:
        return len(self.names) * self.rank * self.n_in

    @property
    def size(self) -> int:
        return self.a_size + self.rank * sum(self.n_outs)

    def a(self, flat: torch.Tensor) -> torch.Tensor:
        """All A factors as one view (k * rank, in)."""
        return flat[self.offset : self.offset + self.a_size].view(-1, self.n_in)

    def bs(self, flat: torch.Tensor) -> list[torch.Tensor]:
        """Views (out, rank) of the B factors."""
        start = self.offset + self.a_size
        parts = torch.split(flat[start : self.offset + self.size], [self.rank * n for n in self.n_outs])
        return [part.view(n, self.rank) for part, n in zip(parts, self.n_outs, strict=True)]

    def set_b_gradient(self, flat: torch.Tensor, gradient: torch.Tensor, scale: float) -> None:
        """Write scale * the diagonal blocks of a (k * rank, sum of outs) gradient, transposed, as those of the B factors."""
        column = 0
        for i, (view, n) in enumerate(zip(self.bs(flat), self.n_outs, strict=True)):
            block = gradient[i * self.rank : (i + 1) * self.rank, column : column + n]
            view.copy_(block.t()).mul_(scale)
            column += n


class LoraFactors:
    """`flat` is the one trained parameter."""

    def __init__(self, shapes: Sequence[Sequence[tuple[str, int, int]]], rank: int, alpha: float) -> None:
        """`shapes`: per group the (module name, in, out) of its modules."""
        self.rank = rank
        self.alpha = alpha
        self.scale = alpha / rank
        self.groups: list[Group] = []
        offset = 0
        for modules in shapes:
            names, n_ins, n_outs = zip(*modules, strict=True)
            group = Group(tuple(names), n_ins[0], tuple(n_outs), offset, rank)
            self.groups.append(group)
            offset += group.size
        self.flat = torch.zeros(offset)

    def initialise(self, seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        for group in self.groups:
            a = group.a(self.flat)
            bound = group.n_in**-0.5
            a.copy_((torch.rand(a.shape, generator=generator) * 2 - 1) * bound)

    def begin_from(self, adapter: Adapter) -> None:
        """Take over another's factors instead of new ones. Raises StartUnfit unless it has this rank, scale and modules."""
        named = self.named(self.flat)
        shapes = {name: (tuple(a.shape), tuple(b.shape)) for name, (a, b) in named.items()}
        there = {name: (a.shape, b.shape) for name, (a, b) in adapter.modules.items()}
        if (adapter.rank, adapter.alpha) != (self.rank, self.alpha) or there != shapes:
            raise StartUnfit
        for name, factors in named.items():
            for view, factor in zip(factors, adapter.modules[name], strict=True):
                view.copy_(torch.from_numpy(factor))

    def named(self, flat: torch.Tensor) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
        """Views (A, B) per module into a vector that is laid out like `flat`."""
        return {
            name: (a, b)
            for group in self.groups
            for name, a, b in zip(
                group.names, torch.split(group.a(flat), self.rank), group.bs(flat), strict=True
            )
        }

    def to_adapter(self, base_hash: str, meta: Mapping[str, Any]) -> Adapter:
        """The factors as they are now, copied."""
        named = self.named(self.flat.detach().float().cpu())
        modules = {name: (a.clone().numpy(), b.clone().numpy()) for name, (a, b) in named.items()}
        return Adapter(base_hash, self.rank, self.alpha, modules, dict(meta))
