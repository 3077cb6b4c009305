"""Ask a night's stored exam once more, of the weights that serve now or of the night's own.

Reads only, but for the search index, which is brought up to date where retrieval is asked: the answers of then stay as
they are. Both are marked by today's rules, over the questions that are still there, so that a difference is the
weights' and not the marker's. What retrieval puts beside a question is what the graph holds today.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from agents.runtime.adapter import Adapter
from agents.runtime.spec import ModelSpec
from consolidation import exam
from consolidation.errors import NoExam
from consolidation.exam import Answered, Asked, Drift
from consolidation.mastery import CONDITION, Mastered, mastery_of
from consolidation.prompts import Graph, facts_for, prompts_of
from consolidation.questions import KINDS
from consolidation.recipe import Recipe, check_base, load_recipe, recipe_adapters
from consolidation.runs import stage_records
from consolidation.stage import Progress, no_progress
from db.engine import Database
from db.tables import ExamAnswer
from memory.artifacts import servable

if TYPE_CHECKING:
    from agents.runtime.lm import LanguageModel

MEASURED = ("ppl_change", "kl_to_base")  # numbers that no answer stands behind
RETRIEVING = ("retrieval", "both")
WORN = ("weights", "both")  # asked with the recipe's vectors on


@dataclass(frozen=True, slots=True)
class Retake:
    """What is asked again and of whom: `recipe` on the model of `spec`, None for the plain base."""

    run_id: str
    recipe: Recipe | None
    spec: ModelSpec
    conditions: tuple[str, ...] = (CONDITION,)


@dataclass(frozen=True, slots=True)
class Changed:
    """One question whose mark is another one now. `then` and `now`: the answer."""

    condition: str
    kind: str
    question: str
    accepted: tuple[str, ...]
    then: str
    now: str
    is_right: bool  # now

    def as_json(self) -> dict[str, Any]:
        return {
            "condition": self.condition,
            "kind": self.kind,
            "question": self.question,
            "accepted": list(self.accepted),
            "then": self.then,
            "now": self.now,
            "right": self.is_right,
        }


@dataclass(frozen=True, slots=True)
class Compared:
    """One condition, `then` and `now` as numbers of the exam, and the questions whose mark has changed."""

    then: dict[str, Any]
    now: dict[str, Any]
    changed: tuple[Changed, ...]  # what was lost first


@dataclass(frozen=True, slots=True)
class SecondExam:
    """`recipe` is the hash of what was asked, None for the plain base; `conditions` in the order of the exam."""

    run_id: str
    recipe: str | None
    base_hash: str
    conditions: dict[str, Compared]

    def as_json(self) -> dict[str, Any]:
        alone = self.conditions.get(CONDITION)
        return {
            "run": self.run_id,
            "recipe": self.recipe,
            "base": self.base_hash,
            "then": alone and alone.then,
            "now": alone and alone.now,
            "changed": [item.as_json() for of_one in self.conditions.values() for item in of_one.changed],
            "conditions": {
                name: {"then": of_one.then, "now": of_one.now} for name, of_one in self.conditions.items()
            },
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


def ask_again(graph: Graph, retake: Retake, progress: Progress = no_progress) -> SecondExam:
    """The night's questions that it answered under the conditions, asked under them once more.

    Raises NoExam where nothing is left to ask, MissingVector and BrokenAdapter where files are, and BaseChanged with
    both hashes where the model is not the recipe's; all before the model is loaded.
    """
    recipe = retake.recipe
    before = {name: _answers_then(graph.database, retake, name) for name in _in_order(retake.conditions)}
    vectors = recipe_adapters(graph.home, recipe.for_person(None)) if recipe else []
    base_hash = check_base(recipe, retake.spec)
    output = _recorded(graph.database, retake.run_id)
    prompts = _prompts(graph, retake, before, is_trusted=bool((output.get("prompts") or {}).get("trusted")))
    total = sum(map(len, before.values()))
    progress(0, total, "loading the model")
    from agents.runtime.lm import LanguageModel

    model = LanguageModel.load(retake.spec)
    asked = _ask(model, vectors, before, prompts, exam.Counter(progress, total))
    recorded = output.get("exam") or {}
    return SecondExam(
        run_id=retake.run_id,
        recipe=recipe.sha256 if recipe else None,
        base_hash=base_hash,
        conditions={
            name: Compared(
                then=_numbers(list(before[name].values()), recorded.get(name) or {}),
                now=exam.numbers_of(answered, drift),
                changed=_changed(list(before[name].values()), answered),
            )
            for name, answered, drift in asked
        },
    )


def _in_order(conditions: Sequence[str]) -> list[str]:
    """As in the exam: what is asked of the base comes before the vectors are put on."""
    return [name for name in exam.CONDITIONS if name in conditions]


def _answers_then(database: Database, retake: Retake, condition: str) -> dict[str, Answered]:
    """What the night itself answered, by the question's id, in the order of the questions. Raises NoExam."""
    query = select(ExamAnswer.example_id, ExamAnswer.answer).where(
        ExamAnswer.run_id == retake.run_id, ExamAnswer.condition == condition
    )
    with database.reading() as session:
        given = {row.example_id: row.answer for row in session.execute(query)}
    questions = exam.questions_of(database, retake.run_id)
    answers = {q.id: exam.marked(q, condition, given[q.id]) for q in questions if q.id in given}
    if not answers:
        raise NoExam(
            retake.run_id,
            f"it asked nothing of {condition}, or what it asked has been erased; `slowwave exam` shows others",
        )
    return answers


