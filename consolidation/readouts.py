"""Directions of concepts in the residual stream: how they are made, measured, written, read back and applied.

A direction to steer by (`CAA`) is mean(positive) - mean(negative) of masked mean activations (Contrastive Activation
Addition, https://arxiv.org/abs/2312.06681), less the mean of all concepts' directions at that layer (what merely says
"emotional") and less the main directions in which neutral texts differ from each other (topic and length, which a
few outlier dimensions carry), scaled to unit length. A direction to read by (`LDA`) is the same difference of means,
whitened: Fisher's discriminant, which says least about whatever else the texts differ in; nothing is taken out of
it, for whether a text is emotional at all is part of what tells a concept from the rest. The two are not the same
axis (Haufe et al. 2014, https://doi.org/10.1016/j.neuroimage.2013.10.067: a filter is no pattern), so a readout that is
read by one carries the other as well. The layer index names the residual after that block. Everything needed of the
texts are their `moments`, which add up over nights. numpy only; whoever has a model brings the activations.
Letters: N text, L layer, D hidden, K concept, C component.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from agents.runtime.token_rules import MEAN
from consolidation.errors import BrokenReadout
from consolidation.moments import Moments, differences, whitened
from consolidation.readout_settings import CAA, LDA, METHODS
from memory.ports import FloatMatrix
from memory.whole import whole_file

FORMAT = "slowwave-readout-1"
N_FOLDS = 3
N_LAYERS_KEPT = 3
MAX_COMPONENTS = (
    16  # of neutral text; 10 to 30 read alike, 0 reads 0.05 AUROC worse on 12 emotions of GoEmotions
)
TEXTS_PER_COMPONENT = 5
VECTORS_FILE = "vectors.safetensors"
MANIFEST_FILE = "manifest.json"
STEERING_FILE = "steering.safetensors"  # laid out as the vectors are; there where reading and steering differ
ENVIRONMENT = (
    ("SLOWWAVE_READOUT_VECTORS", "SLOWWAVE_READOUT_MANIFEST"),
    ("VLLM_READOUT_VECTORS", "VLLM_READOUT_MANIFEST"),
)


Rows = np.ndarray[Any, np.dtype[np.bool_]]  # (N,)


@dataclass(frozen=True, slots=True)
class Contrast:
    """Rows of one concept's examples in the activations: with the concept, and without it."""

    positive: tuple[int, ...]
    negative: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Manifest:
    """What belongs to a file of vectors. Lists by layer run like `layers`, lists by concept like `concepts`."""

    concepts: tuple[str, ...]
    layers: tuple[int, ...]
    model_hash: str
    template_hash: str
    recipe: str | None  # the recipe whose weights gave the activations; None is the plain base
    token_rule: str
    n_positive: tuple[int, ...]  # K
    n_negative: tuple[int, ...]  # K
    n_neutral: int
    n_components: int  # neutral components that were taken out
    raw_norms: tuple[tuple[float, ...], ...]  # L x K, before scaling
    mean_residual_norm: tuple[float, ...]  # L
    auroc: tuple[tuple[float, ...], ...]  # L x K, held out over folds
    cross_talk: tuple[tuple[tuple[float, ...], ...], ...]  # L x K x K, cosines
    neutral_mean: tuple[tuple[float, ...], ...]  # L x K, of projections of neutral texts
    neutral_std: tuple[tuple[float, ...], ...]  # L x K
    left_out: dict[str, int]  # concepts with too few examples, and how many they have
    seed: int
    format: str = FORMAT
    tried: tuple[int, ...] = ()  # every layer that was looked at; `layers` are the best of them
    tried_auroc: tuple[tuple[float, ...], ...] = ()  # by tried layer x K, held out over folds
    method: str = CAA  # how `vectors` were made; `raw_norms` and steering are of the differences of means in either case
    shrinkage: tuple[float, ...] = ()  # L, of the correlations that whitened the vectors; none for CAA
    steering_sha256: str | None = None  # of STEERING_FILE
    compared_with: str | None = None  # sha256 of the readout that served before
    stability: tuple[tuple[float | None, ...], ...] = ()  # L x K, cosines with that; None: not in it


