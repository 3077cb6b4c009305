"""Train the entailment head: `python -m agents.entailment_training --train FILE --dev FILE --out FILE`.

Files hold one pair a line: dialogue, hypothesis, label (Entailment, Neutral or Contradiction), with tabs between.
Invented pairs of facts are mixed in (entailment_pairs.py). LoRA on every linear layer of the embedded encoder, its
token kinds and a linear layer on top are trained by AdamW; what is measured and kept is a running mean of the
weights. A part of the training file, whole stretches of it, chooses the epoch; the dev file is measured once, at
the end, with the head as it was saved. Deterministic under the seed on one machine.
"""

from __future__ import annotations

import argparse
import json
import logging
import math
import random
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from agents.encoder_changes import sha256
from agents.entailment import HEAD_PATH, LABELS, EntailmentHead, EntailmentWeights, PairTokenizer
from agents.entailment_pairs import Pair, make_pairs
from memory.embedders.minilm import WEIGHTS, MiniLM, find_model
from memory.ports import FloatMatrix

if TYPE_CHECKING:
    import torch

    from agents.encoder_network import Tensors
    from agents.entailment_network import Batch, PairNetwork

logger = logging.getLogger(__name__)
SOURCE = {
    "name": "spoken-dialogue natural-language inference (dialogue, hypothesis, label), and invented pairs of facts",
    "licence": "MIT",
}
N_FACTS_MEASURED = 600
STRETCH = 40  # rows of the file that are held out together
EVAL_BATCH = 64


@dataclass(frozen=True, slots=True)
class TrainingSettings:
    """Everything that decides the weights."""

    rank: int = 16
    scale: float = 2.0
    epochs: int = 3
    batch: int = 32
    lr: float = 1e-3
    decay: float = 0.01
    warm_up: int = 100  # steps
    dropout: float = 0.2
    smoothing: float = 0.1
    masked: float = 0.1  # share of the tokens that are hidden
    mean_decay: float = 0.995  # of the running mean of the weights, per step
    n_facts: int = 6000  # invented pairs of each epoch
    held_out: float = 0.08  # of the training file
    patience: int = 2  # epochs without a gain
    seed: int = 0


def read_pairs(path: Path) -> list[Pair]:
    """Rows of the file; a line that has no label is passed over."""
    number = {label: index for index, label in enumerate(LABELS)}
    pairs = []
    for line in path.read_text(encoding="utf-8").split("\n"):
        parts = line.split("\t")
        if len(parts) == 3 and parts[2].strip().casefold() in number:
            pairs.append(Pair(parts[0], parts[1], number[parts[2].strip().casefold()]))
    return pairs


def hold_out(pairs: Sequence[Pair], share: float, seed: int) -> tuple[list[Pair], list[Pair]]:
    """Those to learn from and those kept aside: whole stretches of neighbouring rows, which are often windows of one
    talk, and with them every other row of the same dialogue."""
    starts = range(0, len(pairs), STRETCH)
    chosen = random.Random(seed).sample(starts, round(share * len(starts)))
    aside = frozenset(pair.premise for start in chosen for pair in pairs[start : start + STRETCH])
    return [p for p in pairs if p.premise not in aside], [p for p in pairs if p.premise in aside]


def scores(predicted: npt.NDArray[np.int64], actual: npt.NDArray[np.int64]) -> dict[str, Any]:
    """Macro F1 (mean over the three labels), accuracy, and each label's F1; 0 for a label that neither has."""
    per_label = {}
    for number, label in enumerate(LABELS):
        said, true = predicted == number, actual == number
        per_label[label] = round(float(2 * (said & true).sum() / max(1, said.sum() + true.sum())), 4)
    return {
        "macro_f1": round(sum(per_label.values()) / len(LABELS), 4),
        "accuracy": round(float((predicted == actual).mean()), 4) if len(actual) else 0.0,
        "per_label": per_label,
        "n": len(actual),
    }


def measure(head: EntailmentHead, pairs: Sequence[Pair]) -> dict[str, Any]:
    """`scores` of the likeliest label."""
    found = head.judge([pair.premise for pair in pairs], [pair.hypothesis for pair in pairs])
    return scores(found.argmax(axis=1), np.array([pair.label for pair in pairs], np.int64))


@dataclass(frozen=True, slots=True)
class _Row:
    ids: list[int]
    n_first: int
    label: int


def train_head(pairs: Sequence[Pair], settings: TrainingSettings) -> EntailmentWeights:
    """The best epoch's weights, of equals the latest. The same pairs and settings give the same head."""
    import torch

    from agents.entailment_network import PairNetwork
    from agents.runtime.hardware import choose_dtype

    folder = find_model()
    tokenizer = PairTokenizer(folder)
    learnt, aside = hold_out(pairs, settings.held_out, settings.seed)
    rows, aside_rows = _rows(learnt, tokenizer), _rows(aside, tokenizer)
    dtype = choose_dtype("auto", torch.device("cpu"))
    network = PairNetwork(folder, settings.rank, settings.scale, settings.seed, dtype)
    steps_per_epoch = math.ceil((len(rows) + settings.n_facts) / settings.batch)
    course = _Course(network, settings, steps_per_epoch * settings.epochs)
    best: tuple[float, int, dict[str, FloatMatrix]] = (-1.0, 0, course.mean_weights())
    history = []
    for epoch in range(1, settings.epochs + 1):
        facts = _rows(make_pairs(settings.n_facts, settings.seed * 1000 + epoch), tokenizer)
        loss = course.run_epoch(rows + facts)
        found = course.measure(aside_rows)
        history.append({"epoch": epoch, "loss": round(loss, 4), "held_out_macro_f1": found["macro_f1"]})
        logger.info("epoch %d: loss %.3f, macro F1 of what is held out %.4f", epoch, loss, found["macro_f1"])
        if found["macro_f1"] >= best[0]:
            best = (found["macro_f1"], epoch, course.mean_weights())
        elif epoch - best[1] >= settings.patience:
            break
    manifest = {
        "embedder": MiniLM.name,
        "source": SOURCE,
        "settings": asdict(settings),
        "n_train": len(learnt),
        "epoch": best[1],
        "history": history,
    }
    return EntailmentWeights.of_trained(best[2], settings.scale, sha256(folder / WEIGHTS), manifest)


