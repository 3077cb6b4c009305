"""Train the emotion head: `python -m agents.emotion_training --train FILE --dev FILE`.

Files are GoEmotions TSV (text, comma-separated label numbers, id), with `labels.txt` beside the training file or named.
The upper layers of the embedded encoder, a layer on top and weights of n-grams learn together by AdamW on the
multi-label cross-entropy; what is kept is a running mean of the weights. Then the changes of the matrices are cut to
two thin factors each, which is what ships. A part of the training file that was not learnt
decides thresholds and the quantiles behind intensities, with the head as it ships; the dev file is measured once, at the
end. Deterministic under the seed on one machine. About a quarter of an hour for GoEmotions on two cores.
"""

from __future__ import annotations

import argparse
import json
import logging
import math
import random
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from agents.emotion_head import MAX_TOKENS, Grams, Head, Reader, gram_hash, grams
from agents.emotion_scores import best_thresholds, quantiles, scores
from agents.emotions import HEAD_PATH
from agents.encoder_changes import Changes, sha256
from memory.embedders.minilm import WEIGHTS, MiniLM
from memory.feelings import LABELS
from memory.ports import FloatMatrix

if TYPE_CHECKING:
    import torch

    from agents.emotion_network import Batch, EmotionNetwork
    from agents.encoder_network import Tensors

logger = logging.getLogger(__name__)
SOURCE = {
    "name": "GoEmotions",
    "authors": "Demszky, Movshovitz-Attias, Ko, Cowen, Nemade, Ravi (2020)",
    "paper": "https://arxiv.org/abs/2005.00547",
    "licence": "CC BY 4.0",
}


@dataclass(frozen=True, slots=True)
class TrainingSettings:
    """Everything that decides the weights."""

    first_layer: int = 3  # of those that learn; the encoder has six
    rank: int = 64  # of what ships of each matrix
    n_grams: int = 10000  # the most frequent of the training texts
    epochs: int = 3
    batch: int = 48
    lr: float = 1e-4  # of the uppermost layer
    layer_lr: float = 0.9  # of the layer above
    top_lr: float = 2e-3  # of the layer on top and the n-grams
    decay: float = 0.01
    gram_decay: float = 0.5
    warm_up: float = 0.06  # share of the steps
    dropout: float = 0.3  # of the pooled vector
    n_samples: int = 4  # of that dropout, for each text
    layer_dropout: float = 0.1
    masked: float = 0.05  # share of the tokens that are hidden
    mean_decay: float = 0.999  # of the running mean of the weights, per step
    held_out: float = 0.1  # of the training file
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Labelled:
    """Texts with a 0/1 row of labels each."""

    texts: list[str]
    targets_NK: FloatMatrix

    def take(self, rows: npt.NDArray[np.int64]) -> Labelled:
        return Labelled([self.texts[i] for i in rows], self.targets_NK[rows])


@dataclass(frozen=True, slots=True)
class _Row:
    ids: list[int]
    grams: list[int]
    targets_K: FloatMatrix


def read_labels(train: Path, given: Path | None = None) -> tuple[str, ...]:
    """The names in the order of their numbers: of the given file, of `labels.txt` beside the training file, or
    GoEmotions'. Neutral is the last where the file leaves it out."""
    path = given or train.with_name("labels.txt")
    labels = tuple(path.read_text(encoding="utf-8").split()) if given or path.is_file() else LABELS
    return labels if "neutral" in labels else (*labels, "neutral")


def read_labelled(path: Path, n_labels: int) -> Labelled:
    texts, targets = [], []
    for line in path.read_text(encoding="utf-8").split("\n"):
        if not line:
            continue
        text, numbers = line.split("\t")[:2]
        row = np.zeros(n_labels, np.float32)
        row[[int(number) for number in numbers.split(",")]] = 1
        texts.append(text)
        targets.append(row)
    return Labelled(texts, np.stack(targets))


def train_head(
    data: Labelled, labels: Sequence[str], encoder: MiniLM, settings: TrainingSettings | None = None
) -> Head:
    """A head with thresholds and quantiles; the same data and settings give the same head."""
    chosen = settings or TrainingSettings()
    order = np.random.default_rng(chosen.seed).permutation(len(data.texts))
    n_aside = max(1, round(chosen.held_out * len(order)))
    learnt, aside = data.take(order[n_aside:]), data.take(order[:n_aside])
    hashes = _frequent_grams(learnt.texts, chosen.n_grams)
    course = _Course(_rows(learnt, hashes, encoder), len(hashes), encoder, chosen)
    history = [course.run_epoch() for _ in range(chosen.epochs)]
    head = course.head(labels, hashes)
    told: dict[str, Any] = {"embedder": encoder.name, "source": SOURCE, "settings": asdict(chosen)}
    told |= {"n_train": len(learnt.texts), "history": history}
    found = Reader(head, encoder).probabilities(aside.texts)
    thresholds = best_thresholds(found, aside.targets_NK)
    return replace(
        head,
        thresholds=thresholds,
        quantiles=quantiles(found, aside.targets_NK, thresholds),
        manifest=told,
    )


