"""Train the emotion head: `python -m agents.emotion_training --train FILE --dev FILE`.

Files are GoEmotions TSV (text, comma-separated label numbers, id), with `labels.txt` beside the training file
or named. Multi-label cross-entropy by AdamW in numpy, deterministic under the seed. Thresholds (best F1 per
label) and the quantiles behind intensities come from out-of-fold predictions on the training file only; the
dev file decides no threshold; the defaults below were chosen on it, so its figure is slightly optimistic.
"""

from __future__ import annotations

import argparse
import json
import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix

from agents.emotion_head import Head, gram_hash, gram_matrix, grams
from memory.ports import Embedder, FloatMatrix

logger = logging.getLogger(__name__)
SOURCE = {
    "name": "GoEmotions",
    "authors": "Demszky, Movshovitz-Attias, Ko, Cowen, Nemade, Ravi (2020)",
    "paper": "https://arxiv.org/abs/2005.00547",
    "licence": "CC BY 4.0",
}
ENCODE_CHUNK = 2048  # texts per call of the embedder, so that progress shows
CANDIDATE_THRESHOLDS = np.linspace(0.04, 0.8, 77)


@dataclass(frozen=True, slots=True)
class HeadSettings:
    """Everything that decides the weights."""

    n_hidden: int = 256
    n_grams: int = 10000  # the most frequent of the training texts
    epochs: int = 14
    batch: int = 256
    lr: float = 2e-3
    decay: float = 0.01
    gram_decay: float = 0.5
    dropout: float = 0.3
    n_folds: int = 5
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Labelled:
    """Texts with their sentence vectors and a 0/1 row of labels each."""

    texts: list[str]
    vectors_ND: FloatMatrix
    targets_NK: FloatMatrix

    def take(self, rows: npt.NDArray[np.int64]) -> Labelled:
        return Labelled([self.texts[i] for i in rows], self.vectors_ND[rows], self.targets_NK[rows])


def read_tsv(path: Path, n_labels: int) -> tuple[list[str], FloatMatrix]:
    texts, targets = [], []
    for line in path.read_text(encoding="utf-8").split("\n"):
        if not line:
            continue
        text, numbers = line.split("\t")[:2]
        row = np.zeros(n_labels, np.float32)
        row[[int(number) for number in numbers.split(",")]] = 1
        texts.append(text)
        targets.append(row)
    return texts, np.stack(targets)


def read_labels(path: Path) -> tuple[str, ...]:
    return tuple(path.read_text(encoding="utf-8").split())


def read_labelled(path: Path, n_labels: int, embedder: Embedder) -> Labelled:
    texts, targets = read_tsv(path, n_labels)
    parts = []
    for start in range(0, len(texts), ENCODE_CHUNK):
        parts.append(embedder.encode(texts[start : start + ENCODE_CHUNK]))
        logger.info("embedded %d of %d texts", min(start + ENCODE_CHUNK, len(texts)), len(texts))
    return Labelled(texts, np.concatenate(parts), targets)


def train_head(data: Labelled, labels: Sequence[str], embedder: str, settings: HeadSettings) -> Head:
    """A head with thresholds and quantiles; the same data and settings give the same head."""
    rng = np.random.default_rng(settings.seed)
    hashes = _frequent_grams(data.texts, settings.n_grams)
    matrix = gram_matrix(data.texts, hashes)
    fold = rng.integers(0, settings.n_folds, len(data.texts))
    held_out = np.zeros_like(data.targets_NK)
    for number in range(settings.n_folds):
        rows = np.flatnonzero(fold != number)
        part = _fit(data.vectors_ND[rows], matrix[rows], data.targets_NK[rows], settings)
        rows = np.flatnonzero(fold == number)
        held_out[rows] = part.predict(data.vectors_ND[rows], matrix[rows])
        logger.info("fold %d of %d done", number + 1, settings.n_folds)
    thresholds = best_thresholds(held_out, data.targets_NK)
    fitted = _fit(data.vectors_ND, matrix, data.targets_NK, settings)
    return Head(
        labels=tuple(labels),
        w1=fitted.w1,
        b1=fitted.b1,
        w2=fitted.w2,
        b2=fitted.b2,
        gram_hashes=hashes,
        gram_weights=fitted.grams,
        thresholds=thresholds,
        quantiles=_quantiles(held_out, data.targets_NK, thresholds),
        embedder=embedder,
        manifest={"source": SOURCE, "settings": asdict(settings), "n_train": len(data.texts)},
    )