def _recorded(database: Database, run_id: str) -> dict[str, Any]:
    """What the stage of the night's exam left on record."""
    record = stage_records(database, run_id).get("exam")
    return record.output if record else {}


def _prompts(
    graph: Graph, retake: Retake, before: Mapping[str, Mapping[str, Answered]], *, is_trusted: bool
) -> dict[str, dict[str, str]]:
    """By condition and question, what stands in place of the bare question. Facts that the asked weights have mastered
    are left out under `both` where the night left them out."""
    wanted = [given for name, given in before.items() if name in RETRIEVING]
    if not wanted:
        return {}
    found = facts_for(graph, {place: item.question.text for given in wanted for place, item in given.items()})
    known = (
        mastery_of(graph.database, graph.space_id, retake.recipe, graph.registry, clock=graph.clock)
        if is_trusted and "both" in before
        else Mastered()
    )
    return {"retrieval": prompts_of(found), "both": prompts_of(found, known)}


def _ask(
    model: LanguageModel,
    vectors: Sequence[tuple[Adapter, float]],
    before: Mapping[str, Mapping[str, Answered]],
    prompts: Mapping[str, Mapping[str, str]],
    counter: exam.Counter,
) -> Iterator[tuple[str, list[Answered], Drift]]:
    """Each condition with its answers and how far the model that gave them is from its base."""
    base = exam.general(model)
    drift = Drift(0.0, 0.0, len(exam.neutral_texts()), len(base.replies))
    is_worn = False
    for name, given in before.items():
        if name in WORN and not is_worn:
            model.apply(vectors)
            drift, is_worn = exam.drift_from(model, base), True
        questions: list[Asked] = [item.question for item in given.values()]
        yield name, exam.ask(model, questions, name, prompts.get(name, {}), counter), drift


def _numbers(answered: Sequence[Answered], recorded: Mapping[str, Any]) -> dict[str, Any]:
    """Shares counted anew; what is no share of answers as it was recorded."""
    numbers = exam.numbers_of(answered, Drift(0.0, 0.0, 0, 0))
    counts = recorded.get("n") or {}
    numbers |= {name: recorded.get(name) for name in MEASURED}
    numbers["n"] |= {name: counts.get(name, 0) for name in MEASURED}
    return numbers


def _changed(before: Sequence[Answered], after: Sequence[Answered]) -> tuple[Changed, ...]:
    """Questions that were right and are wrong, then the other way round, by kind."""
    answered = {now.question.id: now for now in after}
    changed = [
        Changed(
            condition=then.condition,
            kind=then.question.kind,
            question=then.question.text,
            accepted=then.question.accepted,
            then=then.answer,
            now=now.answer,
            is_right=now.is_right,
        )
        for then in before
        if (now := answered.get(then.question.id)) is not None and then.is_right != now.is_right
    ]
    return tuple(sorted(changed, key=lambda item: (item.is_right, KINDS.index(item.kind))))
