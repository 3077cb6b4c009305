"""Ask a night's stored exam once more, of the weights that serve now or of the night's own.

Reads only: the answers of then stay as they are. Both are marked by today's rules, over the questions that are still
there, so that a difference is the weights' and not the marker's. Only the condition `weights` is asked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from agents.runtime.adapter import Adapter
from agents.runtime.spec import ModelSpec
from consolidation import exam
from consolidation.errors import NoExam
from consolidation.exam import Answered, Asked, Drift, General
from consolidation.questions import KINDS
from consolidation.recipe import Recipe, check_base, load_recipe, recipe_adapters
from consolidation.runs import stage_records
from consolidation.stage import Progress, no_progress
from db.engine import Database
from db.tables import ExamAnswer
from memory.artifacts import servable

if TYPE_CHECKING:
    from agents.runtime.lm import LanguageModel

CONDITION = "weights"
MEASURED = ("ppl_change", "kl_to_base")  # numbers that no answer stands behind


@dataclass(frozen=True, slots=True)
class Changed:
    """One question whose mark is another one now. `then` and `now`: the answer."""

    kind: str
    question: str
    accepted: tuple[str, ...]
    then: str
    now: str
    is_right: bool  # now

    def as_json(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "question": self.question,
            "accepted": list(self.accepted),
            "then": self.then,
            "now": self.now,
            "right": self.is_right,
        }


@dataclass(frozen=True, slots=True)
class SecondExam:
    """`recipe` is the hash of what was asked, None for the plain base; `then` and `now` are numbers as in the exam."""

    run_id: str
    recipe: str | None
    base_hash: str
    then: dict[str, Any]
    now: dict[str, Any]
    changed: tuple[Changed, ...]  # what was lost first

    def as_json(self) -> dict[str, Any]:
        return {
            "run": self.run_id,
            "recipe": self.recipe,
            "base": self.base_hash,
            "then": self.then,
            "now": self.now,
            "changed": [item.as_json() for item in self.changed],
        }


def recipe_of(database: Database, home: Path, run_id: str) -> Recipe:
    """The recipe that the night itself wrote, published or not. Raises NoExam, TaintedArtifact, BrokenRecipe."""
    merged = stage_records(database, run_id).get("merge")
    recipe_id = merged.output.get("recipe_id") if merged else None
    if recipe_id is None:
        raise NoExam(
            run_id, "it wrote no recipe of its own; `slowwave exam --again` asks the weights that serve"
        )
    return load_recipe(home, servable(database, recipe_id).path)


def ask_again(
    database: Database,
    home: Path,
    run_id: str,
    recipe: Recipe | None,
    spec: ModelSpec,
    progress: Progress = no_progress,
) -> SecondExam:
    """The night's questions, asked of `recipe` on the model of `spec` (None: of the plain base).

    Raises NoExam where nothing is left to ask, MissingVector and BrokenAdapter where files are, and BaseChanged with
    both hashes where the model is not the recipe's; all before the model is loaded.
    """
    questions = exam.questions_of(database, run_id)
    before = _answers_then(database, run_id, questions)
    if not before:
        raise NoExam(
            run_id, "it asked nothing, or what it asked has been erased; `slowwave exam` shows others"
        )
    vectors = recipe_adapters(home, recipe) if recipe else []
    base_hash = check_base(recipe, spec)
    total = len(exam.asked_of(CONDITION, questions))
    progress(0, total, "loading the model")
    from agents.runtime.lm import LanguageModel

    model = LanguageModel.load(spec)
    answered, drift = examine(model, exam.general(model), vectors, questions, exam.Counter(progress, total))
    asked = {item.question.id: item for item in answered}
    stored = _recorded(database, run_id)
    return SecondExam(
        run_id=run_id,
        recipe=recipe.sha256 if recipe else None,
        base_hash=base_hash,
        then=_numbers(before.values(), stored),
        now=exam.numbers_of([asked[place] for place in before if place in asked], drift),
        changed=_changed(before, asked),
    )


def examine(
    model: LanguageModel,
    base: General,
    vectors: Sequence[tuple[Adapter, float]],
    questions: Sequence[Asked],
    counter: exam.Counter,
) -> tuple[list[Answered], Drift]:
    """What the weights alone answer with these vectors on, and how far they are from `base`. Leaves them on."""
    model.apply(vectors)
    answered = exam.ask(model, questions, CONDITION, {}, counter)
    return answered, exam.drift_from(model, base)


def _answers_then(database: Database, run_id: str, questions: Sequence[Asked]) -> dict[str, Answered]:
    """What the night itself answered from the weights, by the question's id, in the order of the questions."""
    query = select(ExamAnswer.example_id, ExamAnswer.answer).where(
        ExamAnswer.run_id == run_id, ExamAnswer.condition == CONDITION
    )
    with database.reading() as session:
        given = {row.example_id: row.answer for row in session.execute(query)}
    return {q.id: exam.marked(q, CONDITION, given[q.id]) for q in questions if q.id in given}


def _recorded(database: Database, run_id: str) -> dict[str, Any]:
    """The numbers of the night's exam as its stage recorded them."""
    record = stage_records(database, run_id).get("exam")
    return dict((record.output.get("exam") or {}).get(CONDITION) or {}) if record else {}


def _numbers(answered: Any, recorded: Mapping[str, Any]) -> dict[str, Any]:
    """Shares counted anew; what is no share of answers as it was recorded."""
    numbers = exam.numbers_of(list(answered), Drift(0.0, 0.0, 0, 0))
    counts = recorded.get("n") or {}
    numbers |= {name: recorded.get(name) for name in MEASURED}
    numbers["n"] |= {name: counts.get(name, 0) for name in MEASURED}
    return numbers


def _changed(before: Mapping[str, Answered], after: Mapping[str, Answered]) -> tuple[Changed, ...]:
    """Questions that were right and are wrong, then the other way round, by kind."""
    pairs = [(before[place], after[place]) for place in before if place in after]
    changed = [
        Changed(
            now.question.kind, now.question.text, now.question.accepted, then.answer, now.answer, now.is_right
        )
        for then, now in pairs
        if then.is_right != now.is_right
    ]
    return tuple(sorted(changed, key=lambda item: (item.is_right, KINDS.index(item.kind))))
