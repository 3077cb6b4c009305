from __future__ import annotations

from pathlib import Path

import pytest

from agents.backends.local import LocalChat
from agents.runtime.lm import LanguageModel
from agents.runtime.spec import ModelSpec
from bench.decoding import asked, cost, llguidance


@pytest.fixture(scope="module")
def tiny(tiny_folder: Path, model_cache: Path) -> LanguageModel:
    return LanguageModel.load(
        ModelSpec(cache_dir=model_cache, source=str(tiny_folder), dtype="float32", device="cpu")
    )


def test_the_grammar_lets_a_good_answer_pass(tiny: LanguageModel) -> None:
    measured = cost(llguidance, tiny.tokenizer)
    assert measured is not None
    assert measured["accepts"]
    assert 0 < measured["step_us"] <= measured["step_p99_us"] * 10


def test_a_random_model_fits_under_the_grammar_alone(tiny: LanguageModel) -> None:
    model = LocalChat(language_model=tiny)
    assert asked(model, 20, is_free=True)["fitting"] == 0
    assert asked(model, 260, is_free=False)["fitting"] > 0.3
