"""One style's training, what it does to the person's own future messages, and its record.

Trained by the night's own child on top of the weights that serve, the base's own replies beside it. It is let serve where
the held-out replies cost fewer nats with it than without, and neutral text hardly more. What serves then is the same training once
more, with what was held out, unless that comes out worse where it can be compared. No torch at import.
"""

from __future__ import annotations

import math
import shutil
import tomllib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agents.errors import AgentError
from agents.runtime.adapter import Adapter
from agents.runtime.spec import ModelSpec, resolve
from agents.turns import Persona, Turn, turn_messages
from consolidation import exam
from consolidation.behaviour_training import people_named
from consolidation.checks import Check, Held
from consolidation.errors import TrainingFailed
from consolidation.primer import style_start
from consolidation.recipe import Recipe, recipe_adapters, worn_folders
from consolidation.stage import Progress, TrainSettings
from consolidation.style import Ground, Material, held_out_prompts, principles_of, rows_of
from consolidation.trainer.job import JobFolder, Row, TrainJob
from consolidation.training_child import put_job, trained
from consolidation.vectors import Origin, hash_rows
from consolidation.windows import Message
from db import tables
from memory import vector_nodes
from memory.artifacts import record_artifact
from memory.errors import GraphError

if TYPE_CHECKING:
    from agents.runtime.lm import LanguageModel

Vectors = Sequence[tuple[Adapter, float]]
LEAST_STEPS = 24
SHARES = (1.0, 0.7, 0.5)  # of the wanted coefficient, tried in turn until the gate is kept
OPENINGS = Path(__file__).with_name("style_openings.toml")
MAX_TOKENS = 512  # of a window with its whole prompt
LOOK_EVERY = 10  # steps; one that begins as talk is past its best after some thirty
SOFTER = 0.5  # of the rate, for one that begins as talk: most of the way is behind it (docs/adr/0069)


@dataclass(frozen=True, slots=True)
class Trained:
    """A vector, and what the child told of its making."""

    vector: Adapter
    steps: int
    best_step: int  # after which the weights are as they are kept
    seconds: float
    stopped_early: bool


@dataclass(frozen=True, slots=True)
class Surprise:
    """What held-out replies cost a model: nats per token, the end of the reply included; bits per character of its text."""

    nats_per_token: float
    bits_per_char: float

    def as_json(self) -> dict[str, float]:
        return {"nats_per_token": self.nats_per_token, "bits_per_char": self.bits_per_char}


@dataclass(frozen=True, slots=True)
class Judged(Held):
    """A style against the recipe without it, at the coefficient that did best by the gate. `ppl_change` is relative to the
    recipe without it."""

    n: int
    coefficient: float
    before: Surprise
    after: Surprise
    checks: tuple[Check, ...]

    def as_json(self) -> dict[str, Any]:
        return {
            "n": self.n,
            "coefficient": self.coefficient,
            "before": self.before.as_json(),
            "after": self.after.as_json(),
            "checks": [check.as_json() for check in self.checks],
            "passed": self.is_kept,
        }


@dataclass(frozen=True, slots=True)
class Refitted(Held):
    """The vector of all windows, `n`, against the one that kept the gate, at that one's coefficient."""

    n: int
    steps: int
    checks: tuple[Check, ...]

    def as_json(self) -> dict[str, Any]:
        return {
            "n_windows": self.n,
            "steps": self.steps,
            "checks": [check.as_json() for check in self.checks],
            "passed": self.is_kept,
        }


@dataclass(frozen=True, slots=True)
class Twin:
    """The vector that was judged in the place of another, trained on the past alone; `heard`: ids of the messages that it and
    its prompts rest on."""

    sha256: str
    heard: frozenset[str]


@dataclass(frozen=True, slots=True)
class Sample:
    """A fixed opening, and what the persona writes with and without the style, drawn with the same seed."""

    said: tuple[str, ...]
    without: str
    styled: str


def training_settings(ground: Ground, n_windows: int) -> TrainSettings:
    """The night's settings of model and adapter with a style's own curriculum."""
    style = ground.style
    showings = min(style.max_showings, math.ceil(style.passes * n_windows))
    return replace(
        ground.train,
        lr=style.lr,
        steps=max(LEAST_STEPS, math.ceil(showings / style.windows_per_step)),
        max_minutes=style.max_minutes,
        style_per_step=style.windows_per_step,
        facts_per_step=0,
        negatives_per_step=0,
        replay_per_step=0,
        kl_per_step=style.kl_per_step if ground.train.kl_per_step else 0,
        kl_weight=style.kl_weight,
        kl_growth=0.0,
        max_tokens=MAX_TOKENS,
        look_every=LOOK_EVERY,
        keep_best=True,
    )


def refit_settings(ground: Ground, material: Material, best_step: int) -> TrainSettings:
    """Those of the training that was best after that step, with as many showings of each window."""
    share = len(material.every) / len(material.trained)
    return replace(
        training_settings(ground, len(material.trained)),
        steps=math.ceil(best_step * share),
        max_minutes=ground.style.max_minutes * share,
        keep_best=False,
    )


