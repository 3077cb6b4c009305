"""What every entrance does to verify the vectors of a recipe: compare each two, wear each alone, draw what was found.

It gives what docs/json.md says. What was found is kept beside the recipe; what serves stays as it is.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from consolidation import recipe as recipes
from consolidation import recipe_serving, verification
from consolidation.recipe import Recipe
from consolidation.recipe_history import SERVING
from consolidation.stage import Progress, no_progress
from memory.whole import write_text
from service.entrances import recipe_json as shapes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from consolidation.exam import Drift
    from consolidation.recipe_gate import Vectors
    from consolidation.vector_exam import Examined
    from service.wiring import Services


@dataclass(frozen=True, slots=True)
class Watch:
    """How far the two parts are."""

    comparing: Progress = no_progress
    exam: Progress = no_progress


def verify(
    services: Services,
    name: str = SERVING,
    *,
    is_examined: bool = True,
    picture: Path | None = None,
    watch: Watch | None = None,
) -> dict[str, Any]:
    """Each vector of the recipe by itself and beside each other one; `picture` is written as its ending says.

    Raises UnknownRecipe, BrokenRecipe, MissingVector, BrokenAdapter, BadVector, TaintedArtifact, and with the exam BaseChanged.
    """
    from consolidation.vectors_picture import compared
    from consolidation.vectors_picture import picture as drawn

    watch = watch or Watch()
    place = services.place()
    history = place.history()
    version = history.find(name)
    recipe_serving.refuse_tainted(place, version)
    recipe = version.usable() if version else Recipe(recipes.check_base(None, services.model_spec()))
    recipe = recipe.for_person(None)  # styles are never worn together
    seen = compared(place.home, recipe, progress=watch.comparing)
    exams, drift = _examined(services, recipe, watch.exam) if is_examined and recipe.entries else ((), None)
    if picture is not None and recipe.entries:
        write_text(picture, drawn(seen, exams, f"Recipe {recipe.sha256[:12]}", picture.suffix))
    found = {"base": recipe.base_hash, **shapes.verified_json(recipe, seen, exams, drift)}
    return {
        **shapes.version_json(history, version),
        **found,
        "file": verification.keep(place, version, found) if version and recipe.entries else None,
        "picture": str(picture) if picture is not None and recipe.entries else None,
    }


def _examined(services: Services, recipe: Recipe, progress: Progress) -> tuple[Sequence[Examined], Drift]:
    from agents.runtime.lm import LanguageModel
    from consolidation.exam import Counter
    from consolidation.vector_exam import VectorExam, plan_for

    place, spec = services.place(), services.model_spec()
    worn = recipe_serving.check(place, recipe, spec)
    vectors = recipes.vectors_of(place.home, recipe)
    plan = plan_for(place.database, recipe, vectors)
    progress(0, plan.n_answers, "loading the model")
    exam = VectorExam(
        LanguageModel.load(spec), plan, worn, services.settings.night.gate, Counter(progress, plan.n_answers)
    )
    exams = [
        exam.judge(number, vector, _rest(place.home, recipe, vectors, number))
        for number, vector in enumerate(vectors)
    ]
    return exams, exam.together


def _rest(home: Path, recipe: Recipe, vectors: Vectors, place: int) -> Vectors:
    """What the recipe without the entry at that place puts on."""
    if recipe.rule == "sum":
        return [*vectors[:place], *vectors[place + 1 :]]
    entries = (*recipe.entries[:place], *recipe.entries[place + 1 :])
    return recipes.recipe_adapters(home, replace(recipe, entries=entries))
