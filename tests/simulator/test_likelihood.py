from __future__ import annotations

import math
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from agents.runtime.lm import LanguageModel
from agents.runtime.spec import ModelSpec
from agents.turns import Turn
from memory.types import Principle
from simulator.held_out import Exchange
from simulator.likelihood import Likelihood, bare_prompt, full_prompt, measure, pooled, reply_ids

AT = datetime(2025, 3, 1, 10, tzinfo=UTC)
HI = Exchange("0", "Ada Lund", ("Bo Rask",), (Turn("Bo Rask", "hello"),), ("hi", "all well 🙂"), AT)
YES = Exchange("1", "Ada Lund", ("Bo Rask",), (), ("yes",), AT)


@pytest.fixture(scope="module")
def model(tiny_folder: Path, model_cache: Path) -> LanguageModel:
    return LanguageModel.load(ModelSpec(model_cache, str(tiny_folder), dtype="float32"))


def test_bits_are_those_of_the_messages_alone(model: LanguageModel) -> None:
    """Against the model itself, one row at a time: the tag between two messages and the end count for nothing."""
    found = measure(model, [HI, YES], [bare_prompt(HI), bare_prompt(YES)])
    before = model.chat_ids([{"role": "user", "content": "[BO] hello\n[ADA]"}])
    row = [*before, *model.template.encode("hi\n[ADA] all well 🙂")]
    logprobs = model.token_logprobs(row)[len(before) - 1 :]
    separator = len(model.template.encode("\n[ADA]"))
    expected = logprobs[:2].sum() + logprobs[2 + separator :].sum()
    assert found.bits_N[0] == pytest.approx(-expected / math.log(2), rel=1e-4)
    assert found.characters_N.tolist() == [12, 3]


def test_the_reply_is_the_text_that_the_persona_would_write(model: LanguageModel) -> None:
    ids, is_text = reply_ids(model.template, HI)
    assert model.decode(ids) == "hi\n[ADA] all well 🙂"
    assert model.decode([i for i, counts in zip(ids, is_text, strict=True) if counts]) == "hi all well 🙂"


def test_only_the_full_prompt_says_who_they_are_and_what_they_know() -> None:
    lines = [Principle("speech", "Writes in lowercase", ("0",))]
    bare, full = bare_prompt(HI), full_prompt(HI, lines, ["I live in Porto."])
    assert [message["role"] for message in bare] == ["user"]
    told = "\n".join(message["content"] for message in full)
    assert "Writes in lowercase" in told
    assert "I live in Porto." in told


def test_a_model_of_even_chances_needs_the_logarithm_of_its_vocabulary(
    tiny_folder: Path, model_cache: Path
) -> None:
    import torch

    even = LanguageModel.load(ModelSpec(model_cache, str(tiny_folder), dtype="float32"))
    with torch.no_grad():
        even.model.get_output_embeddings().weight.zero_()
    found = measure(even, [YES], [bare_prompt(YES)])
    assert found.per_character == pytest.approx(math.log2(even.model.config.vocab_size), rel=1e-5)


def test_replies_count_by_their_characters() -> None:
    one, other = (Likelihood(np.array([b]), np.array([c])) for b, c in ((10.0, 10.0), (90.0, 30.0)))
    assert pooled([one, other]).per_character == 2.5
    assert pooled([one, other]).reduction(pooled([one, one])) == pytest.approx(-1.5)
    assert math.isnan(pooled([]).per_character)


def test_the_interval_holds_the_mean_narrows_with_replies_and_follows_the_seed() -> None:
    rng = np.random.default_rng(0)
    few, many = (Likelihood(rng.gamma(9, 3, n), np.full(n, 10.0)) for n in (10, 1000))
    for found in (few, many):
        low, high = found.interval()
        assert low < found.per_character < high
    assert np.ptp(many.interval()) < np.ptp(few.interval()) / 4
    assert few.interval(1) == few.interval(1)
    better = Likelihood(few.bits_N * 0.8, few.characters_N)
    assert better.reduction_interval(few) == pytest.approx((0.2, 0.2))
