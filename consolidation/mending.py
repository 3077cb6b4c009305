"""What the weights no longer answer of what their nights taught, trained once more in a short run: a vector named "mend".

A night's vector is trained with the earlier ones worn and leans on them. Taking one out, or weighing it otherwise, costs
facts of the others (ADR 67). Held-out wordings of the nights that stand in the recipe above zero are asked, of facts that still
hold; facts with a wrong answer are trained on the texts they were taught with, and the others are rehearsed beside them. The
vector is an entry of its own, which serves if more is answered than before and the exam's quick part finds nothing beyond its gate.

It is known as trained from those nights: an erasure that reaches one of them takes the mend as well, and so does taking one
out or turning it round. What is trained on lies in `home/behaviours` until the training is done, or another one or an erasure
of the space clears it.
"""

from __future__ import annotations

import math
import random
import shutil
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TypeVar

from sqlalchemy import select
from sqlalchemy.orm import Session

from agents.runtime.adapter import Adapter
from agents.runtime.spec import ModelSpec
from consolidation import curriculum, exam
from consolidation.behaviour_training import folder_named
from consolidation.errors import RecipeStays, TrainingStopped
from consolidation.exam import Answered, Asked, Counter
from consolidation.recipe import Entry, Recipe, changed, worn_folders
from consolidation.recipe_gate import KIND, Judged, QuickExam, questions_for
from consolidation.recipe_serving import Place, check, file_vector, nights_behind
from consolidation.rehearsal import taught_facts, texts_taught
from consolidation.slots import make_slots, now_and_before
from consolidation.stage import Gate, Progress, TrainSettings, never, no_progress
from consolidation.trainer.job import Row, TrainJob
from consolidation.training_child import put_job, trained
from consolidation.vectors import Origin, hash_rows
from db.tables import Example, SleepRun
from memory import vector_nodes
from memory.facts import ALL_STATUSES, list_facts
from memory.registry import Registry
from memory.sensitive import kinds_of_fact
from memory.types import Fact

MEND = "mend"  # the label of the entry
MOST_ASKED = 480  # questions, spread over the nights
MOST_LOST = 60  # facts that one mend trains
PER_LOST, PER_KEPT = 16, 2  # texts
REFUSALS = 60
SHOWINGS = 12  # of each lost fact
LEAST_STEPS, MOST_STEPS, WARMUP_STEPS = 16, 96, 4

Item = TypeVar("Item")
Texts = Mapping[str, Sequence[curriculum.Row]]


@dataclass(frozen=True, slots=True)
class Ground:
    """Whose weights, on which model; `train` and `gate` are a night's."""

    place: Place
    spec: ModelSpec
    registry: Registry
    train: TrainSettings
    gate: Gate
    leave_out: frozenset[str] = frozenset()  # kinds of facts that nobody is taught
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Mended:
    """`n_asked` facts were asked for. `recipe` is the one with the new vector, None where it is not to serve: nothing was
    lost, or (`judged`) the exam found it no better."""

    n_asked: int
    lost: tuple[str, ...] = ()
    recipe: Recipe | None = None
    vector: str | None = None
    steps: int = 0
    seconds: float = 0.0
    judged: Judged | None = None
    answered: tuple[float, float] | None = None  # shares of the questions, before and after

    @property
    def why(self) -> str | None:
        """Why no recipe came of it, in words of ours."""
        if self.recipe is not None:
            return None
        if self.judged is None:
            return "every fact that was asked for is still answered" if self.n_asked else "no night was asked"
        return self.judged.failed or "it answers no more than before"


def _rows(
    texts: Texts, lost: Sequence[str], refusals: Sequence[Sequence[Mapping[str, str]]], seed: int
) -> list[Row]:
    """Texts of what was lost to be learnt, a few of everything else to be rehearsed, and refusals."""
    dice = random.Random(f"mend:{seed}")
    taught = [("fact", fact, row) for fact in lost for row in _some(dice, texts[fact], PER_LOST)]
    rest = sorted(texts.keys() - set(lost), key=lambda fact: texts[fact][0].messages[0]["content"])
    kept = [("replay", fact, row) for fact in rest for row in _some(dice, texts[fact], PER_KEPT)]
    return [
        *(
            Row(f"{kind}:{place}", kind, tuple(row.messages), fact)
            for place, (kind, fact, row) in enumerate((*taught, *kept))
        ),
        *(
            Row(f"negative:{place}", "negative", tuple(messages))
            for place, messages in enumerate(_some(dice, refusals, REFUSALS))
        ),
    ]


def _some(dice: random.Random, items: Sequence[Item], n: int) -> list[Item]:
    return list(items) if len(items) <= n else dice.sample(list(items), n)


def nights_of(recipe: Recipe) -> list[str]:
    """Those whose vectors stand in it for what they taught, in the order of the recipe."""
    wanted = (entry.run_id for entry in recipe.entries if entry.run_id and entry.coefficient > 0)
    return list(dict.fromkeys(wanted))


def mends_of(place: Place, recipe: Recipe, nights: Collection[str]) -> list[Entry]:
    """Entries that no night trained, but on the rows of one of these: they hold its facts too."""
    wanted = set(nights)
    return [
        entry
        for entry in recipe.entries
        if entry.run_id is None and not wanted.isdisjoint(nights_behind(place, entry))
    ]


