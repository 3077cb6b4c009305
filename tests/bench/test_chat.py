from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from agents.runtime.lm import LanguageModel
from agents.runtime.spec import ModelSpec
from agents.sampling import Sampling
from bench.chat import Listening, compared, int8_quality
from service.settings import PersonaSettings
from simulator.engines import LocalEngine

BEFORE = [{"role": "user", "content": "[TOMAS] hello there, are you well today?\n[INES]"}]
TURN = [{"role": "user", "content": BEFORE[0]["content"] + " yes\n[TOMAS] good\n[INES]"}]
SAMPLING = Sampling(temperature=1.0)


@pytest.fixture(scope="module")
def tiny(tiny_folder: Path, model_cache: Path) -> LanguageModel:
    return LanguageModel.load(
        ModelSpec(cache_dir=model_cache, source=str(tiny_folder), dtype="float32", device="cpu")
    )


def test_both_sides_write_as_many_tokens_and_only_ours_reads_less(tiny: LanguageModel) -> None:
    args = argparse.Namespace(tokens=6, repeats=1)
    stop_ids = tiny.template.stop_ids
    found = compared(tiny, [(BEFORE, SAMPLING), (TURN, SAMPLING)], args)
    assert found["prompt_tokens"] == len(tiny.chat_ids(TURN))
    assert 0 < found["read_tokens"] < found["prompt_tokens"]
    assert min(found["first_token_ms_ours"], found["tokens_per_s_plain"], found["full"]["tokens_per_s"]) > 0
    assert found["writes_in"] == PersonaSettings().writes_in == "int8"  # as ours is measured
    assert set(found["full"]) == {"first_token_ms", "tokens_per_s", "writing_tokens_per_s"}
    assert (tiny.template.stop_ids, tiny.writes_in) == (stop_ids, "full")


def test_what_int8_costs_is_measured_on_given_texts(tiny: LanguageModel) -> None:
    found = int8_quality(tiny, ["some words of a chat", "and some more"])
    assert found["n_tokens"] == len("some words of a chat\nand some more") - 16
    assert abs(found["kl"]) < 0.05
    assert found["ppl_ratio"] == pytest.approx(1, abs=0.2)


def test_what_a_turn_first_asks_of_its_engine_is_kept(tiny: LanguageModel) -> None:
    listening = Listening(LocalEngine(tiny))
    for _ in range(2):
        list(listening.stream(BEFORE, Sampling(max_new_tokens=2)))
    list(listening.stream(TURN, Sampling(max_new_tokens=2), said="so"))
    assert [messages for messages, _ in listening.asked] == [BEFORE, TURN]
    listening.close()
