"""Per-example gradients of a loss with respect to LoRA factors, as sketches whose inner products are kept.

For a module with input x and gradient g of its output the factors of s * B A have the gradients s (g B)^T x for A and
s g^T (x A^T) for B (Hu et al. 2021, arXiv:2106.09685, eq. 3), summed over tokens. The model wears the delta in its weights,
so both come from one forward and one backward pass of the model as it is; nothing is injected. The wide side of each is
multiplied by a fixed random matrix (Johnson and Lindenstrauss; as TRAK does, Park et al. 2023, arXiv:2303.14186, section 3.2).
Where there are no factors, or too many to tell from the whole, the gradient of the weight itself is sketched from both
sides. Blocks below the first module run without a graph.
Letters: B row, T token, R rank, S sketch, K numbers of one module's sketch.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from agents.errors import UnknownModule
from agents.runtime.adapter import Adapter
from agents.runtime.decoding import pad_right
from agents.runtime.extraction import batches_of
from agents.runtime.hardware import every_core
from agents.runtime.lm import LanguageModel

FloatArray = npt.NDArray[np.float32]
Row = tuple[list[int], list[bool]]  # ids, and which of them the loss is taken over
Sketches = dict[str, FloatArray]  # module -> (N, K)

WIDTH = (
    64  # numbers that a wide side is brought down to; relative error of one module's products about an eighth
)
MAX_RANK = 64  # of all vectors together; above it the weight's own gradient says as much for less
BATCH_TOKENS = 1024  # of rows that are differentiated together


@dataclass(frozen=True, slots=True)
class Factors:
    """The vectors that a module wears, side by side: their scales are in B."""

    a_RI: torch.Tensor
    b_OR: torch.Tensor
    scales_R: torch.Tensor


class Differentiator:
    """Gradients for one model as it is dressed now. Not for two threads at once."""

    def __init__(
        self,
        model: LanguageModel,
        worn: Sequence[tuple[Adapter, float]],
        *,
        first_layer: int = 0,
        width: int = WIDTH,
        seed: int = 0,
    ) -> None:
        """`worn`: what was applied; without any, the weights of all linear modules from `first_layer` on count.

        Raises UnknownModule.
        """
        self._model = model
        self._width = width
        self._seed = seed
        names = sorted({name for adapter, _ in worn for name in adapter.modules})
        self.factors: dict[str, Factors | None] = {name: _factors(model, worn, name) for name in names}
        if not names:
            self.factors = dict.fromkeys(_linear_names(model, first_layer))
        self._modules = {name: _module(model, name) for name in self.factors}
        self._sketches: dict[tuple[str, int], torch.Tensor] = {}

    @property
    def is_of_weights(self) -> bool:
        """Whether no factors were found, so that the gradients are those of the weights."""
        return not any(factors is not None for factors in self.factors.values())

    def gradients(self, rows: Sequence[Row], progress: Callable[[int, int], None] | None = None) -> Sketches:
        """Sketched gradients of each row's mean loss per counted token, in the order of the rows.

        Raises ValueError for a row of which nothing is counted.
        """
        if any(not any(counted[1:]) for _, counted in rows):
            raise ValueError("a row has no token to take a loss over")
        found: dict[str, FloatArray] = {}
        done = 0
        with every_core():
            for places in batches_of([len(ids) for ids, _ in rows], BATCH_TOKENS):
                for name, part in self._differentiate([rows[i] for i in places]).items():
                    if name not in found:
                        found[name] = np.zeros((len(rows), part.shape[1]), np.float32)
                    found[name][places] = part
                done += len(places)
                if progress is not None:
                    progress(done, len(rows))
        return found

    def _differentiate(self, rows: Sequence[Row]) -> Sketches:
        padded = pad_right([ids for ids, _ in rows], min(self._model.template.stop_ids, default=0))
        ids_BT, mask_BT = (tensor.to(self._model.device) for tensor in padded)
        counted = torch.zeros_like(mask_BT, dtype=torch.bool)
        for i, (ids, is_counted) in enumerate(rows):
            counted[i, : len(ids)] = torch.tensor(is_counted)
        found: Sketches = {}
        with torch.enable_grad(), self._watch(found):
            hidden = self._model.model.get_decoder()(
                input_ids=ids_BT, attention_mask=mask_BT, use_cache=False
            ).last_hidden_state
            _loss(self._model, hidden, ids_BT, counted).backward()  # type: ignore[no-untyped-call]
        return found

    @contextmanager
    def _watch(self, found: Sketches) -> Iterator[None]:
        """Inside, a backward pass puts each module's sketch into `found`."""
        block = self._model.blocks[self._first_block()]
        handles: list[Any] = [block.register_forward_pre_hook(_begin_graph, with_kwargs=True)]
        for name, module in self._modules.items():
            handles.append(module.register_forward_hook(self._keeper(name, found)))
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _keeper(self, name: str, found: Sketches) -> Callable[..., None]:
        def hook(_module: nn.Module, args: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
            x_BTI = args[0].detach()

            def keep(g_BTO: torch.Tensor) -> None:
                found[name] = self._sketch(name, x_BTI.float(), g_BTO.detach().float()).cpu().numpy()

            output.register_hook(keep)  # type: ignore[no-untyped-call]

        return hook

    def _sketch(self, name: str, x_BTI: torch.Tensor, g_BTO: torch.Tensor) -> torch.Tensor:
        """(B, K) of one module; padding has no gradient and adds nothing."""
        factors = self.factors[name]
        small_x, small_g = self._narrow(name, x_BTI), self._narrow(name, g_BTO)
        if factors is None:
            return torch.einsum("bts,btr->bsr", small_g, small_x).flatten(1)
        along_b = torch.einsum("bts,btr->bsr", small_g, x_BTI @ factors.a_RI.T) * factors.scales_R
        along_a = torch.einsum("btr,bts->brs", g_BTO @ factors.b_OR, small_x) * factors.scales_R[:, None]
        return torch.cat([along_b.flatten(1), along_a.flatten(1)], dim=1)

    def _narrow(self, name: str, values: torch.Tensor) -> torch.Tensor:
        """The last side times a random matrix with E[P P^T] = I; as it is where it is no wider."""
        wide = values.shape[-1]
        if wide <= self._width:
            return values
        key = (name, wide)
        if key not in self._sketches:
            source = torch.Generator().manual_seed(zlib.crc32(f"{self._seed}:{name}:{wide}".encode()))
            made = torch.randn(wide, self._width, generator=source) / self._width**0.5
            self._sketches[key] = made.to(values.device)
        return values @ self._sketches[key]

    def _first_block(self) -> int:
        """The lowest block with a module of ours; everything below needs no graph."""
        for number, block in enumerate(self._model.blocks):
            inside = {id(module) for module in block.modules()}
            if any(id(module) in inside for module in self._modules.values()):
                return number
        raise UnknownModule(next(iter(self._modules), ""))


def _begin_graph(_module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if args:
        return (args[0].detach().requires_grad_(), *args[1:]), kwargs
    return args, {**kwargs, "hidden_states": kwargs["hidden_states"].detach().requires_grad_()}


def _loss(
    model: LanguageModel, hidden_BTD: torch.Tensor, ids_BT: torch.Tensor, counted_BT: torch.Tensor
) -> torch.Tensor:
    """The sum over the rows of each one's mean cross-entropy over what is counted of it."""
    is_target = counted_BT[:, 1:]
    logits = model.model.get_output_embeddings()(hidden_BTD[:, :-1][is_target]).float()
    each = nn.functional.cross_entropy(logits, ids_BT[:, 1:][is_target], reduction="none")
    share = 1.0 / is_target.sum(1, keepdim=True).clamp(min=1)
    return (each * share.expand(is_target.shape)[is_target]).sum()


def _factors(model: LanguageModel, worn: Sequence[tuple[Adapter, float]], name: str) -> Factors | None:
    """All vectors of one module; None where their ranks together are too many."""
    parts = [(adapter, c) for adapter, c in worn if c and name in adapter.modules]
    if not parts or sum(adapter.modules[name][0].shape[0] for adapter, _ in parts) > MAX_RANK:
        return None
    scales = [
        np.full(adapter.modules[name][0].shape[0], c * adapter.alpha / adapter.rank, np.float32)
        for adapter, c in parts
    ]
    device = model.device
    return Factors(
        torch.from_numpy(np.concatenate([adapter.modules[name][0] for adapter, _ in parts])).to(device),
        torch.from_numpy(np.concatenate([adapter.modules[name][1] for adapter, _ in parts], axis=1)).to(
            device
        ),
        torch.from_numpy(np.concatenate(scales)).to(device),
    )


def _linear_names(model: LanguageModel, first_layer: int) -> list[str]:
    """All linear modules of the blocks from there on."""
    wanted = {id(module) for block in model.blocks[first_layer:] for module in block.modules()}
    return [
        name
        for name, module in model.model.named_modules()
        if isinstance(module, nn.Linear) and id(module) in wanted
    ]


def _module(model: LanguageModel, name: str) -> nn.Module:
    try:
        return model.model.get_submodule(name)  # type: ignore[no-any-return]
    except AttributeError as error:
        raise UnknownModule(name) from error
