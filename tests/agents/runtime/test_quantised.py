from __future__ import annotations

import numpy as np
import pytest
import torch
from transformers import MistralConfig, MistralForCausalLM

from agents.runtime.lm import LanguageModel
from agents.runtime.prefix_cache import PrefixCache
from agents.runtime.quantised import QuantisedStep, _Rounded
from agents.runtime.steering import steered
from agents.sampling import Sampling


def rounded_like(language_model: LanguageModel) -> None:
    """Put into the model's own weights what int8 makes of them, the embedding apart."""
    for module in [m for block in language_model.blocks for m in block.modules()]:
        if isinstance(module, torch.nn.Linear):
            held = _Rounded(module.weight)
            module.weight.data = held._int8.float() * held._scale[:, None]


def test_a_row_is_rounded_to_at_most_half_a_step() -> None:
    weight = torch.randn(7, 32)
    held = _Rounded(weight)
    error = (held._int8 * held._scale[:, None] - weight).abs()
    assert (error <= weight.abs().amax(1, keepdim=True) / 127 / 2 + 1e-6).all()


def test_the_pass_is_that_of_the_model_with_rounded_weights(tiny: LanguageModel) -> None:
    step = QuantisedStep(tiny)
    rounded_like(tiny)
    ids = tiny.template.encode("what she said by the harbour")
    cache = PrefixCache(tiny)
    cache.read(ids[:-1])
    found = step(ids[-1], cache._cache)
    expected = torch.from_numpy(tiny.greedy_logits(ids))
    assert float((found - expected).abs().max()) < 0.05 * float(expected.abs().max())
    assert cache._cache.get_seq_length() == len(ids)


def test_a_reply_in_int8_is_close_and_follows_the_adapters_that_are_worn(tiny: LanguageModel) -> None:
    ids = tiny.template.encode("some words to begin with, and some more")
    plain = tiny.logits(ids)[4:]
    tiny.writes_in = "int8"
    cache = PrefixCache(tiny)
    cache.read(ids[:4])
    quantised = np.stack([cache.push(token).numpy() for token in ids[4:]])
    p, q = (torch.log_softmax(torch.from_numpy(x), -1) for x in (plain, quantised))
    assert float((p.exp() * (p - q)).sum(-1).mean()) < 0.05
    before = tiny.one_token_step()
    tiny.reset()
    assert tiny.one_token_step() is not before


def test_what_is_steered_takes_the_models_own_pass(tiny: LanguageModel) -> None:
    tiny.writes_in = "int8"
    assert isinstance(tiny.one_token_step(), QuantisedStep)
    with steered(tiny, {0: np.ones(tiny.hidden_size, dtype=np.float32)}):
        assert tiny.one_token_step() is None


def test_a_model_built_otherwise_writes_in_full(tiny: LanguageModel) -> None:
    config = MistralConfig(
        vocab_size=259, hidden_size=32, intermediate_size=48, num_hidden_layers=1, num_attention_heads=4,
        num_key_value_heads=2,
    )  # fmt: skip
    model = LanguageModel(MistralForCausalLM(config).eval(), tiny.tokenizer, "other", tiny.folder)
    model.writes_in = "int8"
    assert model.one_token_step() is None
    assert list(model.stream([65, 66], Sampling(max_new_tokens=3, temperature=0))) is not None


@pytest.mark.parametrize("seed", [1, 2])
def test_it_repeats_under_its_seed(tiny: LanguageModel, seed: int) -> None:
    tiny.writes_in = "int8"
    how = Sampling(max_new_tokens=12, temperature=1.0, min_p=0.0, seed=seed)
    ids = tiny.template.encode("hello there")
    assert list(tiny.stream(ids, how)) == list(tiny.stream(ids, how))
