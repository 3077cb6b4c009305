"""Train the span head: `python -m agents.span_training --chats DIR... --out FILE`.

It learns from the lines of `data/span_examples*.txt`, drawn anew every epoch, and from chat folders with `facts.json`
(span_gold.py). LoRA on the upper layers of the embedded encoder and a linear layer on top are trained by AdamW; what is
kept is a running mean of the weights. Some lines are held out and measured once, with the head as it was saved.
Deterministic under the seed on one machine.
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

from agents.encoder_changes import sha256
from agents.span_examples import Example, Mark, Material, draw, read_material
from agents.span_gold import examples_in
from agents.span_head import (
    CHANGES,
    HEAD_PATH,
    LABELS,
    ME,
    THEM,
    YOU,
    Span,
    SpanHead,
    SpanWeights,
    Tokens,
    Turn,
    TurnTokenizer,
)
from memory.embedders.minilm import WEIGHTS, MiniLM, find_model
from memory.ports import FloatMatrix

if TYPE_CHECKING:
    import torch

    from agents.encoder_network import Tensors
    from agents.span_network import Batch, SpanNetwork

logger = logging.getLogger(__name__)
SOURCE = {
    "name": "invented messages with marks, and the invented chats of the project",
    "licence": "as the project",
}


@dataclass(frozen=True, slots=True)
class TrainingSettings:
    """Everything that decides the weights."""

    rank: int = 24
    scale: float = 2.0
    first: int = 1  # layer of the encoder that learns; those below stay as they are
    epochs: int = 5  # each draws every line anew
    batch: int = 32
    lr: float = 2e-3
    decay: float = 0.01
    warm_up: int = 50
    dropout: float = 0.1
    smoothing: float = 0.02
    masked: float = 0.05
    mean_decay: float = 0.995
    held_out: float = 0.04
    others: float = 0.5  # share of the lines without a fact that an epoch draws
    chat_repeats: int = 2  # how often an epoch reads a message of a chat
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Row:
    """Per token its label, the change and the place of the subject; ASIDE of span_network.py where it is not asked."""

    tokens: Tokens
    labels: list[int]
    changes: list[int]
    subjects: list[int]


def rows_of(examples: Sequence[Example], tokenizer: TurnTokenizer) -> list[Row]:
    turns = [Turn(e.before, e.is_same, e.text) for e in examples]
    return [_row(e, t) for e, t in zip(examples, tokenizer(turns), strict=True)]


def _row(example: Example, tokens: Tokens) -> Row:
    n = len(tokens.ids)
    labels = [-1] * tokens.n_first + [0] * (n - tokens.n_first - 1) + [-1]
    changes, subjects = [-1] * n, [-1] * n
    for mark in example.marks:
        place = _place(mark.subject, tokens)
        for i in range(tokens.n_first, n - 1):
            a, b = tokens.spans[i]
            if a < mark.end and b > mark.start:
                labels[i] = LABELS.index(mark.predicate)
                changes[i] = CHANGES.index(mark.change)
                subjects[i] = place
    return Row(tokens, labels, changes, subjects)


def _place(subject: str | tuple[bool, int], tokens: Tokens) -> int:
    """The token a subject is pointed at by; -1 where it was cut off."""
    n = len(tokens.ids)
    if isinstance(subject, str):
        return {ME: 0, YOU: tokens.n_first - 1, THEM: n - 1}[subject]
    in_before, at = subject
    places = range(1, tokens.n_first - 1) if in_before else range(tokens.n_first, n - 1)
    return next((i for i in places if tokens.spans[i][0] <= at < tokens.spans[i][1]), -1)


class Course:
    """What a batch of rows is and what it costs, for the learner of the network."""

    def __init__(self, network: SpanNetwork, settings: TrainingSettings, n_steps: int) -> None:
        from agents.encoder_training import Learner

        self._network = network
        self._smoothing = settings.smoothing
        self._learner = Learner(network, settings, n_steps)

    def run_epoch(self, rows: Sequence[Row]) -> float:
        """Mean loss."""
        started = time.monotonic()
        batches = self._learner.batches(rows, lambda row: len(row.tokens.ids))
        loss = sum(map(self._learn, batches)) / max(1, len(batches))
        logger.info("%d batches, loss %.3f, %.0f s", len(batches), loss, time.monotonic() - started)
        return loss

    def _learn(self, rows: Sequence[Row]) -> float:
        def loss_of(merged: Tensors, job: tuple[Batch, torch.Tensor]) -> torch.Tensor:
            batch, kept = job
            share = len(batch.ids_BT) / len(rows)
            return self._network.loss(merged, batch, kept, self._smoothing) * share

        return self._learner.learn(rows, self._job, loss_of)

    def _job(self, rows: Sequence[Row]) -> tuple[Batch, torch.Tensor]:
        """The batch with some tokens of the texts behind the mask, and what dropout keeps."""
        batch = batch_of(rows)
        ids_BT = self._learner.hidden(batch.ids_BT, batch.labels_BT >= 0)
        return replace(batch, ids_BT=ids_BT), self._learner.dropped(len(rows))

    def mean_weights(self) -> dict[str, FloatMatrix]:
        return self._learner.mean.arrays()


def batch_of(rows: Sequence[Row]) -> Batch:
    from agents.encoder_training import padded
    from agents.span_network import ASIDE, Batch

    ids_BT, is_real_BT = padded([row.tokens.ids for row in rows])
    kinds_BT, _ = padded([row.tokens.kinds for row in rows])
    wanted = [
        padded(list(each))[0].masked_fill(~is_real_BT, ASIDE)
        for each in ([r.labels for r in rows], [r.changes for r in rows], [r.subjects for r in rows])
    ]
    return Batch(ids_BT, kinds_BT, is_real_BT, *wanted)


def hold_out(lines: Sequence[str], share: float, seed: int) -> tuple[list[str], list[str]]:
    """Lines to learn from, and lines kept aside."""
    chosen = frozenset(random.Random(seed).sample(range(len(lines)), round(share * len(lines))))
    learnt = [line for number, line in enumerate(lines) if number not in chosen]
    return learnt, [lines[number] for number in sorted(chosen)]


def train_head(
    lines: Sequence[str], material: Material, chats: Sequence[Example], settings: TrainingSettings
) -> SpanWeights:
    """The running mean of the weights at the end. The same lines, chats and settings give the same head."""
    import torch

    from agents.runtime.hardware import choose_dtype
    from agents.span_network import Shape, SpanNetwork

    folder = find_model()
    tokenizer = TurnTokenizer(folder)
    shape = Shape(settings.rank, settings.scale, settings.first)
    network = SpanNetwork(folder, shape, settings.seed, choose_dtype("auto", torch.device("cpu")))
    chat_rows = rows_of(chats, tokenizer)
    telling = [line for line in lines if "{" in line]
    others = [line for line in lines if "{" not in line]
    n_others = round(settings.others * len(others))
    n_rows = len(telling) + n_others + settings.chat_repeats * len(chat_rows)
    course = Course(network, settings, math.ceil(n_rows / settings.batch) * settings.epochs)
    losses = []
    for epoch in range(1, settings.epochs + 1):
        seed = settings.seed * 1000 + epoch
        chosen = telling + random.Random(seed).sample(others, n_others)
        rows = rows_of(list(draw(chosen, material, seed)), tokenizer)
        losses.append(round(course.run_epoch(rows + settings.chat_repeats * chat_rows), 4))
    manifest = {
        "embedder": MiniLM.name,
        "source": SOURCE,
        "settings": asdict(settings),
        "lines": len(lines),
        "messages_of_chats": len(chats),
        "losses": losses,
    }
    return SpanWeights.of_trained(course.mean_weights(), settings.scale, sha256(folder / WEIGHTS), manifest)


def measure(head: SpanHead, examples: Sequence[Example]) -> dict[str, Any]:
    """Objects found, by predicate and place; `subject` is the share of those found that are about the right one."""
    read = head.read([Turn(e.before, e.is_same, e.text) for e in examples])
    n_said, n_true = sum(map(len, read)), sum(len(e.marks) for e in examples)
    pairs = [
        (span, mark)
        for e, spans in zip(examples, read, strict=True)
        for mark in e.marks
        for span in spans
        if _is_one(span, mark)
    ]
    found = len({id(mark) for _, mark in pairs})
    precision, recall = found / max(1, n_said), found / max(1, n_true)
    return {
        "precision": round(precision, 4),
        "recall": round(recall, 4),
        "f1": round(2 * precision * recall / max(1e-9, precision + recall), 4),
        "subject": round(sum(_is_about(*pair) for pair in pairs) / max(1, len(pairs)), 4),
        "n": n_true,
    }


def _is_one(span: Span, mark: Mark) -> bool:
    return span.predicate == mark.predicate and span.start < mark.end and mark.start < span.end


def _is_about(span: Span, mark: Mark) -> bool:
    return span.subject == mark.subject


def main() -> int:
    defaults = TrainingSettings()
    parser = argparse.ArgumentParser(prog="python -m agents.span_training", description=__doc__)
    parser.add_argument("--chats", type=Path, nargs="*", default=[], help="chat folders with facts.json")
    parser.add_argument("--out", type=Path, default=HEAD_PATH)
    parser.add_argument("--epochs", type=int, default=defaults.epochs)
    parser.add_argument("--seed", type=int, default=defaults.seed)
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    settings = TrainingSettings(epochs=args.epochs, seed=args.seed)
    material = read_material()
    lines, aside = hold_out(material.lines, settings.held_out, settings.seed)
    chats = [example for folder in args.chats for example in examples_in(folder)]
    weights = train_head(lines, material, chats, settings)
    weights.save(args.out)
    measured = measure(SpanHead.load(MiniLM.load(), args.out), list(draw(aside, material, settings.seed)))
    told = {**weights.manifest, "chats": [folder.name for folder in args.chats], "held_out_lines": measured}
    replace(weights, manifest=told).save(args.out)
    print(json.dumps(measured))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
