"""Published nights without a night: random vectors, recipes and records as the stages leave them, for tests of recipes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save_file

from agents.runtime.adapter import Adapter
from agents.runtime.spec import ModelSpec, resolve
from consolidation import recipe as recipes
from consolidation import runs
from consolidation.recipe import Recipe, current_recipe
from consolidation.recipe_serving import Place
from consolidation.stage import NightSettings, StageResult
from db.tables import Example, SleepRun
from memory.artifacts import move_pointer, record_artifact

SHAPES = {"one": (16, 24), "two": (24, 16)}  # (out, in)


def make_base(home: Path, *, ones: bool = False) -> ModelSpec:
    """A folder with nothing of a model but matrices, which is all that a recipe asks of one; `ones` makes another."""
    folder = home.parent / ("other-base" if ones else "base")
    folder.mkdir(exist_ok=True)
    made = np.ones if ones else np.zeros
    matrices = {f"{name}.weight": made(shape, np.float32) for name, shape in SHAPES.items()}
    save_file(matrices, folder / "model.safetensors")
    return ModelSpec(home / "cache", str(folder))


def make_vector(
    base_hash: str,
    seed: int,
    shapes: Mapping[str, tuple[int, int]] | None = None,
    *,
    scale: float = 1.0,
    rank: int = 2,
) -> Adapter:
    dice = np.random.default_rng(seed)

    def factor(*shape: int) -> Any:
        return (scale * dice.normal(size=shape)).astype(np.float32)

    wanted = SHAPES if shapes is None else shapes
    modules = {name: (factor(rank, n_in), factor(n_out, rank)) for name, (n_out, n_in) in wanted.items()}
    return Adapter(base_hash, rank, 2.0 * rank, modules)


def publish_night(
    place: Place, vector: Adapter, run_id: str, *, label: str = "3 facts", is_published: bool = True
) -> Recipe:
    """A night that trained this vector and published it on top of what serves; its recipe."""
    begin(place, run_id)
    path = f"adapters/{vector.sha256[:12]}"
    vector.save(place.home / path)
    vector.save(place.home / "runs" / run_id / "train" / "adapter")
    so_far = current_recipe(place.database, place.space_id, place.home) or Recipe(vector.base_hash)
    recipe = recipes.add(so_far, vector, path=path, run_id=run_id, label=label)
    recipes.save(place.home, recipe)
    with place.database.transaction() as session:
        made = {}
        for kind, where, sha256 in (("adapter", path, vector.sha256), ("recipe", recipe.path, recipe.sha256)):
            made[kind] = record_artifact(
                session,
                place.space_id,
                run_id=run_id,
                kind=kind,
                path=where,
                sha256=sha256,
                meta={},
                clock=place.clock,
            )
        run = session.get_one(SleepRun, run_id)
        run.is_published, run.status = is_published, "done" if is_published else "refused"
        if is_published:
            move_pointer(
                session,
                place.space_id,
                run_id=run_id,
                recipe_id=made["recipe"],
                readout_id=None,
                clock=place.clock,
            )
    served = made["recipe"] if is_published else None
    merged = {"recipe": recipe.path, "recipe_id": made["recipe"]}
    for stage, output in (("merge", merged), ("publish", {"recipe_id": served})):
        end(place, run_id, stage, output)
    return recipe


def begin(place: Place, run_id: str) -> None:
    settings = NightSettings()
    runs.begin(place.database, place.space_id, run_id, settings, is_resumed=False, clock=place.clock)


def end(place: Place, run_id: str, stage: str, output: dict[str, Any]) -> None:
    runs.begin_stage(place.database, place.space_id, run_id, stage, "h", clock=place.clock)
    runs.end_stage(place.database, run_id, stage, StageResult(output=output), 0.1)


def put_question(place: Place, run_id: str, text: str, *accepted: str, fact_id: str | None = None) -> str:
    """A question of the night's exam; its id."""
    with place.database.transaction() as session:
        row = Example(
            space_id=place.space_id,
            run_id=run_id,
            fact_id=fact_id,
            split="exam",
            kind="recall_paraphrase",
            messages=[{"role": "user", "content": text}, {"role": "assistant", "content": accepted[0]}],
            accepted=list(accepted),
            meta={},
        )
        session.add(row)
        session.flush()
        return row.id


def linear_shapes(folder: Path) -> dict[str, tuple[int, int]]:
    """The modules of a model's blocks."""
    tensors = load_file(folder / "model.safetensors")
    return {
        name.removesuffix(".weight"): (tensor.shape[0], tensor.shape[1])
        for name, tensor in tensors.items()
        if ".layers." in name and tensor.ndim == 2
    }


def base_of(spec: ModelSpec) -> str:
    return resolve(spec).base_hash
