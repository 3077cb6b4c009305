"""What every entrance does with behaviours: list and show them, train one, measure one. The shapes are in docs/json.md.

A training holds the lease of a night, and puts a vector on record; only what is asked to be added serves.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from consolidation import behaviour as behaviours
from consolidation import behaviour_training as training
from consolidation import recipe_serving
from consolidation.behaviour import Behaviour, Effect, Yardstick
from consolidation.behaviour_measures import MEASURES
from consolidation.errors import BadBehaviour, UnknownBehaviour
from consolidation.recipe_history import SERVING
from consolidation.recipe_serving import Place
from consolidation.stage import Progress, never, no_progress
from consolidation.vectors import notes_of
from memory.artifacts import Artifact, list_artifacts

if TYPE_CHECKING:
    from service.wiring import Services


@dataclass(frozen=True, slots=True)
class Wish:
    """What to train on, and how. Without `examples` and `pattern` it is the shipped behaviour of that name.

    `about`: names of people whom the examples are about, beside those whom they name. `minutes` caps the training.
    `coefficient`: that of the vector in the recipe, None for no recipe.
    """

    examples: Path | None = None
    pattern: str | None = None
    measure: str | None = None
    wanted: str | None = None
    about: tuple[str, ...] = ()
    steps: int | None = None
    minutes: float | None = None
    seed: int = 0
    coefficient: float | None = None


def train(
    services: Services,
    name: str,
    wish: Wish,
    *,
    train_step: Progress = no_progress,
    exam_step: Progress = no_progress,
) -> dict[str, Any]:
    """Train a behaviour's vector, measure it, put it on record, and add it to what serves where that is wished.

    Raises BadBehaviour, UnknownBehaviour, UnknownPerson, UnknownFact, LeaseHeld, TrainingError.
    """
    from agents.runtime.lm import LanguageModel

    place, spec = services.place(), services.model_spec()
    behaviour, people, patterns = _wanted(services, name, wish)
    night = services.settings.night.train
    if wish.minutes is not None:
        night = replace(night, max_minutes=wish.minutes)
    settings = training.training_settings(night, len(behaviour.examples), wish.steps)
    job = training.job_of(behaviour, spec, settings, wish.seed)
    with recipe_serving.alone(place):
        folder = training.folder_of(place, behaviour, job)
        done = training.train(behaviour, job, folder, train_step, never)
        exam_step(0, 1, "base and vector")
        outcome = training.examined(LanguageModel.load(spec), behaviour.yardstick, done.vector)
        exam_step(1, 1)
        people = {*people, *training.named_in(place, behaviour)}
        path = training.keep(place, behaviour, done, outcome, people=sorted(people), patterns=patterns)
        shutil.rmtree(folder.path)
    return {
        "behaviour": name,
        "vector": done.vector.sha256,
        "path": path,
        "base": done.vector.base_hash,
        "examples": len(behaviour.examples),
        "steps": done.steps,
        "seconds": done.seconds,
        "effect": outcome.as_json(),
        "recipe": None if wish.coefficient is None else _added(services, path, name, wish.coefficient),
    }


def _wanted(services: Services, name: str, wish: Wish) -> tuple[Behaviour, set[str], Sequence[str]]:
    """The behaviour, and the ids of people and patterns that it is made of."""
    about = {services.person(one).id for one in wish.about}
    if wish.examples is None and wish.pattern is None:
        return behaviours.shipped(name), about, ()
    if behaviours.check_name(name) in behaviours.shipped_names():
        raise BadBehaviour(name, "slowwave ships one of that name; give yours another")
    if wish.examples is not None:
        return behaviours.read_behaviour(wish.examples, name), about, ()
    from consolidation.behaviour_patterns import from_pattern

    found = from_pattern(
        services.place(),
        services.registry,
        name,
        wish.pattern or "",
        measure=wish.measure,
        wanted=wish.wanted,
        kinds_left_out=services.settings.privacy.leave_out,
    )
    return found.behaviour, about | set(found.people), (found.pattern,)


def _added(services: Services, path: str, name: str, coefficient: float) -> dict[str, Any]:
    from service.entrances import recipe as recipe_entrance

    folder = services.settings.home / path
    return recipe_entrance.add(services, folder, recipe_entrance.How(), label=name, coefficient=coefficient)


def list_all(services: Services) -> list[dict[str, Any]]:
    """Those that are shipped and those that were trained, by name."""
    place = services.place()
    kept = _kept(place)
    worn = _worn(place)
    return [
        {
            "behaviour": name,
            "shipped": name in behaviours.shipped_names(),
            "vectors": len(kept.get(name, ())),
            "coefficient": next((worn[row.sha256] for row in kept.get(name, ()) if row.sha256 in worn), None),
            "effect": kept[name][-1].meta["effect"] if name in kept else None,
        }
        for name in sorted({*behaviours.shipped_names(), *kept})
    ]


def show(services: Services, name: str) -> dict[str, Any]:
    """One behaviour with its vectors, the newest first. Raises UnknownBehaviour."""
    place = services.place()
    rows, worn = _kept(place).get(name, []), _worn(place)
    yardstick = _yardstick(place, name, rows)
    own = behaviours.shipped(name) if name in behaviours.shipped_names() else None
    return {
        "behaviour": name,
        "shipped": own is not None,
        "description": own and own.description,
        "measure": yardstick.measure,
        "says": yardstick.rule.says,
        "wanted": yardstick.wanted,
        "examples": len(own.examples) if own else rows[-1].meta["n_examples"],
        "held_out": len(yardstick.held_out),
        "vectors": [
            {
                "vector": row.sha256,
                "path": row.path,
                "base": row.meta["base_hash"],
                "at": row.created_at.isoformat(),
                "steps": row.meta["steps"],
                "examples_sha256": row.meta["examples_sha256"],
                "coefficient": worn.get(row.sha256),
                "effect": row.meta["effect"],
            }
            for row in reversed(rows)
        ],
    }


def measure(services: Services, name: str, recipe: str = SERVING) -> dict[str, Any]:
    """How a recipe replies to the behaviour's held-out prompts, beside the plain base.

    Raises UnknownBehaviour, UnknownRecipe, and what `recipe_serving.check` does.
    """
    from agents.runtime.lm import LanguageModel
    from consolidation.recipe import check_base

    place, spec = services.place(), services.model_spec()
    yardstick = _yardstick(place, name, _kept(place).get(name, []))
    history = place.history()
    found = history.recipe(recipe, check_base(None, spec))
    worn = recipe_serving.check(place, found, spec)
    model = LanguageModel.load(spec)
    before = behaviours.values_of(model, yardstick)
    model.apply(worn)
    effect = Effect(yardstick, before, behaviours.values_of(model, yardstick) if worn else before)
    version = history.find(recipe)
    return {"behaviour": name, "recipe": version and version.sha256, **effect.as_json()}


def _kept(place: Place) -> dict[str, list[Artifact]]:
    """The vectors of behaviours by name, oldest first; those that hold what was erased are none."""
    kept: dict[str, list[Artifact]] = {}
    for row in list_artifacts(place.database, place.space_id, kind="adapter"):
        if "behaviour" in row.meta and row.tainted_at is None:
            kept.setdefault(row.meta["behaviour"], []).append(row)
    return kept


def _worn(place: Place) -> dict[str, float]:
    """Vector -> coefficient in the recipe that serves."""
    version = place.history().find(SERVING)
    recipe = version.recipe if version else None
    return {entry.adapter_sha256: entry.coefficient for entry in recipe.entries} if recipe else {}


def _yardstick(place: Place, name: str, rows: Sequence[Artifact]) -> Yardstick:
    """The shipped behaviour's, or that in the manifest of the newest vector."""
    if name in behaviours.shipped_names():
        return behaviours.shipped(name).yardstick
    for row in reversed(rows):
        if yardstick := behaviours.yardstick_of(notes_of(place.home / row.path)):
            return yardstick
    raise UnknownBehaviour(name)


def change_of(effect: dict[str, Any]) -> str:
    """A measured effect in words: "86.2 -> 14.3 words per reply"."""
    rule = MEASURES[effect["measure"]]
    return f"{rule.shown(effect['before'])} -> {rule.shown(effect['after'])} {rule.says}"
