"""What every entrance does with steering: list directions, try one over a range of doses. The shapes are in docs/json.md."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from agents.emotions import CONCEPT_OF
from consolidation.readouts import Readout
from consolidation.stage import Progress, no_progress
from memory.feelings import CONCEPTS
from simulator.steering import CONCEPT, PAIR, TOPIC, Direction, concepts_of
from simulator.steering_sources import Sources

if TYPE_CHECKING:
    from agents.runtime.lm import LanguageModel
    from memory.ports import Embedder, EmotionTagger
    from service.wiring import Services
    from simulator.dosing import Dosing, Measure

JUDGED = frozenset(CONCEPTS) | {
    concept for concept in CONCEPT_OF.values() if concept
}  # what the tagger knows
_EMOTION_JUDGE, _TOPIC_JUDGE = "emotion tagger", "sentence encoder"


@dataclass(frozen=True, slots=True)
class Trial:
    """How a direction is tried; no doses are those of `simulator.dosing`, no layers those of `simulator.steering_sources`."""

    person: str | None = None  # whose messages topics and mentions are made of; default: of all who speak
    readout: Path | None = None  # a folder of files instead of what serves
    doses: tuple[float, ...] = ()
    layers: tuple[int, ...] = ()
    everywhere: bool = False  # steer the prompt as well
    per_opening: int = 2
    n_random: int = 3
    use_weights: bool = True
    seed: int = 0


def list_all(services: Services, folder: Path | None = None) -> dict[str, Any]:
    """Concepts of the readout that serves (or of `folder`) with what lies nearest to and farthest from each."""
    readout = _readout(services, _base_hash(services), folder)
    manifest = readout.manifest if readout else None
    return {
        "base": manifest and manifest.model_hash,
        "layers": list(manifest.layers) if manifest else [],
        "mean_residual_norm": list(manifest.mean_residual_norm) if manifest else [],
        "concepts": _concepts(readout) if readout else [],
        "probes": [
            {"direction": f"probe:{row['name']}", "usable": row["usable"]} for row in _probes(services)
        ],
    }


def _concepts(readout: Readout) -> list[dict[str, Any]]:
    manifest = readout.manifest
    auroc_K = np.mean(manifest.auroc, axis=0)
    vectors = readout.to_steer()
    cosines_KK = np.mean([vectors[layer] @ vectors[layer].T for layer in manifest.layers], axis=0)
    rows = []
    for k, concept in enumerate(manifest.concepts):
        others = [other for other in range(len(manifest.concepts)) if other != k]
        ordered = [other for _, other in sorted((float(cosines_KK[k, other]), other) for other in others)]
        rows.append(
            {
                "direction": concept,
                "examples": manifest.n_positive[k],
                "auroc": round(float(auroc_K[k]), 4),
                "nearest": manifest.concepts[ordered[-1]] if ordered else None,
                "farthest": manifest.concepts[ordered[0]] if ordered else None,
            }
        )
    return rows


def _probes(services: Services) -> list[dict[str, Any]]:
    from service.entrances import probe

    return [row for row in probe.list_all(services) if not row.get("error")]


def try_doses(
    services: Services, name: str, trial: Trial, *, progress: Progress = no_progress
) -> tuple[Dosing, dict[str, Any]]:
    """Dose against effect, and the same as JSON.

    Raises UnknownDirection, TooFewExamples, OtherBase, UnknownPerson, BrokenReadout, UnfitVectors.
    """
    from simulator.dosing import DOSES, Bed, Plan, dose_response, openings

    model, recipe = _model(services, use_weights=trial.use_weights)
    person = services.person(trial.person) if trial.person else None
    readout = _readout(services, model.base_hash, trial.readout)
    services.index.refresh()
    sources = Sources(services.simulator_tools(), model, readout, person, trial.layers)
    direction = sources.find(name)
    plan = Plan(
        openings(),
        per_opening=trial.per_opening,
        n_random=trial.n_random,
        seed=trial.seed,
        positions="all" if trial.everywhere else "reply",
    )
    judge, judge_name = judge_of(direction, services.tagger, services.embedder)
    bed = Bed(model, plan, sources.measure(direction), judge)
    found = dose_response(bed, direction, trial.doses or DOSES, progress)
    told = {"auroc": direction.auroc, "examples": direction.n_examples, "judge": judge_name, "recipe": recipe}
    return found, {**found.as_json(), **told}


def judge_of(
    direction: Direction, tagger: EmotionTagger, embedder: Embedder
) -> tuple[Measure | None, str | None]:
    """Who says whether a text has what the direction stands for, without having seen it; and their name.

    Of concepts the tagger's intensity (of a pair that of the first less that of the second), of topics the cosine of text
    and topic as the sentence encoder sees them. Nobody judges probes and mentions.
    """
    if direction.kind in (CONCEPT, PAIR):
        try:
            one, other = concepts_of(direction.name, sorted(JUDGED))
        except LookupError:
            return None, None
        return (
            lambda texts: [_of(tags, one) - _of(tags, other) for tags in tagger.tag(texts)]
        ), _EMOTION_JUDGE
    if direction.kind == TOPIC:
        words = embedder.encode([direction.name.partition(":")[2]])[0]
        return (lambda texts: [float(value) for value in embedder.encode(texts) @ words]), _TOPIC_JUDGE
    return None, None


def _of(tags: dict[str, float], concept: str | None) -> float:
    return tags.get(concept, 0.0) if concept else 0.0


def _base_hash(services: Services) -> str:
    from agents.runtime.spec import resolve

    return resolve(services.model_spec()).base_hash


def _readout(services: Services, base_hash: str, folder: Path | None) -> Readout | None:
    from consolidation.current import current_readout
    from consolidation.readouts import read_readout

    if folder is None:
        return current_readout(services.database, services.space_id, services.settings.home, base_hash)
    readout = read_readout(folder)
    readout.check_model(base_hash)
    return readout


def _model(services: Services, *, use_weights: bool) -> tuple[LanguageModel, str | None]:
    """With the weights that serve, and their recipe's hash."""
    from agents.runtime.lm import LanguageModel
    from consolidation.recipe import current_recipe, recipe_adapters

    home = services.settings.home
    recipe = current_recipe(services.database, services.space_id, home) if use_weights else None
    worn: Sequence[Any] = recipe_adapters(home, recipe.for_person(None)) if recipe else ()
    return LanguageModel.load(services.model_spec(), worn), recipe.sha256 if recipe else None