def rows_and_settings(
    ground: Ground, material: Material, *, best_step: int | None = None
) -> tuple[list[Row], TrainSettings]:
    """Of the windows of the past; of all of them where it is known how long it is best to train."""
    if best_step is None:
        settings = training_settings(ground, len(material.trained))
    else:
        settings = refit_settings(ground, material, best_step)
        material = material.whole
    return rows_of(material, ground, (settings.steps or 0) * settings.style_per_step), settings


def train(
    ground: Ground,
    material: Material,
    recipe: Recipe | None,
    folder: JobFolder,
    progress: Progress,
    should_stop: Callable[[], bool],
    *,
    best_step: int | None = None,
) -> Trained:
    """Train in a child process, on what `recipe` puts on for nobody in particular; one that was cut off goes on.

    `best_step` as in `rows_and_settings`. Raises what `training_child.trained` does.
    """
    rows, settings = rows_and_settings(ground, material, best_step=best_step)
    home = ground.place.home
    worn = worn_folders(home, recipe.for_person(None), folder.so_far) if recipe else ()
    folder_of_start, begun_as = _start(ground, settings)
    if folder_of_start is not None:
        settings = replace(settings, lr=SOFTER * settings.lr)
    job = TrainJob(
        base_model=ground.base_model,
        cache_dir=str(home / "cache"),
        adapters=worn,
        start=folder_of_start,
        settings=settings,
        seed=ground.seed,
        meta=Origin(hash_rows(rows), recipe.sha256 if recipe else None).as_meta("style") | begun_as,
    )
    put_job(folder, job, rows)
    result = trained(folder, progress, should_stop)
    shutil.rmtree(folder.so_far, ignore_errors=True)  # it holds the weights of nights
    return Trained(
        Adapter.load(folder.adapter),
        int(result["steps"]),
        int(result["best_step"]),
        float(result["seconds"]),
        bool(result["stopped_early"]),
    )


def _start(ground: Ground, settings: TrainSettings) -> tuple[str | None, dict[str, str]]:
    """The folder of what the style begins as, if anything, and its hash for the record."""
    try:
        base_hash = resolve(ModelSpec(ground.place.home / "cache", ground.base_model)).base_hash
        start = style_start(base_hash, settings)
    except (AgentError, GraphError) as error:  # the night's knowledge does not wait for it
        raise TrainingFailed(str(error)) from error
    return (str(start[0]), {"start": start[1]}) if start else (None, {})


# ---- what it does


def open_model(ground: Ground) -> LanguageModel:
    from agents.runtime.lm import LanguageModel

    return LanguageModel.load(ModelSpec(ground.place.home / "cache", ground.base_model, ground.train.dtype))


def worn_by(ground: Ground, recipe: Recipe | None) -> Vectors:
    """What the recipe puts on while nobody in particular speaks."""
    return recipe_adapters(ground.place.home, recipe.for_person(None)) if recipe else []


def judge(model: LanguageModel, ground: Ground, material: Material, worn: Vectors, vector: Adapter) -> Judged:
    """The largest coefficient that keeps the gate, or the last one tried. The model ends up with it on."""
    prompts = list(held_out_prompts(material.judged, material.known, ground.bounds))
    neutral = exam.neutral_texts()
    model.apply(worn)
    before, perplexity = surprise(model, prompts), model.perplexity(neutral)
    for share in SHARES:
        coefficient = share * ground.style.coefficient
        model.apply([*worn, (vector, coefficient)])
        after, change = surprise(model, prompts), model.perplexity(neutral) / perplexity - 1
        judged = Judged(len(prompts), coefficient, before, after, _checks(ground, before, after, change))
        if judged.is_kept:
            break
    return judged


def judge_refit(
    model: LanguageModel, ground: Ground, material: Material, worn: Vectors, done: Trained, judged: Judged
) -> Refitted:
    """What can be said of a vector that has learnt what the gate asks: it has to know that at least as well as the one that
    had not, and to leave neutral text as alone as any. The model ends up with it on."""
    prompts, neutral = (
        list(held_out_prompts(material.judged, material.known, ground.bounds)),
        exam.neutral_texts(),
    )
    model.apply(worn)
    perplexity = model.perplexity(neutral)
    model.apply([*worn, (done.vector, judged.coefficient)])
    after, change = surprise(model, prompts), model.perplexity(neutral) / perplexity - 1
    checks = _checks(ground, judged.after, after, change)
    return Refitted(len(material.every), done.steps, checks)


def _checks(ground: Ground, before: Surprise, after: Surprise, change: float) -> tuple[Check, ...]:
    limit, value = before.nats_per_token, after.nats_per_token
    most = ground.gate.max_ppl_change
    return (
        Check("held_out_nats", value, limit, value < limit, is_at_least=False),
        Check("ppl_change", change, most, change <= most, is_at_least=False),
    )


