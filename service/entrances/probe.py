"""What every entrance does with probes: label texts, train one, test it, list and show them, read with one.

The shapes are in docs/json.md. A message of the space is named by its id in a file of labels, so that its words stay in
the graph and an erasure reaches them.
"""

from __future__ import annotations

import json
import random
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agents.runtime.token_rules import LAST, MEAN
from consolidation import recipe_serving
from consolidation.behaviour import check_name
from consolidation.errors import BadProbe, BrokenProbe, UnknownProbe
from consolidation.probe_fits import FITS
from consolidation.probe_sets import LabelledSet, read_set
from consolidation.probe_training import (
    Readings,
    Source,
    accuracy_on,
    activations,
    build,
    joined,
    layers_to_try,
    rank_agreement,
    readings_of,
)
from consolidation.probes import FOLDER, TRUTH, Probe, read_probe, write_probe
from consolidation.recipe import check_base
from consolidation.recipe_history import SERVING
from consolidation.stage import Progress, no_progress
from memory.artifacts import Artifact, list_artifacts, record_artifact
from memory.episodes import list_episodes, readable
from memory.types import Episode

if TYPE_CHECKING:
    from agents.runtime.lm import LanguageModel
    from service.wiring import Services

METHODS = tuple(FITS)
TOKEN_RULES = {"last": LAST, "mean": MEAN}
MIN_CHARS = 12  # of a message that is labelled
MIN_NAME = 4  # digits of a hash by which a probe is found
WANTS_A_MODEL = (
    "labels are given by a language model, and none is set; set backend.kind, or write the labels into a file"
)


@dataclass(frozen=True, slots=True)
class Wish:
    """How to train. Without `method` and `token_rule` they go by the kind; without `layers` some eight are tried.

    `recipe`: whose weights are read, by a name of `recipe log`.
    """

    method: str | None = None
    layers: tuple[int, ...] = ()
    token_rule: str | None = None  # last | mean
    recipe: str = SERVING
    seed: int = 0


# Labelling


def label(
    services: Services,
    question: str,
    output: Path,
    *,
    texts: Path | None = None,
    person: str | None = None,
    limit: int = 200,
    seed: int = 0,
    progress: Progress = no_progress,
) -> dict[str, Any]:
    """Labels from 1 to 5 by the question, into a JSON Lines file: of a file's lines, or of messages drawn from the graph.

    What the file has labels of already is not asked about again. Raises BadProbe without a model, UnknownPerson, and
    what a back-end raises that is away; the labels that were given stay.
    """
    from agents.labelling import Labeller

    if services.chat_model is None:
        raise BadProbe(WANTS_A_MODEL)
    labeller = Labeller(services.chat_model, question)
    known = _labelled(output)
    given = _lines(texts) if texts else _messages(services, person, limit, seed)
    waiting = [(row, text) for row, text in given if _key(row) not in known]
    counts: dict[int, int] = defaultdict(int)
    done = 0
    with output.open("a", encoding="utf-8") as file:
        for labels in labeller.label([text for _, text in waiting]):
            for (row, _), found in zip(waiting[done:], labels, strict=False):
                if found is not None:
                    counts[found] += 1
                    file.write(json.dumps({**row, "label": found, "by": labeller.name}, ensure_ascii=False))
                    file.write("\n")
            file.flush()
            done += len(labels)
            progress(done, len(waiting))
    n_labelled = sum(counts.values())
    return {
        "file": str(output),
        "question": question,
        "by": labeller.name,
        "labelled": n_labelled,
        "without_label": len(waiting) - n_labelled,
        "labelled_before": len(given) - len(waiting),
        "labels": {str(one): counts[one] for one in sorted(counts)},
    }


def _labelled(output: Path) -> set[str]:
    if not output.is_file():
        return set()
    found = set()
    for line in output.read_text(encoding="utf-8").splitlines():
        with suppress(ValueError, TypeError, KeyError):
            found.add(_key(json.loads(line)))
    return found


def _key(row: dict[str, str]) -> str:
    return row["episode"] if "episode" in row else " ".join(row["text"].casefold().split())


def _lines(path: Path) -> list[tuple[dict[str, str], str]]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise BadProbe(f"{path.name} is no text; give a file with a text on each line") from error
    return [({"text": line.strip()}, line.strip()) for line in dict.fromkeys(lines) if line.strip()]