def measure(head: Head, data: Labelled, encoder: MiniLM) -> dict[str, Any]:
    """Macro and micro F1 and F1 by label, with the head's own thresholds."""
    predicted = Reader(head, encoder).probabilities(data.texts) >= head.thresholds
    return scores(predicted, data.targets_NK, head.labels)


class _Course:
    """The network with its optimiser, and the running mean of the weights."""

    def __init__(
        self, rows: Sequence[_Row], n_grams: int, encoder: MiniLM, settings: TrainingSettings
    ) -> None:
        import torch

        from agents.emotion_network import EmotionNetwork
        from agents.encoder_training import RunningMean
        from agents.runtime.hardware import choose_dtype, n_workers

        shares_K: FloatMatrix = np.stack([row.targets_K for row in rows]).mean(axis=0)
        dtype = choose_dtype("auto", torch.device("cpu"))
        self._network = EmotionNetwork(
            encoder.folder, settings.first_layer, shares_K, n_grams, settings.seed, dtype
        )
        self._settings = settings
        self._rows = rows
        self._encoder = encoder
        self._n_steps = math.ceil(len(rows) / settings.batch) * settings.epochs
        self._step = 0
        self._workers = n_workers(self._network.n_parameters, torch.device("cpu"))
        self._order = random.Random(settings.seed)
        self._rng = torch.Generator().manual_seed(settings.seed)
        self._mean = RunningMean(self._network.trained, settings.mean_decay)
        self._optimizer = torch.optim.AdamW(_groups(self._network, settings), fused=True)

    def run_epoch(self) -> float:
        """Mean loss."""
        from agents.encoder_training import alike

        batches = list(alike(self._rows, self._settings.batch, self._order, lambda row: len(row.ids)))
        total, started = 0.0, time.monotonic()
        for number, batch in enumerate(batches, start=1):
            total += self._learn(batch)
            if number % 100 == 0 or number == len(batches):
                seconds = time.monotonic() - started
                logger.info(
                    "%d of %d batches, loss %.4f, %.0f s", number, len(batches), total / number, seconds
                )
        return round(total / max(1, len(batches)), 4)

    def _learn(self, rows: Sequence[_Row]) -> float:
        """One step; each worker has a share of the rows."""
        from torch.nn.functional import binary_cross_entropy_with_logits

        from agents.encoder_training import backward

        shares = [rows[i :: self._workers] for i in range(min(self._workers, len(rows)))]
        jobs = [(self._batch(share), *self._dropped(len(share))) for share in shares]

        def loss_of(merged: Tensors, job: tuple[Batch, torch.Tensor, torch.Tensor]) -> torch.Tensor:
            batch, kept_PBD, kept_SBD = job
            logits_SBK = self._network.logits(merged, batch, kept_PBD, kept_SBD)
            targets_SBK = batch.targets_BK.expand_as(logits_SBK)
            loss = binary_cross_entropy_with_logits(logits_SBK, targets_SBK, reduction="sum")
            return loss / (len(rows) * targets_SBK.shape[0] * targets_SBK.shape[2])

        self._optimizer.zero_grad()
        loss = backward(self._network.merged(), jobs, loss_of, self._workers)
        self._update()
        return loss

    def _update(self) -> None:
        """Warm-up, then linear decay of every group's own rate."""
        import torch

        self._step += 1
        rising = self._step / max(1.0, self._settings.warm_up * self._n_steps)
        share = min(1.0, rising) * (1 - self._step / (self._n_steps + 1))
        for group in self._optimizer.param_groups:
            group["lr"] = group["full_lr"] * share
        torch.nn.utils.clip_grad_norm_(self._network.trained.values(), 1.0)
        self._optimizer.step()
        self._mean.update()

    def _batch(self, rows: Sequence[_Row]) -> Batch:
        import torch

        from agents.emotion_network import Batch
        from agents.encoder_training import hidden, padded

        ids_BT, is_real_BT = padded([row.ids for row in rows])
        counts = [len(row.grams) for row in rows]
        return Batch(
            ids_BT=hidden(ids_BT, is_real_BT, self._settings.masked, self._rng),
            is_real_BT=is_real_BT,
            grams=torch.tensor([gram for row in rows for gram in row.grams], dtype=torch.long),
            starts_B=torch.tensor([0, *np.cumsum(counts[:-1], dtype=np.int64)], dtype=torch.long),
            targets_BK=torch.from_numpy(np.stack([row.targets_K for row in rows])),
        )

    def _dropped(self, n: int) -> tuple[torch.Tensor, torch.Tensor]:
        """What the layers keep (P, B, D) and what the pooled vector keeps (S, B, D)."""
        settings, width = self._settings, self._network.width
        return (
            self._kept((self._network.n_dropped, n, width), settings.layer_dropout),
            self._kept((settings.n_samples, n, width), settings.dropout),
        )

    def _kept(self, shape: tuple[int, ...], dropout: float) -> torch.Tensor:
        """0 where a number is dropped, else what keeps the mean."""
        import torch

        return (torch.rand(shape, generator=self._rng) >= dropout) / (1 - dropout)

    def head(self, labels: Sequence[str], hashes: npt.NDArray[np.uint32]) -> Head:
        """The running mean as it ships, without thresholds yet."""
        from agents.emotion_network import BIAS, GRAMS, OUT

        learnt = self._mean.arrays()
        base = {name: tensor.numpy() for name, tensor in self._network.base.items()}
        cut = {
            name.removesuffix(".weight"): _thin(learnt[name] - matrix, self._settings.rank)
            for name, matrix in base.items()
            if matrix.ndim == 2
        }
        whole = {name: learnt[name] for name, matrix in base.items() if matrix.ndim < 2}
        return Head(
            labels=tuple(labels),
            changes=Changes(cut, whole, 1.0, sha256(self._encoder.folder / WEIGHTS)),
            first_layer=self._settings.first_layer,
            out=learnt[OUT],
            bias=learnt[BIAS],
            gram_hashes=hashes,
            gram_weights=learnt[GRAMS],
            thresholds=np.full(len(labels), 0.5, np.float32),
            quantiles=np.tile(np.linspace(0, 1, 11, dtype=np.float32), (len(labels), 1)),
            manifest={},
        )