def surprise(model: LanguageModel, prompts: Sequence[Sequence[Message]]) -> Surprise:
    """Of the replies that end these conversations, together."""
    rows = [model.template.supervised([dict(message) for message in messages]) for messages in prompts]
    since = [is_answer.index(True) for _, is_answer in rows]
    scored = model.rows_logprobs([ids for ids, _ in rows], since=since)
    nats = n_tokens = 0.0
    for (_, is_answer), logprobs, start in zip(rows, scored, since, strict=True):
        said = [float(logprob) for logprob, counts in zip(logprobs, is_answer[start:], strict=True) if counts]
        nats -= math.fsum(said)
        n_tokens += len(said)
    n_chars = sum(len(messages[-1]["content"]) for messages in prompts)
    return Surprise(nats / max(1.0, n_tokens), nats / math.log(2) / max(1, n_chars))


def samples(model: LanguageModel, material: Material, worn: Vectors, styled: Vectors) -> list[Sample]:
    """Replies to the openings of style_openings.toml, with the whole prompt but no facts."""
    fixed = tomllib.loads(OPENINGS.read_text(encoding="utf-8"))
    last = material.judged[-1]
    persona = Persona(
        material.person.name, last.partners[:1], material.known[material.person.name].principles
    )
    rows = [
        model.chat_ids(
            turn_messages(persona, [Turn(persona.partner, said) for said in opening], (), now=last.at)
        )
        for opening in fixed["openings"]
    ]
    drawn = [list(_drawn(model, rows, vectors, persona, fixed)) for vectors in (worn, styled)]
    return [
        Sample(tuple(opening), *replies) for opening, *replies in zip(fixed["openings"], *drawn, strict=True)
    ]


def _drawn(
    model: LanguageModel, rows: Sequence[list[int]], vectors: Vectors, persona: Persona, fixed: dict[str, Any]
) -> Iterator[str]:
    """Each reply up to where somebody else would speak; the messages of one are separated by line breaks."""
    model.apply(vectors)
    for ids in model.continue_ids(
        rows, fixed["tokens"], temperature=fixed["temperature"], seed=fixed["seed"]
    ):
        lines = model.decode(ids).strip().split("\n")
        own = takewhile(lambda line: not _is_others(line, persona), lines)
        yield "\n".join(line.removeprefix(persona.tag).strip() for line in own)


def _is_others(line: str, persona: Persona) -> bool:
    return any(line.startswith(tag) for name, tag in persona.tags.items() if name != persona.name)


# ---- its record


def keep(
    ground: Ground,
    material: Material,
    done: Trained,
    judged: Judged,
    *,
    run_id: str | None = None,
    twin: Twin | None = None,
) -> str:
    """Put the vector into home/adapters and on record, with edges to whom it was trained from; its path.

    Those are everybody whose messages a window holds, and whom these or the prompts' other parts name. `run_id`: the
    night that tried it; the very same vector may have been made in others before. `twin`: whose numbers `judged` are, where
    they are another's. Repeatable.
    """
    place, vector = ground.place, done.vector
    path = f"adapters/{vector.sha256[:12]}"
    if not (place.home / path / "adapter_model.safetensors").is_file():
        vector.save(place.home / path)
    episodes = material.episodes
    named = people_named(place, "\n".join([e.text for e in episodes] + _beside(material)))
    heard = sorted(heard_by(material) | (twin.heard if twin else frozenset()))
    people = sorted({material.person.id, *named, *(episode.speaker_id for episode in episodes)})
    meta = {
        "base_hash": vector.base_hash,
        "rank": vector.rank,
        "steps": done.steps,
        "style": material.person.id,
        "tried_in": [run_id],
        "n_messages": material.n_messages,
        "n_windows": len(material.trained),
        "n_principles": len(principles_of(place, material.person.id)),
        "trained_until": max(window.reply[-1].time for window in material.trained).isoformat(),
        "effect": judged.as_json(),
        "episodes": heard,
        **({"judged_as": twin.sha256} if twin else {}),
        **({"start": vector.meta["start"]} if "start" in vector.meta else {}),
    }
    with place.database.transaction() as session:
        vector_nodes.connect(session, place.space_id, vector.sha256, people=people, clock=place.clock)
        artifact_id = record_artifact(
            session,
            place.space_id,
            run_id=None,  # a night's own is the knowledge it taught
            kind="adapter",
            path=path,
            sha256=vector.sha256,
            meta=meta,
            clock=place.clock,
        )
        row = session.get_one(tables.Artifact, artifact_id)
        others = [run for run in row.meta.get("tried_in", ()) if run != run_id]
        row.meta = {
            **meta,
            "tried_in": [*others, run_id],
            "episodes": sorted({*row.meta["episodes"], *heard}),
        }
    return path


def heard_by(material: Material) -> frozenset[str]:
    """Ids of the messages that its windows hold or that its prompts' other parts rest on."""
    return frozenset(material.evidence.union(episode.id for episode in material.episodes))


def _beside(material: Material) -> list[str]:
    """What the prompts say beside the conversations."""
    return [
        text
        for known in material.known.values()
        for text in (*(item.text for item in known.principles), *known.sayings)
    ]