def _messages(
    services: Services, person: str | None, limit: int, seed: int
) -> list[tuple[dict[str, str], str]]:
    """Observed messages that readers may see, drawn with the seed."""
    speaker = services.person(person).id if person else None
    seen = [
        episode
        for episode in _readable(services)
        if len(episode.text) >= MIN_CHARS and speaker in (None, episode.speaker_id)
    ]
    drawn = random.Random(seed).sample(seen, min(limit, len(seen)))
    return [({"episode": episode.id}, episode.text) for episode in drawn]


def _readable(services: Services) -> list[Episode]:
    return readable(list_episodes(services.database, services.space_id), services.withhold)


# Training and testing


def train(
    services: Services,
    name: str,
    data: Sequence[Path],
    tests: Sequence[Path],
    wish: Wish,
    *,
    progress: Progress = no_progress,
) -> dict[str, Any]:
    """Train a probe on the files of `data` together, test it on each of `tests`, and put it on record, usable or not.

    Raises BadProbe, BadBehaviour for a name, and what loading the recipe's weights raises.
    """
    check_name(name)
    sets, gone = _sets(services, [*data, *tests])
    own = sets[: len(data)]
    sets = [*own, *(other.without(own) for other in sets[len(data) :])]
    kind = sets[0].kind
    rule = TOKEN_RULES[wish.token_rule or ("last" if kind == TRUTH else "mean")]
    model, recipe = _model(services, wish.recipe)
    layers = layers_to_try(wish.layers, model.n_layers)
    readings = _readings(model, sets, layers, rule, progress)
    probe = build(
        name,
        joined(readings[: len(data)]),
        readings[len(data) :],
        Source(model.base_hash, model.template.sha256, recipe, rule),
        method=wish.method,
        seed=wish.seed,
        left_out={"message is gone": gone} if gone else {},
    )
    folder, sha256 = write_probe(probe, services.settings.home / FOLDER)
    _record(services, probe, folder, sha256, sets)
    return {"probe": sha256, "path": f"{FOLDER}/{folder.name}", **asdict(probe.manifest)}


def _record(services: Services, probe: Probe, folder: Path, sha256: str, sets: Iterable[LabelledSet]) -> None:
    """With the messages it is made of; of texts that came in a file nobody knows whose they are (None)."""
    is_of_graph = all(text.episode is not None for one in sets for text in one.texts)
    episodes = sorted({id for one in sets for id in one.episodes}) if is_of_graph else None
    manifest = probe.manifest
    meta = {
        "name": manifest.name,
        "kind": manifest.kind,
        "usable": manifest.usable,
        "base_hash": manifest.model_hash,
        "episodes": episodes,
    }
    with services.database.transaction() as session:
        record_artifact(
            session,
            services.space_id,
            run_id=None,
            kind="probe",
            path=f"{FOLDER}/{folder.name}",
            sha256=sha256,
            meta=meta,
            clock=services.clock,
        )


def measure(
    services: Services, name: str, data: Sequence[Path], *, progress: Progress = no_progress
) -> dict[str, Any]:
    """How a probe does on other files; changes nothing. Raises UnknownProbe, BrokenProbe, BadProbe."""
    sha256, probe = find(services, name)
    sets, _ = _sets(services, data)
    if sets[0].kind != probe.manifest.kind:
        raise BadProbe(
            f"the probe {probe.manifest.name} is of kind {probe.manifest.kind}, the files are not; give others"
        )
    model = _model_of(services, probe)
    readings = _readings(model, sets, probe.manifest.layers, probe.manifest.token_rule, progress)
    ranks = [rank_agreement(probe.linear, probe.layer, one) for one in readings]
    return {
        "probe": sha256,
        "name": probe.manifest.name,
        "usable": probe.manifest.usable,
        "sets": [
            {**asdict(accuracy_on(probe.linear, probe.layer, one)), "rank": rank and asdict(rank)}
            for one, rank in zip(readings, ranks, strict=True)
        ],
    }


def score(
    services: Services, name: str, texts: Sequence[str], *, progress: Progress = no_progress
) -> dict[str, Any]:
    """What a probe reads in each text. Raises UnusableProbe with the reason, UnknownProbe, BrokenProbe."""
    sha256, probe = find(services, name)
    probe.check_usable()
    if not texts or not all(text.strip() for text in texts):
        raise BadProbe("there is no text to read; give one, or lines on standard input")
    manifest = probe.manifest
    model = _model_of(services, probe)
    acts_NLD, _ = activations(model, texts, manifest.layers, manifest.token_rule, progress)
    return {
        "probe": sha256,
        "name": manifest.name,
        "kind": manifest.kind,
        "texts": [
            {"text": text, "probability": round(found, 4)}
            for text, found in zip(texts, probe.read(acts_NLD[:, 0]), strict=True)
        ],
    }