def best_thresholds(probabilities_NK: FloatMatrix, targets_NK: FloatMatrix) -> FloatMatrix:
    """Per label the threshold of the best F1, smoothed over its neighbours so that few examples do not decide."""
    scores = np.stack(
        [f1_per_label(probabilities_NK >= threshold, targets_NK) for threshold in CANDIDATE_THRESHOLDS]
    )
    kernel = np.ones(5) / 5
    smooth = np.stack([np.convolve(np.pad(column, 2, mode="edge"), kernel, "valid") for column in scores.T])
    best: FloatMatrix = CANDIDATE_THRESHOLDS[smooth.argmax(axis=1)].astype(np.float32)
    return best


def f1_per_label(predicted_NK: npt.NDArray[np.bool_], targets_NK: FloatMatrix) -> npt.NDArray[np.float64]:
    """2 TP / (predicted + actual) for each label; 0 where neither has any."""
    right = (predicted_NK * targets_NK).sum(axis=0)
    total = predicted_NK.sum(axis=0) + targets_NK.sum(axis=0)
    scores: npt.NDArray[np.float64] = 2 * right / np.maximum(total, 1)
    return scores


def measure(head: Head, data: Labelled) -> dict[str, Any]:
    """Macro F1 (mean over all labels, neutral among them, as in the paper), micro F1, and each label's F1."""
    predicted = head.probabilities(data.texts, data.vectors_ND) >= head.thresholds
    per_label = f1_per_label(predicted, data.targets_NK)
    right = float((predicted * data.targets_NK).sum())
    return {
        "macro_f1": round(float(per_label.mean()), 4),
        "micro_f1": round(2 * right / float(predicted.sum() + data.targets_NK.sum()), 4),
        "per_label": {label: round(float(f1), 4) for label, f1 in zip(head.labels, per_label, strict=True)},
        "n": len(data.texts),
    }


@dataclass(slots=True)
class _Weights:
    w1: FloatMatrix
    b1: FloatMatrix
    w2: FloatMatrix
    b2: FloatMatrix
    grams: FloatMatrix

    def arrays(self) -> list[FloatMatrix]:
        return [self.w1, self.b1, self.w2, self.b2, self.grams]

    def predict(self, vectors_ND: FloatMatrix, matrix_NV: csr_matrix) -> FloatMatrix:
        scale = np.float32(self.w1.shape[0] ** 0.5)
        hidden = np.maximum(vectors_ND * scale @ self.w1 + self.b1, 0)
        return _sigmoid(hidden @ self.w2 + self.b2 + matrix_NV @ self.grams)

    def gradients(
        self, x: FloatMatrix, s: csr_matrix, y: FloatMatrix, rng: np.random.Generator, dropout: float
    ) -> list[FloatMatrix]:
        """Of the mean cross-entropy, in the order of `arrays`; inverted dropout on input and hidden layer."""
        x = x * _mask(x.shape, dropout, rng)
        kept = _mask((len(x), self.w1.shape[1]), dropout, rng)
        before = x @ self.w1 + self.b1
        hidden = np.maximum(before, 0) * kept
        error = (_sigmoid(hidden @ self.w2 + self.b2 + s @ self.grams) - y) / np.float32(y.size)
        back = (error @ self.w2.T) * kept * (before > 0)
        return [x.T @ back, back.sum(axis=0), hidden.T @ error, error.sum(axis=0), s.T @ error]


def _fit(
    vectors_ND: FloatMatrix, matrix_NV: csr_matrix, targets_NK: FloatMatrix, settings: HeadSettings
) -> _Weights:
    """AdamW (Loshchilov and Hutter 2019, arXiv:1711.05101, algorithm 2), one warm-up then linear decay."""
    rng = np.random.default_rng(settings.seed)
    weights = _initial(vectors_ND.shape[1], matrix_NV.shape[1], targets_NK, settings, rng)
    moments = [(np.zeros_like(a), np.zeros_like(a)) for a in weights.arrays()]
    decays = (settings.decay, 0.0, settings.decay, 0.0, settings.gram_decay)
    scaled = vectors_ND * np.float32(vectors_ND.shape[1] ** 0.5)
    batches = list(_batches(len(scaled), settings, rng))
    for step, rows in enumerate(batches, start=1):
        lr = settings.lr * min(step / (0.1 * len(batches)), 1.1 * (1 - step / (len(batches) + 1)), 1.0)
        found = weights.gradients(scaled[rows], matrix_NV[rows], targets_NK[rows], rng, settings.dropout)
        for array, gradient, (first, second), decay in zip(
            weights.arrays(), found, moments, decays, strict=True
        ):
            first += 0.1 * (gradient - first)
            second += 0.001 * (gradient * gradient - second)
            update = first / (1 - 0.9**step) / (np.sqrt(second / (1 - 0.999**step)) + 1e-8)
            array -= np.float32(lr) * (update + np.float32(decay) * array)
    return weights