@dataclass(frozen=True, slots=True)
class Readout:
    """`vectors` are to read by. To steer by is what `to_steer` gives."""

    manifest: Manifest
    vectors: dict[int, FloatMatrix]  # layer -> (K, D), unit rows
    steering: dict[int, FloatMatrix] = field(
        default_factory=dict
    )  # likewise; empty where `vectors` serve for both

    def read(self, acts_NLD: FloatMatrix) -> list[dict[str, float]]:
        """Per text and concept the reading in standard deviations of neutral text, averaged over the layers.

        The activations' layers are the manifest's, in its order.
        """
        readings = [
            (acts_NLD[:, index] @ self.vectors[layer].T - np.array(self.manifest.neutral_mean[index]))
            / np.array(self.manifest.neutral_std[index])
            for index, layer in enumerate(self.manifest.layers)
        ]
        mean_NK = np.mean(readings, axis=0)
        return [dict(zip(self.manifest.concepts, map(float, row), strict=True)) for row in mean_NK]

    def to_steer(self) -> dict[int, FloatMatrix]:
        """Per layer the unit differences of means (K, D): adding one of them moves a text to where the concept's are.

        Raises BrokenReadout where the vectors are whitened and the file of the differences was not beside them.
        """
        if self.manifest.method != CAA and not self.steering:
            raise BrokenReadout("vectors", f"{STEERING_FILE} is missing beside them; copy it as well")
        return self.steering or self.vectors

    def check_model(self, model_hash: str) -> None:
        """Raises BrokenReadout for another model than the one that gave the activations."""
        if self.manifest.model_hash != model_hash:
            raise BrokenReadout(
                "vectors", f"made with model {self.manifest.model_hash[:12]}, not {model_hash[:12]}"
            )


@dataclass(frozen=True, slots=True)
class Directions:
    """What the arithmetic gives for all layers it was shown. `steering_LKD` equals `vectors_LKD` for CAA."""

    vectors_LKD: FloatMatrix
    raw_norms_LK: FloatMatrix
    auroc_LK: FloatMatrix
    steering_LKD: FloatMatrix
    shrinkage_L: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Activations:
    """What a model gave for some texts at some layers."""

    acts_NLD: FloatMatrix
    norms_L: FloatMatrix  # mean residual norm per token
    layers: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Provenance:
    """What the manifest says about where the activations come from."""

    model_hash: str
    template_hash: str
    recipe: str | None
    left_out: dict[str, int]
    seed: int
    token_rule: str = MEAN


def build(
    seen: Activations,
    contrasts: Mapping[str, Contrast],
    neutral: Sequence[int],
    provenance: Provenance,
    *,
    n_layers: int = N_LAYERS_KEPT,
    method: str = CAA,
) -> Readout:
    """Directions of all concepts at the `n_layers` best of the layers seen, and all that the manifest says.

    Without neutral texts the negatives stand in for them.
    """
    examples = list(contrasts.values())
    found = find_directions(seen.acts_NLD, examples, neutral, seed=provenance.seed, method=method)
    layers = choose_layers(found, seen.layers, n_layers)
    index = [seen.layers.index(layer) for layer in layers]
    rows = list(neutral) or sorted({row for contrast in examples for row in contrast.negative})
    vectors_LKD = found.vectors_LKD[index]
    mean_LK, std_LK = standardise(seen.acts_NLD[rows][:, index], vectors_LKD)
    manifest = Manifest(
        concepts=tuple(contrasts),
        layers=layers,
        model_hash=provenance.model_hash,
        template_hash=provenance.template_hash,
        recipe=provenance.recipe,
        token_rule=provenance.token_rule,
        n_positive=tuple(len(contrast.positive) for contrast in examples),
        n_negative=tuple(len(contrast.negative) for contrast in examples),
        n_neutral=len(rows),
        n_components=n_components(len(neutral)),
        raw_norms=as_rows(found.raw_norms_LK[index]),
        mean_residual_norm=tuple(round(float(norm), 4) for norm in seen.norms_L[index]),
        auroc=as_rows(found.auroc_LK[index]),
        cross_talk=tuple(as_rows(vectors_KD @ vectors_KD.T) for vectors_KD in vectors_LKD),
        neutral_mean=as_rows(mean_LK),
        neutral_std=as_rows(std_LK),
        left_out=provenance.left_out,
        seed=provenance.seed,
        tried=tuple(seen.layers),
        tried_auroc=as_rows(found.auroc_LK),
        method=method,
        shrinkage=tuple(round(found.shrinkage_L[k], 6) for k in index) if found.shrinkage_L else (),
    )
    steering = dict(zip(layers, found.steering_LKD[index], strict=True)) if method != CAA else {}
    return sealed(Readout(manifest, dict(zip(layers, vectors_LKD, strict=True)), steering))


