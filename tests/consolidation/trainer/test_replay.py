"""Claims about the base's own text: drawn once, kept, and looked at by turns."""

from __future__ import annotations

from pathlib import Path

import pytest

from agents.runtime.lm import LanguageModel
from agents.runtime.spec import ModelSpec
from consolidation.trainer.engine import Text
from consolidation.trainer.handwritten import HandwrittenEngine
from consolidation.trainer.replay import draw_talks, load_replay, some, write_replay

TEXTS = [Text(f"kl:{i}", "kl", None, (1, 2, 3), (1,)) for i in range(30)]


@pytest.fixture(scope="module")
def model(tiny_folder: Path, model_cache: Path) -> LanguageModel:
    return LanguageModel.load(ModelSpec(model_cache, str(tiny_folder), dtype="float32"))


def test_what_the_base_asks_itself_is_different_each_time_and_the_same_under_a_seed(
    model: LanguageModel,
) -> None:
    talks = draw_talks(model, 6)
    prompts = [prompt for prompt, _ in talks]
    assert 2 <= len(prompts) == len(set(prompts)) <= 6
    assert all(prompts)
    assert draw_talks(model, 6) == talks
    assert draw_talks(model, 6, seed=1) != talks


def test_texts_are_kept_with_the_states_of_the_base(model: LanguageModel, tmp_path: Path) -> None:
    engine = HandwrittenEngine(model, 4, 8.0, 0.4)
    written = write_replay(model, engine, tmp_path / "replay.safetensors")
    read = load_replay(tmp_path / "replay.safetensors", model.device)
    assert read is not None
    assert [(text.ids, text.positions) for text in read] == [(text.ids, text.positions) for text in written]
    for text in written:
        assert text.teacher is not None
        assert text.teacher.shape == (len(text.positions), model.hidden_size)


def test_a_damaged_file_counts_as_none(model: LanguageModel, tmp_path: Path) -> None:
    (tmp_path / "replay.safetensors").write_bytes(b"half of it")
    assert load_replay(tmp_path / "replay.safetensors", model.device) is None


def test_each_night_looks_at_others() -> None:
    first, second = some(TEXTS, "night 1", 10), some(TEXTS, "night 2", 10)
    assert len({text.id for text in first}) == 10
    assert first != second
    assert some(TEXTS, "night 1", 10) == first


def test_where_there_are_few_all_are_looked_at() -> None:
    assert some(TEXTS, "night 1", 100) == TEXTS
