"""The exam's quick part for recipes put together by hand: what a change does to everything that it does not mean to change.

Asked are held-out wordings of the nights whose vectors stand in both recipes as they were; perplexity on neutral text
and divergence on general prompts are held against the night's gate, and what was remembered may fall as far as a
night may let it. The rest of the questions, of nights that were taken out or weighed otherwise, are counted and not judged.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agents.runtime.adapter import Adapter
from agents.runtime.spec import ModelSpec
from consolidation import exam
from consolidation.checks import Check, Held
from consolidation.exam import Asked, Counter, General
from consolidation.publish import side_effects
from consolidation.recipe import Recipe
from consolidation.stage import Gate, Progress
from db.engine import Database

if TYPE_CHECKING:
    from agents.runtime.lm import LanguageModel

Vectors = Sequence[tuple[Adapter, float]]

N_ASKED = 48  # questions at most, spread over the nights
KIND = "recall_paraphrase"
TRIES = 5  # halvings of the way between a coefficient that keeps the gate and one that breaks it


@dataclass(frozen=True, slots=True)
class Measured:
    """Shares are None where nothing was asked. `kept`: of nights that the change leaves alone; `others`: of the rest."""

    kept: float | None
    others: float | None
    ppl_change: float
    kl_to_base: float | None

    def as_json(self) -> dict[str, Any]:
        return {
            "recall_kept": self.kept,
            "recall_others": self.others,
            "ppl_change": self.ppl_change,
            "kl_to_base": self.kl_to_base,
        }


@dataclass(frozen=True, slots=True)
class Judged(Held):
    """What the weights were before and are after, and each number against its limit."""

    before: Measured
    after: Measured
    checks: tuple[Check, ...]
    n_kept: int
    n_others: int

    def as_json(self) -> dict[str, Any]:
        return {
            "before": self.before.as_json(),
            "after": self.after.as_json(),
            "n": {"recall_kept": self.n_kept, "recall_others": self.n_others},
            "checks": [check.as_json() for check in self.checks],
            "passed": self.is_kept,
        }


class QuickExam:
    """One model, loaded once, that wears one recipe after another."""

    def __init__(
        self, model: LanguageModel, before: Vectors, questions: Questions, gate: Gate, counter: Counter
    ) -> None:
        self._model, self._questions, self._gate, self._counter = model, questions, gate, counter
        self._base: General = exam.general(model)
        self._before = self._measure(before)

    def judge(self, after: Vectors) -> Judged:
        now, then = self._measure(after), self._before
        numbers = {
            "ppl_change": now.ppl_change,
            "kl_to_base": now.kl_to_base,
            "recall_earlier_nights": now.kept,
        }
        n_kept, n_others = len(self._questions.kept), len(self._questions.others)
        return Judged(then, now, tuple(side_effects(self._gate, numbers, then.kept)), n_kept, n_others)

    def _measure(self, vectors: Vectors) -> Measured:
        self._model.apply(vectors)
        drift = exam.drift_from(self._model, self._base)
        return Measured(
            self._share(self._questions.kept),
            self._share(self._questions.others),
            drift.ppl_change,
            drift.kl_to_base,
        )

    def _share(self, questions: Sequence[Asked]) -> float | None:
        answered = exam.ask(self._model, questions, "weights", {}, self._counter)
        return sum(item.is_right for item in answered) / len(answered) if answered else None


@dataclass(frozen=True, slots=True)
class Questions:
    """Of nights whose vectors both recipes hold as they were, and of all others in either."""

    kept: tuple[Asked, ...] = ()
    others: tuple[Asked, ...] = ()


def questions_for(database: Database, before: Recipe, after: Recipe, n: int = N_ASKED) -> Questions:
    """Held-out wordings of the nights of both recipes, spread over them; what an erasure took is not asked."""
    is_same_rule = (before.rule, before.density, before.seed) == (after.rule, after.density, after.seed)
    nights = dict.fromkeys(entry.run_id for entry in (*before.entries, *after.entries) if entry.run_id)
    same = (
        {entry.run_id for entry in before.entries if entry in after.entries} if is_same_rule else set(nights)
    )
    share = max(1, n // len(nights)) if nights else 0
    kept: list[Asked] = []
    others: list[Asked] = []
    for run_id in nights:
        of_night = [item for item in exam.questions_of(database, run_id) if item.kind == KIND]
        (kept if run_id in same else others).extend(exam.spread(of_night, share))
    return Questions(tuple(kept), tuple(others))


def wearer_of(before: Recipe, after: Recipe) -> str | None:
    """Who is to speak in the exam of a change: the only person whose weights it touches, None where it touches everybody's."""
    touched = {entry.person for entry in set(before.entries) ^ set(after.entries)}
    is_same_rule = (before.rule, before.density, before.seed) == (after.rule, after.density, after.seed)
    return touched.pop() if is_same_rule and len(touched) == 1 else None


def open_exam(
    database: Database,
    spec: ModelSpec,
    before: Recipe,
    after: Recipe,
    worn: Vectors,
    gate: Gate,
    progress: Progress,
) -> QuickExam:
    """The exam of a change from one recipe to the other; `worn` are the vectors of `before`. Loads the model."""
    from agents.runtime.lm import LanguageModel

    questions = questions_for(database, before, after)
    total = 2 * (len(questions.kept) + len(questions.others))
    progress(0, total, "loading the model")
    return QuickExam(LanguageModel.load(spec), worn, questions, gate, Counter(progress, total))


def largest_kept(
    keeps: Callable[[float], bool], wanted: float, least: float = 0.0, tries: int = TRIES
) -> float | None:
    """The coefficient nearest to `wanted`, on the way there from `least`, that was seen to keep the gate.

    `keeps` is asked for `wanted` first, then for `least`, then for `tries` halvings of what lies between them, as if it
    broke once on the way and not again. None where not even `least` keeps it.
    """
    if keeps(wanted):
        return wanted
    if not keeps(least):
        return None
    good, bad = least, wanted
    for _ in range(tries):
        middle = (good + bad) / 2
        if keeps(middle):
            good = middle
        else:
            bad = middle
    return good
