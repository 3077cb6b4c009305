"""Concepts read while a model runs: residuals after hooked blocks are projected in the forward pass itself.

The contract is that of a readout manager inside a serving engine: directions per hooked layer come in once, every
forward pass is read, and each request of a batch gets its own numbers, of its prompt and of every token after it.
Nothing is changed in the model: its output is the same to the bit, and `close` takes every hook away.
Letters: B row of the batch, T token, L layer, D hidden, K concept, S step.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from agents.errors import UnfitReadout
from agents.runtime.residuals import blocks_of
from agents.runtime.token_rules import LAST, MEAN

FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Projections:
    """What is read: directions, and what neutral text gives on them. Rows of L run like the keys of `vectors`."""

    concepts: tuple[str, ...]
    vectors: Mapping[int, FloatArray]  # layer -> (K, D), unit rows
    neutral_mean_LK: FloatArray
    neutral_std_LK: FloatArray
    token_rule: str = (
        MEAN  # of `token_rules`: which tokens of a text stood for it when the spread was measured
    )


@dataclass(frozen=True, slots=True)
class RequestReading:
    """One request's readings, in standard deviations of neutral text, averaged over the hooked layers.

    The deviations are those of means over whole texts: a single token differs from neutral text by more than a mean does.
    """

    prompt: FloatArray | None  # (K,), of its tokens that count, by the token rule; None where none does
    tokens: FloatArray  # (S, K), every token after the prompt that was fed back; the last one drawn never is
    token_rule: str = MEAN

    def reply(self) -> FloatArray | None:
        """(K,): of the tokens after the prompt, by the token rule; None where there are none."""
        if not len(self.tokens):
            return None
        reply: FloatArray = self.tokens[-1] if self.token_rule == LAST else self.tokens.mean(axis=0)
        return reply


@dataclass(slots=True)
class Collecting:
    """Open requests of one thread, and what their passes gave so far. Made by `ReadoutManager.collect`."""

    requests: tuple[str, ...]
    skip: tuple[int, ...]
    stop_ids: frozenset[int]
    token_rule: str = MEAN
    rows: list[int] = field(default_factory=list)  # the request of each row of the batch
    prompt_sums: list[tuple[list[int], torch.Tensor, torch.Tensor]] = field(default_factory=list)
    steps: list[tuple[list[int], torch.Tensor, torch.Tensor | None]] = field(default_factory=list)
    weight_BT: torch.Tensor | None = None  # of the running pass: 1 for tokens that count; None while decoding
    ids_B: torch.Tensor | None = None
    seen: list[torch.Tensor] = field(
        default_factory=list
    )  # of the running pass, a hooked layer after another
    is_running: bool = False

    def select(self, index: Sequence[int]) -> None:
        """The batch goes on with these of its rows only, in this order."""
        self.rows = [self.rows[i] for i in index]


class ReadoutManager:
    """Hooks on one model, from the start until `close`. Threads may run the model at once, each with its own requests.

    Hooks run as Python: under torch.compile they break the graph, and a captured CUDA graph does not replay them.
    """

    def __init__(self, model: nn.Module, projections: Projections) -> None:
        """Raises UnfitReadout where the model has no such layer or another width."""
        self.concepts = projections.concepts
        self.token_rule = projections.token_rule
        self.layers = tuple(sorted(projections.vectors))
        blocks = blocks_of(model)
        _check(projections, len(blocks), _width(model))
        self._weight_K, self._bias_K = _fold(projections, self.layers, next(model.parameters()).device)
        self._local = threading.local()
        causal: Any = model
        decoder: nn.Module = causal.get_decoder() if hasattr(model, "get_decoder") else model
        self._handles = [decoder.register_forward_pre_hook(self._begin, with_kwargs=True)]
        for layer in self.layers:
            self._handles.append(blocks[layer].register_forward_hook(self._hook(layer)))

    def __enter__(self) -> ReadoutManager:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Take the hooks away; a second call does nothing."""
        for handle in self._handles:
            handle.remove()
        self._handles.clear()

    @contextmanager
    def collect(
        self,
        requests: Sequence[str],
        *,
        skip: Sequence[int] | None = None,
        stop_ids: frozenset[int] = frozenset(),
    ) -> Iterator[Readings]:
        """Inside, the passes of this thread are read: row i of a batch belongs to `requests[i]`.

        Of request i the first `skip[i]` tokens do not count (a template's header), nor does padding on either side.
        A row that was fed one of `stop_ids` is over: what a generator writes behind it is not read. The readings are
        complete when the block ends. Raises ValueError for another number of rows, or a mask that is not (B, T).
        """
        if not self._handles:
            raise RuntimeError("this readout manager is closed; open another")
        if getattr(self._local, "collecting", None) is not None:
            raise RuntimeError("this thread collects already; end that block first")
        skips = tuple(skip) if skip is not None else (0,) * len(requests)
        if len(skips) != len(requests) or len(set(requests)) != len(requests):
            raise ValueError("each request needs a name of its own, and `skip` one number for each")
        collecting = Collecting(
            tuple(requests), skips, stop_ids, self.token_rule, rows=list(range(len(requests)))
        )
        found = Readings(self.concepts, collecting)
        self._local.collecting = collecting
        try:
            yield found
        finally:
            self._local.collecting = None
        found.finish(self._bias_K)

    # ---- hooks

    def _begin(self, _module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        collecting: Collecting | None = getattr(self._local, "collecting", None)
        if collecting is None:
            return
        given = kwargs.get("input_ids", args[0] if args else None)
        shaped = given if given is not None else kwargs["inputs_embeds"]
        n_rows, n_tokens = shaped.shape[:2]
        if n_rows != len(collecting.rows):
            raise ValueError(f"the batch has {n_rows} rows for {len(collecting.rows)} requests that are read")
        is_step = n_tokens == 1 and bool(collecting.prompt_sums)
        collecting.ids_B = given[:, -1] if is_step and given is not None else None
        collecting.weight_BT = None if is_step else _counted(collecting, kwargs.get("attention_mask"), shaped)
        collecting.seen.clear()
        collecting.is_running = True

    def _hook(self, layer: int) -> Callable[..., None]:
        is_last = layer == self.layers[-1]

        def hook(_module: nn.Module, _args: Any, output: Any) -> None:
            collecting: Collecting | None = getattr(self._local, "collecting", None)
            if collecting is None or not collecting.is_running:
                return
            residual = (output[0] if isinstance(output, tuple) else output).detach()
            weight_BT = collecting.weight_BT
            collecting.seen.append(
                residual[:, -1]
                if weight_BT is None
                else torch.einsum("btd,bt->bd", residual.float(), weight_BT)
            )
            if is_last:
                self._end(collecting)

        return hook

    def _end(self, collecting: Collecting) -> None:
        """All hooked layers of this pass at once: (B, L * D) @ (L * D, K)."""
        together = torch.cat(collecting.seen, dim=-1).float()
        collecting.seen.clear()
        collecting.is_running = False
        rows, found_BK = list(collecting.rows), together @ self._weight_K
        if collecting.weight_BT is None:
            collecting.steps.append((rows, found_BK, collecting.ids_B))
        else:
            collecting.prompt_sums.append((rows, found_BK, collecting.weight_BT.sum(1)))


class Readings:
    """What the requests of one block gave, when the block has ended; by request, in their order."""

    def __init__(self, concepts: tuple[str, ...], collecting: Collecting) -> None:
        self.concepts = concepts
        self._collecting = collecting
        self._found: dict[str, RequestReading] = {}

    def select(self, index: Sequence[int]) -> None:
        """Say that the batch goes on with these of its rows only, as generators that drop finished rows must."""
        self._collecting.select(index)

    def __getitem__(self, request: str) -> RequestReading:
        return self._found[request]

    def __iter__(self) -> Iterator[str]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)

    def finish(self, bias_K: torch.Tensor) -> None:
        """Bring the numbers from the device and deal them out."""
        bias, collecting = bias_K.cpu().numpy(), self._collecting
        n, n_concepts = len(collecting.requests), len(bias)
        sums, counts = np.zeros((n, n_concepts), np.float32), np.zeros(n, np.float32)
        for rows, found_BK, count_B in collecting.prompt_sums:
            found, count = found_BK.cpu().numpy(), count_B.cpu().numpy()
            for place, row in enumerate(rows):
                if collecting.token_rule == LAST and count[place]:  # a later piece of the prompt ends later
                    sums[row], counts[row] = 0, 0
                sums[row] += found[place]
                counts[row] += count[place]
        tokens = _by_request(collecting, bias)
        for i, request in enumerate(collecting.requests):
            prompt = sums[i] / counts[i] - bias if counts[i] else None
            self._found[request] = RequestReading(prompt, tokens[i], collecting.token_rule)
        collecting.prompt_sums.clear()
        collecting.steps.clear()


