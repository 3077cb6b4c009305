from __future__ import annotations

import json
import zipfile
from dataclasses import replace
from pathlib import Path

import gguf
import numpy as np
import pytest

from agents.runtime.spec import ModelFolder, ModelSpec, resolve
from consolidation import readouts
from consolidation.errors import BrokenReadout, CannotExport, ExportExists
from consolidation.readout_export import export_readout, scaled
from consolidation.readouts import Readout
from tests.made_readouts import write_tiny_readout


@pytest.fixture(scope="module")
def base(tiny_folder: Path, model_cache: Path) -> ModelFolder:
    return resolve(ModelSpec(model_cache, str(tiny_folder)))


@pytest.fixture(scope="module")
def readout(tiny_folder: Path, model_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Readout:
    return readouts.read_readout(
        write_tiny_readout(tiny_folder, model_cache, tmp_path_factory.mktemp("readouts"))
    )


def at(readout: Readout, *layers: int) -> Readout:
    """The same directions, as if they were of these layers."""
    moved = dict(zip(layers, readout.vectors.values(), strict=True))
    return Readout(replace(readout.manifest, layers=layers), moved)


def test_a_control_vector_holds_the_direction_as_long_as_the_mean_residual(
    readout: Readout, base: ModelFolder, tmp_path: Path
) -> None:
    made = export_readout(at(readout, 1, 2), base, tmp_path / "out", "gguf", ["joy"])
    assert made.files == {"joy": "joy.gguf"}
    found = {one.name: one.data for one in gguf.GGUFReader(tmp_path / "out" / "joy.gguf").tensors}
    assert set(found) == {"direction.1", "direction.2"}
    k = readout.manifest.concepts.index("joy")
    for layer, vectors, norm in zip(
        (1, 2), readout.vectors.values(), readout.manifest.mean_residual_norm, strict=True
    ):
        np.testing.assert_allclose(found[f"direction.{layer}"], vectors[k] * norm, rtol=1e-6)
        assert np.linalg.norm(found[f"direction.{layer}"]) == pytest.approx(norm, rel=1e-3)


def test_layer_0_is_left_out_of_a_control_vector_and_alone_refused(
    readout: Readout, base: ModelFolder, tmp_path: Path
) -> None:
    made = export_readout(at(readout, 0, 2), base, tmp_path / "some", "gguf")
    assert (made.layers, made.left_out) == ((2,), (0,))
    alone = Readout(replace(readout.manifest, layers=(0,)), {0: readout.vectors[readout.manifest.layers[0]]})
    with pytest.raises(CannotExport, match="layer 0 alone"):
        export_readout(alone, base, tmp_path / "none", "gguf")
    assert not (tmp_path / "none").exists()


def test_for_vllm_the_files_are_those_that_are_read_here(
    readout: Readout, base: ModelFolder, tmp_path: Path
) -> None:
    made = export_readout(readout, base, tmp_path / "out", "vllm")
    again = readouts.read_files(
        tmp_path / "out" / readouts.VECTORS_FILE, tmp_path / "out" / readouts.MANIFEST_FILE
    )
    assert again.manifest == readout.manifest
    assert made.sha256 == readouts.hash_of(tmp_path / "out")
    norms = json.loads((tmp_path / "out" / "h_norms.json").read_text())
    assert list(map(int, norms)) == list(readout.manifest.layers)


def test_the_matrix_for_the_plugin_has_a_row_per_block(
    readout: Readout, base: ModelFolder, tmp_path: Path
) -> None:
    made = export_readout(readout, base, tmp_path / "out", "vllm", ["fear"])
    with zipfile.ZipFile(tmp_path / "out" / made.files["fear"]) as packed:  # read without unpickling anything
        (name,) = [one for one in packed.namelist() if one.endswith("/data/0")]
        matrix = np.frombuffer(packed.read(name), "<f4").reshape(3, 32)
    expected = scaled(readout, "fear")
    for layer in range(3):
        np.testing.assert_array_equal(matrix[layer], expected.get(layer, np.zeros(32)))


def test_names_that_a_path_cannot_hold_or_that_differ_in_case_get_files_of_their_own(
    readout: Readout, base: ModelFolder, tmp_path: Path
) -> None:
    named = Readout(replace(readout.manifest, concepts=("a/b", "A b", "../..")), readout.vectors)
    made = export_readout(at(named, 1, 2), base, tmp_path / "out", "gguf")
    assert len({name.casefold() for name in made.files.values()}) == 3
    assert all((tmp_path / "out" / name).is_file() for name in made.files.values())


def test_the_readme_says_what_is_in_it_and_that_it_is_private(
    readout: Readout, base: ModelFolder, tmp_path: Path
) -> None:
    made = export_readout(at(readout, 1, 2), base, tmp_path / "out", "gguf")
    told = (tmp_path / "out" / "README.md").read_text()
    assert "**Private.**" in told
    assert made.sha256 in told
    assert base.base_hash in told
    assert "joy.gguf" in told


def test_another_models_readout_an_unknown_concept_and_a_folder_that_is_there_are_refused(
    readout: Readout, base: ModelFolder, tmp_path: Path
) -> None:
    with pytest.raises(BrokenReadout, match=base.base_hash[:12]):
        export_readout(
            Readout(replace(readout.manifest, model_hash="f" * 64), readout.vectors),
            base,
            tmp_path / "a",
            "gguf",
        )
    with pytest.raises(CannotExport, match="has no awe"):
        export_readout(readout, base, tmp_path / "a", "gguf", ["awe"])
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "x").touch()
    with pytest.raises(ExportExists):
        export_readout(at(readout, 1, 2), base, tmp_path / "there", "gguf")
