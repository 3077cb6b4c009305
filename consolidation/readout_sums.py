"""What the nights have added up for the readouts: so that a night reads what is new and nothing twice.

Per concept, side of the contrast, fold and layer there are a count and a sum of activations, and of all texts together
one second moment; directions need no more. Beside them stand the activations of two bounded samples: neutral texts,
by which readings are scaled, and witnesses, on which directions that were made without their fold are scored. A
sample holds the texts with the least hashes, so it hangs on what was added and not on the order. Nothing here holds
a text, only ids and numbers. No database, no model.
Letters: K concept, P side (with it, without), F fold, L layer, D hidden, N text.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from consolidation import readouts
from consolidation.errors import BrokenReadout
from consolidation.moments import Moments
from consolidation.readout_settings import CAA, LDA
from consolidation.readouts import N_FOLDS, Activations, Directions, Manifest, Provenance, Readout
from memory.ports import FloatMatrix
from memory.whole import whole_file

FORMAT = "slowwave-readout-sums-1"
FILE = "sums.safetensors"
MAX_NEUTRAL = 120
MAX_WITNESSES = 60  # of each side of a concept
MAX_WHITENED = 1024  # hidden sizes above it are read by CAA: second moments of 19 layers of 4096 are 2.5 GB
POSITIVE, NEGATIVE = 0, 1

Wide = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Basis:
    """What activations must have in common to be added up. The recipe may change from night to night."""

    model_hash: str
    template_hash: str
    layers: tuple[int, ...]
    token_rule: str
    min_intensity: float
    seed: int


@dataclass(frozen=True, slots=True)
class Members:
    """Whose activations are in a concept's sums; `n_found`: how many texts had the concept that night."""

    positive: tuple[str, ...] = ()
    negative: tuple[str, ...] = ()
    n_found: int = 0

    @property
    def ids(self) -> tuple[str, ...]:
        return self.positive + self.negative


@dataclass(frozen=True, slots=True)
class Neutral:
    """The sample of neutral texts; where a space has none, texts without a concept stand in as the yardstick."""

    ids: tuple[str, ...] = ()
    is_stand_in: bool = False


@dataclass(frozen=True, slots=True)
class Fresh:
    """Activations that were read tonight: those of `ids` in the rows of `acts_NLD`."""

    ids: tuple[str, ...]
    acts_NLD: FloatMatrix

    @property
    def rows(self) -> dict[str, int]:
        return {key: row for row, key in enumerate(self.ids)}