def _by_request(collecting: Collecting, bias_K: FloatArray) -> list[FloatArray]:
    """(S, K) of each request; a row ends where it was fed a stop token."""
    found: list[list[FloatArray]] = [[] for _ in collecting.requests]
    is_over = [False] * len(found)
    for rows, found_BK, ids_B in collecting.steps:
        numbers = found_BK.cpu().numpy()
        fed = ids_B.tolist() if ids_B is not None else [None] * len(rows)
        for row, values, token in zip(rows, numbers, fed, strict=True):
            is_over[row] = is_over[row] or token in collecting.stop_ids
            if not is_over[row]:
                found[row].append(values - bias_K)
    return [np.stack(one) if one else np.zeros((0, len(bias_K)), np.float32) for one in found]


def _counted(collecting: Collecting, mask: Any, shaped: torch.Tensor) -> torch.Tensor:
    """(B, T), 1.0 for the tokens of this pass that count."""
    n_rows, n_tokens = shaped.shape[:2]
    if mask is None:
        mask = torch.ones((n_rows, n_tokens), dtype=torch.long, device=shaped.device)
    if not isinstance(mask, torch.Tensor) or mask.dim() != 2:
        raise ValueError("readings need an attention mask with one number per row and token, shape (B, T)")
    skip = torch.tensor([collecting.skip[row] for row in collecting.rows], device=mask.device)
    is_counted = (mask.bool() & (mask.long().cumsum(1) > skip[:, None]))[:, -n_tokens:].long()
    if collecting.token_rule == LAST:
        n_behind = is_counted.flip(1).cumsum(1).flip(1)
        is_counted = is_counted * (n_behind == 1)
    return is_counted.float()


