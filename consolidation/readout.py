"""Stage `readout`: the directions of the emotions that have enough examples, kept current from the graph's tags.

Positives are messages tagged strongly, negatives messages without the tag, a few for each positive, by the same
speaker where possible and of the nearest length, so that the direction says neither who nor how much. A night reads
what is new and adds it to what earlier nights summed up (`readout_sums`); it makes the sums anew where the model or
the settings are others, a message in them is gone, tags were changed, or the weights have moved too far (ADR 39).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from agents.runtime.token_rules import MEAN, TOKEN_RULES
from consolidation import attribution, readout_sums, readouts
from consolidation.activations import in_chunks
from consolidation.errors import BadReadout, BrokenReadout
from consolidation.readout_pairs import NEUTRAL_BELOW, Shelf, Text, distinct
from consolidation.readout_sums import MAX_NEUTRAL, Basis, Fresh, Members, Neutral, RunningSums
from consolidation.readouts import Activations, Contrast, Directions, Manifest, Provenance, Readout
from consolidation.stage import NightContext, NightSettings, Progress, StageResult
from memory.artifacts import get_artifact, list_artifacts, pointer, record_artifact
from memory.emotions import list_tags
from memory.episodes import list_episodes
from memory.ports import FloatMatrix
from memory.types import EmotionTag, Episode

if TYPE_CHECKING:
    from agents.runtime.lm import LanguageModel

MIN_CHARS = 15
NEGATIVES_PER_POSITIVE = 3  # their mean is the noisier half of the contrast
MAX_POSITIVES = 60  # new ones of a concept in one night, the most strongly felt first
MAX_CONCEPTS = 24  # the commonest ones
MAX_DRIFT = 0.5  # of the weights since the sums began, see RunningSums.drift
MAX_CHANGED = 0.1  # share of the texts in the sums whose tags say something else now
LAYER_MARGIN = 0.01  # of AUROC by which other layers must be better to replace those of last night
N_KEPT = 3  # readouts whose sums stay on disk

DEPTH = (1 / 3, 2 / 3)  # layers tried, as shares of the depth; above they cost more and read worse
Rows = np.ndarray[Any, np.dtype[np.bool_]]
CHUNK = 512  # texts between two reports of progress, among which those of like length are read together

FIRST, OTHER_BASIS, GONE, RETAGGED, MOVED, BROKEN = (
    "there were none",
    "the model or the settings are others",
    "a message in them is gone",
    "too many tags in them were changed",
    "the weights have moved too far",
    "their file is damaged or gone",
)  # why sums are made anew


class Reader(Protocol):
    """What is needed of a model: the part of agents.runtime.LanguageModel that reads the residual stream."""

    def residual_statistics(
        self, texts: Sequence[str], layers: Sequence[int], batch_tokens: int = ..., token_rule: str = ...
    ) -> tuple[FloatMatrix, FloatMatrix]: ...


@dataclass(frozen=True, slots=True)
class Graph:
    """What the graph has of examples tonight."""

    episodes: dict[str, Episode]
    felt: dict[str, dict[str, float]]  # episode -> concept -> intensity

    def texts(self, first: Iterable[str] = ()) -> dict[str, Text]:
        """Texts that can be examples by id, each wording once, those of `first` before others."""
        found = distinct(self.episodes.values(), MIN_CHARS, first=frozenset(first))
        return {text.id: text for text in found}


@dataclass(frozen=True, slots=True)
class Intake:
    """What a night adds: members that are new, the neutral sample, and concepts with too few examples."""

    new: dict[str, Members]
    neutral: Neutral
    left_out: dict[str, int]
    texts: dict[str, str]  # id -> words, of all that may be read


@dataclass(frozen=True, slots=True)
class Limits:
    min_intensity: float
    min_examples: int
    seed: int

    @classmethod
    def of(cls, settings: NightSettings) -> Limits:
        return cls(settings.readout_min_intensity, settings.readout_min_examples, settings.seed)


@dataclass(frozen=True, slots=True)
class Earlier:
    """What last night left: its readout with its hash, and its sums or why there are none to go on with."""

    readout: Readout | None = None
    sha256: str | None = None
    sums: RunningSums | None = None
    why_anew: str | None = FIRST


def run(context: NightContext, progress: Progress) -> StageResult:
    """Repeatable: nothing is changed, a new state is written beside the old one. No concept with enough examples: no
    file."""
    from consolidation.recipe import load_recipe, recipe_adapters

    graph = read_graph(
        list_episodes(context.database, context.space_id), list_tags(context.database, context.space_id)
    )
    limits = Limits.of(context.settings)
    first = choose(graph, None, limits)
    if not first.new:
        attribution.refresh(context, progress)
        return StageResult(counts={"concepts": 0, "left_out": len(first.left_out)})
    progress(0, 1, "loading the model")
    model = _plain_model(context)
    attribution.refresh(context, progress, model=model)
    recipe = context.output("merge")["recipe"]
    model.apply(recipe_adapters(context.home, load_recipe(context.home, recipe).for_person(None)))
    basis = Basis(
        model.base_hash,
        model.template.sha256,
        layers_to_try(context.settings.readout_layers, model.n_layers),
        MEAN,
        limits.min_intensity,
        limits.seed,
    )
    earlier = _earlier(context, basis, graph)
    night = advance(graph, earlier, basis, limits, model, recipe, progress)
    n_layers = len(context.settings.readout_layers) or readouts.N_LAYERS_KEPT
    return _record(context, night, earlier, n_layers)


def read_graph(episodes: Sequence[Episode], tags: Sequence[EmotionTag]) -> Graph:
    felt: dict[str, dict[str, float]] = defaultdict(dict)
    for tag in tags:
        felt[tag.episode_id][tag.concept] = max(tag.intensity, felt[tag.episode_id].get(tag.concept, 0.0))
    return Graph({episode.id: episode for episode in episodes}, dict(felt))


def choose(graph: Graph, sums: RunningSums | None, limits: Limits) -> Intake:
    """Balanced members that are not in the sums yet; concepts with too few are left out and named.

    A concept takes MAX_POSITIVES at first, and on later nights as many as have come to the graph since.
    """
    texts = graph.texts(sums.summed if sums else ())
    found: Counter[str] = Counter(
        concept
        for key in texts
        for concept, value in graph.felt.get(key, {}).items()
        if value >= limits.min_intensity
    )
    new: dict[str, Members] = {}
    left_out: dict[str, int] = {}
    for concept, n_found in sorted(found.items(), key=lambda item: (-item[1], item[0])):
        before = sums.members.get(concept, Members()) if sums else Members()
        room = max(0, MAX_POSITIVES - len(before.positive)) + max(0, n_found - before.n_found)
        matched = _matched(concept, graph, texts, before, limits.min_intensity, min(room, MAX_POSITIVES))
        n_examples = len(before.positive) + len(matched)
        if n_examples < limits.min_examples or len(new) == MAX_CONCEPTS:
            left_out[concept] = n_examples
            continue
        new[concept] = Members(
            tuple(positive for positive, _ in matched),
            tuple(negative for _, negatives in matched for negative in negatives),
            n_found,
        )
    return Intake(
        new, _neutral(graph, texts, new, sums, limits.seed), left_out, {k: t.text for k, t in texts.items()}
    )


def _matched(
    concept: str,
    graph: Graph,
    texts: Mapping[str, Text],
    before: Members,
    min_intensity: float,
    limit: int,
) -> list[tuple[str, list[str]]]:
    """The strongest new positives, each with its own nearest negatives; in rounds, so that each gets one first."""
    strength = {key: graph.felt[key][concept] for key in texts if concept in graph.felt.get(key, {})}
    known = {*before.ids}
    strongest = sorted(
        (key for key, value in strength.items() if value >= min_intensity and key not in known),
        key=lambda key: (-strength[key], key),
    )
    free = Shelf(text for key, text in texts.items() if not strength.get(key) and key not in known)
    chosen: dict[str, list[str]] = {key: [] for key in strongest[:limit]}
    for _ in range(NEGATIVES_PER_POSITIVE):
        for key, negatives in chosen.items():
            for nearest in free.near(texts[key])[:1]:
                free.take(nearest)
                negatives.append(nearest.id)
    return [(key, negatives) for key, negatives in chosen.items() if negatives]


def _neutral(
    graph: Graph, texts: Mapping[str, Text], new: Mapping[str, Members], sums: RunningSums | None, seed: int
) -> Neutral:
    quiet = [key for key in texts if max(graph.felt.get(key, {}).values(), default=0.0) < NEUTRAL_BELOW]
    if quiet:
        return Neutral(tuple(readout_sums.sample(quiet, MAX_NEUTRAL, seed)))
    members = [*new.values(), *(sums.members.values() if sums else ())]
    negatives = {key for one in members for key in one.negative}
    return Neutral(tuple(readout_sums.sample(negatives, MAX_NEUTRAL, seed)), is_stand_in=True)


def _plain_model(context: NightContext) -> LanguageModel:
    from agents.runtime.lm import LanguageModel
    from agents.runtime.spec import ModelSpec

    settings = context.settings
    spec = ModelSpec(source=settings.base_model, cache_dir=context.home / "cache", dtype=settings.train.dtype)
    return LanguageModel.load(spec)


def _earlier(context: NightContext, basis: Basis, graph: Graph) -> Earlier:
    """Of the readout that serves: what a refused night has read is read again."""
    serving = pointer(context.database, context.space_id)
    if serving is None or serving.readout_id is None:
        return Earlier()
    artifact = get_artifact(context.database, serving.readout_id)
    if artifact.tainted_at is not None:
        return Earlier(why_anew=GONE)
    folder = context.home / artifact.path
    try:
        readout = readouts.read_readout(folder)
        sums = RunningSums.load(folder)
    except BrokenReadout:
        return Earlier(why_anew=BROKEN)
    why = unfit(sums, basis, graph)
    is_same_model = readout.manifest.model_hash == basis.model_hash
    return Earlier(readout if is_same_model else None, artifact.sha256, None if why else sums, why)


def unfit(sums: RunningSums, basis: Basis, graph: Graph) -> str | None:
    """Why the sums cannot be gone on with; None where they can."""
    if sums.basis != basis:
        return OTHER_BASIS
    if any(key not in graph.episodes for key in sums.episodes):
        return GONE
    n_members = n_changed = 0
    for concept, one in sums.members.items():
        felt = {key: graph.felt.get(key, {}).get(concept, 0.0) for key in one.ids}
        n_members += len(felt)
        n_changed += sum(felt[key] < basis.min_intensity for key in one.positive)
        n_changed += sum(felt[key] > 0 for key in one.negative)
    return RETAGGED if n_changed > MAX_CHANGED * n_members else None


@dataclass(frozen=True, slots=True)
class Night:
    """What a night has read and summed up."""

    sums: RunningSums
    neutral: Activations  # tonight's, of the sums' neutral sample
    left_out: dict[str, int]
    n_read: int
    drift: float
    why_anew: str | None


def advance(
    graph: Graph,
    earlier: Earlier,
    basis: Basis,
    limits: Limits,
    model: Reader,
    recipe: str,
    progress: Progress,
) -> Night:
    """Read what is new and add it; the neutral sample is read every night and tells how far the weights have moved."""
    sums, why_anew = earlier.sums, earlier.why_anew
    intake = choose(graph, sums, limits)
    quiet = _read(model, intake, intake.neutral.ids, basis, progress)
    drift = sums.drift(Fresh(intake.neutral.ids, quiet.acts_NLD)) if sums else 0.0
    if drift > MAX_DRIFT:
        sums, why_anew = None, MOVED
        before, intake = intake, choose(graph, None, limits)
        if intake.neutral != before.neutral:
            quiet = _read(model, intake, intake.neutral.ids, basis, progress)
    wanted = {key for one in intake.new.values() for key in one.ids}
    unread = sorted(wanted.difference(intake.neutral.ids))
    read = _read(model, intake, unread, basis, progress) if unread else None
    acts_NLD = np.concatenate([quiet.acts_NLD, read.acts_NLD]) if read else quiet.acts_NLD
    sums = (sums or RunningSums.empty(basis, acts_NLD.shape[2])).add(
        intake.new, intake.neutral, Fresh((*intake.neutral.ids, *unread), acts_NLD), recipe
    )
    return Night(sums, quiet, intake.left_out, len(acts_NLD), drift, why_anew)


def _read(model: Reader, intake: Intake, ids: Sequence[str], basis: Basis, progress: Progress) -> Activations:
    rows = {key: row for row, key in enumerate(ids)}
    contrasts = {
        concept: Contrast(
            *(tuple(rows[key] for key in side if key in rows) for side in (one.positive, one.negative))
        )
        for concept, one in intake.new.items()
    }
    texts = [intake.texts[key] for key in ids]
    acts_NLD, norms_L = activations(
        model, texts, basis.layers, progress, token_rule=basis.token_rule, contrasts=contrasts
    )
    return Activations(acts_NLD, norms_L, basis.layers)


def _record(context: NightContext, night: Night, earlier: Earlier, n_layers: int) -> StageResult:
    sums, recipe = night.sums, night.sums.recipes[-1]
    found = sums.directions(night.neutral.acts_NLD)
    layers = choose_layers(found, sums.basis.layers, n_layers, earlier.readout)
    basis = sums.basis
    provenance = Provenance(
        basis.model_hash, basis.template_hash, recipe, night.left_out, basis.seed, basis.token_rule
    )
    readout = compared(sums.readout(found, layers, night.neutral, provenance), earlier)
    folder, sha256 = readouts.write_readout(readout, context.home / "readouts")
    path = folder.relative_to(context.home).as_posix()
    meta = {
        "concepts": list(readout.manifest.concepts),
        "layers": list(readout.manifest.layers),
        "episodes": sums.episodes,  # an erasure must know which readouts a message is part of
        "recipes": list(sums.recipes),  # and in whose weights it was read
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
    sums.save(folder)  # not before they are on record, so that an erasure finds them
    _drop_old_sums(context, path)
    output = {"readout_id": readout_id, "readout": path, "anew": night.why_anew}
    return StageResult(counts=_counts(night, readout), output=output)


def _counts(night: Night, readout: Readout) -> dict[str, float]:
    counts: dict[str, float] = {
        "concepts": len(readout.manifest.concepts),
        "left_out": len(night.left_out),
        "texts": night.n_read,
        "examples": len(night.sums.summed),
        "mean_auroc": round(float(np.mean(readout.manifest.auroc)), 3),
        "drift": round(night.drift, 3),
        "anew": float(night.why_anew is not None),
    }
    cosines = list(mean_stability(readout.manifest).values())
    return counts | ({"stability": round(float(np.mean(cosines)), 3)} if cosines else {})


def mean_stability(manifest: Manifest) -> dict[str, float]:
    """Per concept the cosine with the readout that served before, on the mean over the layers that both have."""
    found: dict[str, float] = {}
    for concept, by_layer in zip(manifest.concepts, zip(*manifest.stability, strict=True), strict=False):
        known = [cosine for cosine in by_layer if cosine is not None]
        if known:
            found[concept] = float(np.mean(known))
    return found


def choose_layers(
    found: Directions, tried: Sequence[int], n_layers: int, earlier: Readout | None
) -> tuple[int, ...]:
    """Those with the best held-out AUROC; last night's where the best are hardly better, so that readings compare."""
    best = readouts.choose_layers(found, tried, n_layers)
    kept = earlier.manifest.layers if earlier else ()
    if len(kept) != len(best) or not set(kept) <= set(tried):
        return best
    by_layer = dict(zip(tried, found.auroc_LK.mean(axis=1), strict=True))
    gain = float(np.mean([by_layer[layer] for layer in best]) - np.mean([by_layer[layer] for layer in kept]))
    return best if gain > LAYER_MARGIN else kept


