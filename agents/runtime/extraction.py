"""Residual activations of many texts, one vector a text and layer: fast, and the same as one text at a time gives.

Rows of like length form a batch of a fixed number of tokens, so that next to nothing is padding. Padding stands on
the right, where causal attention never looks, so no mask is needed. The header that all rows begin with is computed
once and its keys and values are shared. The pass ends at the highest layer asked for, far below the head; each
layer is pooled in its hook, so that no residual outlives its block; and a small model gets a batch per core.
Letters: N row, L layer, D hidden, B batch, T token.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from transformers import DynamicCache

from agents.runtime.decoding import pad_right
from agents.runtime.hardware import in_parallel
from agents.runtime.residuals import blocks_of
from agents.runtime.token_rules import LAST, MEAN, TOKEN_RULES

FloatArray = npt.NDArray[np.float32]
BATCH_TOKENS = 1024  # of one batch, padding included


@dataclass(frozen=True, slots=True)
class Pooled:
    """What `pooled_residuals` gives; rows without a token of their own are zero."""

    acts_NLD: FloatArray
    norms_L: FloatArray  # mean length of the residual per token of the rows


@dataclass(slots=True)
class _Batch:
    """One batch under way: which tokens count, and what the hooks found so far."""

    weights_BT: torch.Tensor  # float32; a row's sum to 1
    content_BT: torch.Tensor  # float32; 1 at the rows' own tokens
    acts: dict[int, torch.Tensor] = field(default_factory=dict)  # layer -> (B, D)
    norm_sums: dict[int, float] = field(default_factory=dict)

    def keep(self, layer: int, residual_BTD: torch.Tensor) -> None:
        residual = residual_BTD.float()
        self.acts[layer] = torch.bmm(self.weights_BT[:, None], residual)[:, 0]
        self.norm_sums[layer] = float((residual.norm(dim=-1) * self.content_BT).sum())


class _Enough(Exception):
    """Raised by the hook of the highest layer asked for."""


@torch.inference_mode()
def pooled_residuals(
    model: Any,
    header: Sequence[int],
    rows: Sequence[Sequence[int]],
    layers: Sequence[int],
    *,
    token_rule: str = MEAN,
    batch_tokens: int = BATCH_TOKENS,
    workers: int = 1,
) -> Pooled:
    """Residuals after each of `layers` of the rows' ids behind `header`, pooled over a row's own tokens.

    Several threads may read one model at once; a pass that another thread makes meanwhile is not disturbed.
    """
    if token_rule not in TOKEN_RULES:
        raise ValueError(f"token rule {token_rule!r} is not one of: {', '.join(TOKEN_RULES)}")
    acts_NLD = np.zeros((len(rows), len(layers), model.config.get_text_config().hidden_size), np.float32)
    norm_sums_L = np.zeros(len(layers))
    batches = batches_of([len(row) for row in rows], batch_tokens)
    if not batches:
        return Pooled(acts_NLD, norm_sums_L.astype(np.float32))
    with _reader(model, layers) as read:
        begun = _begun(model, header)

        def pooled(batch: list[int]) -> _Batch:
            ids, mask = (tensor.to(model.device) for tensor in pad_right([rows[i] for i in batch], 0))
            return read(ids, _weighed(mask, is_last=token_rule == LAST), begun)

        for batch, found in zip(batches, in_parallel(pooled, batches, workers), strict=True):
            for index, layer in enumerate(layers):
                acts_NLD[batch, index] = found.acts[layer].cpu().numpy()
                norm_sums_L[index] += found.norm_sums[layer]
    n_tokens = sum(map(len, rows))
    return Pooled(acts_NLD, (norm_sums_L / n_tokens).astype(np.float32))


def batches_of(lengths: Sequence[int], batch_tokens: int) -> list[list[int]]:
    """Rows that have a token, the longest first, in batches of like length within the budget (or one long row)."""
    order = sorted((i for i, length in enumerate(lengths) if length), key=lambda i: -lengths[i])
    batches: list[list[int]] = []
    for i in order:
        if batches and (len(batches[-1]) + 1) * lengths[batches[-1][0]] <= batch_tokens:
            batches[-1].append(i)
        else:
            batches.append([i])
    return batches


def _weighed(mask_BT: torch.Tensor, *, is_last: bool) -> _Batch:
    content = mask_BT.float()
    lengths = content.sum(1, keepdim=True)
    if is_last:
        return _Batch((content.cumsum(1) == lengths).float() * content, content)
    return _Batch(content / lengths, content)


def _begun(model: Any, header: Sequence[int]) -> DynamicCache | None:
    """Keys and values of the header, one row."""
    if not header:
        return None
    cache = DynamicCache(config=model.config)
    model.get_decoder()(
        input_ids=torch.tensor([list(header)], device=model.device), past_key_values=cache, use_cache=True
    )
    return cache


@contextmanager
def _reader(
    model: Any, layers: Sequence[int]
) -> Iterator[Callable[[torch.Tensor, _Batch, DynamicCache | None], _Batch]]:
    """Inside, a function that reads one batch; hooks see only passes that it makes, each in its own thread."""
    under_way = threading.local()
    highest = max(layers)

    def keep(layer: int) -> Callable[..., None]:
        def hook(_module: nn.Module, _args: Any, output: Any) -> None:
            batch: _Batch | None = getattr(under_way, "batch", None)
            if batch is None:
                return
            batch.keep(layer, output[0] if isinstance(output, tuple) else output)
            if layer == highest:
                raise _Enough

        return hook

    @torch.inference_mode()
    def read(ids_BT: torch.Tensor, batch: _Batch, begun: DynamicCache | None) -> _Batch:
        cache = copy.deepcopy(begun)
        if cache is not None:
            cache.batch_repeat_interleave(len(ids_BT))
        under_way.batch = batch
        try:
            model.get_decoder()(input_ids=ids_BT, past_key_values=cache, use_cache=cache is not None)
        except _Enough:
            return batch
        finally:
            under_way.batch = None
        raise AssertionError("the pass ended below the highest layer")

    blocks = blocks_of(model)
    handles = [blocks[layer].register_forward_hook(keep(layer)) for layer in sorted(set(layers))]
    try:
        yield read
    finally:
        for handle in handles:
            handle.remove()
