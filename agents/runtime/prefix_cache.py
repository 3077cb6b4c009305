"""Keys and values of one conversation, kept from turn to turn: what a prompt has in common with the last is not read again.

The cache is cropped to the longest common prefix, so it is exact: what was drawn and thrown away is simply cut off. It
is emptied when other adapters are worn or the steering changes. A model whose layers cannot be cropped (a sliding window
that is full, recurrent states) is read afresh unless the prompt only grew. One thread at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import torch
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

from agents.runtime.hardware import every_core, give_back_memory

if TYPE_CHECKING:
    from agents.runtime.lm import LanguageModel

MAX_TOKENS = 4096  # that are kept between turns
_GROWTH = 256  # tokens of room that a layer takes at once
_MANY = 16  # tokens, from which on every core reads
_GIVE_BACK = 32  # drawings after which the system gets back what they freed


class PrefixCache:
    """See the module. `n_reused` and `n_read` count the tokens of the last prompt."""

    def __init__(self, language_model: LanguageModel, max_tokens: int = MAX_TOKENS) -> None:
        self._model = language_model
        self._max_tokens = max_tokens
        self._ids: list[int] = []
        self._n_prompt = 0  # of them, those that were not written by a persona
        self._state: object = None
        self._cache = growing_cache(language_model.model.config)
        self.n_reused = 0
        self.n_read = 0
        self._n_released = 0

    @property
    def ids(self) -> tuple[int, ...]:
        """The tokens whose keys and values are held."""
        return tuple(self._ids)

    @property
    def size_bytes(self) -> int:
        return sum(
            tensor.untyped_storage().nbytes()
            for layer in self._cache.layers
            for tensor in (getattr(layer, "keys", None), getattr(layer, "values", None))
            if tensor is not None
        )

    def clear(self) -> None:
        self._ids = []
        self._cache = growing_cache(self._model.model.config)

    def read(self, ids: Sequence[int], n_prompt: int | None = None) -> torch.Tensor:
        """Logits (V,) of the token after `ids`, of which the first `n_prompt` are given and the others were written.

        The two are told apart because steering of a reply begins where writing begins.
        """
        if not ids:
            raise ValueError("a prompt has at least one token")
        n_prompt = len(ids) if n_prompt is None else n_prompt
        self._keep(ids, n_prompt)
        self._n_prompt = n_prompt
        self.n_reused, self.n_read = len(self._ids), len(ids) - len(self._ids)
        if not self._model.steered_with:
            return self._feed(ids[len(self._ids) :])
        logits = self._feed(ids[len(self._ids) : n_prompt]) if len(self._ids) < n_prompt else None
        for token in ids[len(self._ids) :]:
            logits = self._feed([token])
        assert logits is not None
        return logits

    def push(self, token: int) -> torch.Tensor:
        """Logits (V,) after one more token that was written."""
        return self._feed([token])

    def shared(self, rows: Sequence[Sequence[int]]) -> tuple[int, DynamicCache | None]:
        """How many tokens all rows begin with alike, and a cache that holds them once for each row.

        0 and None where the model's layers cannot be copied, and while something steers: what is steered is the end of
        each row, which a part of it does not know.
        """
        n = min(min(common_length(rows[0], row), len(row) - 1) for row in rows)
        if n == 0 or self._model.steered_with:
            return 0, None
        self.read(rows[0][:n])
        if not all(isinstance(layer, _GrowingLayer) for layer in self._cache.layers):
            return 0, None
        copy = growing_cache(self._model.model.config)
        with torch.inference_mode():
            for layer, own in zip(copy.layers, self._cache.layers, strict=True):
                layer.update(*(states.expand(len(rows), -1, -1, -1) for states in (own.keys, own.values)))
        return n, copy

    def release(self) -> None:
        """Give back the room beyond `max_tokens`, and now and then what was freed; called when a turn is over."""
        self._n_released += 1
        if self._n_released % _GIVE_BACK == 0:
            give_back_memory()
        if len(self._ids) <= self._max_tokens:
            return
        layers = [layer for layer in self._cache.layers if isinstance(layer, _GrowingLayer)]
        if len(layers) < len(self._cache.layers) or not self._crop(self._max_tokens):
            self.clear()
            return
        for layer in layers:
            layer.shrink()

    def _keep(self, ids: Sequence[int], n_prompt: int) -> None:
        """Crop to what is common and was computed under the same weights and steering; one token is left to read."""
        state = self._model.state
        common = common_length(self._ids, ids) if state == self._state else 0
        if self._model.steered_with and n_prompt != self._n_prompt:
            common = min(common, n_prompt - 1, self._n_prompt - 1)
        common = max(0, min(common, len(ids) - 1))
        self._state = state
        if not self._crop(common):
            self.clear()

    def _crop(self, n: int) -> bool:
        """Whether the cache now holds the first n tokens, n at most what it holds."""
        excess = len(self._ids) - n
        if excess == 0:
            return True
        if n == 0 or not all(_can_be_cropped(layer) for layer in self._cache.layers):
            return False
        self._cache.crop(-excess)
        del self._ids[n:]
        return True

    def _feed(self, ids: Sequence[int]) -> torch.Tensor:
        """One pass; one that breaks off leaves nothing to reuse."""
        step = self._model.one_token_step() if len(ids) == 1 and self._ids else None
        try:
            logits = self._whole_pass(ids) if step is None else step(ids[0], self._cache)
        except BaseException:
            self.clear()
            raise
        self._ids.extend(ids)
        return logits

    def _whole_pass(self, ids: Sequence[int]) -> torch.Tensor:
        given = torch.tensor([list(ids)], device=self._model.device)
        with torch.inference_mode(), every_core() if len(ids) >= _MANY else nullcontext():
            output = self._model.model(
                input_ids=given, past_key_values=self._cache, use_cache=True, logits_to_keep=1
            )
        return output.logits[0, -1]  # type: ignore[no-any-return]


def common_length(one: Sequence[int], other: Sequence[int]) -> int:
    """How many tokens the two begin with alike."""
    return next(
        (i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other))
    )


def growing_cache(config: Any) -> DynamicCache:
    """A cache of the model's layers; those that hold every token do not copy all of it for each further one."""
    cache = DynamicCache(config=config)
    cache.layers = [_GrowingLayer() if type(layer) is DynamicLayer else layer for layer in cache.layers]
    return cache


