"""JSON under a grammar: `python -m bench.decoding [--tokens 300] [--model embedded] [--slow]`.

Two questions. What a library costs: the extractor's own schema is compiled and a good answer of some 800 tokens is
walked through, a mask of allowed tokens at each step; measured for llguidance and for whichever of xgrammar, outlines-core
and lm-format-enforcer is installed beside it (they are no part of the project). `accepts` says whether the library
understood the schema and let the answer pass. And what it brings: the model answers the same requests freely and under
the grammar; `fitting` is the share of answers that parse and fit their schema.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from agents.backends.local import LocalChat
from agents.errors import BadAnswer
from agents.extractors.model import SCHEMA
from agents.runtime.lm import LanguageModel
from agents.runtime.spec import ModelSpec
from agents.structured import fits
from bench.report import print_result

Stepper = Callable[[int], bool]  # makes the mask and takes one token; False where it is refused
FORMS: tuple[tuple[str, dict[str, Any]], ...] = (
    (
        "Does {name} live in {place}? {name} wrote: we moved to {place} in May. Answer as JSON with label and reasoning.",
        {
            "type": "object",
            "additionalProperties": False,
            "required": ["reasoning", "label"],
            "properties": {
                "reasoning": {"type": "string", "maxLength": 120},
                "label": {"type": "string", "enum": ["supported", "unsupported", "unclear"]},
            },
        },
    ),
    (
        "Give two other wordings of: where does {name} work? Answer as JSON with wordings.",
        {
            "type": "object",
            "additionalProperties": False,
            "required": ["wordings"],
            "properties": {
                "wordings": {"type": "array", "maxItems": 2, "items": {"type": "string", "maxLength": 60}}
            },
        },
    ),
    ("List the facts as JSON: {name} wrote: I am a nurse, and my brother Rui lives in {place}.", SCHEMA),
)


WHO = (("Ana", "Porto"), ("Leo", "Utrecht"), ("Mei", "Graz"), ("Omar", "Oslo"))


def requests() -> list[tuple[str, dict[str, Any]]]:
    return [(asks.format(name=name, place=place), schema) for name, place in WHO for asks, schema in FORMS]


def good_answer(n: int = 8) -> str:
    facts = [
        {
            "subject": f"Ana Reis {i}",
            "subject_kind": "person",
            "predicate": "lives_in",
            "object": "Évora, by the wall",
            "object_kind": None,
            "messages": [i, i + 1],
            "confidence": 0.9,
            "change": "state",
            "corrects": None,
            "valid_from": "2025-05-01",
            "valid_to": None,
        }
        for i in range(n)
    ]
    return json.dumps({"facts": facts}, ensure_ascii=False)


def llguidance(tokenizer: Any) -> Iterator[Stepper | None]:
    from llguidance import LLMatcher, hf
    from llguidance.numpy import allocate_token_bitmask, fill_next_token_bitmask

    tokens = hf.from_tokenizer(tokenizer)
    yield None
    matcher = LLMatcher(tokens, LLMatcher.grammar_from_json_schema(SCHEMA))
    mask = allocate_token_bitmask(1, len(tokenizer))

    def step(token: int) -> bool:
        fill_next_token_bitmask(matcher, mask)
        return matcher.consume_token(token)

    yield step


def xgrammar(tokenizer: Any) -> Iterator[Stepper | None]:
    import xgrammar as library

    described = library.TokenizerInfo.from_huggingface(tokenizer, vocab_size=len(tokenizer))
    yield None
    compiled = library.GrammarCompiler(described, max_threads=1).compile_json_schema(json.dumps(SCHEMA))
    matcher = library.GrammarMatcher(compiled)
    mask = library.allocate_token_bitmask(1, len(tokenizer))

    def step(token: int) -> bool:
        matcher.fill_next_token_bitmask(mask)
        return bool(matcher.accept_token(token))

    yield step


def outlines_core(tokenizer: Any) -> Iterator[Stepper | None]:
    from outlines_core import Guide, Index, Vocabulary
    from outlines_core.json_schema import build_regex_from_schema

    texts: dict[bytes, list[int]] = {}
    for token in set(range(len(tokenizer))) - set(tokenizer.all_special_ids):
        texts.setdefault(tokenizer.decode([token]).encode(), []).append(token)
    vocabulary = Vocabulary(tokenizer.eos_token_id, texts)
    yield None
    guide = Guide(Index(build_regex_from_schema(json.dumps(SCHEMA)), vocabulary))

    def step(token: int) -> bool:
        is_allowed = token in guide.get_tokens()
        if is_allowed:
            guide.advance(token)
        return is_allowed

    yield step


def lm_format_enforcer(tokenizer: Any) -> Iterator[Stepper | None]:
    from lmformatenforcer import JsonSchemaParser, TokenEnforcer
    from lmformatenforcer.tokenenforcer import TokenEnforcerTokenizerData

    zero = tokenizer.encode("0", add_special_tokens=False)[-1]
    words = []
    for token in sorted(set(range(len(tokenizer))) - set(tokenizer.all_special_ids)):
        after, alone = tokenizer.decode([zero, token])[1:], tokenizer.decode([token])
        words.append((token, after, len(after) > len(alone)))
    data = TokenEnforcerTokenizerData(words, tokenizer.decode, tokenizer.eos_token_id, False, len(tokenizer))
    yield None
    enforcer, taken = TokenEnforcer(data, JsonSchemaParser(SCHEMA)), list[int]()

    def step(token: int) -> bool:
        is_allowed = token in enforcer.get_allowed_tokens(list(taken)).allowed_tokens
        taken.append(token)
        return is_allowed

    yield step


LIBRARIES = (llguidance, xgrammar, lm_format_enforcer)
SLOW = {"outlines_core": outlines_core}  # its index of this schema takes minutes; only where it is asked for


def cost(library: Callable[[Any], Iterator[Stepper | None]], tokenizer: Any) -> dict[str, Any] | None:
    """Seconds to know the tokenizer, milliseconds to compile, microseconds per step; None where it is not installed."""
    began = time.perf_counter()
    made = library(tokenizer)
    try:
        next(made)
    except ImportError:
        return None
    known = time.perf_counter()
    step = next(made)
    assert step is not None
    compiled = time.perf_counter()
    times, accepts = [], True
    for token in tokenizer.encode(good_answer(), add_special_tokens=False):
        start = time.perf_counter()
        accepts = step(token)
        times.append(time.perf_counter() - start)
        if not accepts:
            break
    return {
        "setup_s": round(known - began, 2),
        "compile_ms": round((compiled - known) * 1e3, 1),
        "step_us": round(float(np.mean(times)) * 1e6),
        "step_p99_us": round(float(np.quantile(times, 0.99)) * 1e6),
        "accepts": accepts,
    }


def asked(model: LocalChat, n_tokens: int, *, is_free: bool) -> dict[str, Any]:
    """Share of answers that fit, and seconds for all of them."""
    n_fitting, began = 0, time.perf_counter()
    for request, schema in requests():
        messages = [{"role": "user", "content": request}]
        try:
            text = (
                model.complete(messages, max_tokens=n_tokens, json=True)
                if is_free
                else model.complete_json(messages, schema, max_tokens=n_tokens)
            )
        except BadAnswer:
            continue
        n_fitting += fits(text, schema)
    seconds = time.perf_counter() - began
    n_asked = len(requests())
    return {"asked": n_asked, "fitting": round(n_fitting / n_asked, 3), "seconds": round(seconds, 2)}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tokens", type=int, default=300)
    parser.add_argument("--model", default="embedded")
    parser.add_argument("--cache", type=Path, help="where converted weights are kept (default: nowhere)")
    parser.add_argument("--slow", action="store_true", help="outlines-core as well, which takes minutes")
    given = parser.parse_args(arguments)
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        loaded = LanguageModel.load(ModelSpec(cache_dir=given.cache or Path(folder), source=given.model))
        libraries = (*LIBRARIES, *(SLOW.values() if given.slow else ()))
        costs = {library.__name__: cost(library, loaded.tokenizer) for library in libraries}
        model = LocalChat(given.model, language_model=loaded)
        model.complete_json([{"role": "user", "content": "hi"}], FORMS[0][1], max_tokens=4 * 16)  # warm
        free = asked(model, given.tokens, is_free=True)
        held = asked(model, given.tokens, is_free=False)
    print_result({"libraries": costs, "free": free, "grammar": held}, seed=0, started=began)


if __name__ == "__main__":
    main()