def _initial(
    width: int, n_grams: int, targets_NK: FloatMatrix, settings: HeadSettings, rng: np.random.Generator
) -> _Weights:
    n_labels = targets_NK.shape[1]
    share = np.clip(targets_NK.mean(axis=0), 1e-4, 1 - 1e-4)
    w1 = rng.normal(0, (2 / width) ** 0.5 / 2, (width, settings.n_hidden)).astype(np.float32)
    w2 = rng.normal(0, settings.n_hidden**-0.5 / 2, (settings.n_hidden, n_labels)).astype(np.float32)
    return _Weights(
        w1=w1,
        b1=np.zeros(settings.n_hidden, np.float32),
        w2=w2,
        b2=np.log(share / (1 - share)).astype(np.float32),
        grams=np.zeros((n_grams, n_labels), np.float32),
    )


def _batches(n: int, settings: HeadSettings, rng: np.random.Generator) -> Iterator[npt.NDArray[np.int64]]:
    size = min(settings.batch, n)
    for _ in range(settings.epochs):
        order = rng.permutation(n)
        for start in range(0, n - size + 1, size):
            yield order[start : start + size]


def _mask(shape: tuple[int, ...], dropout: float, rng: np.random.Generator) -> FloatMatrix:
    kept = rng.random(shape, dtype=np.float32) >= dropout
    return kept.astype(np.float32) / np.float32(1 - dropout)


def _sigmoid(z: FloatMatrix) -> FloatMatrix:
    probabilities: FloatMatrix = (1 / (1 + np.exp(-np.clip(z, -30, 30)))).astype(np.float32)
    return probabilities


def _frequent_grams(texts: Sequence[str], n: int) -> npt.NDArray[np.uint32]:
    counts = Counter(gram for text in texts for gram in grams(text))
    chosen = sorted(counts, key=lambda gram: (-counts[gram], gram))[:n]
    return np.unique(np.array([gram_hash(gram) for gram in chosen], np.uint32))


def _quantiles(held_out_NK: FloatMatrix, targets_NK: FloatMatrix, thresholds: FloatMatrix) -> FloatMatrix:
    """(K, 11): deciles of the held-out probabilities of texts that have the label and pass its threshold."""
    rows = []
    for column, target, threshold in zip(held_out_NK.T, targets_NK.T, thresholds, strict=True):
        found = column[(target > 0) & (column >= threshold)]
        values = found if len(found) >= 5 else np.linspace(threshold, 1, 11)
        rows.append(np.quantile(values, np.linspace(0, 1, 11)))
    return np.stack(rows).astype(np.float32)


def main(argv: Sequence[str] | None = None) -> int:
    from memory.embedders.minilm import MiniLM

    parser = argparse.ArgumentParser(prog="python -m agents.emotion_training", description=__doc__)
    parser.add_argument("--train", type=Path, required=True)
    parser.add_argument("--dev", type=Path, required=True)
    parser.add_argument("--labels", type=Path, help="default: labels.txt beside the training file")
    parser.add_argument(
        "--out", type=Path, default=Path(__file__).parent / "data" / "emotion_head.safetensors"
    )
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    labels = read_labels(args.labels or args.train.with_name("labels.txt"))
    labels = labels if "neutral" in labels else (*labels, "neutral")
    embedder = MiniLM.load()
    train = read_labelled(args.train, len(labels), embedder)
    head = train_head(train, labels, embedder.name, HeadSettings(seed=args.seed))
    measured = measure(head, read_labelled(args.dev, len(labels), embedder))
    head.manifest["dev"] = measured
    head.save(args.out)
    print(json.dumps(measured))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
