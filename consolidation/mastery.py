"""Which facts the weights know so well that a prompt need not hold them: read off the exams, stored nowhere else.

A fact is mastered when every held-out wording of it that was asked since it was last taught was answered with its own
value by the weights alone, at least twice: one lucky answer is not enough. It is not when its slot was taught another
value since, when the old value came back to a question about it, or when the newest exam passed it over while
earlier nights were forgotten. What counts are the exams of the nights whose vectors serve, so a roll-back takes mastery
back with the vector; and a fact that was changed since is covered no more, whatever its id.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from sqlalchemy import select

from consolidation.errors import BrokenRecipe
from consolidation.recipe import Recipe, current_recipe, load_recipe
from consolidation.runs import StageRecord, stage_records
from consolidation.scoring import gives, gives_any
from consolidation.slots import accepted_values
from consolidation.stage import NightContext
from db.engine import Database
from db.tables import ExamAnswer, Example
from memory.artifacts import pointer, servable
from memory.facts import ALL_STATUSES, list_facts
from memory.ports import Clock, utc_now
from memory.registry import Registry
from memory.types import Fact

CONDITION = "weights"
TAUGHT = "recall_paraphrase"  # asked in the night that taught the fact
LATER = "recall_earlier_nights"
STALE = "stale_answered"
EXAMINED = (TAUGHT, LATER, STALE)
MIN_ANSWERS = 2  # right ones, to held-out wordings
MIN_LATER = 0.9  # of what the newest exam asked about earlier nights, for facts that it passed over


@dataclass(frozen=True, slots=True)
class Examined:
    """One answer of the weights alone. `night`: the place of its exam among those that count; -1 is tonight's."""

    kind: str
    fact_ids: tuple[str, ...]
    question: str
    accepted: tuple[str, ...]
    answer: str
    is_right: bool
    night: int = -1


@dataclass(frozen=True, slots=True)
class Mastered:
    """Fact id -> subject and object as they were examined."""

    facts: Mapping[str, tuple[str, str]] = field(default_factory=dict)

    def covers(self, fact: Fact) -> bool:
        """Whether the weights can be trusted with this fact as it stands now."""
        return fact.status == "current" and self.facts.get(fact.id) == (fact.subject, fact.object)

    def __len__(self) -> int:
        return len(self.facts)


def serving_mastery(
    database: Database, space_id: str, home: Path, registry: Registry, *, clock: Clock = utc_now
) -> Mastered:
    """What the weights that serve have mastered; nothing where no exam was taken of exactly these weights.

    Raises TaintedArtifact, BrokenRecipe.
    """
    serving = pointer(database, space_id)
    if serving is None or serving.run_id is None or serving.recipe_id is None:
        return Mastered()
    merged = stage_records(database, serving.run_id).get("merge")
    recipe = load_recipe(home, servable(database, serving.recipe_id).path)
    if merged is None or not (
        merged.output.get("recipe_id") == serving.recipe_id or is_restyled(home, merged, recipe)
    ):
        return Mastered()
    return mastery_of(database, space_id, recipe, registry, clock=clock)


def is_restyled(home: Path, merged: StageRecord, recipe: Recipe) -> bool:
    """Whether the recipe is that of the night but for the styles of people, which answer no exam."""
    try:
        of_night = load_recipe(home, str(merged.output.get("recipe")))
    except BrokenRecipe:
        return False
    same = (of_night.base_hash, of_night.rule, of_night.density, of_night.seed)
    return of_night.for_person(None).entries == recipe.for_person(None).entries and same == (
        recipe.base_hash,
        recipe.rule,
        recipe.density,
        recipe.seed,
    )


def mastery_of(
    database: Database, space_id: str, recipe: Recipe | None, registry: Registry, *, clock: Clock = utc_now
) -> Mastered:
    """What the weights of a recipe have mastered by the exams of its nights, its own the last of them."""
    rows = examined_in(database, nights_of(recipe))
    facts = list_facts(database, space_id, registry, statuses=ALL_STATUSES, clock=clock)
    return judge(rows, facts, registry)


