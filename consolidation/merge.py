"""Stage `merge`: add tonight's task vectors to a copy of the recipe that they were trained on, and write the new recipe.

Nothing serves yet: `publish` moves the pointer. Runs again to the same file and the same artifact.
"""

from __future__ import annotations

from agents.runtime.adapter import Adapter
from agents.runtime.spec import ModelSpec, resolve
from consolidation import recipe as recipes
from consolidation.errors import StageFailed
from consolidation.primer import recipe_to_extend
from consolidation.recipe import Recipe
from consolidation.recipe_serving import Place
from consolidation.stage import NightContext, Progress, StageResult
from consolidation.style_night import trained_tonight, with_styles
from memory.artifacts import get_artifact, record_artifact

MAX_RESIDUAL = 1e-5  # float32 rounding leaves about 1e-7


def run(context: NightContext, progress: Progress) -> StageResult:
    """Output: recipe (path), recipe_id (artifact, None when nothing was trained), recipe_sha256, residual."""
    trained = context.output("train")
    so_far = recipe_to_extend(context) or Recipe(_base_hash(context))
    progress(0, 2)
    if not trained.get("adapter"):
        recipes.save(context.home, so_far)
        return _result(so_far, None, 0.0)
    adapter = _tonights(context, trained["adapter"], trained.get("adapter_id"))
    label = f"{int(context.output('dream').get('n_facts', 0))} facts"
    merged = recipes.add(so_far, adapter, path=trained["adapter"], run_id=context.run_id, label=label)
    place = Place(context.database, context.space_id, context.home, context.clock)
    merged = with_styles(place, merged, trained_tonight(context))
    residual = recipes.residual(recipes.recipe_adapters(context.home, merged.for_person(None)))
    if not residual <= MAX_RESIDUAL:
        raise StageFailed(
            "merge", f"the factored sum is off by {residual:.1e}; the vectors hold no usable numbers"
        )
    progress(1, 2)
    recipe_id = _record(context, merged, residual)
    progress(2, 2)
    return _result(merged, recipe_id, residual)


def _base_hash(context: NightContext) -> str:
    spec = ModelSpec(source=context.settings.base_model, cache_dir=context.home / "cache")
    return resolve(spec).base_hash


def _tonights(context: NightContext, path: str, artifact_id: str | None) -> Adapter:
    """Tonight's adapter, if it is the one that the training recorded."""
    adapter = Adapter.load(context.home / path)
    if artifact_id is not None:
        recorded = get_artifact(context.database, artifact_id).sha256
        if recorded != adapter.sha256:
            raise StageFailed("merge", f"the adapter in {path} is not the one that was trained; train again")
    return adapter


def _record(context: NightContext, recipe: Recipe, residual: float) -> str:
    recipes.save(context.home, recipe)
    meta = {"entries": len(recipe.entries), "base_hash": recipe.base_hash, "residual": residual}
    with context.database.transaction() as session:
        return record_artifact(
            session,
            context.space_id,
            run_id=context.run_id,
            kind="recipe",
            path=recipe.path,
            sha256=recipe.sha256,
            meta=meta,
            clock=context.clock,
        )


def _result(recipe: Recipe, recipe_id: str | None, residual: float) -> StageResult:
    return StageResult(
        counts={"vectors": len(recipe.entries), "residual": residual},
        output={
            "recipe": recipe.path,
            "recipe_id": recipe_id,
            "recipe_sha256": recipe.sha256,
            "residual": residual,
        },
    )