def mend(
    ground: Ground,
    recipe: Recipe,
    minutes: float = 1.0,
    train_step: Progress = no_progress,
    exam_step: Progress = no_progress,
    should_stop: Callable[[], bool] = never,
) -> Mended:
    """Ask, train where something was lost, and examine. Nothing serves yet; the vector is on record where a recipe is returned.

    `minutes` caps the training; `should_stop` says that the lease is lost. Raises RecipeStays for a recipe that is not a
    sum, and what `recipe_serving.check` and `training_child.trained` do.
    """
    from agents.runtime.lm import LanguageModel

    if recipe.rule != "sum":
        raise RecipeStays("a mend is for vectors that are summed; `slowwave recipe rule sum` makes it so")
    place, nights = ground.place, nights_of(recipe)
    texts = texts_taught(place.database, nights, _holding(ground, nights))
    questions = _questions(place, nights, texts.keys())
    if not questions:
        return Mended(0)
    quick = questions_for(place.database, recipe, recipe)
    counter = Counter(exam_step, 2 * len(questions) + 2 * len(quick.kept))
    exam_step(0, 1, "loading the model")
    worn = check(place, recipe, ground.spec)
    model = LanguageModel.load(ground.spec)
    judge = QuickExam(model, worn, quick, ground.gate, counter)  # leaves the model with `worn` on
    then = exam.ask(model, questions, "weights", {}, counter)
    lost = _lost(then)
    n_asked = len({fact for item in then for fact in item.question.fact_ids})
    if not lost:
        return Mended(n_asked)
    rows = _rows(texts, lost, _refusals(place, nights), ground.seed)
    job = _job(ground, recipe, rows, len(lost), minutes)
    folder = folder_named(place, [MEND, recipe.sha256, hash_rows(rows), asdict(job)])
    worn_there = worn_folders(place.home, recipe.for_person(None), folder.so_far)
    put_job(folder, replace(job, adapters=worn_there), rows)
    result = trained(folder, train_step, should_stop)
    vector = Adapter.load(folder.adapter)
    judged = judge.judge([*worn, (vector, 1.0)])
    now = exam.ask(model, questions, "weights", {}, counter)
    answered = _share(then), _share(now)
    done = Mended(n_asked, lost, None, None, int(result["steps"]), float(result["seconds"]), judged, answered)
    if should_stop():
        raise TrainingStopped(done.steps)
    check(place, recipe, ground.spec)  # what was erased meanwhile is not mended
    if judged.is_kept and answered[1] > answered[0]:
        path = _keep(place, vector, nights, done)
        entry = Entry(vector.sha256, path, 1.0, None, MEND)
        done = replace(done, recipe=changed(recipe, (*recipe.entries, entry)), vector=vector.sha256)
    shutil.rmtree(folder.path)
    return done


def _holding(ground: Ground, nights: Sequence[str]) -> set[str]:
    """Ids of the facts that these nights taught and that still hold, in whole slots as a night rehearses them."""
    place = ground.place
    taught = taught_facts(place.database, nights)
    facts: list[Fact] = list_facts(
        place.database, place.space_id, ground.registry, statuses=ALL_STATUSES, clock=place.clock
    )
    shown = [fact for fact in facts if ground.leave_out.isdisjoint(kinds_of_fact(fact))]
    slots = make_slots(*now_and_before(shown), ground.registry)
    return {fact_id for slot in slots if taught.issuperset(slot.fact_ids) for fact_id in slot.fact_ids}


def _questions(place: Place, nights: Sequence[str], facts: Collection[str]) -> list[Asked]:
    """Held-out wordings about these facts, spread over the nights."""
    found = [
        item
        for night in nights
        for item in exam.questions_of(place.database, night)
        if item.kind == KIND and item.fact_ids and set(item.fact_ids) <= set(facts)
    ]
    return exam.spread(found, MOST_ASKED)


def _lost(answered: Sequence[Answered]) -> tuple[str, ...]:
    """Facts with a wrong answer, in the order of the questions."""
    wrong = dict.fromkeys(fact for item in answered if not item.is_right for fact in item.question.fact_ids)
    return tuple(wrong)[:MOST_LOST]


def _share(answered: Sequence[Answered]) -> float:
    return sum(item.is_right for item in answered) / len(answered)


def _refusals(place: Place, nights: Sequence[str]) -> list[Sequence[Mapping[str, str]]]:
    """Of the newest night, which checked them against everything that was known."""
    newest = select(SleepRun.id).where(SleepRun.id.in_(nights)).order_by(SleepRun.started_at.desc()).limit(1)
    query = select(Example.messages).where(
        Example.run_id == newest.scalar_subquery(), Example.split == "train", Example.kind == "negative"
    )
    with place.database.reading() as session:
        return list(session.scalars(query.order_by(Example.id)))


def _job(ground: Ground, recipe: Recipe, rows: Sequence[Row], n_lost: int, minutes: float) -> TrainJob:
    """Without the folders that are worn, whose place depends on it."""
    wanted = math.ceil(SHOWINGS * n_lost / max(1, ground.train.facts_per_step))
    settings = replace(
        ground.train,
        steps=min(MOST_STEPS, max(LEAST_STEPS, wanted)),
        warmup_steps=WARMUP_STEPS,
        max_minutes=minutes,
    )
    return TrainJob(
        ground.spec.source,
        str(ground.spec.cache_dir),
        settings=settings,
        seed=ground.seed,
        n_facts=n_lost,
        # an erasure finds the vector by its nights, on record or not
        meta=Origin(hash_rows(rows), recipe.sha256).as_meta(MEND) | {"nights": nights_of(recipe)},
    )


def _keep(place: Place, vector: Adapter, nights: Iterable[str], done: Mended) -> str:
    """File it, with edges to the nights and to whom they taught about; its path."""

    def connect(session: Session) -> None:
        for night in nights:
            people, patterns = vector_nodes.taught_by(session, night)
            vector_nodes.connect(
                session,
                place.space_id,
                vector.sha256,
                run_id=night,
                people=people,
                patterns=patterns,
                clock=place.clock,
            )

    return file_vector(place, vector, {"steps": done.steps, "mended": len(done.lost)}, connect)
