"""A causal language model in process: load, speak, score, read the residual stream, wear adapters.

Adapters are worn as their exact delta, summed in float32 and rounded once into the weights; `reset` puts back the
very bits. Not safe for two threads that change weights; reading is.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from transformers import AutoModelForCausalLM, AutoTokenizer

from agents.errors import BaseChanged, UnknownModule
from agents.runtime.adapter import Adapter
from agents.runtime.decoding import (
    Detokenizer,
    Drawn,
    branch_ids,
    complete,
    drawn,
    likeliest,
    pad_right,
    stream_ids,
)
from agents.runtime.extraction import BATCH_TOKENS, pooled_residuals
from agents.runtime.hardware import (
    bound_prepared_operations,
    choose_device,
    choose_dtype,
    in_parallel,
    n_workers,
)
from agents.runtime.prefix_cache import PrefixCache
from agents.runtime.quantised import QuantisedStep, quantised_step
from agents.runtime.quiet import quiet_transformers
from agents.runtime.repeats import Breakers
from agents.runtime.residuals import blocks_of
from agents.runtime.sampling import Sampler
from agents.runtime.spec import ModelSpec, resolve
from agents.runtime.template import Message, Template
from agents.runtime.token_rules import MEAN
from agents.sampling import Sampling

FloatArray = npt.NDArray[np.float32]
_LOGIT_ROWS = 512  # positions whose logits are held at once while scoring


class LanguageModel:
    """See the module. Made by `load`; `model` and `tokenizer` are transformers' own."""

    def __init__(self, model: Any, tokenizer: Any, base_hash: str, folder: Path) -> None:
        self.model = model
        self.tokenizer = tokenizer
        self.base_hash = base_hash
        self.folder = folder
        self.template = Template(tokenizer)
        self.blocks = blocks_of(model)
        self.n_layers = len(self.blocks)
        self.hidden_size = int(model.config.get_text_config().hidden_size)
        self.workers = n_workers(sum(p.numel() for p in model.parameters()), self.device)
        model.get_output_embeddings().register_forward_pre_hook(_contiguous)
        self._originals: dict[str, torch.Tensor] = {}
        self._n_changes = 0  # of the weights
        self.steered_with: list[str] = []  # what steers it just now; kept by `agents.runtime.steering`
        self.writes_in = "full"  # or int8
        self._step: tuple[int, QuantisedStep | None] | None = None  # as of which change of the weights
        self._pad_id = next(
            iter(i for i in (tokenizer.pad_token_id, tokenizer.eos_token_id, 0) if i is not None)
        )

    @classmethod
    def load(cls, spec: ModelSpec, adapters: Sequence[tuple[Adapter, float]] = ()) -> LanguageModel:
        """Load the base and put `adapters` (with coefficients) on it. Raises ModelMissing, BaseChanged."""
        bound_prepared_operations()
        found = resolve(spec)
        device = choose_device(spec.device)
        with quiet_transformers():
            model = AutoModelForCausalLM.from_pretrained(
                found.path, dtype=choose_dtype(spec.dtype, device), local_files_only=True
            )
            tokenizer = AutoTokenizer.from_pretrained(found.path, local_files_only=True)
        model.eval().requires_grad_(False).to(device)
        loaded = cls(model, tokenizer, found.base_hash, found.path)
        loaded.writes_in = spec.writes_in
        loaded.apply(adapters)
        return loaded

    @property
    def device(self) -> torch.device:
        return torch.device(self.model.device)

    @property
    def dtype(self) -> torch.dtype:
        return next(self.model.parameters()).dtype  # type: ignore[no-any-return]

    @property
    def window(self) -> int:
        """Tokens that the model can look back on."""
        config = self.model.config.get_text_config()
        return int(getattr(config, "max_position_embeddings", 0) or 1 << 30)

    @property
    def state(self) -> tuple[object, ...]:
        """Changes whenever the same tokens would be read otherwise: with the adapters worn, and with the steering."""
        return (self._n_changes, self.writes_in, *self.steered_with)

    def one_token_step(self) -> QuantisedStep | None:
        """The pass of a token that is written, where it is to be a faster one than the model's own and may be.

        What is steered or read on the way takes the model's own, which has the hooks.
        """
        if self.writes_in != "int8" or any(block._forward_hooks for block in self.blocks):
            return None
        if self._step is None or self._step[0] != self._n_changes:
            self._step = (self._n_changes, quantised_step(self))
        return self._step[1]

    # ---- adapters

    def apply(self, adapters: Sequence[tuple[Adapter, float]]) -> None:
        """Wear exactly these adapters; whatever was worn before comes off. Nothing changes when one is refused."""
        for adapter, _ in adapters:
            if adapter.base_hash != self.base_hash:
                raise BaseChanged(adapter.base_hash, self.base_hash)
        names = sorted({name for adapter, coefficient in adapters if coefficient for name in adapter.modules})
        modules = {name: self._linear(name) for name in names}
        self.reset()
        for name, module in modules.items():
            parts = [(adapter, c) for adapter, c in adapters if c and name in adapter.modules]
            self._originals[name] = module.weight.detach().clone()
            with torch.no_grad():
                module.weight.copy_(self._worn(module.weight, name, parts))

    def reset(self) -> None:
        """Take all adapters off; the weights are bit for bit the base's."""
        self._n_changes += 1
        with torch.no_grad():
            for name, weight in self._originals.items():
                self._linear(name).weight.copy_(weight)
        self._originals.clear()

    def _worn(self, weight: torch.Tensor, name: str, parts: Sequence[tuple[Adapter, float]]) -> torch.Tensor:
        """base + sum of c * alpha / r * B A in float32, rounded once to the weight's dtype."""
        total = weight.float()
        for adapter, coefficient in parts:
            a, b = (torch.from_numpy(factor).to(weight.device) for factor in adapter.modules[name])
            total = torch.addmm(total, b, a, alpha=coefficient * adapter.alpha / adapter.rank)
        return total.to(weight.dtype)

    def _linear(self, name: str) -> nn.Linear:
        try:
            module = self.model.get_submodule(name)
        except AttributeError as error:
            raise UnknownModule(name) from error
        if not isinstance(module, nn.Linear):
            raise UnknownModule(name)
        return module

    # ---- speaking

    def chat_ids(self, messages: Sequence[Message], add_generation_prompt: bool = True) -> list[int]:
        """The conversation in the model's template, without a default system prompt."""
        return self.template.chat_ids(messages, add_generation_prompt)

    def answer(
        self, conversations: Sequence[Sequence[Message]], max_new_tokens: int = 32, batch_size: int = 24
    ) -> list[str]:
        """Greedy replies, in the order of the conversations. Rows of like length are answered together."""
        rows = [self.chat_ids(messages) for messages in conversations]
        size = max(1, min(batch_size, math.ceil(len(rows) / self.workers)))
        return [self.decode(ids).strip() for ids in self.continue_ids(rows, max_new_tokens, batch_size=size)]

    def continue_ids(
        self,
        rows: Sequence[Sequence[int]],
        max_new_tokens: int,
        *,
        temperature: float = 0.0,
        seed: int = 0,
        batch_size: int = 24,
    ) -> list[list[int]]:
        """New ids after each row, up to a stop token; greedy at temperature 0. Same seed and batch size, same ids."""
        order = sorted(range(len(rows)), key=lambda i: len(rows[i]))
        batches = [order[i : i + batch_size] for i in range(0, len(order), batch_size)]

        def write(batch: list[int]) -> list[list[int]]:
            return complete(
                self.model,
                [rows[i] for i in batch],
                max_new_tokens=max_new_tokens,
                stop_ids=self.template.stop_ids,
                pad_id=self._pad_id,
                pick=drawn(temperature, seed + batch[0]) if temperature > 0 else likeliest,
            )

        made: list[list[int]] = [[] for _ in rows]
        for batch, written in zip(batches, in_parallel(write, batches, self.workers), strict=True):
            for i, ids in zip(batch, written, strict=True):
                made[i] = ids
        return made

    def stream(
        self, ids: Sequence[int], sampling: Sampling, should_stop: Callable[[str], bool] | None = None
    ) -> Iterator[str]:
        """Text pieces as they become certain, whole characters only.

        `should_stop` gets all text so far before each further token; True ends the stream.
        """
        text = ""
        drawing = self.draw(
            ids,
            self.sampler(ids, sampling),
            should_stop=lambda: should_stop is not None and should_stop(text),
        )
        for one in drawing:
            if one.text:
                text += one.text
                yield one.text

    def draw(
        self,
        ids: Sequence[int],
        sampler: Sampler,
        *,
        cache: PrefixCache | None = None,
        n_prompt: int | None = None,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> Generator[Drawn, None, None]:
        """Each token with the text that it made certain. With a cache, what it holds of `ids` is not read again.

        `n_prompt`: how many of `ids` are given; the others were written before, by the same sampler's kind.
        """
        detokenizer = Detokenizer(self.decode)
        tokens = stream_ids(
            cache or PrefixCache(self),
            ids,
            sampler,
            stop_ids=self.template.stop_ids,
            should_stop=should_stop,
            n_prompt=n_prompt,
        )
        with closing(tokens):
            for token, entropy in tokens:
                yield Drawn(detokenizer.push(token), token, entropy)
        if rest := detokenizer.rest():
            yield Drawn(rest)

    def sampler(
        self, ids: Sequence[int], sampling: Sampling, history: Sequence[int] | None = None
    ) -> Sampler:
        """The dice for one continuation of `ids`, knowing this model's tokens for breakers and ends."""
        is_held = sampling.dry_multiplier > 0 or sampling.repetition_penalty != 1
        breakers = self._breakers(sampling.dry_breakers) if is_held else None
        return Sampler(sampling, ids, history=history, breakers=breakers, exempt=self.template.stop_ids)

    def branch(
        self, rows: Sequence[Sequence[int]], samplings: Sequence[Sampling], cache: PrefixCache | None = None
    ) -> list[list[int]]:
        """New ids after each row, drawn as its own sampling says, all in one batch; the longest of them ends it.

        What the rows begin with alike is read once, and not at all where the cache holds it: for the best of n.
        """
        samplers = [self.sampler(row, sampling) for row, sampling in zip(rows, samplings, strict=True)]
        made = branch_ids(
            self.model,
            cache or PrefixCache(self),
            rows,
            samplers,
            max_new_tokens=max(sampling.max_new_tokens for sampling in samplings),
            stop_ids=self.template.stop_ids,
            pad_id=self._pad_id,
        )
        return [ids[: sampling.max_new_tokens] for ids, sampling in zip(made, samplings, strict=True)]

    def _breakers(self, texts: tuple[str, ...]) -> Breakers:
        """A text of one character breaks wherever a token holds it, a longer one where its tokens stand together."""
        marks = "".join(text for text in texts if len(text) == 1)
        special = frozenset(self.tokenizer.all_special_ids)
        known: dict[int, bool] = {}

        def is_one(token: int) -> bool:
            if token not in known:
                known[token] = token in special or any(mark in self.decode([token]) for mark in marks)
            return known[token]

        return Breakers(is_one, tuple(tuple(self.template.encode(text)) for text in texts if len(text) > 1))

    def decode(self, ids: Sequence[int]) -> str:
        return str(
            self.tokenizer.decode(list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False)
        )

    # ---- scoring

    @torch.inference_mode()
    def logits(self, ids: Sequence[int]) -> FloatArray:
        """Logits after each position, shape (T, V)."""
        output = self.model(input_ids=torch.tensor([list(ids)], device=self.device), use_cache=False)
        return output.logits[0].float().cpu().numpy()  # type: ignore[no-any-return]

    @torch.inference_mode()
    def greedy_logits(self, ids: Sequence[int]) -> FloatArray:
        """Logits of the token after `ids`, shape (V,)."""
        output = self.model(
            input_ids=torch.tensor([list(ids)], device=self.device), use_cache=False, logits_to_keep=1
        )
        return output.logits[0, -1].float().cpu().numpy()  # type: ignore[no-any-return]

    def token_logprobs(self, ids: Sequence[int]) -> FloatArray:
        """log p(ids[t] | ids[:t]) in nats for t >= 1, shape (T - 1,)."""
        return self._row_logprobs([list(ids)])[0]

    def rows_logprobs(
        self, rows: Sequence[Sequence[int]], batch_size: int = 32, since: Sequence[int] | None = None
    ) -> list[FloatArray]:
        """`token_logprobs` of each row, in their order. Rows of like length are scored together.

        `since` names for each row the place (from 1) of the first token that is wanted; what stands before is read only.
        """
        first = since or [1] * len(rows)
        order = sorted(range(len(rows)), key=lambda i: len(rows[i]))
        batches = [order[i : i + batch_size] for i in range(0, len(order), batch_size)]
        scored = in_parallel(
            lambda batch: self._row_logprobs([rows[i] for i in batch], [first[i] for i in batch]),
            batches,
            self.workers,
        )
        by_row = {
            i: found
            for batch, part in zip(batches, scored, strict=True)
            for i, found in zip(batch, part, strict=True)
        }
        return [by_row[i] for i in range(len(rows))]

    def perplexity(self, texts: Sequence[str], batch_size: int = 8) -> float:
        """exp of the mean negative log-probability per token over all texts, raw (no template), first tokens apart."""
        rows = [row for text in texts if len(row := self.template.encode(text)) > 1]
        if not rows:
            raise ValueError("perplexity needs a text of at least two tokens")
        rows.sort(key=len)
        batches = [rows[i : i + batch_size] for i in range(0, len(rows), batch_size)]
        scored = in_parallel(self._row_logprobs, batches, self.workers)
        logprobs = np.concatenate([row for batch in scored for row in batch])
        return float(np.exp(-logprobs.mean(dtype=np.float64)))

    @torch.inference_mode()
    def _row_logprobs(
        self, rows: Sequence[Sequence[int]], since: Sequence[int] | None = None
    ) -> list[FloatArray]:
        """Per row the log-probabilities of its tokens from `since` on, all but the first where there is none; logits are
        made a slice at a time."""
        first = list(since or [1] * len(rows))
        ids, mask = (tensor.to(self.device) for tensor in pad_right(rows, self._pad_id))
        hidden = self.model.get_decoder()(
            input_ids=ids, attention_mask=mask, use_cache=False
        ).last_hidden_state
        places = torch.arange(1, ids.shape[1], device=self.device)
        is_scored = mask[:, 1:].bool() & (places >= torch.tensor(first, device=self.device)[:, None])
        states, targets = hidden[:, :-1][is_scored], ids[:, 1:][is_scored]
        head = self.model.get_output_embeddings()
        parts = [
            -nn.functional.cross_entropy(head(h).float(), t, reduction="none")
            for h, t in zip(torch.split(states, _LOGIT_ROWS), torch.split(targets, _LOGIT_ROWS), strict=True)
        ]
        flat = torch.cat(parts).cpu().numpy()
        ends = np.cumsum([len(row) - start for row, start in zip(rows, first, strict=True)])[:-1]
        return [np.asarray(part, dtype=np.float32) for part in np.split(flat, ends)]

    # ---- the residual stream

    def mean_residuals(
        self, texts: Sequence[str], layers: Sequence[int], token_rule: str = MEAN
    ) -> FloatArray:
        """Residual after each block of `layers`, pooled over a text's own tokens, float32 (N, L, D).

        The text stands in a user's turn; header tokens are computed but not counted.
        """
        return self.residual_statistics(texts, layers, token_rule=token_rule)[0]

    def mean_residual_norm(self, texts: Sequence[str], layers: Sequence[int]) -> FloatArray:
        """Mean length of the residual per token of the texts, float32 (L,)."""
        return self.residual_statistics(texts, layers)[1]

    def residual_statistics(
        self,
        texts: Sequence[str],
        layers: Sequence[int],
        batch_tokens: int = BATCH_TOKENS,
        token_rule: str = MEAN,
    ) -> tuple[FloatArray, FloatArray]:
        """`mean_residuals` (N, L, D) and `mean_residual_norm` (L,) from one pass over the texts.

        A text without a token reads as zero. Raises ValueError for a rule that is not in `token_rules`.
        """
        pooled = pooled_residuals(
            self.model,
            self.template.user_header(),
            [self.template.encode(text) for text in texts],
            layers,
            token_rule=token_rule,
            batch_tokens=batch_tokens,
            workers=self.workers,
        )
        return pooled.acts_NLD, pooled.norms_L


def _contiguous(_module: nn.Module, arguments: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
    """A strided last position makes torch copy the whole head once per row of the batch: 24 rows, 1.4 GB."""
    return (arguments[0].contiguous(), *arguments[1:])
