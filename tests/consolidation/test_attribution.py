"""The index that a night keeps up: what is computed, what is not computed twice, and what is given up."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agents.runtime.lm import LanguageModel
from agents.runtime.spec import ModelSpec
from consolidation import attribution
from consolidation.attribution import bring_up_to_date, layer_of, manifest_of, open_index
from consolidation.errors import BrokenIndex
from consolidation.stage import NightSettings
from memory import message_vectors
from memory.episodes import append_turn


@pytest.fixture
def spec(tiny_folder: Path, model_cache: Path) -> ModelSpec:
    return ModelSpec(model_cache, str(tiny_folder), dtype="float32", device="cpu")


def update(chat: Any, spec: ModelSpec, **options: Any) -> attribution.Refreshed:
    return bring_up_to_date(chat.database, chat.space_id, chat.home, spec, **options)


def say(chat: Any, text: str, origin: str = "observed") -> str:
    first = chat.episodes[0]
    return append_turn(
        chat.database,
        chat.space_id,
        conversation="later",
        speaker_id=first.speaker_id,
        text=text,
        origin=origin,
        time=first.time,
    ).id


def test_every_message_gets_the_activation_of_its_words(chat: Any, spec: ModelSpec) -> None:
    assert update(chat, spec) == attribution.Refreshed(len(chat.episodes), len(chat.episodes), 0)
    model = LanguageModel.load(spec)
    found = open_index(chat.home, chat.space_id, manifest_of(model))
    expected = model.mean_residuals([item.text for item in chat.episodes], [layer_of(model.n_layers)])[:, 0]
    place = {int(item.id, 16): i for i, item in enumerate(chat.episodes)}
    order = [place[number] for number in found.ids.tolist()]
    np.testing.assert_allclose(found.raw(), expected[order], atol=0.05, rtol=0.01)


def test_only_what_is_new_is_computed(chat: Any, spec: ModelSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    update(chat, spec)
    read: list[str] = []
    vectors_of = attribution.vectors_of

    def watched(model: Any, texts: Any, layer: int) -> Any:
        read.extend(texts)
        return vectors_of(model, texts, layer)

    monkeypatch.setattr(attribution, "vectors_of", watched)
    assert update(chat, spec).n_new == 0
    say(chat, "one more thing")
    say(chat, "a model said so", origin="simulated")
    assert update(chat, spec) == attribution.Refreshed(len(chat.episodes) + 1, 1, 0)
    assert read == ["one more thing"]


def test_without_anything_new_no_model_is_loaded(
    chat: Any, spec: ModelSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    update(chat, spec)

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("a model was loaded")

    monkeypatch.setattr(LanguageModel, "load", refuse)
    assert update(chat, spec).n_new == 0


def test_another_model_makes_everything_again(
    chat: Any, spec: ModelSpec, tiny_folder: Path, tmp_path: Path
) -> None:
    from safetensors.numpy import load_file, save_file

    update(chat, spec)
    other = Path(shutil.copytree(tiny_folder, tmp_path / "other"))
    tensors = load_file(other / "model.safetensors")
    name = next(key for key in tensors if key.endswith("q_proj.weight"))
    tensors[name] = tensors[name] + 1
    save_file(tensors, other / "model.safetensors", metadata={"format": "pt"})
    assert update(chat, replace(spec, source=str(other))).n_new == len(chat.episodes)
    with pytest.raises(BrokenIndex, match="made with model"):
        open_index(chat.home, chat.space_id, manifest_of(LanguageModel.load(spec)))


def test_a_part_of_the_index_survives_a_kill(
    chat: Any, spec: ModelSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attribution, "KEPT_EVERY", 4)
    monkeypatch.setattr(attribution, "CHUNK", 2)

    def killed_at_six(done: int, total: int, note: str = "") -> None:
        if done >= 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        update(chat, spec, progress=killed_at_six)
    done = update(chat, spec)
    assert done == attribution.Refreshed(len(chat.episodes), len(chat.episodes) - 4, 0)


def test_activations_that_are_not_finite_are_refused(
    chat: Any, spec: ModelSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(model: Any, texts: Any, layer: int) -> Any:
        return np.full((len(texts), model.hidden_size), np.nan, np.float32)

    monkeypatch.setattr(attribution, "vectors_of", broken)
    with pytest.raises(BrokenIndex, match="not finite"):
        update(chat, spec)
    assert message_vectors.read(message_vectors.path_of(chat.home, chat.space_id)) is None


def test_the_night_counts_what_it_read(chat: Any, tiny_folder: Path) -> None:
    context = chat.context(settings=NightSettings(base_model=str(tiny_folder)))
    n = float(len(chat.episodes))
    assert attribution.refresh(context) == {"attributable": n, "newly_attributable": n}
    assert attribution.refresh(context)["newly_attributable"] == 0


def test_a_night_goes_on_where_no_model_can_run(
    chat: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def missing(*_: Any, **__: Any) -> None:
        raise ModuleNotFoundError("no torch", name="torch")

    monkeypatch.setattr(attribution, "bring_up_to_date", missing)
    assert attribution.refresh(chat.context()) == {}
    assert "torch is not installed" in caplog.text