@dataclass(frozen=True)
class RunningSums:
    """The state after some nights; `add` gives the next one. Equal states give equal files."""

    basis: Basis
    recipes: tuple[str | None, ...]  # whose weights gave the activations, in the order of the nights
    members: dict[str, Members]  # in the order of K
    sums_KPFLD: Wide
    summed: tuple[str, ...]  # whose activations are in `everything`
    everything: Moments  # with second moments where the hidden size lets it
    neutral: Neutral
    neutral_NLD: FloatMatrix  # as they were when each of them came in
    witnesses: tuple[str, ...]
    witnesses_NLD: FloatMatrix

    @classmethod
    def empty(cls, basis: Basis, hidden: int) -> RunningSums:
        none_NLD = np.zeros((0, len(basis.layers), hidden), dtype=np.float32)
        sums_KPFLD = np.zeros((0, 2, N_FOLDS, len(basis.layers), hidden))
        everything = Moments.of(none_NLD, with_second=hidden <= MAX_WHITENED)
        return cls(basis, (), {}, sums_KPFLD, (), everything, Neutral(), none_NLD, (), none_NLD)

    @property
    def method(self) -> str:
        return CAA if self.everything.second_LDD is None else LDA

    @property
    def episodes(self) -> list[str]:
        """Everybody's whose activations are in here."""
        return sorted({*self.summed, *self.neutral.ids, *self.witnesses})

    @cached_property
    def counts_KPF(self) -> npt.NDArray[np.int64]:
        counts = np.zeros(self.sums_KPFLD.shape[:3], dtype=np.int64)
        for k, one in enumerate(self.members.values()):
            for side, keys in ((POSITIVE, one.positive), (NEGATIVE, one.negative)):
                for key in keys:
                    counts[k, side, fold_of(key, self.basis.seed)] += 1
        return counts

    def add(
        self, new: Mapping[str, Members], neutral: Neutral, fresh: Fresh, recipe: str | None
    ) -> RunningSums:
        """With the members of `new`, whose activations are in `fresh`, and the sample `neutral` drawn anew.

        Concepts that `new` does not name are dropped. Raises KeyError where an activation is missing.
        """
        rows, seed = fresh.rows, self.basis.seed
        place = {concept: k for k, concept in enumerate(self.members)}
        sums_KPFLD = np.zeros((len(new), *self.sums_KPFLD.shape[1:]))
        members: dict[str, Members] = {}
        for k, (concept, added) in enumerate(new.items()):
            before = self.members.get(concept, Members())
            members[concept] = Members(
                before.positive + added.positive, before.negative + added.negative, added.n_found
            )
            if concept in place:
                sums_KPFLD[k] = self.sums_KPFLD[place[concept]]
            for side, keys in ((POSITIVE, added.positive), (NEGATIVE, added.negative)):
                for key in keys:
                    sums_KPFLD[k, side, fold_of(key, seed)] += fresh.acts_NLD[rows[key]]
        known = set(self.summed)
        first_read = sorted({key for added in new.values() for key in added.ids} - known)
        witnesses = sample_witnesses(members, seed)
        return RunningSums(
            basis=self.basis,
            recipes=tuple(dict.fromkeys((*self.recipes, recipe))),
            members=members,
            sums_KPFLD=sums_KPFLD,
            summed=self.summed + tuple(first_read),
            everything=self.everything + self._moments(fresh.acts_NLD[[rows[key] for key in first_read]]),
            neutral=neutral,
            neutral_NLD=_kept(neutral.ids, (self.neutral.ids, self.neutral_NLD), fresh),
            witnesses=witnesses,
            witnesses_NLD=_kept(witnesses, (self.witnesses, self.witnesses_NLD), fresh),
        )

    def _moments(self, acts_NLD: FloatMatrix) -> Moments:
        return Moments.of(acts_NLD, with_second=self.method == LDA)

    def drift(self, neutral: Fresh) -> float:
        """How far the weights have moved since the sums began: of neutral texts read anew, mean distance to where
        they stood beyond what all have in common, as a share of their distance from their mean; mean over layers.

        A movement that all texts share cancels in a contrast, because both of its sides come in together. 0 where
        fewer than two texts were there before.
        """
        rows = neutral.rows
        shared = [(row, rows[key]) for row, key in enumerate(self.neutral.ids) if key in rows]
        if len(shared) < 2:
            return 0.0
        then_NLD = _centred(self.neutral_NLD[[row for row, _ in shared]])
        now_NLD = _centred(neutral.acts_NLD[[row for _, row in shared]])
        moved_L = np.linalg.norm(now_NLD - then_NLD, axis=2).mean(axis=0)
        spread_L = np.linalg.norm(then_NLD, axis=2).mean(axis=0)
        return float(np.mean(moved_L / np.maximum(spread_L, 1e-8)))

    def directions(self, neutral_NLD: FloatMatrix) -> Directions:
        """Directions from all sums; AUROC of witnesses under directions whose sums have not seen their fold.

        `neutral_NLD`: tonight's activations of the sample `neutral`, in its order. The covariance that whitens and the
        components that are taken out are of all texts, for the folds as well: they know no labels.
        """
        known = set(self.summed)
        beside = [row for row, key in enumerate(self.neutral.ids) if key not in known]
        everything = self.everything + self._moments(neutral_NLD[beside])
        quiet_NLD = neutral_NLD[:0] if self.neutral.is_stand_in else neutral_NLD
        common_LCD = tuple(readouts.components(quiet_NLD[:, layer]) for layer in range(quiet_NLD.shape[1]))
        scores = [
            self._witnessed(fold, self._without(fold, common_LCD, everything)) for fold in range(N_FOLDS)
        ]
        is_scored = np.isfinite(np.stack(scores))  # chance where no fold has a witness of either side
        auroc_LK = np.where(is_scored, np.stack(scores), 0).sum(axis=0) / np.maximum(is_scored.sum(axis=0), 1)
        auroc_LK = np.where(is_scored.any(axis=0), auroc_LK, 0.5).astype(np.float32)
        return replace(self._without(None, common_LCD, everything), auroc_LK=auroc_LK)

    def _without(
        self, fold: int | None, common_LCD: tuple[FloatMatrix, ...], everything: Moments
    ) -> Directions:
        """By the sums of the other folds; of all where `fold` is None."""
        folds = [number for number in range(N_FOLDS) if number != fold]
        n_KP, sums_KPLD = self.counts_KPF[:, :, folds].sum(axis=2), self.sums_KPFLD[:, :, folds].sum(axis=2)
        positive, negative = (
            tuple(
                Moments(int(n), sums_LD) for n, sums_LD in zip(n_KP[:, side], sums_KPLD[:, side], strict=True)
            )
            for side in (POSITIVE, NEGATIVE)
        )
        return readouts.directions_from(
            readouts.Sums(positive, negative, everything, common_LCD), self.method
        )

    def _witnessed(self, fold: int, found: Directions) -> FloatMatrix:
        """AUROC (L, K) of the fold's witnesses; NaN where a side has none or there is no direction."""
        rows = {key: row for row, key in enumerate(self.witnesses)}
        read_NLK = np.einsum("nld,lkd->nlk", self.witnesses_NLD, found.vectors_LKD, optimize=True)
        scores_LK = np.full(found.raw_norms_LK.shape, np.nan, dtype=np.float32)
        for k, one in enumerate(self.members.values()):
            with_it, without = (
                [rows[key] for key in sample(keys, MAX_WITNESSES, self.basis.seed) if self._fold(key) == fold]
                for keys in (one.positive, one.negative)
            )
            if with_it and without:
                for layer in np.flatnonzero(found.raw_norms_LK[:, k] > 0):
                    scores_LK[layer, k] = readouts.auroc(
                        read_NLK[with_it, layer, k], read_NLK[without, layer, k]
                    )
        return scores_LK

    def _fold(self, key: str) -> int:
        return fold_of(key, self.basis.seed)

    def readout(
        self,
        found: Directions,
        layers: Sequence[int],
        neutral: Activations,
        provenance: Provenance,
    ) -> Readout:
        """The readout of these layers, with what `directions` found. `neutral`: tonight's, of the sample."""
        index = [self.basis.layers.index(layer) for layer in layers]
        vectors_LKD = found.vectors_LKD[index]
        mean_LK, std_LK = readouts.standardise(neutral.acts_NLD[:, index], vectors_LKD)
        n_neutral = len(self.neutral.ids)
        manifest = Manifest(
            concepts=tuple(self.members),
            layers=tuple(layers),
            model_hash=provenance.model_hash,
            template_hash=provenance.template_hash,
            recipe=provenance.recipe,
            token_rule=provenance.token_rule,
            n_positive=tuple(len(one.positive) for one in self.members.values()),
            n_negative=tuple(len(one.negative) for one in self.members.values()),
            n_neutral=n_neutral,
            n_components=0 if self.neutral.is_stand_in else readouts.n_components(n_neutral),
            raw_norms=readouts.as_rows(found.raw_norms_LK[index]),
            mean_residual_norm=tuple(round(float(norm), 4) for norm in neutral.norms_L[index]),
            auroc=readouts.as_rows(found.auroc_LK[index]),
            cross_talk=tuple(readouts.as_rows(vectors_KD @ vectors_KD.T) for vectors_KD in vectors_LKD),
            neutral_mean=readouts.as_rows(mean_LK),
            neutral_std=readouts.as_rows(std_LK),
            left_out=provenance.left_out,
            seed=provenance.seed,
            tried=self.basis.layers,
            tried_auroc=readouts.as_rows(found.auroc_LK),
            method=self.method,
            shrinkage=tuple(round(found.shrinkage_L[k], 6) for k in index) if found.shrinkage_L else (),
        )
        vectors = dict(zip(layers, vectors_LKD, strict=True))
        is_whitened = self.method == LDA
        steering = dict(zip(layers, found.steering_LKD[index], strict=True)) if is_whitened else {}
        return readouts.sealed(Readout(manifest, vectors, steering))

    def save(self, folder: Path) -> None:
        """Write into the folder, whole or not at all."""
        tensors = {
            "sums": self.sums_KPFLD,
            "first": self.everything.first_LD,
            "neutral": self.neutral_NLD,
            "witnesses": self.witnesses_NLD,
        }
        if self.everything.second_LDD is not None:
            tensors["second"] = self.everything.second_LDD
        notes = {
            "format": FORMAT,
            "basis": asdict(self.basis),
            "recipes": self.recipes,
            "members": {concept: asdict(one) for concept, one in self.members.items()},
            "summed": self.summed,
            "neutral": asdict(self.neutral),
            "witnesses": self.witnesses,
        }
        ready = {name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}
        with whole_file(folder / FILE) as part:
            save_file(ready, part, metadata={"sums": json.dumps(notes)})

    @classmethod
    def load(cls, folder: Path) -> RunningSums:
        """Raises BrokenReadout where the file is missing, damaged or of another form."""
        try:
            with safe_open(folder / FILE, framework="numpy") as file:
                notes = json.loads(file.metadata()["sums"])
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            return _loaded(notes, tensors)
        except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
            raise BrokenReadout(folder.name, f"{type(error).__name__} while reading its sums") from error