def sealed(readout: Readout) -> Readout:
    """The same with the hash of its directions to steer by in the manifest: what is written is sealed."""
    sha256 = hashlib.sha256(_tensors(readout.steering)).hexdigest() if readout.steering else None
    return replace(readout, manifest=replace(readout.manifest, steering_sha256=sha256))


@dataclass(frozen=True, slots=True)
class Sums:
    """All that directions are made of. A night keeps these for each concept and adds tonight's (`moments`)."""

    positive: tuple[Moments, ...]  # K
    negative: tuple[Moments, ...]  # K
    everything: Moments  # of all texts; with second moments for LDA
    common_LCD: tuple[
        FloatMatrix, ...
    ]  # main components of neutral texts per layer, orthonormal rows; only CAA


def directions_from(sums: Sums, method: str = CAA) -> Directions:
    """Unit directions of sums, with no held-out score (`auroc_LK` is NaN): they have seen all there is.

    `raw_norms_LK` are of the differences of means before whitening and scaling. Raises ValueError for a method that
    is not one of METHODS.
    """
    if method not in METHODS:
        raise ValueError(f"method {method!r} is not one of: {', '.join(METHODS)}")
    raw_LKD = differences(sums.positive, sums.negative)
    # of two concepts, the differences to their mean are the same axis twice
    shared_L1D = raw_LKD.mean(axis=1, keepdims=True) if raw_LKD.shape[1] > 2 else np.float32(0)
    cleared_LKD = np.stack(
        [
            own_KD - own_KD @ common_CD.T @ common_CD
            for own_KD, common_CD in zip(raw_LKD - shared_L1D, sums.common_LCD, strict=True)
        ]
    )
    norms_LK = np.linalg.norm(cleared_LKD, axis=2)
    unknown = np.full(norms_LK.shape, np.nan, dtype=np.float32)
    steering_LKD = _unit(cleared_LKD)
    if method == CAA:
        return Directions(steering_LKD, norms_LK, unknown, steering_LKD)
    vectors_LKD, shrinkage_L = whitened(raw_LKD, sums.everything)
    return Directions(_unit(vectors_LKD), norms_LK, unknown, steering_LKD, shrinkage_L)


def find_directions(
    acts_NLD: FloatMatrix,
    contrasts: Sequence[Contrast],
    neutral: Sequence[int] = (),
    *,
    seed: int,
    n_folds: int = N_FOLDS,
    method: str = CAA,
) -> Directions:
    """Directions from all examples; AUROC of each from folds whose directions have not seen the texts scored."""
    rows = np.arange(len(acts_NLD))
    fold_of = np.random.default_rng(seed).permutation(rows) % n_folds
    aside = [Moments.of(acts_NLD[fold_of == fold], with_second=method == LDA) for fold in range(n_folds)]
    everything = sum(aside[1:], start=aside[0])
    scores = []  # each (L, K), NaN where a fold has no example
    for fold, held in enumerate(aside):
        sums = _sums(acts_NLD, contrasts, neutral, fold_of != fold, everything - held)
        found = directions_from(sums, method)
        scores.append(_auroc_LK(acts_NLD, contrasts, found, fold_of == fold))
    whole = _sums(acts_NLD, contrasts, neutral, fold_of >= 0, everything)
    held_out = np.nanmean(np.stack([*scores, _half_where_never_scored(scores)]), axis=0)
    return replace(directions_from(whole, method), auroc_LK=held_out.astype(np.float32))