def _groups(network: EmotionNetwork, settings: TrainingSettings) -> list[dict[str, Any]]:
    """Every tensor with its rate and decay: lower layers learn less, and only matrices are drawn to zero."""
    from agents.emotion_network import BIAS, GRAMS, OUT

    numbers = {name: int(name.split(".")[2]) for name in network.base}
    groups = []
    for name, tensor in network.trained.items():
        decay = settings.gram_decay if name == GRAMS else settings.decay if tensor.dim() == 2 else 0.0
        if name in (OUT, BIAS, GRAMS):
            lr = settings.top_lr
        else:
            lr = settings.lr * settings.layer_lr ** (max(numbers.values()) - numbers[name])
        groups.append({"params": [tensor], "weight_decay": decay, "lr": lr, "full_lr": lr})
    return groups


def _thin(matrix: FloatMatrix, rank: int) -> tuple[FloatMatrix, FloatMatrix]:
    """A (R, D_in) and B (D_out, R), whose product is the nearest of that rank (Eckart and Young 1936), by the
    eigenvectors of the smaller square: a fraction of the time of a singular value decomposition."""
    if matrix.shape[0] < matrix.shape[1]:
        a, b = _thin(matrix.T, rank)
        return b.T, a.T
    wide = matrix.astype(np.float64)
    directions = np.linalg.eigh(wide.T @ wide)[1][:, -rank:].astype(np.float32)
    return directions.T, matrix @ directions


def _rows(data: Labelled, hashes: npt.NDArray[np.uint32], encoder: MiniLM) -> list[_Row]:
    known = Grams(hashes)
    tokens = encoder.tokens(data.texts)
    return [
        _Row(ids[:MAX_TOKENS], known(text), targets)
        for ids, text, targets in zip(tokens, data.texts, data.targets_NK, strict=True)
    ]


def _frequent_grams(texts: Sequence[str], n: int) -> npt.NDArray[np.uint32]:
    counts = Counter(gram for text in texts for gram in grams(text))
    chosen = sorted(counts, key=lambda gram: (-counts[gram], gram))[:n]
    return np.unique(np.array([gram_hash(gram) for gram in chosen], np.uint32))


def main(argv: Sequence[str] | None = None) -> int:
    defaults = TrainingSettings()
    parser = argparse.ArgumentParser(prog="python -m agents.emotion_training", description=__doc__)
    parser.add_argument("--train", type=Path, required=True)
    parser.add_argument("--dev", type=Path, required=True)
    parser.add_argument("--labels", type=Path, help="default: labels.txt beside the training file")
    parser.add_argument("--out", type=Path, default=HEAD_PATH)
    parser.add_argument("--epochs", type=int, default=defaults.epochs)
    parser.add_argument("--rank", type=int, default=defaults.rank)
    parser.add_argument("--seed", type=int, default=defaults.seed)
    args = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    labels = read_labels(args.train, args.labels)
    encoder = MiniLM.load()
    settings = TrainingSettings(epochs=args.epochs, rank=args.rank, seed=args.seed)
    head = train_head(read_labelled(args.train, len(labels)), labels, encoder, settings)
    head.save(args.out)
    measured = measure(Head.load(args.out), read_labelled(args.dev, len(labels)), encoder)
    hashes = {"train_sha256": sha256(args.train), "dev_sha256": sha256(args.dev)}
    replace(head, manifest={**head.manifest, **hashes, "dev": measured}).save(args.out)
    print(json.dumps(measured))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