def fold_of(key: str, seed: int) -> int:
    """The fold a text is in for good."""
    return _hash(key, seed) % N_FOLDS


def sample(keys: Iterable[str], limit: int, seed: int) -> list[str]:
    """The keys with the least hashes: a sample that does not hang on the order in which they came."""
    return sorted(keys, key=lambda key: (_hash(key, seed), key))[:limit]


def sample_witnesses(members: Mapping[str, Members], seed: int) -> tuple[str, ...]:
    """Of each side of each concept at most MAX_WITNESSES, each text once."""
    chosen = {
        key
        for one in members.values()
        for keys in (one.positive, one.negative)
        for key in sample(keys, MAX_WITNESSES, seed)
    }
    return tuple(sorted(chosen))


def _hash(key: str, seed: int) -> int:
    return int.from_bytes(hashlib.sha256(f"{seed}:{key}".encode()).digest()[:8])


def _kept(wanted: Sequence[str], old: tuple[Sequence[str], FloatMatrix], fresh: Fresh) -> FloatMatrix:
    """Activations of the wanted, as they stood when each came in."""
    place, rows = {key: row for row, key in enumerate(old[0])}, fresh.rows
    kept = [old[1][place[key]] if key in place else fresh.acts_NLD[rows[key]] for key in wanted]
    return np.stack(kept) if kept else np.zeros((0, *old[1].shape[1:]), dtype=np.float32)


