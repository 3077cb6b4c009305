"""Writing JSON that fits a schema: at each step only tokens that some fitting answer goes on with can be drawn.

The grammar is llguidance's (docs/adr/0023). What the grammar leaves no choice in, such as the names of keys, is not
asked of the model but taken over at once, many tokens in one step.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from transformers import DynamicCache

from agents.errors import BackendMissing, BadSchema
from agents.runtime.sampling import Sampler
from agents.sampling import Sampling

if TYPE_CHECKING:
    from agents.runtime.lm import LanguageModel


@dataclass(frozen=True, slots=True)
class Written:
    """`is_whole` is false where the answer was cut off at the limit of tokens."""

    text: str
    n_given: int  # tokens of the prompt
    n_written: int
    is_whole: bool


class JsonWriter:
    """Writes with one loaded model; the grammar's view of its tokens is made once. Raises BackendMissing."""

    def __init__(self, language_model: LanguageModel) -> None:
        try:
            from llguidance import hf
        except ImportError as exc:
            raise BackendMissing("local", "train") from exc
        self._model = language_model
        config = language_model.model.config.get_text_config()
        self.window = int(
            getattr(config, "max_position_embeddings", 0) or 1 << 30
        )  # tokens it can look back on
        n_rows = int(language_model.model.get_output_embeddings().weight.shape[0])
        stops = sorted(language_model.template.stop_ids)
        self._tokens = hf.from_tokenizer(
            language_model.tokenizer, n_vocab=max(n_rows, len(language_model.tokenizer)), eos_token=stops
        )
        self._n_rows = n_rows

    def write(self, ids: Sequence[int], schema: Mapping[str, Any], sampling: Sampling) -> Written:
        """JSON of the schema after these ids. Raises BadSchema where the grammar has no such form."""
        matcher = self._matcher(schema)
        sampler = Sampler(sampling, ids)
        cache = DynamicCache(config=self._model.model.config)
        made: list[int] = []
        given = _forced(matcher, made, sampling.max_new_tokens)
        step = torch.tensor([[*ids, *given]], device=self._model.device)
        while len(made) < sampling.max_new_tokens and not matcher.is_stopped():
            with torch.inference_mode():
                output = self._model.model(
                    input_ids=step, past_key_values=cache, use_cache=True, logits_to_keep=1
                )
            logits = self._allowed(output.logits[0, -1], matcher)
            token, _ = sampler.draw(logits)
            if not matcher.consume_token(token) or token in self._model.template.stop_ids:
                break
            made.append(token)
            step = torch.tensor(
                [[token, *_forced(matcher, made, sampling.max_new_tokens)]], device=self._model.device
            )
        return Written(self._model.decode(made), len(ids), len(made), matcher.is_accepting())

    def _matcher(self, schema: Mapping[str, Any]) -> Any:
        from llguidance import LLMatcher

        # with spaces wherever JSON allows them a weak model goes on with spaces and never ends
        grammar = LLMatcher.grammar_from_json_schema(
            json.dumps(schema), overrides={"whitespace_flexible": False}
        )
        matcher = LLMatcher(self._tokens, grammar, log_level=0)
        if matcher.is_error():
            raise BadSchema(matcher.get_error())
        return matcher

    def _allowed(self, logits_V: torch.Tensor, matcher: Any) -> torch.Tensor:
        """The logits, those of tokens that the grammar refuses here at minus infinity."""
        mask = torch.frombuffer(bytearray(matcher.compute_bitmask()), dtype=torch.uint8)
        bits = (mask[:, None] >> torch.arange(8, dtype=torch.uint8)) & 1
        is_allowed = bits.flatten()[: self._n_rows].bool().to(logits_V.device)
        return logits_V.float().masked_fill(~is_allowed, -torch.inf)


def _forced(matcher: Any, made: list[int], limit: int) -> list[int]:
    """Tokens that have to come now, taken over into `made` as far as the limit allows."""
    tokens: list[int] = matcher.compute_ff_tokens()[: max(0, limit - len(made))]
    taken = tokens[: matcher.try_consume_tokens(tokens)] if tokens else []
    made += taken
    return taken