class _GrowingLayer(DynamicLayer):  # type: ignore[misc]
    """Keys and values (B, H, T, D) as views of buffers with room for more, which are made anew when it is used up."""

    def __init__(self) -> None:
        super().__init__()
        self._room: tuple[torch.Tensor, torch.Tensor] | None = None

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        n_held, n_new = self.get_seq_length(), key_states.shape[-2]
        room = self._room
        if room is None or not self._is_own(room) or room[0].shape[-2] < n_held + n_new:
            room = self._room = self._more_room(key_states, value_states, n_held)
        for buffer, states in zip(room, (key_states, value_states), strict=True):
            buffer[..., n_held : n_held + n_new, :] = states
        self.keys, self.values = (buffer[..., : n_held + n_new, :] for buffer in room)
        return self.keys, self.values

    def shrink(self) -> None:
        """Hold what is held in no more room than it takes."""
        if self.is_initialized:
            self.keys, self.values = self.keys.clone(), self.values.clone()
        self._room = None

    def _is_own(self, room: tuple[torch.Tensor, torch.Tensor]) -> bool:
        """Whether what is held lies in these buffers still, and was not selected, repeated or moved elsewhere."""
        return bool(self.keys.data_ptr() == room[0].data_ptr() and self.keys.shape[0] == room[0].shape[0])

    def _more_room(
        self, key_states: torch.Tensor, value_states: torch.Tensor, n_held: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        wanted = n_held + key_states.shape[-2]
        size = (wanted + wanted // 8) // _GROWTH * _GROWTH + _GROWTH
        made = []
        for held, states in ((self.keys, key_states), (self.values, value_states)):
            buffer = states.new_empty(*states.shape[:-2], size, states.shape[-1])
            if n_held:
                buffer[..., :n_held, :] = held
            made.append(buffer)
        return made[0], made[1]


def _can_be_cropped(layer: Any) -> bool:
    """A full sliding window has forgotten what it would have to go back to; recurrent states cannot go back."""
    if not isinstance(layer, DynamicLayer) or not layer.is_croppable:
        return False
    return not layer.is_sliding or bool(layer.get_seq_length() < layer.sliding_window)
