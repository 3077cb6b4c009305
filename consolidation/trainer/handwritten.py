"""The engine for small Llama-like models: hand-written blocks, cached lower layers, rows dealt to the cores.

Blocks below the first trained one are computed once per text and their output is kept. Each worker thread takes
its share of a step's rows forward and backward into its own gradient; shares are added in a fixed order, so the same step gives
the same bits for the same number of workers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn

from agents.runtime.hardware import SMALL_MODEL_PARAMETERS, in_parallel
from agents.runtime.lm import LanguageModel
from consolidation.trainer.blocks import Block, Linear, Norm, Scratch, Trained
from consolidation.trainer.engine import StepResult, Text
from consolidation.trainer.fused import compiled_for
from consolidation.trainer.layout import Layout, deal, passes
from consolidation.trainer.lora import Group, LoraFactors
from consolidation.trainer.losses import Head, text_weights
from consolidation.trainer.spread import Heads, Rope, Spread

_ATTENTION = ("q_proj", "k_proj", "v_proj")
_GATES = ("gate_proj", "up_proj")
_MAX_PREPARED_TOKENS = 4096  # per worker and pass, while lower layers are computed


def fits(model: Any) -> bool:
    """Whether the blocks are plain Llama's (no biases, no norms on q and k, SiLU) and small enough to copy."""
    config = model.config
    return (
        config.model_type in ("llama", "mistral")
        and not getattr(config, "attention_bias", False)
        and not getattr(config, "mlp_bias", False)
        and not getattr(config, "sliding_window", None)
        and config.hidden_act == "silu"
        and sum(p.numel() for p in model.parameters()) <= SMALL_MODEL_PARAMETERS
    )


def first_trained(n_layers: int, share: float) -> int:
    """Index of the lowest block with LoRA; at least one block is trained."""
    return min(n_layers - 1, max(0, round(share * n_layers)))


