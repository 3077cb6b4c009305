from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from agents.emotion_head import Grams, Head, Reader
from agents.emotion_scores import best_thresholds, f1_per_label, quantiles, scores
from agents.emotion_training import (
    Labelled,
    TrainingSettings,
    _frequent_grams,
    _thin,
    measure,
    read_labelled,
    read_labels,
    train_head,
)
from agents.emotions import HEAD_PATH
from agents.encoder_changes import sha256
from memory.embedders.minilm import WEIGHTS, MiniLM

LABELS = ("glad", "sad", "neutral")
WORDS = (("happy", "great", "sunny"), ("awful", "crying", "lost"), ("bus", "table", "nine"))
SETTINGS = TrainingSettings(
    first_layer=5, rank=4, n_grams=50, epochs=4, batch=12, lr=5e-4, mean_decay=0.8, held_out=0.2
)


@pytest.fixture(scope="module")
def encoder() -> MiniLM:
    return MiniLM.load()


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Labelled:
    path = tmp_path_factory.mktemp("emotions") / "train.tsv"
    rng = np.random.default_rng(3)
    labels = rng.integers(0, 3, 96)
    lines = [
        f"it was {rng.choice(WORDS[k])} and {rng.choice(WORDS[k])}\t{k}\tid{i}" for i, k in enumerate(labels)
    ]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return read_labelled(path, 3)


@pytest.fixture(scope="module")
def head(data: Labelled, encoder: MiniLM) -> Head:
    return train_head(data, LABELS, encoder, SETTINGS)


def test_training_learns_what_the_words_say(head: Head, data: Labelled, encoder: MiniLM) -> None:
    assert measure(head, data, encoder)["macro_f1"] > 0.9


def test_training_is_deterministic(data: Labelled, encoder: MiniLM) -> None:
    few = data.take(np.arange(30))
    once, again = (train_head(few, LABELS, encoder, replace(SETTINGS, epochs=1)) for _ in range(2))
    assert np.array_equal(once.out, again.out)
    assert all(np.array_equal(once.changes.lora[name][1], b) for name, (_, b) in again.changes.lora.items())
    assert np.array_equal(once.thresholds, again.thresholds)


def test_only_the_upper_layers_change(head: Head) -> None:
    assert {name.split(".")[2] for name in (*head.changes.lora, *head.changes.replaced)} == {"5"}
    assert all(a.shape[0] == b.shape[1] == SETTINGS.rank for a, b in head.changes.lora.values())


def test_saved_and_loaded_heads_agree(head: Head, data: Labelled, encoder: MiniLM, tmp_path: Path) -> None:
    path = tmp_path / "head.safetensors"
    head.save(path)
    loaded = Head.load(path)
    before = Reader(head, encoder).probabilities(data.texts)
    assert np.allclose(before, Reader(loaded, encoder).probabilities(data.texts), atol=2e-2)
    assert loaded.labels == LABELS
    assert loaded.manifest["source"]["licence"] == "CC BY 4.0"


def test_numpy_and_torch_agree(encoder: MiniLM) -> None:
    import torch

    from agents.emotion_network import BIAS, GRAMS, OUT, Batch, EmotionNetwork
    from agents.encoder_changes import Changes
    from agents.encoder_training import padded

    texts = ["I am so happy for you!!", "nine", "the bus was awful, and I was crying all the way"]
    hashes = _frequent_grams(texts, 20)
    network = EmotionNetwork(encoder.folder, 5, np.full(3, 0.3, np.float32), len(hashes), 1, torch.float32)
    rng = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in network.trained.values():
            weight.add_(torch.randn(weight.shape, generator=rng) * 0.02)
    learnt = {name: weight.detach().numpy() for name, weight in network.trained.items()}
    lora = {
        name.removesuffix(".weight"): _thin(learnt[name] - base.numpy(), 384)
        for name, base in network.base.items()
        if base.dim() == 2
    }
    whole = {name: learnt[name] for name, base in network.base.items() if base.dim() < 2}
    head = Head(
        LABELS, Changes(lora, whole, 1.0, sha256(encoder.folder / WEIGHTS)), 5, learnt[OUT], learnt[BIAS],
        hashes, learnt[GRAMS], np.full(3, 0.5), np.zeros((3, 11)), {},
    )  # fmt: skip
    found = [Grams(hashes)(text) for text in texts]
    starts = torch.tensor([0, len(found[0]), len(found[0]) + len(found[1])])
    batch = Batch(
        *padded(encoder.tokens(texts)),
        torch.tensor([gram for each in found for gram in each]),
        starts,
        torch.zeros(len(texts), 3),
    )
    with torch.no_grad():
        expected = network.logits(network.merged(), batch).sigmoid().numpy()
    np.testing.assert_allclose(Reader(head, encoder).probabilities(texts), expected, atol=1e-4)


@pytest.mark.parametrize("shape", [(9, 5), (5, 9)])
def test_the_thin_factors_are_the_nearest_of_their_rank(shape: tuple[int, int]) -> None:
    matrix = np.random.default_rng(2).normal(size=shape).astype(np.float32)
    a, b = _thin(matrix, 3)
    lost = np.linalg.svd(matrix)[1][3:]
    assert np.linalg.norm(matrix - b @ a) == pytest.approx(np.linalg.norm(lost), rel=1e-4)


def test_labels_get_neutral_where_the_file_leaves_it_out(tmp_path: Path) -> None:
    train = tmp_path / "train.tsv"
    assert read_labels(train) == Head.load(HEAD_PATH).labels
    train.with_name("labels.txt").write_text("glad\nsad\n", encoding="utf-8")
    assert read_labels(train) == LABELS


def test_thresholds_lie_between_the_right_and_the_wrong() -> None:
    probabilities = np.array([[0.9], [0.8], [0.6], [0.1], [0.05]], np.float32)
    targets = np.array([[1], [1], [1], [0], [0]], np.float32)
    threshold = best_thresholds(probabilities, targets)
    assert f1_per_label(probabilities >= threshold, targets)[0] == 1.0


def test_a_single_lucky_example_does_not_decide_a_threshold() -> None:
    rng = np.random.default_rng(0)
    probabilities = rng.uniform(0.2, 0.5, (200, 1)).astype(np.float32)
    targets = (rng.random((200, 1)) < probabilities).astype(np.float32)
    targets[probabilities.argmax()] = 1
    assert best_thresholds(probabilities, targets)[0] < 0.35


def test_scores_count_labels_alike_in_macro_and_finds_alike_in_micro() -> None:
    targets = np.array([[1, 0], [1, 0], [1, 1]], np.float32)
    predicted = np.array([[1, 0], [1, 0], [1, 0]], bool)
    found = scores(predicted, targets, ("a", "b"))
    assert (found["macro_f1"], found["micro_f1"]) == (0.5, round(6 / 7, 4))
    assert found["per_label"] == {"a": 1.0, "b": 0.0}


def test_quantiles_rise_and_rare_labels_get_even_ones() -> None:
    probabilities = np.linspace(0, 1, 40, dtype=np.float32)[:, None].repeat(2, axis=1)
    targets = np.zeros((40, 2), np.float32)
    targets[10:, 0] = 1
    found = quantiles(probabilities, targets, np.array([0.3, 0.4], np.float32))
    assert (np.diff(found, axis=1) > 0).all()
    assert found[1, 0] == pytest.approx(0.4)