def n_components(n_neutral: int) -> int:
    """How many components that many neutral texts can tell."""
    return min(MAX_COMPONENTS, n_neutral // TEXTS_PER_COMPONENT)


def components(acts_ND: FloatMatrix) -> FloatMatrix:
    """The main directions in which the texts differ, as orthonormal rows (C, D); none where there are few texts."""
    wanted = n_components(len(acts_ND))
    if not wanted:
        return np.zeros((0, acts_ND.shape[1]), dtype=np.float32)
    _, _, rows_CD = np.linalg.svd(acts_ND - acts_ND.mean(axis=0), full_matrices=False)
    return np.asarray(rows_CD[:wanted], dtype=np.float32)


def _half_where_never_scored(scores: Sequence[FloatMatrix]) -> FloatMatrix:
    """Chance for what no fold could score, absent elsewhere."""
    never = np.all(np.isnan(np.stack(scores)), axis=0)
    return np.where(never, 0.5, np.nan).astype(np.float32)


def _sums(
    acts_NLD: FloatMatrix,
    contrasts: Sequence[Contrast],
    neutral: Sequence[int],
    is_seen: Rows,
    everything: Moments,
) -> Sums:
    def of(rows: Sequence[int]) -> Moments:
        return Moments.of(acts_NLD[[row for row in rows if is_seen[row]]])

    quiet = [row for row in neutral if is_seen[row]]
    return Sums(
        positive=tuple(of(contrast.positive) for contrast in contrasts),
        negative=tuple(of(contrast.negative) for contrast in contrasts),
        everything=everything,
        common_LCD=tuple(components(acts_NLD[quiet, layer]) for layer in range(acts_NLD.shape[1])),
    )


def _unit(vectors_LKD: FloatMatrix) -> FloatMatrix:
    norms_LK = np.linalg.norm(vectors_LKD, axis=2)
    return np.asarray(vectors_LKD / np.maximum(norms_LK, 1e-8)[..., None], dtype=np.float32)


def _auroc_LK(
    acts_NLD: FloatMatrix, contrasts: Sequence[Contrast], found: Directions, is_held_out: Rows
) -> FloatMatrix:
    scores = np.full(found.raw_norms_LK.shape, np.nan, dtype=np.float32)
    for k, contrast in enumerate(contrasts):
        positive = [row for row in contrast.positive if is_held_out[row]]
        negative = [row for row in contrast.negative if is_held_out[row]]
        if not positive or not negative:
            continue
        for layer in np.flatnonzero(found.raw_norms_LK[:, k] > 0):
            direction = found.vectors_LKD[layer, k]
            scores[layer, k] = auroc(
                acts_NLD[positive, layer] @ direction, acts_NLD[negative, layer] @ direction
            )
    return scores


def auroc(positive: FloatMatrix, negative: FloatMatrix) -> float:
    """The chance that a positive scores above a negative; ties count half."""
    ordered = np.sort(negative)
    below = np.searchsorted(ordered, positive, side="left")
    not_above = np.searchsorted(ordered, positive, side="right")
    return float((below + not_above).mean() / (2 * len(negative)))


def choose_layers(
    directions: Directions, layers: Sequence[int], n_kept: int = N_LAYERS_KEPT
) -> tuple[int, ...]:
    """The layers whose held-out AUROC is best on the mean over concepts, not next to each other where there is a choice.

    Neighbours err alike, so that their mean reads hardly better than one of them. Ties go to the lower layer.
    """
    mean = directions.auroc_LK.mean(axis=1)
    ranked = [layers[k] for k in sorted(range(len(layers)), key=lambda k: (-float(mean[k]), layers[k]))]
    apart = len(layers) // n_kept
    chosen: list[int] = []
    for layer in ranked:
        if len(chosen) < n_kept and all(abs(layer - one) >= apart for one in chosen):
            chosen.append(layer)
    chosen += [layer for layer in ranked if layer not in chosen][: n_kept - len(chosen)]
    return tuple(sorted(chosen))


def standardise(acts_NLD: FloatMatrix, vectors_LKD: FloatMatrix) -> tuple[FloatMatrix, FloatMatrix]:
    """Mean and standard deviation (L, K each) of the projections of neutral texts."""
    projections_NLK = np.einsum("nld,lkd->nlk", acts_NLD, vectors_LKD)
    std = projections_NLK.std(axis=0)
    return projections_NLK.mean(axis=0), np.where(std > 1e-6, std, 1.0).astype(np.float32)


def write_readout(readout: Readout, root: Path) -> tuple[Path, str]:
    """Write under `root` in a folder named by content; returns it with the sha256 over vectors and manifest, which names
    the hash of the directions to steer by. Repeatable."""
    vectors, manifest = _content(readout)
    files = {VECTORS_FILE: vectors, MANIFEST_FILE: manifest}
    if readout.steering:
        files[STEERING_FILE] = _tensors(readout.steering)
    sha256 = content_hash(vectors, manifest)
    folder = root / sha256[:12]
    for name, content in files.items():
        with whole_file(folder / name) as part:
            part.write_bytes(content)
    return folder, sha256


def sha256_of(readout: Readout) -> str:
    """What `write_readout` calls it: the name under which its readings are kept."""
    return content_hash(*_content(readout))


def _content(readout: Readout) -> tuple[bytes, bytes]:
    """The files of vectors and manifest, sealed."""
    manifest = json.dumps(
        asdict(sealed(readout).manifest), indent=1, sort_keys=True, ensure_ascii=False
    ).encode()
    return _tensors(readout.vectors), manifest


def _tensors(by_layer: Mapping[int, FloatMatrix]) -> bytes:
    return save(
        {f"layer_{k}.vectors": np.ascontiguousarray(by_layer[k], np.float32) for k in sorted(by_layer)}
    )


def hash_of(folder: Path) -> str:
    """The sha256 over both files of a readout, as `write_readout` gives it."""
    return content_hash((folder / VECTORS_FILE).read_bytes(), (folder / MANIFEST_FILE).read_bytes())


def content_hash(vectors: bytes, manifest: bytes) -> str:
    """The sha256 that names files of vectors with their manifest."""
    return hashlib.sha256(hashlib.sha256(vectors).digest() + hashlib.sha256(manifest).digest()).hexdigest()


def read_readout(folder: Path) -> Readout:
    return read_files(folder / VECTORS_FILE, folder / MANIFEST_FILE)


def read_files(vectors_path: Path, manifest_path: Path) -> Readout:
    """Directions to steer by are read from beside the vectors, where they are there.

    Raises BrokenReadout where the files are missing, damaged or do not belong together.
    """
    name = vectors_path.parent.name
    try:
        manifest = _manifest(json.loads(manifest_path.read_text(encoding="utf-8")))
        vectors = _by_layer(vectors_path.read_bytes(), manifest)
        steering = _steering(vectors_path.with_name(STEERING_FILE), manifest)
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise BrokenReadout(name, f"{type(error).__name__} while reading it") from error
    for matrix in (*vectors.values(), *steering.values()):
        if len(matrix) != len(manifest.concepts):
            raise BrokenReadout(name, "vectors and manifest name different numbers of concepts")
        if not np.isfinite(matrix).all():
            raise BrokenReadout(name, "it holds numbers that are not finite")
    return Readout(manifest, vectors, steering)


def _by_layer(content: bytes, manifest: Manifest) -> dict[int, FloatMatrix]:
    tensors = load(content)
    return {layer: tensors[f"layer_{layer}.vectors"] for layer in manifest.layers}


def _steering(path: Path, manifest: Manifest) -> dict[int, FloatMatrix]:
    """Empty where there is none to read; ValueError for another readout's."""
    if manifest.steering_sha256 is None or not path.is_file():
        return {}
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != manifest.steering_sha256:
        raise ValueError("directions to steer by are another readout's")
    return _by_layer(content, manifest)


def paths_from(environ: Mapping[str, str]) -> tuple[Path, Path] | None:
    """Vectors and manifest as the environment names them; slowwave's own names win over vLLM's."""
    for vectors, manifest in ENVIRONMENT:
        if environ.get(vectors) and environ.get(manifest):
            return Path(environ[vectors]), Path(environ[manifest])
    return None


def _manifest(plain: dict[str, Any]) -> Manifest:
    if plain.get("format") != FORMAT:
        raise ValueError("the manifest is of another format")
    return Manifest(**{key: _frozen(value) for key, value in plain.items()})


def _frozen(value: Any) -> Any:
    return tuple(_frozen(item) for item in value) if isinstance(value, list) else value


def as_rows(matrix: FloatMatrix) -> tuple[tuple[float, ...], ...]:
    """A matrix as nested tuples of floats, for the manifest."""
    return tuple(tuple(round(float(value), 6) for value in row) for row in matrix)
