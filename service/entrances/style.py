"""What every entrance does with the style of a person: train one outside a night. The shape is in docs/json.md.

A training holds the lease of a night. What is trained on lies in `home/behaviours` meanwhile, where an erasure finds it.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from consolidation import recipe_serving, style_night
from consolidation import style_training as training
from consolidation.behaviour_training import folder_named
from consolidation.errors import TooFewMessages
from consolidation.recipe import Recipe, check_base, current_recipe
from consolidation.recipe_serving import Place
from consolidation.stage import Progress, never, no_progress
from consolidation.style import Ground, material
from consolidation.style_page import read_samples
from service.entrances import recipe_json as shapes
from simulator.tools import check_consent

if TYPE_CHECKING:
    from agents.runtime.lm import LanguageModel
    from service.wiring import Services


@dataclass(frozen=True, slots=True)
class Wish:
    """How it is trained. `minutes` caps the training; `until` is exclusive; `seed` is the night's where there is none."""

    minutes: float | None = None
    until: datetime | None = None
    seed: int | None = None
    is_applied: bool = True


def train(
    services: Services,
    name: str,
    wish: Wish,
    *,
    train_step: Progress = no_progress,
    exam_step: Progress = no_progress,
) -> dict[str, Any]:
    """Train somebody's style on top of what serves, measure it, put it on record, and let it serve where its gate lets it.

    Raises UnknownPerson, NoConsent, TooFewMessages, LeaseHeld, TrainingError.
    """
    place, person = services.place(), services.person(name)
    check_consent(place, person)
    ground = ground_of(services, wish)
    with recipe_serving.alone(place):
        made = material(ground, person, wish.until)
        if made.n_messages < ground.style.min_messages or not made.is_enough:
            raise TooFewMessages(person.name, made.n_messages, ground.style.min_messages)
        recipe = current_recipe(place.database, place.space_id, place.home)
        base_hash = check_base(recipe, services.model_spec())
        folder = folder_named(place, ["style", person.id, wish.until, ground.seed, recipe and recipe.sha256])

        def model() -> LanguageModel:
            exam_step(0, 1, "without and with the style")
            return training.open_model(ground)

        attempt = style_night.Attempt(ground, made, recipe, folder, model, train_step, never)
        told = style_night.train_one(attempt)
        exam_step(1, 1)
        samples = read_samples(folder.path / style_night.SAMPLES)
        told = {**told, "person": person.id}
        served = _serve(place, recipe or Recipe(base_hash), told) if wish.is_applied else None
        shutil.rmtree(folder.path)
    return {**told, "person": person.name, "base": base_hash, "samples": samples, "recipe": served}


def _serve(place: Place, recipe: Recipe, told: dict[str, Any]) -> dict[str, Any] | None:
    """What `recipe add` gives; None where the gate left it out."""
    if not told["serves"]:
        return None
    before = place.history().serving
    version = recipe_serving.record(place, style_night.with_styles(place, recipe, [told]))
    recipe_serving.serve(place, version)
    return shapes.result_json(place, version, before, None)


def ground_of(services: Services, wish: Wish) -> Ground:
    night = services.settings.night
    style = night.style if wish.minutes is None else replace(night.style, max_minutes=wish.minutes)
    return Ground(
        services.place(),
        services.registry,
        services.withhold,
        frozenset(services.settings.privacy.leave_out),
        night.base_model,
        style,
        night.train,
        night.gate,
        night.seed if wish.seed is None else wish.seed,
    )
