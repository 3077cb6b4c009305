from __future__ import annotations

from pathlib import Path

from agents.backends import make_chat_model
from agents.runtime.lm import LanguageModel

ASK = [{"role": "user", "content": "where is the boat"}]


def test_a_loaded_model_answers_as_itself(tiny: LanguageModel) -> None:
    model = make_chat_model("local", language_model=tiny)
    assert model.complete(ASK, max_tokens=6) == tiny.answer([ASK], max_new_tokens=6)[0]


def test_greedy_streams_and_answers_agree(tiny: LanguageModel) -> None:
    model = make_chat_model("local", language_model=tiny)
    assert "".join(model.stream(ASK, max_tokens=6)).strip() == model.complete(ASK, max_tokens=6).strip()


def test_a_seed_makes_a_warm_answer_repeatable(tiny: LanguageModel) -> None:
    model = make_chat_model("local", language_model=tiny, seed=3)
    assert model.complete(ASK, max_tokens=6, temperature=1.0) == model.complete(
        ASK, max_tokens=6, temperature=1.0
    )


def test_a_folder_is_loaded_at_the_first_question(tiny_folder: Path, tmp_path: Path) -> None:
    model = make_chat_model("local", model=str(tiny_folder), cache_dir=tmp_path)
    assert isinstance(model.complete(ASK, max_tokens=2), str)
