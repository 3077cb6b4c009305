"""The training loop: choose, compute, update, record; stop when learnt, when time is up or when asked.

Deterministic under the seed for a given plan of steps (see `schedule`) and number of worker threads. A checkpoint is
written every `checkpoint_s` seconds and holds all state; metrics beyond it are dropped on resuming.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean

import torch

from agents.runtime.adapter import Adapter
from consolidation.errors import TrainingDiverged, TrainingStopped
from consolidation.trainer.checkpoint import Checkpoint
from consolidation.trainer.curriculum import Curriculum
from consolidation.trainer.engine import Engine, Text
from consolidation.trainer.job import JobFolder, TrainJob
from consolidation.trainer.optimizer import Adam
from consolidation.trainer.schedule import Schedule
from consolidation.trainer.validation import Validation
from memory.whole import write_text

# on the plain base, and on what a primer or an earlier night has taught to read questions
_SHOWINGS_PER_FACT = (96, 56)
_SHOWINGS_PER_REFUSAL = (2, 1)
_STEPS = (80, 1200)  # least and most, when the job does not say
_KINDS = ("answer", "negative", "replay", "style", "kl")
_NEARLY_ALL = 0.9  # of the answers learnt, from which on a validation that no longer falls ends the training


@dataclass(frozen=True, slots=True)
class Outcome:
    """`best_step`: after which the weights are as they are kept; `seconds`: spent in steps, over all attempts; `final_loss`: mean
    answer loss of the last steps, nats; `wanted`: steps that were to be, had there been time."""

    steps: int
    wanted: int
    best_step: int
    seconds: float
    final_loss: float
    share_learned: float
    stopped_early: bool
    n_tokens: int
    plans: tuple[tuple[int, int], ...]


def planned_steps(job: TrainJob) -> int:
    """From the job, or enough to show each fact some hundred times and each refusal twice on the plain base,
    about half as often on what has vectors, and every text about a fact once."""
    if job.settings.steps is not None:
        return job.settings.steps
    settings = job.settings
    has_vectors = bool(job.adapters)
    for_facts = math.ceil(job.n_facts * _SHOWINGS_PER_FACT[has_vectors] / settings.facts_per_step)
    for_answers = math.ceil(job.n_answers / settings.facts_per_step)
    refusals = job.n_refusals * _SHOWINGS_PER_REFUSAL[has_vectors]
    for_refusals = math.ceil(refusals / max(1, settings.negatives_per_step))
    return min(_STEPS[1], max(_STEPS[0], for_facts, for_answers, for_refusals))


def kl_weight(job: TrainJob) -> float:
    """What the base's own text counts against the answers: the more vectors are worn, the more, for their drifts add up."""
    return job.settings.kl_weight * (1 + job.settings.kl_growth * len(job.adapters))