class HandwrittenEngine:
    """See `engine.Engine` and the module."""

    def __init__(self, language_model: LanguageModel, rank: int, alpha: float, first_layer: float) -> None:
        model = language_model.model
        self._decoder = model.get_decoder()
        self._head = Head(model.get_output_embeddings().weight.detach(), keep=True)
        self._width = language_model.hidden_size
        self._device = language_model.device
        self._dtype = language_model.dtype
        compiled = compiled_for(self._dtype, self._device)
        self.obstacle = compiled.obstacle
        self.name = "handwritten-fused" if compiled.fused else "handwritten"
        self.workers = language_model.workers
        self.first = first_trained(language_model.n_layers, first_layer)
        self._names = {id(module): name for name, module in model.named_modules()}
        self._final_norm = _norm(self._decoder.norm)
        self.factors = LoraFactors(list(self._shapes(language_model.blocks[self.first :])), rank, alpha)
        self.factors.flat = self.factors.flat.to(self._device)
        self.gradient = torch.zeros_like(self.factors.flat)
        self._trained = [
            _block(layer, [rank * len(group.names) for group in self._groups(i)])
            for i, layer in enumerate(language_model.blocks[self.first :])
        ]
        self._plain = [_block(layer, [0] * 4) for layer in language_model.blocks[: self.first]]
        self._desks: list[tuple[torch.Tensor, Scratch]] = []  # of each worker: its gradient, its buffers
        self._lower: dict[str, torch.Tensor] = {}
        self._rope = self._make_rope(64)

    # ---- construction

    def _shapes(self, layers: Any) -> Any:
        for layer in layers:
            attention, mlp = layer.self_attn, layer.mlp
            for parts in (
                [getattr(attention, name) for name in _ATTENTION],
                [attention.o_proj],
                [getattr(mlp, name) for name in _GATES],
                [mlp.down_proj],
            ):
                yield [(self._names[id(part)], part.in_features, part.out_features) for part in parts]

    def _make_rope(self, length: int) -> Rope:
        probe = torch.zeros(1, 1, self._width, dtype=self._dtype, device=self._device)
        positions = torch.arange(length, device=self._device).unsqueeze(0)
        with torch.no_grad():
            cos, sin = (part[0].clone() for part in self._decoder.rotary_emb(probe, position_ids=positions))
        sin[..., : sin.shape[-1] // 2].neg_()
        return Rope(cos, sin)

    def _groups(self, i: int) -> tuple[Group, ...]:
        """The LoRA groups of the i-th trained block, in the order of `Block.linears`."""
        return tuple(self.factors.groups[4 * i : 4 * i + 4])

    def _load_factors(self) -> None:
        for i, block in enumerate(self._trained):
            for linear, group in zip(block.linears, self._groups(i), strict=True):
                linear.load(group, self.factors.flat, self.factors.scale)

    # ---- computing

    def final_hidden(self, rows: Sequence[Sequence[int]]) -> list[torch.Tensor]:
        blocks = [*self._plain, *(block.plain() for block in self._trained)]

        def finish(h: torch.Tensor, spread: Spread, scratch: Scratch) -> torch.Tensor:
            h = _run(blocks, h, spread, scratch)
            out = torch.empty_like(h)
            self._final_norm.forward(h, out, torch.empty(len(h), 1, device=h.device), scratch)
            return out

        return self._over_rows(rows, finish)

    @torch.no_grad()
    def prepare(self, texts: Sequence[Text]) -> None:
        """Compute the input of the first trained block once per text, with whatever the model wears now."""
        lower = self._over_rows(
            [used_ids(text) for text in texts],
            lambda h, spread, scratch: _run(self._plain, h, spread, scratch),
        )
        self._head.forget()
        self._lower = {text.id: rows for text, rows in zip(texts, lower, strict=True)}

    @torch.no_grad()
    def step(self, texts: Sequence[Text], kl_weight: float) -> StepResult:
        self._load_factors()
        weights = text_weights(texts, kl_weight)
        rows = [used_ids(text) for text in texts]
        hands = deal(rows, self.workers, [len(text.positions) for text in texts])
        while len(self._desks) < len(hands):
            self._desks.append((torch.zeros_like(self.gradient), Scratch(self._dtype, self._device)))
        jobs = list(zip(hands, self._desks, strict=False))
        done = in_parallel(lambda job: self._share(texts, job[0], *job[1], weights), jobs, self.workers)
        self.gradient.copy_(self._desks[0][0])
        for _, (gradient, _) in jobs[1:]:
            self.gradient.add_(gradient)
        losses = [0.0] * len(texts)
        for hand, share in zip(hands, done, strict=True):
            for row, loss in zip(hand.rows, share, strict=True):
                losses[row] = loss
        return StepResult(losses, sum(len(text.ids) for text in texts))

    @torch.no_grad()
    def _share(
        self,
        texts: Sequence[Text],
        hand: Layout,
        gradient: torch.Tensor,
        scratch: Scratch,
        weights: Sequence[float],
    ) -> list[float]:
        """One worker's rows forward and backward; mean loss per row in the order of the hand."""
        rows = [texts[i] for i in hand.rows]
        spread = Spread(hand, self._trained[0].heads, self._rope, scratch.fused)
        h = scratch.take("h", hand.n_tokens, self._width)
        for text, tokens, first in zip(rows, hand.tokens, hand.first_own, strict=True):
            if first < len(tokens):
                h[tokens[first] : tokens[-1] + 1] = self._lower[text.id][first:]
        inputs = [h]
        for i, block in enumerate(self._trained):
            inputs.append(block.forward(inputs[-1], spread, scratch, str(i)))
        k = max(block.down.k for block in self._trained)
        g = scratch.take("g", hand.n_tokens, self._width + k)
        counts = [weights[i] for i in hand.rows]
        losses = self._loss(rows, hand, inputs[-1], counts, g[:, : self._width].zero_(), scratch)
        for i in reversed(range(len(self._trained))):
            trained = Trained(self._groups(i), self.factors.scale, gradient)
            self._trained[i].backward(g, inputs[i], spread, scratch, str(i), trained, to_input=i > 0)
        return losses

    def _loss(
        self,
        rows: Sequence[Text],
        hand: Layout,
        h: torch.Tensor,
        weights: Sequence[float],
        g: torch.Tensor,
        scratch: Scratch,
    ) -> list[float]:
        """Mean loss per row; adds dL/dh (M, D), through the final norm, to `g`."""
        places = zip(hand.tokens, rows, strict=True)
        tokens = torch.tensor([at[p] for at, text in places for p in text.positions], device=h.device)
        x = h[tokens]
        hidden, rstd = torch.empty_like(x), torch.empty(len(x), 1, device=h.device)
        self._final_norm.forward(x, hidden, rstd, scratch)
        losses, g_hidden = self._head.losses(rows, weights, hidden)
        gx = torch.zeros_like(x)
        self._final_norm.backward(g_hidden, x, rstd, gx, scratch)
        g.index_add_(0, tokens, gx)
        return losses

    @torch.no_grad()
    def _over_rows(
        self, rows: Sequence[Sequence[int]], compute: Callable[[torch.Tensor, Spread, Scratch], torch.Tensor]
    ) -> list[torch.Tensor]:
        """Apply `compute` to the embeddings of all rows, some thousand tokens at a time; result (T, D) per row. Safe for threads."""
        longest, rope = max(map(len, rows), default=0), self._rope
        if longest > rope.cos.shape[0]:
            rope = self._rope = self._make_rope(longest)
        hands = passes(rows, _MAX_PREPARED_TOKENS)
        results: list[torch.Tensor] = [torch.empty(0)] * len(rows)

        def work(hand: Layout) -> None:
            ids = torch.zeros(hand.n_tokens, dtype=torch.long, device=self._device)
            at = [torch.tensor(tokens, device=self._device) for tokens in hand.tokens]
            for i, tokens in zip(hand.rows, at, strict=True):
                ids[tokens] = torch.tensor(rows[i], device=self._device)
            scratch = Scratch(self._dtype, self._device)
            spread = Spread(hand, self._trained[0].heads, rope, scratch.fused)
            h = compute(self._embed(ids), spread, scratch)
            for i, tokens in zip(hand.rows, at, strict=True):
                results[i] = h[tokens]

        in_parallel(_without_gradients(work), hands, self.workers)
        return results

    def _embed(self, ids: torch.Tensor) -> torch.Tensor:
        embedding: nn.Module = self._decoder.get_input_embeddings()
        return embedding(ids)  # type: ignore[no-any-return]


def _without_gradients(work: Callable[[Layout], None]) -> Callable[[Layout], None]:
    """Gradient mode is a matter of each thread."""

    def quiet(hand: Layout) -> None:
        with torch.no_grad():
            work(hand)

    return quiet


def used_ids(text: Text) -> tuple[int, ...]:
    """The row up to its last supervised position: what follows decides nothing."""
    return text.ids[: max(text.positions, default=0) + 1]


def _run(blocks: Sequence[Block], h: torch.Tensor, spread: Spread, scratch: Scratch) -> torch.Tensor:
    for i, block in enumerate(blocks):
        h = block.forward(h, spread, scratch, str(i % 2))
    return h


def _norm(module: Any) -> Norm:
    return Norm(module.weight.detach(), float(module.variance_epsilon))


def _fuse(modules: Sequence[Any], k: int) -> Linear:
    return Linear(torch.cat([module.weight.detach() for module in modules]), k)


def _block(layer: Any, ks: Sequence[int]) -> Block:
    """A copy of the layer's weights with room for LoRA of rank `ks` in its four linears."""
    attention, mlp = layer.self_attn, layer.mlp
    config = attention.config
    heads = Heads(
        config.num_attention_heads, config.num_key_value_heads, attention.head_dim, float(attention.scaling)
    )
    return Block(
        norm_1=_norm(layer.input_layernorm),
        qkv=_fuse([getattr(attention, name) for name in _ATTENTION], ks[0]),
        o=_fuse([attention.o_proj], ks[1]),
        norm_2=_norm(layer.post_attention_layernorm),
        gate_up=_fuse([getattr(mlp, name) for name in _GATES], ks[2]),
        down=_fuse([mlp.down_proj], ks[3]),
        heads=heads,
    )
