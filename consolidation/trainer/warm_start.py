"""What a model does with demonstrations in its context, taken as the first moments of its training without them.

The teacher is the model itself with other rows of the task before a row; the student is the model without them. The gradient
of KL(teacher || student) is where the weights would have to go for the context to be needed no more: the expected score
under the teacher less that under the student, which is zero. Taken over a few batches at weights that do not move, it fills an
optimiser's moments before the first step (`Apollo.prime`).

Only rows that are trained on anyway are shown, and a row never stands among its own demonstrations. Of LoRA's factors only B
has a gradient while B is zero, so A starts cold.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch

from agents.runtime.template import Message, Template
from consolidation.errors import NothingToTrain
from consolidation.trainer.apollo import Matrices
from consolidation.trainer.engine import StepResult, Text
from consolidation.trainer.job import Row

MAX_CONTEXT = (
    1024  # tokens of a row with its demonstrations; what does not fit loses its first demonstrations
)


class Computes(Protocol):
    """The part of an engine that is needed here."""

    def final_hidden(self, rows: Sequence[Sequence[int]]) -> list[torch.Tensor]: ...

    def step(self, texts: Sequence[Text], kl_weight: float) -> StepResult: ...


class Primes(Protocol):
    """An optimiser that takes gradients into its moments without moving a weight."""

    def prime(self, gradients: Matrices) -> None: ...


@dataclass(frozen=True, slots=True)
class WarmStart:
    """How much is shown. A batch has one set of demonstrations, whose states are computed once."""

    n_demonstrations: int = 8
    n_batches: int = 8
    batch_size: int = 8
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Shown:
    """A row without its demonstrations, and where its supervised states are in the ids with them."""

    row: Row
    ids: tuple[int, ...]
    positions: tuple[int, ...]
    with_context: tuple[int, ...]

    @property
    def n_before(self) -> int:
        return len(self.with_context) - len(self.ids)


def in_context_texts(
    rows: Sequence[Row], template: Template, engine: Computes, spec: WarmStart
) -> list[list[Text]]:
    """Batches of texts whose teacher read demonstrations first; to be given to the engine's `prepare`, then to `prime`.

    Same rows and seed, same batches. Raises NothingToTrain where there are not two rows, or none whose answer the
    template writes alike with and without context.
    """
    rng = random.Random(spec.seed)
    batches = [_draw(rows, template, spec, rng) for _ in range(spec.n_batches)] if len(rows) > 1 else []
    shown = [one for batch in batches for one in batch]
    if not shown:
        raise NothingToTrain
    states = iter(engine.final_hidden([one.with_context for one in shown]))
    return [
        [_text(one, f"{i}.{j}", next(states)) for j, one in enumerate(batch)]
        for i, batch in enumerate(batches)
        if batch
    ]


def prime(
    optimizer: Primes, engine: Computes, gradients: Matrices, batches: Sequence[Sequence[Text]]
) -> float:
    """Take the gradients of the batches into the moments; returns the mean loss. `gradients`: where `step` leaves them."""
    losses = [_primed(optimizer, engine, gradients, batch) for batch in batches]
    return sum(losses) / len(losses)


def _primed(optimizer: Primes, engine: Computes, gradients: Matrices, batch: Sequence[Text]) -> float:
    losses = engine.step(batch, 1.0).losses
    optimizer.prime(gradients)
    return sum(losses) / len(losses)


def _draw(rows: Sequence[Row], template: Template, spec: WarmStart, rng: random.Random) -> list[Shown]:
    """Rows of one batch behind the same demonstrations, which are other rows."""
    order = rng.sample(range(len(rows)), len(rows))
    n = min(spec.n_demonstrations, len(rows) - 1)
    demonstrations = [rows[i] for i in order[:n]]
    known = [row.messages for row in demonstrations]
    others = [rows[i] for i in order[n:] if rows[i].messages not in known]
    shown = (_show(row, demonstrations, template) for row in others[: spec.batch_size])
    return [one for one in shown if one is not None]


def _show(row: Row, demonstrations: Sequence[Row], template: Template) -> Shown | None:
    """None where what stands before an answer is not written alike in both, so that no state could be compared."""
    own = [dict(message) for message in row.messages]
    ids, is_answer = template.supervised(own)
    positions = tuple(i - 1 for i in range(1, len(ids)) if is_answer[i])
    before: list[Message] = [dict(message) for one in demonstrations for message in one.messages]
    whole, _ = template.supervised([*before, *own])
    while len(whole) > MAX_CONTEXT and before:
        del before[: len(demonstrations[0].messages)]
        demonstrations = demonstrations[1:]
        whole, _ = template.supervised([*before, *own])
    if not before or not positions or positions[0] < len(ids) - _n_common_end(ids, whole):
        return None
    return Shown(row, tuple(ids), positions, tuple(whole))


def _n_common_end(one: Sequence[int], other: Sequence[int]) -> int:
    n = 0
    for a, b in zip(reversed(one), reversed(other), strict=False):
        if a != b:
            break
        n += 1
    return n


def _text(shown: Shown, number: str, states: torch.Tensor) -> Text:
    teacher = states[[position + shown.n_before for position in shown.positions]].contiguous()
    return Text(f"context:{number}", "kl", shown.row.fact_id, shown.ids, shown.positions, teacher)
