"""Claims about control vectors as GGUF: what is in the file, and that llama.cpp steers with it as this does."""

from __future__ import annotations

import importlib.util
import platform
import sys
from pathlib import Path

import gguf
import numpy as np
import pytest

from agents.runtime.gguf_vectors import write_control_vector
from agents.runtime.lm import LanguageModel
from agents.runtime.steering import steered
from tests.control_vectors import logits_with
from tests.llama_cpp import write_base

ASKED = [84, 90, 7, 33, 12]
needs_engine = pytest.mark.skipif(
    importlib.util.find_spec("xllamacpp") is None
    or sys.platform != "linux"
    or platform.machine() != "x86_64",
    reason="xllamacpp, llama.cpp in a wheel, is not installed",
)


def directions(*layers: int) -> dict[int, np.ndarray]:
    random = np.random.default_rng(5)
    return {layer: random.normal(size=32).astype(np.float32) * 3 for layer in layers}


def test_the_file_says_what_it_is(tmp_path: Path) -> None:
    made = directions(1, 2)
    write_control_vector(tmp_path / "v.gguf", made, model_type="llama", notes={"concept": "joy"})
    reader = gguf.GGUFReader(tmp_path / "v.gguf")
    fields = {name: field.contents() for name, field in reader.fields.items()}
    assert fields["general.architecture"] == "controlvector"
    assert fields["controlvector.model_hint"] == "llama"
    assert fields["controlvector.layer_count"] == 2
    assert fields["slowwave.concept"] == "joy"
    found = {tensor.name: tensor.data for tensor in reader.tensors}
    assert set(found) == {"direction.1", "direction.2"}
    for layer, vector in made.items():
        np.testing.assert_array_equal(found[f"direction.{layer}"], vector)


@pytest.mark.parametrize("layers", [(0, 1), ()])
def test_layer_0_and_no_layer_have_no_place_in_it(tmp_path: Path, layers: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="block 1 or later"):
        write_control_vector(tmp_path / "v.gguf", directions(*layers), model_type="llama", notes={})
    assert not (tmp_path / "v.gguf").exists()


@needs_engine
def test_llama_cpp_steers_with_it_as_a_hook_after_the_same_block_does(
    tiny: LanguageModel, tmp_path: Path
) -> None:
    made = directions(1, 2)
    write_control_vector(tmp_path / "v.gguf", made, model_type="llama", notes={})
    base = write_base(tiny.folder, tmp_path / "base.gguf")
    words = tiny.model.config.vocab_size
    strengths = (0.0, 0.5, -1.0)
    theirs = logits_with(base, tmp_path / "v.gguf", strengths, ASKED, layers=3, words=words)
    for strength, logits in zip(strengths, theirs, strict=True):
        added = {layer: vector * strength for layer, vector in made.items()}
        with steered(tiny, added, "all"):
            ours = tiny.logits(ASKED)[-1]
        np.testing.assert_allclose(logits, ours, atol=0.02 * np.abs(ours).max())
    assert np.abs(theirs[1] - theirs[0]).max() > 0.2 * np.abs(theirs[0]).max()
