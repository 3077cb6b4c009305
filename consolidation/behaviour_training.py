"""A behaviour's task vector: a short run of the trainer on the plain base, and what it does, measured on what was held out.

Beside the examples stand the base's own general replies, as in a night: without them the model unlearns everything else
(ADR 33). What is trained on lies in `home/behaviours` while the training goes on, and nowhere afterwards.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import shutil
from collections.abc import Callable, Collection, Iterable
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from sqlalchemy.orm import Session

from agents.runtime.adapter import Adapter
from agents.runtime.spec import ModelSpec
from consolidation import exam
from consolidation.behaviour import Behaviour, Effect, Yardstick, values_of
from consolidation.exam import Drift
from consolidation.recipe_serving import Place, file_vector
from consolidation.stage import Progress, TrainSettings
from consolidation.trainer.job import JobFolder, TrainJob
from consolidation.training_child import put_job, trained
from consolidation.vectors import Origin
from memory import names, vector_nodes
from memory.erasure.mentions import forms_of
from memory.people import list_people

if TYPE_CHECKING:
    from agents.runtime.lm import LanguageModel

FOLDER = "behaviours"  # in the home, a folder per space: trainings that are not finished
AT_ONCE = 8  # examples in a step
PASSES = 4  # how often each example is shown
LEAST_STEPS, MOST_STEPS = 24, 400
LR, KL_AT_ONCE, KL_WEIGHT = 1e-3, 4, 4.0


@dataclass(frozen=True, slots=True)
class Trained:
    """A vector, and the steps and seconds that the child took."""

    vector: Adapter
    steps: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a vector does at coefficient 1 on the plain base: to what it is for, and to everything else."""

    effect: Effect
    drift: Drift

    def as_json(self) -> dict[str, Any]:
        return {
            **self.effect.as_json(),
            "ppl_change": self.drift.ppl_change,
            "kl_to_base": self.drift.kl_to_base,
        }


def training_settings(night: TrainSettings, n_examples: int, steps: int | None = None) -> TrainSettings:
    """The night's settings of model and adapter with a behaviour's own curriculum; `steps` where they are not to be chosen.

    Where a night has no place for the base's own replies, a behaviour has none either.
    """
    at_once = min(AT_ONCE, n_examples)
    chosen = min(MOST_STEPS, max(LEAST_STEPS, math.ceil(PASSES * n_examples / at_once)))
    return replace(
        night,
        lr=LR,
        steps=chosen if steps is None else steps,
        style_per_step=at_once,
        facts_per_step=0,
        negatives_per_step=0,
        replay_per_step=0,
        kl_per_step=KL_AT_ONCE if night.kl_per_step else 0,
        kl_weight=KL_WEIGHT,
    )


def job_of(behaviour: Behaviour, spec: ModelSpec, settings: TrainSettings, seed: int) -> TrainJob:
    """The vector's manifest keeps the yardstick, so that whoever has it can measure it."""
    meta = Origin(behaviour.sha256).as_meta("behaviour") | behaviour.yardstick.as_json()
    return TrainJob(spec.source, str(spec.cache_dir), settings=settings, seed=seed, meta=meta)


def train(
    behaviour: Behaviour,
    job: TrainJob,
    folder: JobFolder,
    progress: Progress,
    should_stop: Callable[[], bool],
) -> Trained:
    """Train in a child process; one that was cut off goes on. Raises what `training_child.trained` does."""
    put_job(folder, job, behaviour.rows())
    result = trained(folder, progress, should_stop)
    return Trained(Adapter.load(folder.adapter), int(result["steps"]), float(result["seconds"]))


def folder_of(place: Place, behaviour: Behaviour, job: TrainJob) -> JobFolder:
    """Where this training is done in the home."""
    return folder_named(place, [behaviour.sha256, asdict(job)])


def folder_named(place: Place, what: Any) -> JobFolder:
    """The folder of a training outside of nights, by all that decides it; any other one of the space that was left
    unfinished goes."""
    text = json.dumps(what, sort_keys=True, default=str)
    path = place.home / FOLDER / place.space_id / hashlib.sha256(text.encode()).hexdigest()[:16]
    for other in path.parent.glob("*"):
        if other != path:
            shutil.rmtree(other, ignore_errors=True)
    return JobFolder(path)


def examined(
    model: LanguageModel, yardstick: Yardstick, vector: Adapter, coefficient: float = 1.0
) -> Outcome:
    """What the vector does, against the plain base; the model ends up plain."""
    model.reset()
    base, before = exam.general(model), values_of(model, yardstick)
    model.apply([(vector, coefficient)])
    outcome = Outcome(Effect(yardstick, before, values_of(model, yardstick)), exam.drift_from(model, base))
    model.reset()
    return outcome


def named_in(place: Place, behaviour: Behaviour) -> list[str]:
    """Ids of the people of the space whom the examples or the held-out prompts name, in order."""
    conversations = (*behaviour.examples, *behaviour.yardstick.held_out)
    return people_named(place, "\n".join(message["content"] for one in conversations for message in one))


def people_named(place: Place, text: str) -> list[str]:
    """Ids of the people of the space whom a text names, in order."""
    said = set(re.findall(r"\w+", names.key(text)))
    maybe = [
        person.id
        for person in list_people(place.database, place.space_id)
        if any(said & set(re.findall(r"\w+", names.key(name))) for name in (person.name, *person.aliases))
    ]
    with place.database.reading() as session:
        return sorted(one for one in maybe if forms_of(session, place.space_id, [one]).name(text))


def keep(
    place: Place,
    behaviour: Behaviour,
    done: Trained,
    outcome: Outcome,
    *,
    people: Iterable[str] = (),
    patterns: Collection[str] = (),
) -> str:
    """Put the vector into home/adapters and on record, with edges to whom and what it was trained from; its path."""
    meta = {
        "steps": done.steps,
        "behaviour": behaviour.name,
        "examples_sha256": behaviour.sha256,
        "n_examples": len(behaviour.examples),
        "effect": outcome.as_json(),
    }

    def connect(session: Session) -> None:
        vector_nodes.connect(
            session, place.space_id, done.vector.sha256, people=people, patterns=patterns, clock=place.clock
        )

    return file_vector(place, done.vector, meta, connect)
