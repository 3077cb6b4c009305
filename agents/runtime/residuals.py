"""The residual stream, read after a block by forward hooks that leave no trace.

Layer index i means the residual after block i (hidden_states[i + 1] of transformers, except for the last block,
where transformers applies the final norm and this does not).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn


def blocks_of(model: nn.Module) -> nn.ModuleList:
    """The decoder blocks of a causal language model: its longest list of modules."""
    lists = [module for module in model.modules() if isinstance(module, nn.ModuleList)]
    return max(lists, key=len)


@contextmanager
def capture(model: nn.Module, layers: Sequence[int]) -> Iterator[dict[int, torch.Tensor]]:
    """Inside, the dictionary holds the residual (B, T, D) after each of `layers` from the latest forward pass."""
    seen: dict[int, torch.Tensor] = {}

    def keep(layer: int) -> Callable[..., None]:
        def hook(_module: nn.Module, _args: Any, output: Any) -> None:
            seen[layer] = (output[0] if isinstance(output, tuple) else output).detach()

        return hook

    blocks = blocks_of(model)
    handles = [blocks[layer].register_forward_hook(keep(layer)) for layer in layers]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()