class Loop:
    """One run; `run` does it all, from the folder's checkpoint if there is one."""

    def __init__(
        self,
        job: TrainJob,
        folder: JobFolder,
        engine: Engine,
        texts: Sequence[Text],
        should_stop: Callable[[], bool],
        prepared_s: float = 0.0,
        start: Adapter | None = None,
    ) -> None:
        """`prepared_s`: time this attempt has spent already; it counts against `max_minutes`. `start`: what the factors are at
        first, instead of new ones."""
        self._job = job
        self._folder = folder
        self._engine = engine
        self._should_stop = should_stop
        self._prepared_s = prepared_s
        self._start = start
        self._curriculum = Curriculum(texts, job.settings, job.seed)
        held_out = [text for text in texts if text.kind == "validation"]
        self._validation = Validation(held_out, job.settings.look_every)
        self._schedule = Schedule(job.settings.lr, job.settings.warmup_steps, planned_steps(job))
        self._adam = Adam.zeros_like(engine.factors.flat)
        self._step_times: list[float] = []
        self._answer_losses: list[float] = []
        self._spent_s = 0.0
        self._n_tokens = 0
        self._is_cooling = False
        self._best: torch.Tensor | None = None  # factors, where the job keeps the best
        self._best_step: int | None = None

    def run(self) -> Outcome:
        """Train to the end. Raises TrainingStopped (checkpoint written) and TrainingDiverged (last good one kept)."""
        self._restore()
        saved_at = time.monotonic()
        with self._folder.metrics.open("a", encoding="utf-8") as metrics:
            while not self._is_done:
                if self._should_stop():
                    self._save()
                    raise TrainingStopped(self._schedule.step)
                metrics.write(json.dumps(self._step()) + "\n")
                metrics.flush()
                if time.monotonic() - saved_at > self._job.checkpoint_s:
                    self._save()
                    saved_at = time.monotonic()
        if self._best is not None:
            self._engine.factors.flat.copy_(self._best)
        return Outcome(
            steps=self._schedule.step,
            wanted=self._schedule.wanted,
            best_step=self._best_step or self._schedule.step,
            seconds=self._spent_s,
            final_loss=fmean(self._answer_losses[-8:]) if self._answer_losses else 0.0,
            share_learned=self._curriculum.share_learned(),
            stopped_early=self._is_cooling or not self._schedule.is_done,
            n_tokens=self._n_tokens,
            plans=tuple(self._schedule.plans),
        )

    @property
    def _is_done(self) -> bool:
        return self._schedule.is_done or self._is_past_best

    @property
    def _is_past_best(self) -> bool:
        return self._job.settings.keep_best and self._validation.is_stale

    def _step(self) -> dict[str, float]:
        started = time.monotonic()
        schedule = self._schedule
        texts = self._curriculum.choose(schedule.step)
        result = self._engine.step(texts, kl_weight(self._job))
        if not all(math.isfinite(loss) for loss in result.losses):
            raise TrainingDiverged(schedule.step)
        rate = schedule.rate()
        norm = self._adam.update(self._engine.factors.flat, self._engine.gradient, rate)
        if not math.isfinite(norm):
            raise TrainingDiverged(schedule.step)
        self._curriculum.record(texts, result.losses)
        schedule.advance()
        self._account(time.monotonic() - started, result.n_tokens)
        means = {kind: _mean(texts, result.losses, kind) for kind in _KINDS}
        means["validation"] = self._validate()
        if (answer := means["answer"]) is not None:
            self._answer_losses.append(answer)
        return {
            "step": schedule.step,
            "total": schedule.total,
            **{f"loss_{kind}": round(value, 5) for kind, value in means.items() if value is not None},
            "learned": round(self._curriculum.share_learned(), 4),
            "lr": rate,
            "norm": round(norm, 4),
            "tokens": result.n_tokens,
            "seconds": round(self._spent_s, 3),
        }

    def _validate(self) -> float | None:
        """Every so many steps the mean loss of what is never trained; its time is the training's. Where the best is kept,
        after the last step as well."""
        is_last = self._job.settings.keep_best and self._schedule.is_done
        if not self._validation.is_due(self._schedule.step, is_last=is_last):
            return None
        started = time.monotonic()
        loss = self._validation.measure(self._engine)
        self._spent_s += time.monotonic() - started
        if self._job.settings.keep_best and self._validation.is_best:
            self._best, self._best_step = self._engine.factors.flat.clone(), self._schedule.step
        return loss

    def _account(self, seconds: float, n_tokens: int) -> None:
        """Book the step; end sooner when time runs short or nothing is left to learn."""
        self._spent_s += seconds
        self._n_tokens += n_tokens
        self._step_times = [*self._step_times[-15:], seconds]
        left_s = self._job.settings.max_minutes * 60 - self._prepared_s - self._spent_s
        self._schedule.fit_to_time(fmean(self._step_times), left_s)
        is_enough = self._curriculum.is_learned() or (
            self._validation.is_stale and self._curriculum.share_learned() >= _NEARLY_ALL
        )
        if self._job.settings.steps is None and not self._is_cooling and is_enough:
            self._is_cooling = True
            self._schedule.cool_down()

    # ---- state

    def _save(self) -> None:
        notes = {
            "schedule": self._schedule.state(),
            "curriculum": self._curriculum.state(),
            "spent_s": self._spent_s,
            "n_tokens": self._n_tokens,
            "answer_losses": self._answer_losses[-8:],
            "is_cooling": self._is_cooling,
            "validation": self._validation.state(),
            "adam": self._adam.count,
            "best_step": self._best_step,
        }
        flat, adam = self._engine.factors.flat, self._adam
        Checkpoint(flat, adam.first, adam.second, notes, self._best).save(self._folder.checkpoint)

    def _restore(self) -> None:
        saved = Checkpoint.load(self._folder.checkpoint)
        if saved is None or saved.flat.shape != self._engine.factors.flat.shape:
            self._begin()
            self._cut_metrics(0)
            return
        self._engine.factors.flat.copy_(saved.flat)
        self._adam.first.copy_(saved.first)
        self._adam.second.copy_(saved.second)
        self._adam.count = saved.notes["adam"]
        self._best, self._best_step = saved.best, saved.notes.get("best_step")
        self._schedule = Schedule.from_state(saved.notes["schedule"])
        self._curriculum.restore(saved.notes["curriculum"])
        self._spent_s = saved.notes["spent_s"]
        self._n_tokens = saved.notes["n_tokens"]
        self._answer_losses = saved.notes["answer_losses"]
        self._is_cooling = saved.notes["is_cooling"]
        self._validation.restore(saved.notes["validation"])
        self._cut_metrics(self._schedule.step)

    def _begin(self) -> None:
        if self._start is None:
            self._engine.factors.initialise(self._job.seed)
        else:
            self._engine.factors.begin_from(self._start)

    def _cut_metrics(self, step: int) -> None:
        """Drop rows past `step` (and a torn last one): they are about to be written again."""
        try:
            lines = self._folder.metrics.read_text(encoding="utf-8", errors="replace").splitlines()[:step]
        except FileNotFoundError:
            return
        write_text(self._folder.metrics, "".join(f"{line}\n" for line in lines))


def _mean(texts: Sequence[Text], losses: Sequence[float], kind: str) -> float | None:
    values = [loss for text, loss in zip(texts, losses, strict=True) if text.kind == kind]
    return fmean(values) if values else None