def mastered_with(context: NightContext, tonight: Iterable[Examined]) -> Mastered:
    """What the weights with tonight's vector have mastered, by tonight's answers and the exams before."""
    recipe = current_recipe(context.database, context.space_id, context.home)
    runs = [run_id for run_id in nights_of(recipe) if run_id != context.run_id]
    rows = [*examined_in(context.database, runs), *(replace(row, night=len(runs)) for row in tonight)]
    registry = context.tools.registry
    facts = list_facts(
        context.database, context.space_id, registry, statuses=ALL_STATUSES, clock=context.clock
    )
    return judge([row for row in rows if row.kind in EXAMINED], facts, registry)


def nights_of(recipe: Recipe | None) -> list[str]:
    """The nights whose vectors the recipe holds, oldest first."""
    return [entry.run_id for entry in recipe.entries if entry.run_id] if recipe else []


def examined_in(database: Database, runs: Sequence[str]) -> list[Examined]:
    """What the weights answered in the exams of these nights, in their order."""
    places = {run_id: place for place, run_id in enumerate(runs)}
    query = (
        select(Example, ExamAnswer.answer, ExamAnswer.is_right)
        .join(ExamAnswer, ExamAnswer.example_id == Example.id)
        .where(
            Example.run_id.in_(runs),
            Example.kind.in_(EXAMINED),
            ExamAnswer.condition == CONDITION,
        )
        .order_by(Example.id)
    )
    with database.reading() as session:
        return [
            Examined(
                night=places[example.run_id],
                kind=example.kind,
                fact_ids=tuple(example.meta.get("facts", ())),
                question=str(example.messages[0]["content"]),
                accepted=tuple(example.accepted),
                answer=answer,
                is_right=is_right,
            )
            for example, answer, is_right in session.execute(query)
        ]


def judge(rows: Iterable[Examined], facts: Iterable[Fact], registry: Registry) -> Mastered:
    """The rule of the module. `facts` are all of the space, whatever their status: they tell slots apart."""
    rows, known = list(rows), {fact.id: fact for fact in facts}
    by_fact: dict[str, list[Examined]] = defaultdict(list)
    for row in rows:
        for fact_id in row.fact_ids:
            by_fact[fact_id].append(row)
    taught = {
        fact_id: max(row.night for row in of_fact if row.kind == TAUGHT)
        for fact_id, of_fact in by_fact.items()
        if any(row.kind == TAUGHT for row in of_fact)
    }
    slot_taught: dict[tuple[str, str], int] = defaultdict(lambda: -1)
    for fact_id, night in taught.items():
        if fact_id in known:
            slot = known[fact_id].subject_id, known[fact_id].predicate
            slot_taught[slot] = max(slot_taught[slot], night)
    newest = max((row.night for row in rows), default=-1)
    remembers = _remembers(rows, newest)
    mastered = {}
    for fact_id, night in taught.items():
        fact = known.get(fact_id)
        if fact is None or fact.status != "current" or slot_taught[fact.subject_id, fact.predicate] != night:
            continue
        since = [row for row in by_fact[fact_id] if row.night >= night]
        is_fresh = remembers or any(row.night == newest for row in since)
        if is_fresh and _knows(since, fact, registry):
            mastered[fact_id] = (fact.subject, fact.object)
    return Mastered(mastered)


def _remembers(rows: Sequence[Examined], newest: int) -> bool:
    """Whether the newest exam found enough of earlier nights to trust what it did not ask about."""
    later = [row.is_right for row in rows if row.night == newest and row.kind == LATER]
    return bool(later) and sum(later) / len(later) >= MIN_LATER


def _knows(since: Sequence[Examined], fact: Fact, registry: Registry) -> bool:
    """Whether every answer gives this very value, about the subject as it is called now, and none an old one."""
    recall = [row for row in since if row.kind != STALE]
    values = accepted_values(fact.object, registry.get(fact.predicate).object)
    return (
        len(recall) >= MIN_ANSWERS
        and all(row.is_right for row in since)
        and all(fact.object in row.accepted and gives_any(row.answer, values) for row in recall)
        and any(gives(row.question, fact.subject) for row in recall)
    )