def compared(readout: Readout, earlier: Earlier) -> Readout:
    """With cosines to last night's directions in the manifest; None where that had no such concept or layer."""
    if earlier.readout is None:
        return readout
    before, manifest = earlier.readout, readout.manifest
    place = {concept: k for k, concept in enumerate(before.manifest.concepts)}

    def cosine(layer: int, k: int, concept: str) -> float | None:
        if layer not in before.vectors or concept not in place:
            return None
        return round(float(readout.vectors[layer][k] @ before.vectors[layer][place[concept]]), 4)

    stability = tuple(
        tuple(cosine(layer, k, concept) for k, concept in enumerate(manifest.concepts))
        for layer in manifest.layers
    )
    return replace(readout, manifest=replace(manifest, stability=stability, compared_with=earlier.sha256))


def _drop_old_sums(context: NightContext, tonight: str) -> None:
    """Sums of readouts that no night goes on with: only the newest and what serves are."""
    found = list_artifacts(context.database, context.space_id, kind="readout")
    serving = pointer(context.database, context.space_id)
    kept = {tonight, *(one.path for one in found[-N_KEPT:])}
    kept |= {one.path for one in found if serving is not None and one.id == serving.readout_id}
    for path in {one.path for one in found} - kept:
        (context.home / Path(path) / readout_sums.FILE).unlink(missing_ok=True)


