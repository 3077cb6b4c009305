"""The night's part of styles: train those that are due, each behind its own gate, and let those serve that keep it.

They are trained on what serves before the night, not on tonight's vector: where the gate of the night refuses that one, or
where there was nothing new to teach, they serve all the same, with the recipe that was there. Each part can be killed at any
instruction: a finished training is not done again, and what came of it lies in its folder.
"""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from agents.runtime.adapter import Adapter
from consolidation import style_training as training
from consolidation.errors import NightStopped, TrainingFailed, TrainingStopped
from consolidation.primer import recipe_to_extend
from consolidation.recipe import Recipe, changed, with_style
from consolidation.recipe_serving import Place, record, serve, tainted_vectors
from consolidation.stage import NightContext, Progress
from consolidation.style import Candidate, Ground, Material, Standing, as_json, candidates, material
from consolidation.style_training import Judged, Refitted, Trained, Twin, heard_by
from consolidation.trainer.job import JobFolder, read_json
from memory.consent import has_consent
from memory.whole import write_text

if TYPE_CHECKING:
    from agents.runtime.lm import LanguageModel

FOLDER = "style-"  # of a night's training, before the person's id
OUTCOME, SAMPLES = "outcome.json", "samples.json"
REFIT = "refit"  # in a training's folder: the one on all windows
TOO_FEW = "too few messages to hold some out; they speak from the prompt alone"

log = logging.getLogger(__name__)


def train_due(context: NightContext, progress: Progress) -> list[dict[str, Any]]:
    """Everybody who agreed, with what became of their style tonight. Raises NightStopped."""
    ground = Ground.of(context)
    found = candidates(ground)
    if not any(one.standing == Standing.DUE for one in found):
        return [as_json(one) for one in found]
    recipe = recipe_to_extend(context)
    models: list[LanguageModel] = []  # one, once it is needed

    def model() -> LanguageModel:
        if not models:
            models.append(training.open_model(ground))
        return models[0]

    told = []
    for one in found:
        if one.standing == Standing.DUE:
            told.append(_train(context, ground, one, recipe, model, progress))
        else:
            told.append(as_json(one))
    return told


def _train(
    context: NightContext,
    ground: Ground,
    candidate: Candidate,
    recipe: Recipe | None,
    model: Callable[[], LanguageModel],
    progress: Progress,
) -> dict[str, Any]:
    folder = JobFolder(context.run_dir / f"{FOLDER}{candidate.person.id}")
    if (outcome := read_json(folder.path / OUTCOME)) is not None:
        _forget(folder)  # where a kill came before that
        return outcome
    attempt = Attempt(
        ground,
        material(ground, candidate.person),
        recipe,
        folder,
        model,
        progress,
        context.should_stop,
        context.run_id,
    )
    try:
        outcome = {**as_json(candidate), **train_one(attempt)}
    except TrainingStopped as error:
        raise NightStopped(context.run_id) from error
    except TrainingFailed as error:  # the night's knowledge does not wait for it
        _forget(folder)
        return {**as_json(candidate), "standing": Standing.TRAINED.value, "serves": False, "why": str(error)}
    folder.path.mkdir(parents=True, exist_ok=True)
    write_text(folder.path / OUTCOME, json.dumps(outcome))
    _forget(folder)
    return outcome


def _forget(folder: JobFolder) -> None:
    """What is trained on, and weights, lie there while the training goes on, and nowhere in it afterwards."""
    shutil.rmtree(folder.path / REFIT, ignore_errors=True)
    for file in (folder.job_file, folder.rows_file, folder.checkpoint, folder.result):
        file.unlink(missing_ok=True)
    shutil.rmtree(folder.adapter, ignore_errors=True)
    shutil.rmtree(folder.so_far, ignore_errors=True)


@dataclass(frozen=True, slots=True)
class Attempt:
    """A style that is to be trained on top of a recipe, and what it takes. `run_id`: of the night that does."""

    ground: Ground
    made: Material
    recipe: Recipe | None
    folder: JobFolder
    model: Callable[[], LanguageModel]
    progress: Progress
    should_stop: Callable[[], bool]
    run_id: str | None = None

    def train(self, folder: JobFolder, *, best_step: int | None = None) -> Trained:
        return training.train(
            self.ground, self.made, self.recipe, folder, self.progress, self.should_stop, best_step=best_step
        )


