from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agents.runtime.lm import LanguageModel
from agents.runtime.spec import ModelSpec
from agents.runtime.token_rules import LAST, MEAN
from consolidation import readouts
from consolidation.errors import BadReadout, BrokenReadout
from consolidation.readout_settings import CAA
from consolidation.readout_training import Examples, How, train
from consolidation.readouts import Contrast
from memory.ports import FloatMatrix

SHAPE = ("base" * 16, "template", 3)


def examples(n: int = 48) -> Examples:
    """Joy ends in an exclamation, fear in a question; every fourth text is neutral."""
    ends = ("!", "?", ".", ".")
    texts = tuple(f"message number {k} about the {k % 7} boats{ends[k % 4]}" for k in range(n))
    rows = {end: tuple(k for k in range(n) if k % 4 == end) for end in range(4)}
    contrasts = {"joy": Contrast(rows[0], rows[2]), "fear": Contrast(rows[1], rows[2])}
    return Examples(texts, contrasts, rows[3], {"awe": 2}, "sha")


@pytest.fixture(scope="module")
def tiny(tiny_folder: Path, model_cache: Path) -> LanguageModel:
    return LanguageModel.load(ModelSpec(model_cache, str(tiny_folder), dtype="float32"))


@pytest.mark.parametrize("token_rule", [MEAN, LAST])
def test_a_readout_of_examples_says_what_it_was_made_of(tiny: LanguageModel, token_rule: str) -> None:
    made = train(examples(), tiny, SHAPE, How(layers=(1, 2), token_rule=token_rule, batch_tokens=256))
    manifest = made.manifest
    assert (manifest.layers, manifest.token_rule) == ((1, 2), token_rule)
    assert (manifest.n_positive, manifest.left_out) == ((12, 12), {"awe": 2})
    assert np.mean(manifest.auroc) > 0.9
    for vectors in (*made.vectors.values(), *made.steering.values()):
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_plain_differences_of_means_have_one_file_for_both_uses(tiny: LanguageModel) -> None:
    made = train(examples(), tiny, SHAPE, How(layers=(1,), method=CAA))
    assert made.to_steer() is made.vectors


def test_layers_and_token_rules_that_are_not_there_are_refused(tiny: LanguageModel) -> None:
    with pytest.raises(
        BadReadout, match=r"there is no layer 3: the model has layers 0 to 2; change --target-layers"
    ):
        train(examples(), tiny, SHAPE, How(layers=(1, 3)))
    with pytest.raises(BadReadout, match="there are: mean of content tokens, last content token"):
        train(examples(), tiny, SHAPE, How(token_rule="first token"))


class Overflowing:
    """A reader whose layer 2 overflows for one text, as float16 does."""

    def residual_statistics(
        self, texts: Sequence[str], layers: Sequence[int], batch_tokens: int = 0, token_rule: str = MEAN
    ) -> tuple[FloatMatrix, FloatMatrix]:
        acts_NLD = np.ones((len(texts), len(layers), 4), np.float32)
        for row, text in enumerate(texts):
            if text.startswith("message number 1 "):
                acts_NLD[row, list(layers).index(2)] = np.nan
        return acts_NLD, np.ones(len(layers), np.float32)


def test_activations_that_are_no_numbers_are_refused_with_layer_and_concept() -> None:
    refusal = r"layer 2 gives activations that are not finite for 1 of 48 texts \(fear\); .* such as float32"
    with pytest.raises(BadReadout, match=refusal):
        train(examples(), Overflowing(), SHAPE, How(layers=(1, 2)))


def test_a_file_for_another_model_is_refused_with_both_hashes(tiny: LanguageModel, tmp_path: Path) -> None:
    made = train(examples(), tiny, SHAPE, How(layers=(1,)))
    folder, _ = readouts.write_readout(made, tmp_path)
    other: Any = "f" * 64
    with pytest.raises(BrokenReadout, match="made with model basebasebase, not ffffffffffff"):
        readouts.read_readout(folder).check_model(other)