def _fold(
    projections: Projections, layers: Sequence[int], device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    """(L * D, K) and (K,): the mean over layers of (h v - mean) / std as h weight - bias."""
    order = list(projections.vectors)
    weights, bias = [], np.zeros(len(projections.concepts), np.float64)
    for layer in layers:
        std_K = projections.neutral_std_LK[order.index(layer)].astype(np.float64) * len(layers)
        weights.append((projections.vectors[layer].astype(np.float64) / std_K[:, None]).T)
        bias += projections.neutral_mean_LK[order.index(layer)] / std_K
    folded = np.concatenate(weights).astype(np.float32)
    return torch.from_numpy(folded).to(device), torch.from_numpy(bias.astype(np.float32)).to(device)


def _width(model: nn.Module) -> int:
    config: Any = model.config
    return int(config.get_text_config().hidden_size)


def _check(projections: Projections, n_blocks: int, width: int) -> None:
    for layer, vectors_KD in projections.vectors.items():
        if not 0 <= layer < n_blocks:
            raise UnfitReadout(f"it reads layer {layer}, the model has layers 0 to {n_blocks - 1}")
        if vectors_KD.shape != (len(projections.concepts), width):
            raise UnfitReadout(
                f"layer {layer} holds {vectors_KD.shape[0]} directions of {vectors_KD.shape[1]} numbers, "
                f"wanted are {len(projections.concepts)} of {width}"
            )