@dataclass(frozen=True, slots=True)
class Serving:
    """A training, and where its vector lies in the home."""

    done: Trained
    path: str


def train_one(attempt: Attempt) -> dict[str, Any]:
    """Train, measure and record one style; what came of it, with the samples in the folder.

    Raises what `training_child.trained` does.
    """
    ground, made, folder = attempt.ground, attempt.made, attempt.folder
    if not made.is_enough:
        return {"standing": Standing.PROMPT_ONLY.value, "why": TOO_FEW}
    done = attempt.train(folder)
    worn, model = training.worn_by(ground, attempt.recipe), attempt.model()
    judged = training.judge(model, ground, made, worn, done.vector)
    first = Serving(done, training.keep(ground, made, done, judged, run_id=attempt.run_id))
    serving, again = _refit(attempt, first, judged) if judged.is_kept else (first, None)
    styled = [*worn, (serving.done.vector, judged.coefficient)]
    drawn = training.samples(model, made, worn, styled)
    write_text(folder.path / SAMPLES, json.dumps([asdict(one) for one in drawn], ensure_ascii=False))
    return {
        "standing": Standing.TRAINED.value,
        "n_messages": made.n_messages,
        "n_windows": len(made.trained),
        "vector": serving.done.vector.sha256,
        "path": serving.path,
        "steps": done.steps,
        "seconds": done.seconds,
        "stopped_early": done.stopped_early,
        "effect": judged.as_json(),
        "refit": again.as_json() if again else None,
        "serves": judged.is_kept,
        "why": None if judged.is_kept else judged.failed,
    }


def _refit(attempt: Attempt, first: Serving, judged: Judged) -> tuple[Serving, Refitted | None]:
    """What serves in the place of the vector that kept the gate: that of all windows, unless it comes out worse."""
    ground, made = attempt.ground, attempt.made
    if not ground.style.refit:
        return first, None
    try:
        done = attempt.train(JobFolder(attempt.folder.path / REFIT), best_step=first.done.best_step)
    except TrainingFailed as error:
        log.warning("a style serves as it was judged, since it could not be trained once more: %s", error)
        return first, None
    worn = training.worn_by(ground, attempt.recipe)
    again = training.judge_refit(attempt.model(), ground, made, worn, done, judged)
    if not again.is_kept:
        return first, again
    twin = Twin(first.done.vector.sha256, heard_by(made))
    path = training.keep(ground, made.whole, done, judged, run_id=attempt.run_id, twin=twin)
    return Serving(done, path), again


def with_styles(place: Place, recipe: Recipe, told: Iterable[dict[str, Any]]) -> Recipe:
    """The recipe with the styles that kept their gate, and without those of people who no longer agree."""
    for one in told:
        if one.get("serves") and one["vector"] not in tainted_vectors(place):
            recipe = with_style(
                recipe,
                Adapter.load(place.home / one["path"]),
                path=one["path"],
                person=one["person"],
                coefficient=one["effect"]["coefficient"],
            )
    return changed(
        recipe, [entry for entry in recipe.entries if entry.person is None or _agreed(place, entry.person)]
    )


def _agreed(place: Place, person_id: str) -> bool:
    return has_consent(place.database, place.space_id, person_id)


def trained_tonight(context: NightContext) -> list[dict[str, Any]]:
    told: list[dict[str, Any]] = context.output("train").get("styles") or []
    return told


def serve_styles(context: NightContext) -> int:
    """Let tonight's styles serve with the recipe that was there before the night; how many they are. Repeatable."""
    told = [one for one in trained_tonight(context) if one.get("serves")]
    if not told:
        return 0
    place = Place(context.database, context.space_id, context.home, context.clock)
    before = recipe_to_extend(context) or Recipe(_base_of(place, told[0]))
    serve(place, record(place, with_styles(place, before, told)))
    return len(told)


def _base_of(place: Place, outcome: dict[str, Any]) -> str:
    return Adapter.load(place.home / outcome["path"]).base_hash