class _Course:
    """What a batch of pairs is and what it costs, for the learner of the network."""

    def __init__(self, network: PairNetwork, settings: TrainingSettings, n_steps: int) -> None:
        from agents.encoder_training import Learner

        self._network = network
        self._smoothing = settings.smoothing
        self._learner = Learner(network, settings, n_steps)

    def run_epoch(self, rows: Sequence[_Row]) -> float:
        """Mean loss."""
        batches = self._learner.batches(rows, lambda row: len(row.ids))
        total, started = 0.0, time.monotonic()
        for number, batch in enumerate(batches, start=1):
            total += self._learn(batch)
            if number % 50 == 0 or number == len(batches):
                seconds = time.monotonic() - started
                logger.info(
                    "%d of %d batches, loss %.3f, %.0f s", number, len(batches), total / number, seconds
                )
        return total / max(1, len(batches))

    def _learn(self, rows: Sequence[_Row]) -> float:
        from torch.nn.functional import cross_entropy

        def loss_of(merged: Tensors, job: tuple[Batch, torch.Tensor]) -> torch.Tensor:
            batch, kept = job
            logits = self._network.logits(merged, batch, kept)
            loss = cross_entropy(logits, batch.labels_B, label_smoothing=self._smoothing, reduction="sum")
            return loss / len(rows)

        return self._learner.learn(rows, self._job, loss_of)

    def _job(self, rows: Sequence[_Row]) -> tuple[Batch, torch.Tensor]:
        """The batch with some tokens behind the mask, and what dropout keeps."""
        batch = _tensors(rows)
        ids_BT = self._learner.hidden(batch.ids_BT, batch.is_real_BT)
        return replace(batch, ids_BT=ids_BT), self._learner.dropped(len(rows))

    def measure(self, rows: Sequence[_Row]) -> dict[str, Any]:
        """Scores of the mean weights."""
        import torch

        from agents.runtime.hardware import in_parallel

        kept = {name: weight.detach().clone() for name, weight in self._network.trained.items()}
        self._put(self._learner.mean.weights)
        order = sorted(range(len(rows)), key=lambda i: len(rows[i].ids))
        parts = [order[start : start + EVAL_BATCH] for start in range(0, len(order), EVAL_BATCH)]
        with torch.no_grad():
            merged = self._network.merged()

        def work(part: list[int]) -> npt.NDArray[np.int64]:
            with torch.no_grad():
                found = self._network.logits(merged, _tensors([rows[i] for i in part])).argmax(dim=1)
            labels: npt.NDArray[np.int64] = found.numpy()
            return labels

        predicted = np.zeros(len(rows), np.int64)
        for part, found in zip(parts, in_parallel(work, parts, self._learner.workers), strict=True):
            predicted[part] = found
        self._put(kept)
        return scores(predicted, np.array([row.label for row in rows], np.int64))

    def mean_weights(self) -> dict[str, FloatMatrix]:
        return self._learner.mean.arrays()

    def _put(self, weights: dict[str, torch.Tensor]) -> None:
        import torch

        with torch.no_grad():
            for name, weight in self._network.trained.items():
                weight.copy_(weights[name])


def _rows(pairs: Sequence[Pair], tokenizer: PairTokenizer) -> list[_Row]:
    tokens = tokenizer([pair.premise for pair in pairs], [pair.hypothesis for pair in pairs])
    return [_Row(ids, n, pair.label) for (ids, n), pair in zip(tokens, pairs, strict=True)]


def _tensors(rows: Sequence[_Row]) -> Batch:
    import torch

    from agents.encoder_training import padded
    from agents.entailment_network import Batch

    ids_BT, is_real_BT = padded([row.ids for row in rows])
    kinds_BT, _ = padded([[0] * row.n_first + [1] * (len(row.ids) - row.n_first) for row in rows])
    return Batch(ids_BT, kinds_BT, is_real_BT, torch.tensor([row.label for row in rows]))


def main(argv: Sequence[str] | None = None) -> int:
    defaults = TrainingSettings()
    parser = argparse.ArgumentParser(prog="python -m agents.entailment_training", description=__doc__)
    parser.add_argument("--train", type=Path, required=True)
    parser.add_argument("--dev", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=HEAD_PATH)
    parser.add_argument("--epochs", type=int, default=defaults.epochs)
    parser.add_argument("--rank", type=int, default=defaults.rank)
    parser.add_argument("--seed", type=int, default=defaults.seed)
    args = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    settings = TrainingSettings(epochs=args.epochs, rank=args.rank, seed=args.seed)
    weights = train_head(read_pairs(args.train), settings)
    weights.save(args.out)
    head = EntailmentHead.load(MiniLM.load(), args.out)
    measured = measure(head, read_pairs(args.dev))
    facts = measure(head, make_pairs(N_FACTS_MEASURED, seed=args.seed, is_held_out=True))
    hashes = {"train_sha256": sha256(args.train), "dev_sha256": sha256(args.dev)}
    told = {**weights.manifest, **hashes, "dev": measured, "invented_facts": facts}
    replace(weights, manifest=told).save(args.out)
    print(json.dumps(measured))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