def _centred(acts_NLD: FloatMatrix) -> FloatMatrix:
    return np.asarray(acts_NLD - acts_NLD.mean(axis=0), dtype=np.float32)


def _loaded(notes: dict[str, Any], tensors: Mapping[str, Any]) -> RunningSums:
    if notes["format"] != FORMAT or not all(np.isfinite(tensor).all() for tensor in tensors.values()):
        raise ValueError("the sums are of another format, or not finite")
    members = {
        concept: Members(tuple(one["positive"]), tuple(one["negative"]), one["n_found"])
        for concept, one in notes["members"].items()
    }
    basis = Basis(**{**notes["basis"], "layers": tuple(notes["basis"]["layers"])})
    expected = (len(members), 2, N_FOLDS, *tensors["first"].shape)
    samples = ((notes["neutral"]["ids"], "neutral"), (notes["witnesses"], "witnesses"))
    if tensors["sums"].shape != expected or any(len(ids) != len(tensors[name]) for ids, name in samples):
        raise ValueError("the sums and their notes do not belong together")
    return RunningSums(
        basis=basis,
        recipes=tuple(notes["recipes"]),
        members=members,
        sums_KPFLD=tensors["sums"],
        summed=tuple(notes["summed"]),
        everything=Moments(len(notes["summed"]), tensors["first"], tensors.get("second")),
        neutral=Neutral(tuple(notes["neutral"]["ids"]), notes["neutral"]["is_stand_in"]),
        neutral_NLD=tensors["neutral"],
        witnesses=tuple(notes["witnesses"]),
        witnesses_NLD=tensors["witnesses"],
    )