def layers_to_try(given: Sequence[int], n_layers: int, setting: str = "readout_layers") -> tuple[int, ...]:
    """The given layers, or those in the part of the depth where meaning is held. Raises BadReadout."""
    wrong = [layer for layer in given if not 0 <= layer < n_layers]
    if wrong:
        known = f"the model has layers 0 to {n_layers - 1}"
        raise BadReadout(f"there is no layer {wrong[0]}: {known}; change {setting}")
    first, last = int(DEPTH[0] * n_layers), max(1, int(DEPTH[1] * n_layers))
    return tuple(sorted(set(given))) or tuple(range(min(first, last - 1), last))


def activations(
    model: Reader,
    texts: Sequence[str],
    layers: Sequence[int],
    progress: Progress,
    *,
    token_rule: str = MEAN,
    batch_tokens: int | None = None,
    contrasts: Mapping[str, Contrast] | None = None,
) -> tuple[FloatMatrix, FloatMatrix]:
    """Pooled residuals (N, L, D) and mean residual norms (L,) of the texts, of which there must be one.

    Raises BadReadout for a token rule that is none, and for numbers that are not finite, with the concepts of
    `contrasts` that they are of. Without `batch_tokens` batches are of the runtime's own size.
    """
    if token_rule not in TOKEN_RULES:
        raise BadReadout(f"no token rule is called {token_rule!r}; there are: {', '.join(TOKEN_RULES)}")
    more: dict[str, Any] = {} if token_rule == MEAN else {"token_rule": token_rule}
    if batch_tokens is not None:
        more["batch_tokens"] = batch_tokens

    def read(chunk: Sequence[str]) -> tuple[FloatMatrix, FloatMatrix]:
        return model.residual_statistics(chunk, layers, **more)

    acts_NLD, norms_L = in_chunks(read, texts, CHUNK, progress)
    _check_finite(acts_NLD, layers, contrasts or {})
    progress(len(texts), len(texts))
    return acts_NLD, norms_L


def _check_finite(acts_NLD: FloatMatrix, layers: Sequence[int], contrasts: Mapping[str, Contrast]) -> None:
    """Names the first layer and the concepts whose texts give activations that are not finite."""
    broken_NL: Rows = np.any(~np.isfinite(acts_NLD), axis=2)
    if not broken_NL.any():
        return
    place = int(np.flatnonzero(broken_NL.any(axis=0))[0])
    rows = set(np.flatnonzero(broken_NL[:, place]).tolist())
    named = [
        concept for concept, one in contrasts.items() if not rows.isdisjoint({*one.positive, *one.negative})
    ]
    of_whom = (
        f" ({', '.join(named[:3])}{f' and {len(named) - 3} more' if len(named) > 3 else ''})" if named else ""
    )
    raise BadReadout(
        f"layer {layers[place]} gives activations that are not finite for {len(rows)} of {len(broken_NL)} texts"
        f"{of_whom}; read with another dtype, such as float32, or leave that layer out"
    )
