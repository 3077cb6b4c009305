from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from agents.runtime.lm import LanguageModel
from agents.runtime.spec import ModelSpec
from consolidation import reading, readouts
from consolidation.errors import BrokenReadout, UnknownReadout
from consolidation.reading import manager_from, open_manager, read_texts
from consolidation.readouts import Readout, sha256_of
from tests.made_readouts import TEXTS, write_tiny_readout

TOLERANCE = {"rtol": 1e-3, "atol": 1e-3}


@pytest.fixture(scope="module")
def model(tiny_folder: Path, model_cache: Path) -> LanguageModel:
    return LanguageModel.load(ModelSpec(model_cache, str(tiny_folder), dtype="float32"))


@pytest.fixture(scope="module")
def folder(tiny_folder: Path, model_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_readout(tiny_folder, model_cache, tmp_path_factory.mktemp("readouts"))


@pytest.fixture(scope="module")
def readout(folder: Path) -> Readout:
    return readouts.read_readout(folder)


def environment(folder: Path, prefix: str) -> dict[str, str]:
    return {
        f"{prefix}_READOUT_VECTORS": str(folder / readouts.VECTORS_FILE),
        f"{prefix}_READOUT_MANIFEST": str(folder / readouts.MANIFEST_FILE),
    }


def test_texts_come_back_in_their_order_and_read_alone_as_together(
    model: LanguageModel, readout: Readout
) -> None:
    texts = [TEXTS[5], TEXTS[0] * 3, TEXTS[13]]
    together = read_texts(model, readout, texts)
    for text, found in zip(texts, together, strict=True):
        assert found == pytest.approx(read_texts(model, readout, [text])[0], rel=1e-3, abs=1e-3)
    assert read_texts(model, readout, []) == []


def test_readings_of_neutral_texts_have_mean_0_and_are_counted_in_their_deviations(
    model: LanguageModel, readout: Readout
) -> None:
    found = read_texts(model, readout, TEXTS[12:])
    for concept in readout.manifest.concepts:
        assert np.mean([one[concept] for one in found]) == pytest.approx(0, abs=1e-3)


def test_what_stands_behind_the_first_characters_is_not_read(
    model: LanguageModel, readout: Readout, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "MAX_CHARS", 20)
    shown = [TEXTS[4], TEXTS[4][:20]]
    assert len(shown[0]) > 20
    assert read_texts(model, readout, shown[:1]) == read_texts(model, readout, shown[1:])


def test_a_readout_is_called_as_its_files_are(folder: Path, readout: Readout) -> None:
    assert sha256_of(readout) == readouts.hash_of(folder)


@pytest.mark.parametrize("prefix", ["SLOWWAVE", "VLLM"])
def test_the_manager_that_the_environment_names_reads_as_texts_are_read(
    model: LanguageModel, folder: Path, readout: Readout, prefix: str
) -> None:
    header = model.template.user_header()
    rows = [header + model.template.encode(text) for text in TEXTS[:3]]
    with manager_from(model, environment(folder, prefix)) as manager:
        for text, row in zip(TEXTS[:3], rows, strict=True):
            with manager.collect(("it",), skip=(len(header),)) as found:
                model.logits(row)
            expected = read_texts(model, readout, [text])[0]
            assert found["it"].prompt is not None
            np.testing.assert_allclose(found["it"].prompt, list(expected.values()), **TOLERANCE)


def test_without_a_name_in_the_environment_there_is_no_manager(model: LanguageModel) -> None:
    with pytest.raises(UnknownReadout):
        manager_from(model, {})


def test_directions_of_another_model_are_refused_with_both_hashes(
    model: LanguageModel, talkative: Path, model_cache: Path, tmp_path: Path
) -> None:
    others = readouts.read_readout(write_tiny_readout(talkative, model_cache, tmp_path))
    with pytest.raises(BrokenReadout) as refused:
        open_manager(model, others)
    for sha256 in (model.base_hash, others.manifest.model_hash):
        assert sha256[:12] in str(refused.value)
