"""How a probe is made: activations of labelled texts, a layer chosen by folds, and what it is worth where it was not trained.

Nothing that a number is taken on has helped to choose what the number is about: in each fold the layer is chosen anew
on the other folds, and sets named for testing are seen once, at the end. Texts of one group stay together.
Letters: N text, L layer, D hidden.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from agents.runtime.token_rules import LAST
from consolidation.activations import in_chunks
from consolidation.errors import BadProbe
from consolidation.probe_fits import (
    CORRECTED,
    FITS,
    MASS_MEAN,
    TWO_D,
    Array,
    Fit,
    Flags,
    Linear,
    cells,
    steepness,
)
from consolidation.probe_sets import HIGH, LOW, LabelledSet, LabelledText
from consolidation.probes import (
    CONFIDENCE_Z,
    LABELS,
    TRUTH,
    Accuracy,
    Probe,
    ProbeManifest,
    RankAgreement,
    verdict,
)
from consolidation.stage import Progress, no_progress
from memory.ports import FloatMatrix

N_FOLDS = 3
MIN_PER_LABEL = 12  # texts of either side; with fewer no fold can tell
MIN_MIDDLE = 12  # texts labelled 2 to 4, with two labels among them, from which an order can be told
LAYERS_TRIED = 8
FIRST_DEPTH = 0.25  # below it residuals are about the token
CHUNK = 256
MAX_CHARS = 8000  # of one text; what stands behind them is not read
_ENDS = (".", "!", "?", "…")


class Reader(Protocol):
    """What a language model does here (`agents.runtime.lm`)."""

    def residual_statistics(
        self, texts: Sequence[str], layers: Sequence[int], *, token_rule: str
    ) -> tuple[FloatMatrix, FloatMatrix]: ...


@dataclass(frozen=True, slots=True)
class Readings:
    """Labelled texts as a model holds them. `layers` runs like the second axis."""

    name: str
    kind: str
    texts: tuple[LabelledText, ...]
    acts_NLD: FloatMatrix
    norms_L: FloatMatrix
    layers: tuple[int, ...]

    @property
    def labels_N(self) -> npt.NDArray[np.int64]:
        return np.array([one.label for one in self.texts])

    @property
    def is_extreme(self) -> Flags:
        """Which texts train: all that are true or false, the ends of graded labels."""
        return np.isin(self.labels_N, (0, 1) if self.kind == TRUTH else (LOW, HIGH))

    @property
    def is_yes(self) -> Flags:
        return np.asarray(self.labels_N == (1 if self.kind == TRUTH else HIGH))

    @property
    def is_negated(self) -> Flags:
        return np.array([one.is_negated for one in self.texts], dtype=bool)

    @property
    def groups(self) -> list[str]:
        return [one.group for one in self.texts]

    def at(self, rows: Flags) -> Readings:
        texts = tuple(one for one, is_in in zip(self.texts, rows, strict=True) if is_in)
        return Readings(self.name, self.kind, texts, self.acts_NLD[rows], self.norms_L, self.layers)


@dataclass(frozen=True, slots=True)
class Trained:
    """A classifier of one layer, and how it did where it was not trained."""

    linear: Linear
    layer: int
    layer_accuracy: dict[int, float]
    held_out_logits_N: Array  # of the texts that train, in their order


@dataclass(frozen=True, slots=True)
class Source:
    """What the manifest says about where the activations come from."""

    model_hash: str
    template_hash: str
    recipe: str | None
    token_rule: str


def closed(text: str) -> str:
    """The text with a mark at its end, whose token holds what the whole says."""
    plain = text.strip()
    return plain if plain.rstrip("\"'”’)").endswith(_ENDS) else f"{plain}."


def layers_to_try(given: Sequence[int], n_layers: int) -> tuple[int, ...]:
    """The given layers, or some eight over the upper three quarters. Raises BadProbe."""
    for layer in given:
        if not 0 <= layer < n_layers:
            raise BadProbe(f"there is no layer {layer}: the model has layers 0 to {n_layers - 1}")
    first = int(FIRST_DEPTH * n_layers)
    step = max(1, (n_layers - first) // (LAYERS_TRIED - 1))
    return tuple(sorted(set(given))) or tuple(range(first, n_layers, step))


def readings_of(
    model: Reader,
    given: LabelledSet,
    layers: Sequence[int],
    token_rule: str,
    progress: Progress = no_progress,
) -> Readings:
    """Raises BadProbe for activations that are not finite."""
    texts = [one.text for one in given.texts]
    acts_NLD, norms_L = activations(model, texts, layers, token_rule, progress)
    return Readings(given.name, given.kind, given.texts, acts_NLD, norms_L, tuple(layers))


def activations(
    model: Reader,
    texts: Sequence[str],
    layers: Sequence[int],
    token_rule: str,
    progress: Progress = no_progress,
) -> tuple[FloatMatrix, FloatMatrix]:
    """Residuals (N, L, D) by the rule, and mean residual norms (L,). Raises BadProbe where they are not finite."""

    def read(chunk: Sequence[str]) -> tuple[FloatMatrix, FloatMatrix]:
        shown = [text[:MAX_CHARS] for text in chunk]
        if token_rule == LAST:
            shown = [closed(text) for text in shown]
        return model.residual_statistics(shown, layers, token_rule=token_rule)

    acts_NLD, norms_L = in_chunks(read, texts, CHUNK, progress)
    if not np.isfinite(acts_NLD).all():
        raise BadProbe("the model gives activations that are not finite; load it with another dtype")
    progress(len(texts), len(texts))
    return acts_NLD, norms_L


def joined(sets: Sequence[Readings], name: str | None = None) -> Readings:
    """Several sets as one, of which all have the same kind. Raises BadProbe."""
    kinds = {one.kind for one in sets}
    if len(kinds) != 1:
        raise BadProbe("the files are of different kinds; give labels 0 and 1 in all of them, or 1 to 5")
    weights = [len(one.texts) for one in sets]
    return Readings(
        name or "+".join(one.name for one in sets),
        kinds.pop(),
        tuple(text for one in sets for text in one.texts),
        np.concatenate([one.acts_NLD for one in sets]),
        np.average([one.norms_L for one in sets], axis=0, weights=weights).astype(np.float32),
        sets[0].layers,
    )


def choose_method(readings: Readings) -> str:
    """Two dimensions where true and false statements of both polarities are there, else one: covariance-corrected for
    labels, whose probe is read on texts of the same kind, and plain for truth, which is to hold on others."""
    if readings.kind == LABELS:
        return CORRECTED
    rows = readings.at(readings.is_extreme)
    return TWO_D if min(cells(rows.is_yes, rows.is_negated)) >= MIN_PER_LABEL else MASS_MEAN


def check(readings: Readings, method: str) -> None:
    """Raises BadProbe where no probe can be trained."""
    rows = readings.at(readings.is_extreme)
    n_yes, n_no = int(rows.is_yes.sum()), int((~rows.is_yes).sum())
    yes, no = (1, 0) if readings.kind == TRUTH else (HIGH, LOW)
    if min(n_yes, n_no) < MIN_PER_LABEL:
        raise BadProbe(
            f"{n_yes} texts are labelled {yes} and {n_no} are labelled {no}; a probe needs {MIN_PER_LABEL} of either"
        )
    if method == TWO_D and min(cells(rows.is_yes, rows.is_negated)) < MIN_PER_LABEL:
        raise BadProbe(
            f"the {TWO_D} method needs {MIN_PER_LABEL} true and {MIN_PER_LABEL} false statements each of affirmed and of "
            "negated ones; add some, or choose another method"
        )
    if len(set(rows.groups)) < 2 * N_FOLDS:
        raise BadProbe(f"the texts are of fewer than {2 * N_FOLDS} groups, so none can be held out")


def train(readings: Readings, method: str, *, seed: int) -> Trained:
    """Fit on all texts that train, at the layer that is best over folds of them. Raises BadProbe."""
    check(readings, method)
    # on matrices this small, threads wait longer for each other than they work
    with threadpool_limits(1, user_api="blas"):
        return _trained(readings.at(readings.is_extreme), FITS[method], seed)


def _trained(rows: Readings, fit: Fit, seed: int) -> Trained:
    outer = folds_of(rows, seed)
    logits_N = np.zeros(len(rows.texts))
    for fold in range(N_FOLDS):
        inside = rows.at(outer != fold)
        best, _ = best_layer(inside, fit, seed + 1 + fold)
        linear = fit(inside.acts_NLD[:, best], inside.is_yes, inside.is_negated)
        logits_N[outer == fold] = linear.logits(rows.acts_NLD[outer == fold, best])
    best, accuracy = best_layer(rows, fit, seed)
    linear = fit(rows.acts_NLD[:, best], rows.is_yes, rows.is_negated)
    factor = steepness(out_of_fold(rows, fit, outer, best), rows.is_yes)
    return Trained(linear.scaled(factor), rows.layers[best], accuracy, logits_N)


def best_layer(rows: Readings, fit: Fit, seed: int) -> tuple[int, dict[int, float]]:
    """Place of the layer that is most often right over folds (ties: the lower), and layer -> accuracy."""
    folds = folds_of(rows, seed)
    accuracy = {
        layer: float(((out_of_fold(rows, fit, folds, place) > 0) == rows.is_yes).mean())
        for place, layer in enumerate(rows.layers)
    }
    best = max(accuracy, key=lambda layer: (accuracy[layer], -layer))
    return rows.layers.index(best), accuracy


def out_of_fold(rows: Readings, fit: Fit, folds_N: npt.NDArray[np.int64], place: int) -> Array:
    """Logits of each text by a fit that has not seen its fold, at one layer."""
    logits_N = np.zeros(len(rows.texts))
    for fold in range(N_FOLDS):
        is_out = folds_N == fold
        linear = fit(rows.acts_NLD[~is_out, place], rows.is_yes[~is_out], rows.is_negated[~is_out])
        logits_N[is_out] = linear.logits(rows.acts_NLD[is_out, place])
    return logits_N


def folds_of(rows: Readings, seed: int) -> npt.NDArray[np.int64]:
    """Fold of each text: whole groups, dealt so that labels and polarities are spread evenly. Raises BadProbe where a
    fold leaves only one label."""
    members: dict[str, list[int]] = {}
    for place, group in enumerate(rows.groups):
        members.setdefault(group, []).append(place)
    is_yes, is_negated = rows.is_yes, rows.is_negated
    shuffled = np.random.default_rng(seed).permutation(sorted(members))
    dealt = sorted(
        map(str, shuffled),
        key=lambda group: (float(is_yes[members[group]].mean()), float(is_negated[members[group]].mean())),
    )
    folds = np.zeros(len(rows.texts), dtype=np.int64)
    for turn, group in enumerate(dealt):
        folds[members[group]] = turn % N_FOLDS
    for fold in range(N_FOLDS):
        if len(set(is_yes[folds != fold])) < 2 or not (folds == fold).any():
            raise BadProbe("the groups leave one label only when one is held out; give more of them")
    return folds


def accuracy_on(linear: Linear, layer: int, readings: Readings) -> Accuracy:
    """How often the classifier is right on a whole set that it was not trained on."""
    rows = readings.at(readings.is_extreme)
    if not len(rows.texts):
        raise BadProbe(f"{readings.name} has no text with a label that can test")
    logits_N = linear.logits(rows.acts_NLD[:, rows.layers.index(layer)])
    return Accuracy.of(readings.name, logits_N, rows.is_yes)


def rank_agreement(linear: Linear, layer: int, readings: Readings) -> RankAgreement | None:
    """Whether texts labelled 2 to 4 read in that order; None where they are too few or all alike."""
    from scipy.stats import spearmanr  # takes longer to load than what most callers do

    rows = readings.at(~readings.is_extreme)
    if readings.kind != LABELS or len(rows.texts) < MIN_MIDDLE or len(set(rows.labels_N)) < 2:
        return None
    logits_N = linear.logits(rows.acts_NLD[:, rows.layers.index(layer)])
    found = float(np.nan_to_num(spearmanr(logits_N, rows.labels_N).statistic))
    n = len(rows.texts)
    # standard error of the transform: https://doi.org/10.1007/BF02294183
    error = float(np.sqrt((1 + found**2 / 2) / (n - 3)))
    bound = float(np.tanh(np.arctanh(np.clip(found, -0.9999, 0.9999)) - CONFIDENCE_Z * error))
    return RankAgreement(n, round(found, 4), round(bound, 4))


def build(
    name: str,
    readings: Readings,
    others: Iterable[Readings],
    source: Source,
    *,
    method: str | None = None,
    seed: int = 0,
    left_out: Mapping[str, int] | None = None,
) -> Probe:
    """Train a probe, test it on the other sets, and judge it. Raises BadProbe."""
    chosen = method or choose_method(readings)
    trained = train(readings, chosen, seed=seed)
    rows = readings.at(readings.is_extreme)
    held_out = Accuracy.of("held-out texts of its own sets", trained.held_out_logits_N, rows.is_yes)
    elsewhere = tuple(accuracy_on(trained.linear, trained.layer, one) for one in others)
    rank = rank_agreement(trained.linear, trained.layer, readings)
    usable, reason = verdict(readings.kind, held_out, rank, elsewhere)
    place = readings.layers.index(trained.layer)
    manifest = ProbeManifest(
        name=name,
        kind=readings.kind,
        method=chosen,
        concepts=(_concept(readings.kind, name), "affirmed")[: len(trained.linear.coefficients)],
        layers=(trained.layer,),
        model_hash=source.model_hash,
        template_hash=source.template_hash,
        recipe=source.recipe,
        token_rule=source.token_rule,
        coefficients=tuple(round(one, 8) for one in trained.linear.coefficients),
        bias=round(trained.linear.bias, 8),
        mean_residual_norm=(round(float(readings.norms_L[place]), 4),),
        trained_on={readings.name: len(rows.texts)},
        labels={str(label): n for label, n in sorted(Counter(map(int, readings.labels_N)).items())},
        labelled_by=tuple(sorted({one.by for one in readings.texts})),
        layer_accuracy={str(layer): round(right, 4) for layer, right in trained.layer_accuracy.items()},
        held_out=held_out,
        rank=rank,
        others=elsewhere,
        usable=usable,
        reason=reason,
        seed=seed,
        left_out=dict(left_out or {}),
    )
    return Probe(manifest, {trained.layer: trained.linear.directions_KD})


def _concept(kind: str, name: str) -> str:
    return TRUTH if kind == TRUTH else name
