"""Claims about the base's own text: drawn once, kept, and looked at by turns."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from agents.runtime.lm import LanguageModel
from agents.runtime.spec import ModelSpec
from consolidation.trainer.engine import Text
from consolidation.trainer.handwritten import HandwrittenEngine
from consolidation.trainer.replay import SHEAF, draw_talks, general_texts, load_general


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


def test_texts_come_with_the_states_of_the_base(model: LanguageModel, tmp_path: Path) -> None:
    engine = HandwrittenEngine(model, 4, 8.0, 0.4)
    texts = general_texts(model, engine, tmp_path / "g.safetensors", "night 1", 8)
    assert len(texts) == SHEAF
    for text, states in zip(texts, engine.final_hidden([text.ids for text in texts]), strict=True):
        assert text.teacher is not None
        assert torch.equal(text.teacher, states[list(text.positions)])


def test_states_are_kept_and_those_of_other_nights_come_beside_them(
    model: LanguageModel, tmp_path: Path
) -> None:
    engine, file = HandwrittenEngine(model, 4, 8.0, 0.4), tmp_path / "g.safetensors"
    first = general_texts(model, engine, file, "night 1", 8)
    assert {text.id for text in first} == {f"kl:{place}" for place in kept(file)}
    other = general_texts(model, engine, file, "night 2", 8)
    assert {text.id for text in (*first, *other)} == {f"kl:{place}" for place in kept(file)}
    assert {text.id for text in other} != {text.id for text in first}
    again = general_texts(model, engine, file, "night 1", 8)
    assert [flat(text) for text in again] == [flat(text) for text in first]


def test_the_order_of_nights_changes_no_bit(model: LanguageModel, tmp_path: Path) -> None:
    engine = HandwrittenEngine(model, 4, 8.0, 0.4)
    rows = tmp_path / "rows.safetensors"
    general_texts(model, engine, rows, "night 0", 0)
    for name in ("one", "other"):
        shutil.copy(rows, tmp_path / name)
    general_texts(model, engine, tmp_path / "other", "night 2", 8)
    one, other = (general_texts(model, engine, tmp_path / name, "night 1", 8) for name in ("one", "other"))
    assert [flat(text) for text in one] == [flat(text) for text in other]


def test_a_damaged_file_counts_as_none(model: LanguageModel, tmp_path: Path) -> None:
    (tmp_path / "g.safetensors").write_bytes(b"half of it")
    assert load_general(tmp_path / "g.safetensors") is None


def test_where_there_are_few_all_are_looked_at(model: LanguageModel, tmp_path: Path) -> None:
    engine, file = HandwrittenEngine(model, 4, 8.0, 0.4), tmp_path / "g.safetensors"
    everything = general_texts(model, engine, file, "night 1", 100_000)
    general = load_general(file)
    assert general is not None
    assert [text.ids for text in everything] == [ids for ids, _ in general.rows]


def kept(file: Path) -> set[int]:
    general = load_general(file)
    assert general is not None
    return set(general.teachers)


def flat(text: Text) -> tuple[object, ...]:
    assert text.teacher is not None
    return text.id, text.ids, text.positions, text.teacher.float().tolist()
