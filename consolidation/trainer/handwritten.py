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
from consolidation.trainer.blocks import Block, Chunk, Heads, Linear, Lora, Norm, Rope
from consolidation.trainer.engine import StepResult, Text
from consolidation.trainer.layout import Layout, deal, passes
from consolidation.trainer.lora import LoraFactors
from consolidation.trainer.losses import answer_loss, kl_loss

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

    name = "handwritten"

    def __init__(self, language_model: LanguageModel, rank: int, alpha: float, first_layer: float) -> None:
        model = language_model.model
        self._decoder = model.get_decoder()
        self._head = model.get_output_embeddings().weight.detach()
        self._device = language_model.device
        self._dtype = language_model.dtype
        self.workers = language_model.workers
        self.first = first_trained(language_model.n_layers, first_layer)
        self._names = {id(module): name for name, module in model.named_modules()}
        self._final_norm = _norm(self._decoder.norm)
        self._plain = [_plain_block(layer) for layer in language_model.blocks]
        self.factors = LoraFactors(list(self._shapes(language_model.blocks[self.first :])), rank, alpha)
        self.factors.flat = self.factors.flat.to(self._device)
        self.gradient = torch.zeros_like(self.factors.flat)
        self._worker_gradients = [torch.zeros_like(self.factors.flat) for _ in range(self.workers)]
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
        probe = torch.zeros(1, 1, self._head.shape[1], dtype=self._dtype, device=self._device)
        positions = torch.arange(length, device=self._device).unsqueeze(0)
        with torch.no_grad():
            cos, sin = (
                part[0].unsqueeze(1).clone()
                for part in self._decoder.rotary_emb(probe, position_ids=positions)
            )
        sin[..., : sin.shape[-1] // 2].neg_()
        return Rope(cos, sin)

    def _trained(self, gradient: torch.Tensor, flat: torch.Tensor) -> list[Block]:
        """The upper blocks with the factors of this step, writing gradients into `gradient`."""
        groups = self.factors.groups
        blocks = []
        for i, block in enumerate(self._plain[self.first :]):
            loras = [
                Lora(group, group.a(flat), group.b_blocks(flat), self.factors.scale, gradient)
                for group in groups[4 * i : 4 * i + 4]
            ]
            qkv, o, gate_up, down = (
                Linear(layer.weight, lora)
                for layer, lora in zip((block.qkv, block.o, block.gate_up, block.down), loras, strict=True)
            )
            blocks.append(Block(block.norm_1, qkv, o, block.norm_2, gate_up, down, block.heads))
        return blocks

    # ---- computing

    def final_hidden(self, rows: Sequence[Sequence[int]]) -> list[torch.Tensor]:
        def finish(h: torch.Tensor, chunks: Sequence[Chunk]) -> torch.Tensor:
            return self._final_norm.forward(self._run(self._plain, h, chunks))[0]

        return self._over_rows(rows, finish)

    @torch.no_grad()
    def prepare(self, texts: Sequence[Text]) -> None:
        """Compute the input of the first trained block once per text, with whatever the model wears now."""
        lower = self._over_rows(
            [text.ids for text in texts], lambda h, chunks: self._run(self._plain[: self.first], h, chunks)
        )
        self._lower = {text.id: rows for text, rows in zip(texts, lower, strict=True)}

    @torch.no_grad()
    def step(self, texts: Sequence[Text], kl_weight: float) -> StepResult:
        flat = self.factors.flat.to(self._dtype)
        n_kl = sum(len(text.positions) for text in texts if text.teacher is not None)
        n_answer = sum(len(text.positions) for text in texts) - n_kl
        weights = (1 / max(1, n_answer), kl_weight / max(1, n_kl))
        hands = deal([len(text.ids) for text in texts], self.workers)
        jobs = list(zip(hands, self._worker_gradients, strict=False))
        done = in_parallel(lambda job: self._share(texts, job[0], flat, job[1], weights), jobs, self.workers)
        self.gradient.copy_(self._worker_gradients[0])
        for _, gradient in jobs[1:]:
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
        flat: torch.Tensor,
        gradient: torch.Tensor,
        weights: tuple[float, float],
    ) -> list[float]:
        """One worker's rows forward and backward; mean loss per row in the order of the hand."""
        gradient.zero_()
        blocks = self._trained(gradient, flat)
        rows = [texts[i] for i in hand.rows]
        h = torch.zeros(hand.n_tokens, self._head.shape[1], dtype=self._dtype, device=self._device)
        for text, start in zip(rows, hand.starts(), strict=True):
            h[start : start + len(text.ids)] = self._lower[text.id]
        kept = []
        for block in blocks:
            h, saved = block.forward(h, hand.chunks, self._rope)
            kept.append(saved)
        losses, g = self._loss(rows, hand, h, weights)
        for i in reversed(range(len(blocks))):
            saved = kept.pop()
            assert saved is not None
            g = blocks[i].backward(g, saved, hand.chunks, self._rope, to_input=i > 0)
        return losses

    def _loss(
        self, rows: Sequence[Text], hand: Layout, h: torch.Tensor, weights: tuple[float, float]
    ) -> tuple[list[float], torch.Tensor]:
        """Mean loss per row and dL/dh (M, D), through the final norm."""
        groups: tuple[list[int], list[int]] = ([], [])  # rows with answers, rows with a teacher
        at: list[torch.Tensor] = []
        for i, (text, start) in enumerate(zip(rows, hand.starts(), strict=True)):
            groups[text.teacher is not None].append(i)
            at.append(torch.tensor(text.positions, device=h.device) + start)
        g = torch.zeros_like(h)
        losses = [0.0] * len(rows)
        for is_kl, members in enumerate(groups):
            if not members:
                continue
            positions = torch.cat([at[i] for i in members])
            x = h[positions]
            hidden, rstd = self._final_norm.forward(x)
            if is_kl:
                teacher = torch.cat([t for i in members if (t := rows[i].teacher) is not None])
                values, g_hidden = kl_loss(hidden, teacher, self._head, weights[1])
            else:
                targets = [rows[i].ids[p + 1] for i in members for p in rows[i].positions]
                values, g_hidden = answer_loss(
                    hidden, torch.tensor(targets, device=h.device), self._head, weights[0]
                )
            g[positions] = self._final_norm.backward(g_hidden, x, rstd)
            for i, part in zip(members, torch.split(values, [len(at[i]) for i in members]), strict=True):
                losses[i] = float(part.mean())
        return losses, g

    def _run(self, blocks: Sequence[Block], h: torch.Tensor, chunks: Sequence[Chunk]) -> torch.Tensor:
        for block in blocks:
            h, _ = block.forward(h, chunks, self._rope, keep=False)
        return h

    @torch.no_grad()
    def _over_rows(
        self, rows: Sequence[Sequence[int]], compute: Callable[[torch.Tensor, Sequence[Chunk]], torch.Tensor]
    ) -> list[torch.Tensor]:
        """Apply `compute` to the embeddings of all rows, some thousand tokens at a time; result (T, D) per row."""
        lengths = [len(row) for row in rows]
        if max(lengths, default=0) > self._rope.cos.shape[0]:
            self._rope = self._make_rope(max(lengths))
        hands = passes(lengths, _MAX_PREPARED_TOKENS)
        results: list[torch.Tensor] = [torch.empty(0)] * len(rows)

        def work(hand: Layout) -> None:
            ids = torch.zeros(hand.n_tokens, dtype=torch.long, device=self._device)
            for i, start in zip(hand.rows, hand.starts(), strict=True):
                ids[start : start + lengths[i]] = torch.tensor(rows[i], device=self._device)
            h = compute(self._embed(ids), hand.chunks)
            for i, start in zip(hand.rows, hand.starts(), strict=True):
                results[i] = h[start : start + lengths[i]].clone()

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


def _norm(module: Any) -> Norm:
    return Norm(module.weight.detach(), float(module.variance_epsilon))


def _fuse(modules: Sequence[Any]) -> Linear:
    weights = [module.weight.detach() for module in modules]
    return Linear(weights[0] if len(weights) == 1 else torch.cat(weights))


def _plain_block(layer: Any) -> Block:
    attention, mlp = layer.self_attn, layer.mlp
    config = attention.config
    heads = Heads(
        config.num_attention_heads, config.num_key_value_heads, attention.head_dim, float(attention.scaling)
    )
    return Block(
        norm_1=_norm(layer.input_layernorm),
        qkv=_fuse([getattr(attention, name) for name in _ATTENTION]),
        o=_fuse([attention.o_proj]),
        norm_2=_norm(layer.post_attention_layernorm),
        gate_up=_fuse([getattr(mlp, name) for name in _GATES]),
        down=_fuse([mlp.down_proj]),
        heads=heads,
    )
