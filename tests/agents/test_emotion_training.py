from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from agents.emotion_head import Head, gram_matrix
from agents.emotion_training import (
    HeadSettings,
    Labelled,
    _fit,
    best_thresholds,
    f1_per_label,
    measure,
    read_labelled,
    train_head,
)
from memory.embedders.hashing import HashingEmbedder

LABELS = ("glad", "sad", "neutral")
WORDS = (("happy", "great", "sunny"), ("awful", "crying", "lost"), ("bus", "table", "nine"))
SETTINGS = HeadSettings(n_hidden=16, n_grams=50, epochs=30, batch=16, lr=1e-2, n_folds=3)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("emotions")
    rng = np.random.default_rng(3)
    for name, n in (("train", 120), ("dev", 60)):
        labels = rng.integers(0, 3, n)
        lines = [
            f"it was {rng.choice(WORDS[k])} and {rng.choice(WORDS[k])}\t{k}\tid{i}"
            for i, k in enumerate(labels)
        ]
        (folder / f"{name}.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def data(folder: Path) -> Labelled:
    return read_labelled(folder / "train.tsv", 3, HashingEmbedder(width=64))


@pytest.fixture(scope="module")
def head(data: Labelled) -> Head:
    return train_head(data, LABELS, "hashing", SETTINGS)


def test_training_learns_what_the_words_say(head: Head, folder: Path) -> None:
    dev = read_labelled(folder / "dev.tsv", 3, HashingEmbedder(width=64))
    assert measure(head, dev)["macro_f1"] > 0.9


def test_training_is_deterministic(head: Head, data: Labelled) -> None:
    again = train_head(data, LABELS, "hashing", SETTINGS)
    assert np.array_equal(head.w1, again.w1)
    assert np.array_equal(head.thresholds, again.thresholds)


def test_saved_and_loaded_heads_agree(head: Head, data: Labelled, tmp_path: Path) -> None:
    path = tmp_path / "head.safetensors"
    head.save(path)
    loaded = Head.load(path)
    before = head.probabilities(data.texts, data.vectors_ND)
    assert np.allclose(before, loaded.probabilities(data.texts, data.vectors_ND), atol=2e-2)
    assert loaded.labels == LABELS
    assert loaded.manifest["source"]["licence"] == "CC BY 4.0"


def test_gradients_match_differences(data: Labelled) -> None:
    hashes = np.unique(np.array([1, 2, 3], np.uint32))
    matrix = gram_matrix(data.texts, hashes)
    weights = _fit(data.vectors_ND, matrix, data.targets_NK, HeadSettings(n_hidden=5, epochs=1))
    x = data.vectors_ND[:7] * 8.0  # the head scales by sqrt(width)

    def loss() -> float:
        p = weights.predict(data.vectors_ND[:7], matrix[:7]).astype(np.float64)
        y = data.targets_NK[:7]
        return float(-(y * np.log(p) + (1 - y) * np.log(1 - p)).mean())

    found = weights.gradients(x, matrix[:7], data.targets_NK[:7], np.random.default_rng(0), 0.0)
    for array, gradient in zip(weights.arrays()[:4], found[:4], strict=True):
        place = np.unravel_index(int(np.abs(gradient).argmax()), gradient.shape)
        kept, step = array[place], 1e-2
        array[place] = kept + step
        above = loss()
        array[place] = kept - step
        below = loss()
        array[place] = kept
        assert gradient[place] == pytest.approx((above - below) / (2 * step), rel=0.02)


def test_thresholds_maximise_f1() -> None:
    probabilities = np.array([[0.9], [0.8], [0.3], [0.2], [0.1]], np.float32)
    targets = np.array([[1], [1], [1], [0], [0]], np.float32)
    threshold = best_thresholds(probabilities, targets)
    assert f1_per_label(probabilities >= threshold, targets)[0] == 1.0
