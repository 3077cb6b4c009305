"""Making text token by token with a key-value cache: a batch of greedy answers, or one stream.

Nothing here knows about adapters or templates; it takes ids and gives ids (or text, for a stream).
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import DynamicCache

from agents.runtime.prefix_cache import PrefixCache
from agents.runtime.sampling import Sampler

_COMPACT_BELOW = 0.6  # drop finished rows once this share or less is still being written


def pad_left(rows: Sequence[Sequence[int]], pad_id: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids and mask (B, T), int64, rows ending at the same column."""
    width = max(len(row) for row in rows)
    ids = torch.full((len(rows), width), pad_id)
    mask = torch.zeros((len(rows), width), dtype=torch.long)
    for i, row in enumerate(rows):
        ids[i, width - len(row) :] = torch.tensor(row)
        mask[i, width - len(row) :] = 1
    return ids, mask


def pad_right(rows: Sequence[Sequence[int]], pad_id: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids and mask (B, T), int64, rows starting at the same column."""
    width = max(len(row) for row in rows)
    ids = torch.full((len(rows), width), pad_id)
    mask = torch.zeros((len(rows), width), dtype=torch.long)
    for i, row in enumerate(rows):
        ids[i, : len(row)] = torch.tensor(row)
        mask[i, : len(row)] = 1
    return ids, mask


def likeliest(logits_BV: torch.Tensor) -> torch.Tensor:
    """Greedy choice, (B, 1)."""
    return logits_BV.argmax(-1, keepdim=True)


def drawn(temperature: float, seed: int) -> Callable[[torch.Tensor], torch.Tensor]:
    """A choice at random by softmax(logits / temperature), (B, 1)."""
    generator = torch.Generator().manual_seed(seed)

    def draw(logits_BV: torch.Tensor) -> torch.Tensor:
        probabilities = torch.softmax(logits_BV.float().cpu() / temperature, dim=-1)
        return torch.multinomial(probabilities, 1, generator=generator).to(logits_BV.device)

    return draw


@torch.inference_mode()
def complete(
    model: Any,
    rows: Sequence[Sequence[int]],
    *,
    max_new_tokens: int,
    stop_ids: frozenset[int],
    pad_id: int,
    pick: Callable[[torch.Tensor], torch.Tensor] = likeliest,
    selected: Callable[[Sequence[int]], None] | None = None,
    begun: DynamicCache | None = None,
) -> list[list[int]]:
    """A continuation of each row, without its stop token. Finished rows leave the batch.

    `selected` is told which places of the batch go on, whenever some leave it. `begun` holds what comes before every
    row, once for each of them; it grows with what is written.
    """
    device = model.device
    ids, mask = (tensor.to(device) for tensor in pad_left(rows, pad_id))
    cache = begun if begun is not None else DynamicCache(config=model.config)
    n_begun = cache.get_seq_length() if begun is not None else 0
    mask = torch.cat([mask.new_ones(len(mask), n_begun), mask], dim=1)
    alive = list(range(len(rows)))
    made: list[list[int]] = [[] for _ in rows]
    stops = torch.tensor(sorted(stop_ids), device=device)
    position = (mask.cumsum(-1) - 1).clamp(min=0)[:, n_begun:]
    for step in range(max_new_tokens):
        logits = model(
            input_ids=ids,
            attention_mask=mask,
            position_ids=position,
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        ).logits[:, -1]
        ids = pick(logits)
        is_open = ~torch.isin(ids[:, 0], stops)
        position = position[:, -1:] + 1
        chosen = ids[:, 0].tolist()
        keep = []
        for i, (row, token, goes_on) in enumerate(zip(alive, chosen, is_open.tolist(), strict=True)):
            if goes_on and row >= 0:
                made[row].append(token)
                keep.append(i)
            else:
                alive[i] = -1
        if not keep or step + 1 == max_new_tokens:
            break
        mask = torch.cat([mask, mask.new_ones(len(mask), 1)], dim=1)
        if len(keep) <= _COMPACT_BELOW * len(alive):
            index = torch.tensor(keep, device=device)
            cache.batch_select_indices(index)
            ids, mask, position = ids[index], mask[index], position[index]
            alive = [alive[i] for i in keep]
            if selected is not None:
                selected(keep)
    return made


@dataclass(frozen=True, slots=True)
class Drawn:
    """Text that became certain with one token, and the entropy in nats of what it was drawn from (`Sampler.draw`).

    The last may have text alone: an incomplete character at the end.
    """

    text: str
    token: int | None = None
    entropy: float | None = None


def stream_ids(
    cache: PrefixCache,
    ids: Sequence[int],
    sampler: Sampler,
    *,
    stop_ids: frozenset[int],
    should_stop: Callable[[], bool],
    n_prompt: int | None = None,
) -> Generator[tuple[int, float], None, None]:
    """New token ids with their entropies, until a stop token, `max_new_tokens`, or `should_stop()` before the next one.

    Closing the iterator ends it; the cache then holds all but the last token.
    """
    token: int | None = None
    try:
        for _ in range(sampler.sampling.max_new_tokens):
            if should_stop():
                return
            logits = cache.read(ids, n_prompt) if token is None else cache.push(token)
            token, entropy = sampler.draw(logits)
            if token in stop_ids:
                return
            yield token, entropy
    finally:
        cache.release()


def branch_ids(
    model: Any,
    cache: PrefixCache,
    rows: Sequence[Sequence[int]],
    samplers: Sequence[Sampler],
    *,
    max_new_tokens: int,
    stop_ids: frozenset[int],
    pad_id: int,
) -> list[list[int]]:
    """A continuation of each row, drawn by its own sampler; what all rows begin with is read once and kept in the cache."""
    n_shared, begun = cache.shared(rows)
    places = list(samplers)

    def pick(logits_BV: torch.Tensor) -> torch.Tensor:
        drawn_ids = [sampler.draw(row)[0] for sampler, row in zip(places, logits_BV, strict=True)]
        return torch.tensor(drawn_ids, device=logits_BV.device)[:, None]

    def select(kept: Sequence[int]) -> None:
        places[:] = [places[i] for i in kept]

    return complete(
        model,
        [row[n_shared:] for row in rows],
        max_new_tokens=max_new_tokens,
        stop_ids=stop_ids,
        pad_id=pad_id,
        pick=pick,
        selected=select,
        begun=begun,
    )


class Detokenizer:
    """Text of a growing list of ids, given out only in whole characters."""

    def __init__(self, decode: Callable[[list[int]], str]) -> None:
        self._decode = decode
        self._ids: list[int] = []
        self._base = ""  # text of `_ids` that was given out already

    def push(self, token: int) -> str:
        """The text that became certain with this token; "" while a character is incomplete."""
        self._ids.append(token)
        text = self._decode(self._ids)
        if text.endswith("\ufffd"):
            return ""
        new = text[len(self._base) :]
        self._base = text
        if text.endswith(("\n", ".")) or len(self._ids) > 64:
            self._ids, self._base = self._ids[-1:], self._decode(self._ids[-1:])
        return new

    def rest(self) -> str:
        """What is left at the end: an incomplete character shows as the replacement sign."""
        return self._decode(self._ids)[len(self._base) :]
