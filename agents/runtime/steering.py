"""Adding vectors to the residual stream while the model runs, inside a `with` that leaves no trace; and what that costs.

Layer index i is the residual after block i. Hooks are on the blocks for the duration of the `with`: whatever the model
runs inside it is steered, batches, threads and streams with a key-value cache included, and afterwards, also after an
exception, it gives bit for bit what it gave before. Directions and doses are made elsewhere; here are only vectors.
Letters: B row, T position, D hidden, V vocabulary, R position that is scored.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from agents.errors import UnfitVectors
from agents.runtime.decoding import pad_right
from agents.runtime.hardware import in_parallel

if TYPE_CHECKING:
    from agents.runtime.lm import LanguageModel

FloatArray = npt.NDArray[np.float32]
Positions = Literal["reply", "all"]
_LOGIT_ROWS = 256  # positions whose two logits are held at once


@dataclass(frozen=True, slots=True)
class Written:
    """Ids of a prompt and of what was written after it; at least one of either."""

    prompt: tuple[int, ...]
    reply: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one reply, per token: its log-probability unsteered, and KL(steered || unsteered) where it was written, in nats."""

    logprobs: FloatArray  # (R,)
    kl: FloatArray  # (R,)


class Steered:
    """What `steered` gives. `at` narrows the passes of the calling thread to given positions."""

    def __init__(self, positions: Positions) -> None:
        self.positions = positions
        self._own = threading.local()

    @contextmanager
    def at(self, mask_BT: torch.Tensor) -> Iterator[None]:
        """Inside, passes over rows of that shape are steered where the mask is 1 and nowhere else."""
        self._own.mask = mask_BT
        try:
            yield
        finally:
            self._own.mask = None

    def add(self, residual_BTD: torch.Tensor, vector_D: torch.Tensor) -> torch.Tensor:
        vector = vector_D.to(residual_BTD)
        mask: torch.Tensor | None = getattr(self._own, "mask", None)
        if mask is not None:
            return residual_BTD + mask.to(residual_BTD)[..., None] * vector
        if self.positions == "all":
            return residual_BTD + vector
        # the prompt's pass writes at its last position only, later passes have but one
        last = residual_BTD.clone()
        last[:, -1] += vector
        return last


@contextmanager
def steered(
    model: LanguageModel, vectors: Mapping[int, FloatArray], positions: Positions = "reply"
) -> Iterator[Steered]:
    """Inside, `vectors[layer]` (D,) is added to the residual after that block.

    "reply": from the prompt's last token on, at every position that writes; the prompt is read as it is. "all": the
    prompt as well. Can be nested: vectors add up. Raises UnfitVectors for a layer that does not exist, another width
    or numbers that are not finite, before anything is attached.
    """
    fitting = {layer: _checked(model, layer, vector) for layer, vector in vectors.items()}
    steering = Steered(positions)
    handles = []
    name = _name(vectors, positions)
    model.steered_with.append(name)
    try:
        for layer, vector in fitting.items():
            handles.append(model.blocks[layer].register_forward_hook(_hook(steering, vector)))
        yield steering
    finally:
        model.steered_with.remove(name)
        for handle in handles:
            handle.remove()


def _name(vectors: Mapping[int, FloatArray], positions: Positions) -> str:
    """The same for the same vectors, and for no others."""
    digest = hashlib.sha256(positions.encode())
    for layer, vector in sorted(vectors.items()):
        digest.update(f" {layer} ".encode() + np.asarray(vector, dtype=np.float32).tobytes())
    return digest.hexdigest()


def _checked(model: LanguageModel, layer: int, vector: FloatArray) -> torch.Tensor:
    if not 0 <= layer < model.n_layers:
        raise UnfitVectors(f"there is no layer {layer}; the model has layers 0 to {model.n_layers - 1}")
    if vector.shape != (model.hidden_size,):
        raise UnfitVectors(f"that of layer {layer} has shape {vector.shape}, not ({model.hidden_size},)")
    if not np.isfinite(vector).all():
        raise UnfitVectors(f"that of layer {layer} holds numbers that are not finite")
    return torch.from_numpy(np.asarray(vector, dtype=np.float32)).to(model.device)


def _hook(steering: Steered, vector: torch.Tensor) -> Callable[..., Any]:
    def hook(_module: nn.Module, _args: Any, output: Any) -> Any:
        if isinstance(output, tuple):
            return (steering.add(output[0], vector), *output[1:])
        return steering.add(output, vector)

    return hook


@torch.inference_mode()
def costs(
    model: LanguageModel,
    texts: Sequence[Written],
    vectors: Mapping[int, FloatArray],
    positions: Positions = "reply",
    batch_size: int = 24,
) -> list[Cost]:
    """What each reply costs: scored as it was written (steered with those vectors) and without, in their order."""
    order = sorted(range(len(texts)), key=lambda i: len(texts[i].prompt) + len(texts[i].reply))
    batches = [[texts[i] for i in order[s : s + batch_size]] for s in range(0, len(order), batch_size)]
    plain = in_parallel(lambda batch: _states(model, batch), batches, model.workers)
    with steered(model, vectors, positions) as steering:
        turned = in_parallel(lambda batch: _states(model, batch, steering), batches, model.workers)
    scored = in_parallel(
        lambda part: _scored(model, *part), list(zip(batches, plain, turned, strict=True)), model.workers
    )
    found = dict(zip(order, (cost for part in scored for cost in part), strict=True))
    return [found[i] for i in range(len(texts))]


def _states(model: LanguageModel, batch: Sequence[Written], steering: Steered | None = None) -> torch.Tensor:
    """Last hidden states (R, D) of the positions that write the replies, row after row."""
    with torch.inference_mode():  # it holds for one thread
        rows = [[*text.prompt, *text.reply] for text in batch]
        ids, mask = (tensor.to(model.device) for tensor in pad_right(rows, 0))
        writes = torch.zeros_like(mask)
        for i, text in enumerate(batch):
            writes[i, len(text.prompt) - 1 : len(rows[i]) - 1] = 1
        decoder = model.model.get_decoder()
        if steering is None:
            states = decoder(input_ids=ids, attention_mask=mask, use_cache=False)
        else:
            with steering.at(writes if steering.positions == "reply" else mask):
                states = decoder(input_ids=ids, attention_mask=mask, use_cache=False)
        return states.last_hidden_state[writes.bool()]  # type: ignore[no-any-return]


def _scored(
    model: LanguageModel, batch: Sequence[Written], plain_RD: torch.Tensor, turned_RD: torch.Tensor
) -> list[Cost]:
    with torch.inference_mode():
        head = model.model.get_output_embeddings()
        targets = torch.tensor([i for text in batch for i in text.reply], device=plain_RD.device)
        logprobs, kl = [], []
        for start in range(0, len(targets), _LOGIT_ROWS):
            part = slice(start, start + _LOGIT_ROWS)
            plain_RV = torch.log_softmax(head(plain_RD[part]).float(), -1)
            turned_RV = torch.log_softmax(head(turned_RD[part]).float(), -1)
            logprobs.append(plain_RV.gather(1, targets[part, None])[:, 0])
            kl.append((turned_RV.exp() * (turned_RV - plain_RV)).sum(-1))
    flat = [torch.cat(parts).cpu().numpy().astype(np.float32) for parts in (logprobs, kl)]
    ends = np.cumsum([len(text.reply) for text in batch])[:-1]
    return [Cost(a, b) for a, b in zip(*(np.split(values, ends) for values in flat), strict=True)]
