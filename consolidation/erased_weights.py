"""What becomes of weights when something is erased: they are made again without it, examined, tested and let serve.

Before the erasure the weights that serve are asked for the facts that will go (`witness`). After its rows and files are
gone, `settle` makes the recipe without the tainted vectors. It serves if the exam's quick part lets it and its weights tell
the erased facts from controls no better than their base, which is the model with those vectors alone that hold no night's facts; else what the erasure left serves, an earlier recipe
or the plain base, and if that recipe fails the test, the plain base. What is returned are numbers, hashes and phrases of
ours. The erasure holds the space's lease while `settle` works.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from agents.errors import BaseChanged, BrokenAdapter, UnknownModule
from agents.runtime.spec import ModelSpec
from consolidation import recipe as recipes
from consolidation.errors import MissingVector, NightError
from consolidation.exam import Counter
from consolidation.recipe import Recipe, current_recipe
from consolidation.recipe_gate import Judged, QuickExam, questions_for
from consolidation.recipe_history import SERVING
from consolidation.recipe_serving import (
    Place,
    alone,
    check,
    erased_from,
    nights_behind,
    record,
    serve,
    tainted_vectors,
)
from consolidation.rehearsal import traces
from consolidation.stage import Gate, Progress, no_progress
from consolidation.weights_certificate import FloatArray, Probe, WeightsTest, compare, probes_of, score
from memory import artifacts
from memory.erasure import Plan
from memory.errors import GraphError, ModelMissing
from memory.facts import ALL_STATUSES, list_facts
from memory.registry import Registry

if TYPE_CHECKING:
    from agents.runtime.lm import LanguageModel

_UNFIT = (NightError, GraphError, BrokenAdapter, BaseChanged, UnknownModule)
NO_WEIGHTS = "no task vector served"
NOT_LEARNT = "no vector that served had learnt any of it"
NOT_TAUGHT = "none of the erased facts was taught as a question"
STILL_KNOWN = "its weights tell the erased facts from controls"
CUT_OFF = "the erasure was cut off, and the questions went with the rows"


@dataclass(frozen=True)
class Ground:
    """Whose weights, on which model, against which gate."""

    place: Place
    spec: ModelSpec
    gate: Gate
    registry: Registry

    @cached_property
    def model(self) -> LanguageModel:
        """Loaded on first use, without any vector. Raises ModelMissing."""
        from agents.runtime.lm import LanguageModel

        return LanguageModel.load(self.spec)


@dataclass(frozen=True, slots=True)
class Witness:
    """What served before an erasure, and what it said of the facts that go. In memory only.

    `recipe` None: no vector that serves learnt any of it, and `why` says so. `why` beside a recipe: nothing was asked.
    """

    recipe: Recipe | None = None
    why: str | None = None
    probes: tuple[Probe, ...] = field(default=(), repr=False)
    before: FloatArray | None = field(default=None, repr=False)


def has_weights(place: Place) -> bool:
    """Whether a recipe serves, so that an erasure may touch it."""
    serving = artifacts.pointer(place.database, place.space_id)
    return serving is not None and serving.recipe_id is not None


def witness(ground: Ground, plan: Plan, progress: Progress = no_progress) -> Witness:
    """Ask before the erasure of that plan. Raises LeaseHeld while a night or another hand works on the space."""
    place = ground.place
    serving = artifacts.pointer(place.database, place.space_id)
    if serving is None or serving.recipe_id is None:
        return Witness(why=NO_WEIGHTS)
    if serving.recipe_id not in plan.ids("artifact", "tainted"):
        return Witness(why=NOT_LEARNT)
    recipe = None
    with alone(place):
        try:
            recipe = current_recipe(place.database, place.space_id, place.home)
            if recipe is None:
                return Witness(why=NO_WEIGHTS)
            worn = check(place, recipe, ground.spec)
            probes = _probes(ground, recipe, plan.ids("fact", "goes"))
            if not probes:
                return Witness(recipe, NOT_TAUGHT)
            model = ground.model
            model.apply(worn)
            before = score(model, probes, progress, "what serves")
        except _UNFIT as error:
            return Witness(recipe, _reason(error))
    return Witness(recipe, None, tuple(probes), before)


def _probes(ground: Ground, recipe: Recipe, going: frozenset[str]) -> list[Probe]:
    """Of those facts that the vectors of the recipe were trained on."""
    place = ground.place
    facts = list_facts(
        place.database, place.space_id, ground.registry, statuses=ALL_STATUSES, clock=place.clock
    )
    taught = going & traces(place.database, sorted(_nights(place, recipe))).keys()
    return probes_of([fact for fact in facts if fact.id in taught], facts, ground.registry)


def _nights(place: Place, recipe: Recipe) -> set[str]:
    """Whose facts the vectors hold."""
    return {night for entry in recipe.entries for night in nights_behind(place, entry)}


def settle(
    ground: Ground, seen: Witness | None, begun: Mapping[str, Any], progress: Progress = no_progress
) -> dict[str, Any]:
    """Let weights serve that hold nothing of what went; what a certificate says of them.

    `begun` is what the ledger says of the erasure; without `seen`, it was cut off and nobody was asked before.
    """
    if seen is not None and seen.recipe is None and seen.why in (NO_WEIGHTS, NOT_LEARNT):
        return _told("unchanged", why=seen.why)
    if seen is None and begun["pointer"] is None:
        return _told("unchanged", why=NOT_LEARNT)
    return _Settling(ground, seen or Witness(why=CUT_OFF), progress).run()


@dataclass
class _Settling:
    ground: Ground
    seen: Witness
    progress: Progress
    left: Recipe | None = None  # what served before, without the tainted vectors
    vectors: dict[str, int | None] = field(default_factory=lambda: {"before": None, "tainted": None})
    scored: dict[tuple[Any, ...], FloatArray] = field(default_factory=dict)

    def run(self) -> dict[str, Any]:
        place = self.ground.place
        try:
            before = self.seen.recipe or erased_from(place)
            left = self.left = recipes.without(before, tainted_vectors(place))
            if left == before:
                return _told("unchanged", why=NOT_LEARNT)
            n_before = len(before.entries)
            self.vectors = {"before": n_before, "tainted": n_before - len(left.entries)}
            if not left.entries:
                serve(place, None)
            serving = place.history().recipe(SERVING, before.base_hash)
            if _weights_of(serving) == _weights_of(left):
                return self._fall_back()
            return self._rebuild(serving, left)
        except _UNFIT as error:
            return self._fall_back(why=_reason(error))

    def _rebuild(self, serving: Recipe, left: Recipe) -> dict[str, Any]:
        """What is left serves where exam and test let it."""
        place = self.ground.place
        judged, test = self._judge(serving, left), self._test(left)
        if judged.is_kept and (test is None or test.is_passed):
            serve(place, record(place, left))
            return self._served(test, exam=judged.as_json())
        refused = {
            "why": judged.failed or STILL_KNOWN,
            "exam": judged.as_json(),
            "test": test and test.as_json(),
        }
        return self._fall_back(refused=refused)

    def _judge(self, serving: Recipe, left: Recipe) -> Judged:
        """By what a change may do to everything beside it, against what serves since the erasure."""
        place, model, spec = self.ground.place, self.ground.model, self.ground.spec
        questions = questions_for(place.database, serving, left)
        counter = Counter(self.progress, 2 * (len(questions.kept) + len(questions.others)))
        then, now = check(place, serving, spec), check(place, left, spec)
        model.reset()  # the exam begins with the base
        return QuickExam(model, then, questions, self.ground.gate, counter).judge(now)

    def _test(self, recipe: Recipe) -> WeightsTest | None:
        """Of the weights of the recipe; None where nothing was asked before. Raises ModelMissing and what `check` does."""
        before, left = self.seen.before, self.left
        if before is None or left is None:
            return None
        place = self.ground.place
        base, old_base = self._score(untaught(place, recipe)), self._score(untaught(place, left))
        return compare(base, before, self._score(recipe), old_base)

    def _score(self, recipe: Recipe) -> FloatArray:
        key = _weights_of(recipe)
        if key not in self.scored:
            worn = check(self.ground.place, recipe, self.ground.spec)
            self.ground.model.apply(worn)
            note = "what is left" if worn else "the base"
            self.scored[key] = score(self.ground.model, self.seen.probes, self.progress, note)
        return self.scored[key]

    def _fall_back(self, **told: Any) -> dict[str, Any]:
        """What the erasure left serves, if it passes; else the plain base, which does."""
        place = self.ground.place
        try:
            base_hash = recipes.check_base(None, self.ground.spec)
            test = self._test(place.history().recipe(SERVING, base_hash))
            if test is not None and not test.is_passed:
                told["refused"] = {"why": STILL_KNOWN, "exam": None, "test": test.as_json()}
                serve(place, None)
                test = self._test(Recipe(base_hash))
        except _UNFIT as error:
            return self._served(None, **{**told, "why": told.get("why") or _reason(error)})
        return self._served(test, **told)

    def _served(self, test: WeightsTest | None, **told: Any) -> dict[str, Any]:
        """What the certificate says, by what serves now: no night wrote a recipe that was made again."""
        history = self.ground.place.history()
        version = history.find(SERVING)
        recipe = version.recipe if version else None
        of_base = recipe or self.left
        earlier_or_rebuilt = "earlier" if version and version.run_id else "rebuilt"
        return _told(
            earlier_or_rebuilt if version else "base",
            recipe=history.serving,
            base=of_base and of_base.base_hash,
            vectors={**self.vectors, "after": len(recipe.entries) if recipe else 0},
            test=test and test.as_json(),
            untested=None if test else self.seen.why or told.get("why"),
            **told,
        )


def _told(serves: str, **known: Any) -> dict[str, Any]:
    """Every key is there, null where it has nothing to say."""
    keys = ("recipe", "base", "vectors", "exam", "test", "untested", "refused", "why")
    return {"serves": serves, **{key: known.get(key) for key in keys}}


def _weights_of(recipe: Recipe) -> tuple[Any, ...]:
    """What makes its weights; its history aside."""
    return recipe.base_hash, recipe.entries, recipe.rule, recipe.density, recipe.seed


def untaught(place: Place, recipe: Recipe) -> Recipe:
    """Its base in the sense of the test: the model with those of its vectors that hold no night's facts, such as a primer's."""
    return replace(
        recipe, entries=tuple(entry for entry in recipe.entries if not nights_behind(place, entry))
    )


def _reason(error: Exception) -> str:
    """In a phrase of ours: messages may name folders, and the ledger keeps no words of anybody's."""
    if isinstance(error, ModelMissing):
        return "the base model is not installed"
    if isinstance(error, BaseChanged):
        return "the base model is another one"
    if isinstance(error, MissingVector):
        return "a task vector that is left is missing"
    return "a recipe or a task vector that is left cannot be read"
