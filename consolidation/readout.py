"""Stage `readout`: tonight's directions of the emotions that have enough examples, from the graph's tags.

Positives are messages tagged strongly, negatives messages without the tag, a few for each positive, by the same
speaker where possible and of the nearest length, so that the direction says neither who nor how much. The
activations come from the base with tonight's recipe; the arithmetic is in `readouts`.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from consolidation import readouts
from consolidation.errors import StageFailed
from consolidation.readouts import Activations, Contrast, Provenance, Readout
from consolidation.stage import NightContext, Progress, StageResult
from memory.artifacts import record_artifact
from memory.emotions import list_tags
from memory.episodes import list_episodes
from memory.ports import FloatMatrix
from memory.types import EmotionTag, Episode

MIN_CHARS = 15
NEGATIVES_PER_POSITIVE = 3  # their mean is the noisier half of the contrast
MAX_POSITIVES = 60  # per concept, the most strongly felt first
MAX_CONCEPTS = 24  # the commonest ones
MAX_NEUTRAL = 120
NEUTRAL_BELOW = 3.0  # a text none of whose tags reaches this counts as neutral
DEPTH = (0.4, 0.9)  # layers tried, as shares of the depth, where none are given
CHUNK = 64  # texts between two reports of progress


class Reader(Protocol):
    """What is needed of a model: the part of agents.runtime.LanguageModel that reads the residual stream."""

    def residual_statistics(
        self, texts: Sequence[str], layers: Sequence[int]
    ) -> tuple[FloatMatrix, FloatMatrix]: ...


@dataclass(frozen=True, slots=True)
class Examples:
    """Texts and, per concept, the rows that have it and that do not."""

    texts: tuple[str, ...]
    contrasts: dict[str, Contrast]
    neutral: tuple[int, ...]
    left_out: dict[str, int]
    episodes: tuple[str, ...] = ()  # whose texts they are


def run(context: NightContext, progress: Progress) -> StageResult:
    """Repeatable: the same graph and weights give the same files. No concept with enough examples: no file."""
    tags = list_tags(context.database, context.space_id)
    episodes = list_episodes(context.database, context.space_id)
    examples = choose_examples(
        episodes,
        tags,
        min_intensity=context.settings.readout_min_intensity,
        min_examples=context.settings.readout_min_examples,
    )
    if not examples.contrasts:
        return StageResult(counts={"concepts": 0, "left_out": len(examples.left_out)})
    readout, score = _train(context, examples, progress)
    folder, sha256 = readouts.write_readout(readout, context.home / "readouts")
    path = folder.relative_to(context.home).as_posix()
    meta = {
        "concepts": list(readout.manifest.concepts),
        "layers": list(readout.manifest.layers),
        "episodes": list(examples.episodes),  # an erasure must know which readouts a message is part of
    }
    with context.database.transaction() as session:
        readout_id = record_artifact(
            session,
            context.space_id,
            run_id=context.run_id,
            kind="readout",
            path=path,
            sha256=sha256,
            meta=meta,
            clock=context.clock,
        )
    counts = {
        "concepts": len(examples.contrasts),
        "left_out": len(examples.left_out),
        "texts": len(examples.texts),
        "mean_auroc": round(score, 3),
    }
    return StageResult(counts=counts, output={"readout_id": readout_id, "readout": path})


def choose_examples(
    episodes: Sequence[Episode], tags: Sequence[EmotionTag], *, min_intensity: float, min_examples: int
) -> Examples:
    """Balanced positives and negatives per concept; concepts with too few are left out and named."""
    usable = {item.id: item for item in _distinct(episodes) if len(item.text) >= MIN_CHARS}
    felt: dict[str, dict[str, float]] = defaultdict(dict)  # episode -> concept -> intensity
    for tag in tags:
        if tag.episode_id in usable:
            felt[tag.episode_id][tag.concept] = max(tag.intensity, felt[tag.episode_id].get(tag.concept, 0.0))
    found: Counter[str] = Counter(
        concept
        for by_concept in felt.values()
        for concept, value in by_concept.items()
        if value >= min_intensity
    )
    rows: dict[str, int] = {}
    contrasts: dict[str, Contrast] = {}
    left_out: dict[str, int] = {}
    for concept, _ in sorted(found.items(), key=lambda item: (-item[1], item[0])):
        matched = _matched(concept, usable, felt, min_intensity)
        if len(matched) < min_examples or len(contrasts) == MAX_CONCEPTS:
            left_out[concept] = len(matched)
            continue
        contrasts[concept] = Contrast(
            tuple(_row(rows, positive.id) for positive, _ in matched),
            tuple(_row(rows, negative.id) for _, negatives in matched for negative in negatives),
        )
    neutral = [item for item in usable.values() if max(felt[item.id].values(), default=0.0) < NEUTRAL_BELOW]
    neutral_rows = tuple(_row(rows, item.id) for item in _spread(neutral, MAX_NEUTRAL)) if contrasts else ()
    return Examples(tuple(usable[key].text for key in rows), contrasts, neutral_rows, left_out, tuple(rows))


def _distinct(episodes: Iterable[Episode]) -> list[Episode]:
    """One of each text: the same words in a training and a held-out fold would score themselves."""
    return list({" ".join(item.text.casefold().split()): item for item in episodes}.values())


def _matched(
    concept: str,
    usable: Mapping[str, Episode],
    felt: Mapping[str, Mapping[str, float]],
    min_intensity: float,
) -> list[tuple[Episode, list[Episode]]]:
    """The strongest positives, each with its own nearest negatives; in rounds, so that each gets one first."""
    strength = {key: by_concept[concept] for key, by_concept in felt.items() if concept in by_concept}
    strongest = sorted(
        (key for key, value in strength.items() if value >= min_intensity),
        key=lambda key: (-strength[key], key),
    )
    free = {item.id: item for item in usable.values() if not strength.get(item.id)}
    chosen: dict[str, list[Episode]] = {key: [] for key in strongest[:MAX_POSITIVES]}
    for _ in range(NEGATIVES_PER_POSITIVE):
        for key, negatives in chosen.items():
            if free:
                nearest = min(free.values(), key=lambda item: _distance(usable[key], item))
                negatives.append(free.pop(nearest.id))
    return [(usable[key], negatives) for key, negatives in chosen.items() if negatives]


def _distance(positive: Episode, negative: Episode) -> tuple[bool, int, str]:
    """Another speaker is farther than any length."""
    lengths = abs(len(positive.text) - len(negative.text))
    return positive.speaker_id != negative.speaker_id, lengths, negative.id


def _spread(items: Sequence[Episode], limit: int) -> list[Episode]:
    step = max(1, -(-len(items) // limit))
    return list(items[::step])


def _row(rows: dict[str, int], key: str) -> int:
    return rows.setdefault(key, len(rows))


def _train(context: NightContext, examples: Examples, progress: Progress) -> tuple[Readout, float]:
    """The readout of the chosen layers, and its held-out AUROC on the mean over concepts and layers."""
    from agents.runtime.lm import LanguageModel
    from agents.runtime.spec import ModelSpec
    from consolidation.recipe import load_recipe, recipe_adapters

    settings = context.settings
    recipe_path = context.output("merge")["recipe"]
    progress(0, len(examples.texts), "loading the model")
    spec = ModelSpec(source=settings.base_model, cache_dir=context.home / "cache", dtype=settings.train.dtype)
    recipe = load_recipe(context.home, recipe_path)
    model = LanguageModel.load(spec, recipe_adapters(context.home, recipe))
    tried = layers_to_try(settings.readout_layers, model.n_layers)
    acts_NLD, norms_L = activations(model, examples.texts, tried, progress)
    provenance = Provenance(
        model.base_hash, model.template.sha256, recipe_path, examples.left_out, settings.seed
    )
    readout = readouts.build(
        Activations(acts_NLD, norms_L, tried),
        examples.contrasts,
        examples.neutral,
        provenance,
        n_layers=len(settings.readout_layers) or readouts.N_LAYERS_KEPT,
    )
    return readout, float(np.mean(readout.manifest.auroc))


def layers_to_try(given: Sequence[int], n_layers: int) -> tuple[int, ...]:
    """The given layers, or those in the part of the depth where meaning is held. Raises StageFailed."""
    wrong = [layer for layer in given if not 0 <= layer < n_layers]
    if wrong:
        known = f"the model has layers 0 to {n_layers - 1}"
        raise StageFailed("readout", f"there is no layer {wrong[0]}: {known}; change readout_layers")
    first, last = int(DEPTH[0] * n_layers), max(1, int(DEPTH[1] * n_layers))
    return tuple(given) or tuple(range(min(first, last - 1), last))


def activations(
    model: Reader, texts: Sequence[str], layers: Sequence[int], progress: Progress
) -> tuple[FloatMatrix, FloatMatrix]:
    """Mean residuals (N, L, D) and mean residual norms (L,). Raises StageFailed for numbers that are not finite."""
    parts, norms = [], []
    for start in range(0, len(texts), CHUNK):
        progress(start, len(texts))
        acts_NLD, norms_L = model.residual_statistics(texts[start : start + CHUNK], layers)
        parts.append(acts_NLD)
        norms.append(norms_L * len(acts_NLD))
    whole = np.concatenate(parts)
    if not np.isfinite(whole).all():
        raise StageFailed(
            "readout", "the model gives activations that are not finite; train with another dtype"
        )
    progress(len(texts), len(texts))
    return whole, (np.sum(norms, axis=0) / len(texts)).astype(np.float32)