def _sets(services: Services, paths: Sequence[Path]) -> tuple[list[LabelledSet], int]:
    """The files with the words of the messages they name, and how many of those are gone. Raises BadProbe."""
    given = [read_set(path) for path in paths]
    if len({one.kind for one in given}) != 1:
        raise BadProbe("the files are of different kinds; give labels 0 and 1 in all of them, or 1 to 5")
    said = _words(services, {id for one in given for id in one.episodes})
    found = [one.with_words(said) for one in given]
    return found, len({id for one in given for id in one.episodes} - said.keys())


def _words(services: Services, ids: Collection[str]) -> dict[str, str]:
    return {episode.id: episode.text for episode in _readable(services) if episode.id in ids} if ids else {}


def _readings(
    model: LanguageModel,
    sets: Sequence[LabelledSet],
    layers: Sequence[int],
    token_rule: str,
    progress: Progress,
) -> list[Readings]:
    total, before, found = sum(len(one.texts) for one in sets), 0, []
    for one in sets:
        found.append(readings_of(model, one, layers, token_rule, _within(progress, before, total, one.name)))
        before += len(one.texts)
    return found


def _within(progress: Progress, before: int, whole: int, name: str) -> Progress:
    """The progress of one file as part of the whole."""

    def step(done: int, total: int, note: str = "") -> None:
        progress(before + done, whole, note or name)

    return step


def _model(services: Services, recipe: str) -> tuple[LanguageModel, str | None]:
    """The model with the weights of a recipe, and the recipe's hash; None for the plain base."""
    from agents.runtime.lm import LanguageModel

    place, spec = services.place(), services.model_spec()
    history = place.history()
    worn = recipe_serving.check(place, history.recipe(recipe, check_base(None, spec)), spec)
    version = history.find(recipe)
    return LanguageModel.load(spec, worn), version.sha256 if version else None


def _model_of(services: Services, probe: Probe) -> LanguageModel:
    """The model with the weights that the probe was made with. Raises BrokenProbe for another base, UnknownRecipe."""
    from agents.runtime.spec import resolve
    from consolidation.recipe_history import PLAIN

    probe.check_base(resolve(services.model_spec()).base_hash)
    model, _ = _model(services, probe.manifest.recipe or PLAIN)
    probe.check_shape(model.n_layers, model.hidden_size)
    return model


# On record


def list_all(services: Services) -> list[dict[str, Any]]:
    """Probes on record, the newest first; those that cannot be read carry `error`."""
    return [_row(services, artifact) for artifact in reversed(_kept(services))]


def _row(services: Services, artifact: Artifact) -> dict[str, Any]:
    row = {
        "probe": artifact.sha256,
        "name": artifact.meta["name"],
        "kind": artifact.meta["kind"],
        "at": artifact.created_at.isoformat(),
        "path": artifact.path,
        "usable": False,
    }
    try:
        manifest = read_probe(services.settings.home / artifact.path).manifest
    except BrokenProbe as error:
        return row | {"error": str(error)}
    shown = {"method": manifest.method, "layer": manifest.layers[0], "held_out": asdict(manifest.held_out)}
    return row | shown | {"usable": manifest.usable, "reason": manifest.reason, "error": None}


def show(services: Services, name: str) -> dict[str, Any]:
    """The manifest of a probe. Raises UnknownProbe, BrokenProbe."""
    sha256, probe = find(services, name)
    return {"probe": sha256, **asdict(probe.manifest)}


def find(services: Services, name: str) -> tuple[str, Probe]:
    """The newest probe of that name, or the one whose hash begins like that. Raises UnknownProbe, BrokenProbe."""
    kept = _kept(services)
    named = [artifact for artifact in kept if artifact.meta["name"] == name][-1:]
    if not named and len(name) >= MIN_NAME:
        named = [artifact for artifact in kept if artifact.sha256.startswith(name)]
    if len({artifact.sha256 for artifact in named}) != 1:
        raise UnknownProbe(name, len(named))
    return named[0].sha256, read_probe(services.settings.home / named[0].path)


def _kept(services: Services) -> list[Artifact]:
    """Those that hold nothing that was erased, oldest first."""
    found = list_artifacts(services.database, services.space_id, kind="probe")
    return [artifact for artifact in found if artifact.tainted_at is None]
