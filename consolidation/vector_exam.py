"""Each vector of a recipe by itself, at its coefficient: what it does for what it is for, and what it does besides.

A night's vector is for the held-out wordings of that night, a behaviour's for its measure on its held-out prompts. They
are asked of the plain base, of the vector alone, of the recipe with all of them, and of the recipe without it: a night is trained on top of those
before it and may need them, or they it. What it does besides: the same of the other nights, and alone perplexity
and divergence as in a night's exam.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from agents.runtime.adapter import Adapter
from consolidation import exam
from consolidation.checks import Check, Held
from consolidation.exam import Asked, Counter, Drift, General
from consolidation.publish import side_effects
from consolidation.recipe import Entry, Recipe
from consolidation.recipe_gate import KIND, Vectors
from consolidation.stage import Gate
from db.engine import Database

if TYPE_CHECKING:
    from agents.runtime.lm import LanguageModel
    from consolidation.behaviour import Yardstick

N_OWN = 24  # questions of a vector's own night at most
N_OTHERS = 48  # of the other nights together
RECALL = "recall"


@dataclass(frozen=True, slots=True)
class Four:
    """A number with the plain base, the vector alone, the whole recipe, and the recipe without the vector."""

    base: float
    alone: float
    together: float
    without: float


@dataclass(frozen=True, slots=True)
class Effect:
    """`measure`: `recall`, a share of `n` questions, or a behaviour's, a mean over `n` replies."""

    measure: str
    n: int
    numbers: Four

    def as_json(self) -> dict[str, Any]:
        return {"measure": self.measure, "n": self.n, **asdict(self.numbers)}


@dataclass(frozen=True, slots=True)
class Examined(Held):
    """`effect` is None where nobody knows what the vector is for or nothing can be asked, `others` where there are no
    other nights. `drift` is the vector's alone, held against the gate in `checks`."""

    entry: Entry
    effect: Effect | None
    others: Effect | None
    drift: Drift
    checks: tuple[Check, ...]

    def as_json(self) -> dict[str, Any]:
        return {
            "effect": self.effect and self.effect.as_json(),
            "others": self.others and self.others.as_json(),
            "ppl_change": self.drift.ppl_change,
            "kl_to_base": self.drift.kl_to_base,
            "checks": [check.as_json() for check in self.checks],
            "passed": self.is_kept,
        }


@dataclass(frozen=True, slots=True)
class Plan:
    """What is asked for each entry of a recipe."""

    entries: Sequence[Entry]
    own: Mapping[str, Sequence[Asked]]  # by night
    yardsticks: Mapping[int, Yardstick]  # by place of the entry

    @property
    def questions(self) -> list[Asked]:
        return [item for asked in self.own.values() for item in asked]

    def of(self, entry: Entry) -> Sequence[Asked]:
        return self.own.get(entry.run_id or "", ())

    def others(self, entry: Entry) -> list[Asked]:
        rest = [item for night, asked in self.own.items() if night != entry.run_id for item in asked]
        return exam.spread(rest, N_OTHERS)

    @property
    def n_answers(self) -> int:
        """Questions that are asked in all: of the base, of the recipe, and of each vector alone and of the rest."""
        each = [len(self.of(entry)) + len(self.others(entry)) for entry in self.entries]
        return 2 * len(self.questions) + 2 * sum(each)


def plan_for(database: Database, recipe: Recipe, vectors: Vectors) -> Plan:
    """Held-out wordings of each night of the recipe, and the yardsticks in the manifests; `vectors` go with the entries.

    What an erasure took is not asked.
    """
    from consolidation.behaviour import yardstick_of

    nights = dict.fromkeys(entry.run_id for entry in recipe.entries if entry.run_id)
    own = {
        night: exam.spread([q for q in exam.questions_of(database, night) if q.kind == KIND], N_OWN)
        for night in nights
    }
    found = {place: yardstick_of(vector.meta) for place, (vector, _) in enumerate(vectors)}
    return Plan(recipe.entries, own, {place: one for place, one in found.items() if one is not None})


@dataclass(frozen=True, slots=True)
class _Answers:
    """What some weights came to: questions by id, and the means of the yardsticks by place."""

    is_right: Mapping[str, bool]
    means: Mapping[int, float]

    def share(self, questions: Sequence[Asked]) -> float:
        return sum(self.is_right[question.id] for question in questions) / len(questions)


def _recall(questions: Sequence[Asked], beside: Sequence[_Answers]) -> Effect | None:
    """`beside` in the order of `Four`."""
    if not questions:
        return None
    return Effect(RECALL, len(questions), Four(*(answers.share(questions) for answers in beside)))


class VectorExam:
    """One model, loaded once, that wears the whole recipe, `worn`, and then each vector and the rest of them in turn."""

    def __init__(self, model: LanguageModel, plan: Plan, worn: Vectors, gate: Gate, counter: Counter) -> None:
        self._model, self._plan, self._gate, self._counter = model, plan, gate, counter
        model.reset()
        self._base: General = exam.general(model)
        self._before = self._answers(plan.questions, plan.yardsticks)
        model.apply(worn)
        self._together = self._answers(plan.questions, plan.yardsticks)
        self.together = exam.drift_from(model, self._base)

    def judge(self, place: int, vector: tuple[Adapter, float], rest: Vectors) -> Examined:
        """The vector of the entry at that place, by itself; `rest` is what the recipe without it puts on."""
        entry = self._plan.entries[place]
        own, others = self._plan.of(entry), self._plan.others(entry)
        yardsticks = {at: one for at, one in self._plan.yardsticks.items() if at == place}
        self._model.apply(rest)
        without = self._answers([*own, *others], yardsticks)
        self._model.apply([vector])
        alone = self._answers([*own, *others], yardsticks)
        drift = exam.drift_from(self._model, self._base)
        numbers = {"ppl_change": drift.ppl_change, "kl_to_base": drift.kl_to_base}
        beside = (self._before, alone, self._together, without)
        effect = _recall(own, beside)
        if place in yardsticks:
            means = Four(*(answers.means[place] for answers in beside))
            effect = Effect(yardsticks[place].measure, len(yardsticks[place].held_out), means)
        checks = tuple(side_effects(self._gate, numbers, None))
        return Examined(entry, effect, _recall(others, beside), drift, checks)

    def _answers(self, questions: Sequence[Asked], yardsticks: Mapping[int, Yardstick]) -> _Answers:
        from consolidation.behaviour import measured

        answered = exam.ask(self._model, questions, "weights", {}, self._counter)
        return _Answers(
            {item.question.id: item.is_right for item in answered},
            {place: measured(self._model, yardstick) for place, yardstick in yardsticks.items()},
        )
