from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from bench.logistic import aurocs, fit, fit_best, macro
from bench.readout import main
from bench.readout_texts import Texts, draw, read_texts

ROWS = (
    ("thank you so much, friend {i}", "gratitude"),
    ("this makes me furious {i}", "anger"),
    ("the train leaves at {i}", "neutral"),
)
KEYS = {"macro_auroc", "logistic_auroc", "encoder_auroc", "per_concept", "layers", "speedup_vs_plain_loop"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, n in (("train", 90), ("test", 30)):
        rows = [f"{ROWS[i % 3][0].format(i=i)}\t{ROWS[i % 3][1]}\tid{i}" for i in range(n)]
        (tmp_path / f"{name}.tsv").write_text("\n".join(rows), encoding="utf-8")
    return tmp_path


def test_the_last_line_is_the_result(
    folder: Path, tiny_folder: Path, model_cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = ["--train", str(folder / "train.tsv"), "--test", str(folder / "test.tsv")]
    assert main([*files, "--model", str(tiny_folder), "--cache", str(model_cache), "--n-layers", "1"]) == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert KEYS | {"commit", "seed", "seconds", "machine", "cross_talk", "caa_auroc"} <= result.keys()
    assert set(result["per_concept"]) == {"anger", "gratitude"}
    assert len(result["layers"]) == 1
    assert result["macro_auroc"] > 0.9
    assert result["encoder_auroc"] > 0.9
    assert result["plain_loop_difference"] < 0.02


def test_labels_are_names_or_numbers_of_the_file_beside(tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_text("joy\nfear\nneutral\n", encoding="utf-8")
    (tmp_path / "a.tsv").write_text("one\t0,1\tx\ntwo\t2\ty\n", encoding="utf-8")
    (tmp_path / "b.tsv").write_text("one\tjoy,fear\ntwo\tneutral\n", encoding="utf-8")
    assert read_texts(tmp_path / "a.tsv") == read_texts(tmp_path / "b.tsv")
    assert read_texts(tmp_path / "a.tsv").labels == (frozenset({"joy", "fear"}), frozenset({"neutral"}))


@pytest.mark.parametrize("line", ["no label", "a number that no label has\t77", "an empty one\t"])
def test_a_line_that_cannot_be_read_is_named(tmp_path: Path, line: str) -> None:
    (tmp_path / "a.tsv").write_text(f"fine\tjoy\n{line}\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"a\.tsv, line 2"):
        read_texts(tmp_path / "a.tsv")


def test_a_sample_has_enough_of_rare_concepts_and_negatives_as_they_come() -> None:
    labels = ["rare" if i % 50 == 0 else "neutral" if i % 2 else "common" for i in range(2000)]
    data = Texts(tuple(map(str, range(2000))), tuple(frozenset({label}) for label in labels))
    found = draw(data, n_positive=30, n_others=400, min_examples=12, seed=0)
    rare = found.contrasts["rare"]
    assert len(rare.positive) == 30
    assert {"rare"} == {name for i in rare.positive for name in found.texts.labels[i]}
    assert all("rare" not in found.texts.labels[i] for i in rare.negative)
    share = np.mean(["common" in found.texts.labels[i] for i in rare.negative])
    assert 0.4 < share < 0.6
    assert all(found.texts.labels[i] == {"neutral"} for i in found.neutral)
    assert found == draw(data, n_positive=30, n_others=400, min_examples=12, seed=0)


def test_a_concept_with_too_few_texts_is_left_out_and_named() -> None:
    data = Texts(tuple(map(str, range(60))), tuple(frozenset({"a" if i > 4 else "b"}) for i in range(60)))
    found = draw(data, n_positive=30, n_others=40, min_examples=12, seed=0)
    assert set(found.contrasts) == {"a"}
    assert found.left_out == {"b": 5}


def test_a_regression_finds_labels_that_features_carry_and_no_others() -> None:
    random = np.random.default_rng(0)
    features = random.normal(size=(1500, 12)).astype(np.float32)
    targets = np.stack([features[:, 3] > 1, random.random(1500) > 0.5], axis=1).astype(np.float32)
    found, _ = fit_best(features[:1000], targets[:1000], seed=0)
    carried, chance = aurocs(found.scores(features[1000:]), targets[1000:])
    assert carried is not None
    assert chance is not None
    assert carried > 0.97
    assert abs(chance - 0.5) < 0.1


def test_the_steps_of_a_regression_end_where_the_gradient_does() -> None:
    random = np.random.default_rng(1)
    features = random.normal(size=(300, 4)).astype(np.float32)
    targets = (features[:, :1] + random.normal(size=(300, 1)) > 0).astype(np.float32)
    found = fit(features, targets, ridge=5.0)
    rows = (features - features.mean(0)) / features.std(0)
    error = 1 / (1 + np.exp(-found.scores(features))) - targets
    np.testing.assert_allclose(rows.T @ error + 5.0 * found.weights_DK, 0, atol=0.1)


def test_a_label_that_all_or_none_have_is_no_part_of_the_mean() -> None:
    scores = np.array([[0.1, 1, 1], [0.9, 2, 2]], dtype=np.float32)
    targets = np.array([[0, 1, 0], [1, 1, 0]], dtype=np.float32)
    assert aurocs(scores, targets) == [1.0, None, None]
    assert macro(scores, targets) == 1.0
