"""Probes: linear classifiers on activations, as they are kept, judged and read.

A probe says of a text how likely "yes" is: that a statement is true, that a label is nearer to 5 than to 1. Whether it
is of any use is part of its manifest: a probe that did no better on held-out texts than always saying the commoner
label is kept, with the numbers, and read by nobody. The files are those of a readout (`readouts`): safetensors with
`layer_<idx>.vectors`, here one row per direction, and a JSON manifest, in a folder named by content.
Letters: N text, D hidden, K direction. No torch.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load, save

from consolidation.errors import BrokenProbe, UnusableProbe
from consolidation.probe_fits import Linear
from consolidation.readouts import MANIFEST_FILE, VECTORS_FILE, auroc, content_hash
from memory.ports import FloatMatrix
from memory.whole import whole_file

FORMAT = "slowwave-probe-1"
FOLDER = "probes"  # in the home
TRUTH, LABELS = "truth", "labels"  # kinds: statements that are true or false, texts with labels from 1 to 5
CONFIDENCE_Z = 1.645  # one-sided, 95 %
MARGIN = 0.05  # by which accuracy surely clears the commoner label's share


@dataclass(frozen=True, slots=True)
class Accuracy:
    """How often a probe was right on texts that it was not trained on.

    `auroc` is what no threshold can spoil: the chance that a "yes" scores above a "no", None where one of them is missing.
    `at_least` is the lower end of Wilson's interval, one-sided at 95 % (https://doi.org/10.1080/01621459.1927.10502953),
    as if the texts said nothing about each other. `majority` is the share of the commoner label.
    """

    set: str  # which texts
    n: int
    accuracy: float
    at_least: float
    majority: float
    auroc: float | None = None

    @classmethod
    def of(cls, name: str, logits_N: npt.NDArray[np.float64], is_yes: npt.NDArray[np.bool_]) -> Accuracy:
        n, share, scores = len(is_yes), float(is_yes.mean()), logits_N.astype(np.float32)
        right = float(((logits_N > 0) == is_yes).mean())
        ranked = round(auroc(scores[is_yes], scores[~is_yes]), 4) if 0 < share < 1 else None
        bound, majority = wilson_bound(right, n), max(share, 1 - share)
        return cls(name, n, round(right, 4), round(bound, 4), round(majority, 4), ranked)

    @property
    def clears(self) -> bool:
        return self.at_least >= self.majority + MARGIN

    def __str__(self) -> str:
        return (
            f"{self.accuracy:.2f} of {self.n} on {self.set} (surely {self.at_least:.2f}, {self.majority:.2f} by "
            "the commoner label)"
        )


@dataclass(frozen=True, slots=True)
class RankAgreement:
    """Spearman's correlation of logits and labels on texts labelled 2 to 4, with the one-sided 95 % bound of its Fisher transform."""

    n: int
    correlation: float
    at_least: float


@dataclass(frozen=True, slots=True)
class ProbeManifest:
    name: str
    kind: str  # truth | labels
    method: str  # of probe_fits.FITS
    concepts: tuple[str, ...]  # what each direction points to
    layers: tuple[int, ...]  # one
    model_hash: str
    template_hash: str
    recipe: str | None  # hash of the recipe whose weights gave the activations; None is the plain base
    token_rule: str
    coefficients: tuple[float, ...]  # K
    bias: float
    mean_residual_norm: tuple[float, ...]  # of the layer
    trained_on: dict[str, int]  # set -> texts
    labels: dict[str, int]  # label -> texts that have it, those that only test among them
    labelled_by: tuple[str, ...]
    layer_accuracy: dict[
        str, float
    ]  # layer -> over folds of the training texts; by these the layer was chosen
    held_out: Accuracy  # with the layer chosen anew in each fold
    rank: RankAgreement | None  # of kind labels, where the middle could be tested
    others: tuple[Accuracy, ...]  # on whole sets that it was not trained on
    usable: bool
    reason: str
    seed: int
    left_out: dict[str, int] = field(default_factory=dict)  # why -> texts
    format: str = FORMAT


@dataclass(frozen=True, slots=True)
class Probe:
    manifest: ProbeManifest
    vectors: dict[int, FloatMatrix]  # layer -> (K, D), unit rows

    @property
    def layer(self) -> int:
        return self.manifest.layers[0]

    @property
    def linear(self) -> Linear:
        """What it computes, usable or not; for measuring. Whoever reads with it calls `read`."""
        return Linear(self.vectors[self.layer], self.manifest.coefficients, self.manifest.bias)

    def read(self, acts_ND: FloatMatrix) -> list[float]:
        """Per text the probability of "yes", from activations of the probe's layer and token rule.

        Raises UnusableProbe with the manifest's reason, and BrokenProbe for activations that are not finite.
        """
        self.check_usable()
        if not np.isfinite(acts_ND).all():
            raise BrokenProbe(self.manifest.name, "the activations that it should read are not finite")
        return [probability(logit) for logit in self.linear.logits(acts_ND)]

    def check_usable(self) -> None:
        if not self.manifest.usable:
            raise UnusableProbe(self.manifest.name, self.manifest.reason)

    def check_base(self, model_hash: str) -> None:
        """Raises BrokenProbe, with both hashes, for another model than the one that gave the activations."""
        if self.manifest.model_hash != model_hash:
            made = self.manifest.model_hash[:12]
            raise BrokenProbe(self.manifest.name, f"it was made with model {made}, not {model_hash[:12]}")

    def check_shape(self, n_layers: int, hidden_size: int) -> None:
        """Raises BrokenProbe where the model has no such layer, or one of another width."""
        if self.layer >= n_layers or self.vectors[self.layer].shape[1] != hidden_size:
            raise BrokenProbe(
                self.manifest.name,
                f"it is of layer {self.layer} and width {self.vectors[self.layer].shape[1]}; the model has layers 0 to "
                f"{n_layers - 1} of width {hidden_size}",
            )


def probability(logit: float) -> float:
    return float(math.exp(-np.logaddexp(0.0, -logit)))


def wilson_bound(share: float, n: int) -> float:
    """The least share that `share` of `n` leaves likely."""
    z2 = CONFIDENCE_Z**2
    centre = share + z2 / (2 * n)
    spread = CONFIDENCE_Z * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n))
    return (centre - spread) / (1 + z2 / n)


def verdict(
    kind: str, held_out: Accuracy, rank: RankAgreement | None, others: tuple[Accuracy, ...]
) -> tuple[bool, str]:
    """Whether a probe may be read, and why: it clears the commoner label wherever it was tested.

    A truth probe has to do so on another set as well: within one, being true goes along with much else. Of labels the
    middle has to be in order where there is enough of it to tell.
    """
    if not held_out.clears:
        return False, f"it is right on {held_out}: no {MARGIN:g} above that"
    if kind == TRUTH and not others:
        return False, "it was tested on no other set than its own; give one with --test"
    if missed := [other for other in others if not other.clears]:
        return False, f"it is right on {missed[0]}: no {MARGIN:g} above that"
    if rank is not None and rank.at_least <= 0:
        found = f"the middle labels are not in order (rank correlation {rank.correlation:.2f} of {rank.n})"
        return False, found
    return True, "; ".join(f"right on {one}" for one in (held_out, *others))


def write_probe(probe: Probe, root: Path) -> tuple[Path, str]:
    """Write under `root` in a folder named by content; returns it with the sha256 over both files. Repeatable."""
    vectors = np.ascontiguousarray(probe.vectors[probe.layer], dtype=np.float32)
    manifest = json.dumps(asdict(probe.manifest), indent=1, sort_keys=True, ensure_ascii=False).encode()
    files = {VECTORS_FILE: save({f"layer_{probe.layer}.vectors": vectors}), MANIFEST_FILE: manifest}
    sha256 = content_hash(*files.values())
    folder = root / sha256[:12]
    for name, content in files.items():
        with whole_file(folder / name) as part:
            part.write_bytes(content)
    return folder, sha256


def read_probe(folder: Path) -> Probe:
    """Raises BrokenProbe where the files are missing, damaged or do not belong together."""
    try:
        manifest = _manifest(json.loads((folder / MANIFEST_FILE).read_text(encoding="utf-8")))
        tensors = load((folder / VECTORS_FILE).read_bytes())
        (layer,) = manifest.layers
        vectors = tensors[f"layer_{layer}.vectors"]
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise BrokenProbe(folder.name, f"{type(error).__name__} while reading it") from error
    if vectors.ndim != 2 or not len(vectors) == len(manifest.coefficients) == len(manifest.concepts):
        raise BrokenProbe(folder.name, "vectors and manifest name different numbers of directions")
    if not np.isfinite(vectors).all():
        raise BrokenProbe(folder.name, "it holds numbers that are not finite")
    return Probe(manifest, {layer: vectors})


def _manifest(plain: dict[str, Any]) -> ProbeManifest:
    if plain.get("format") != FORMAT:
        raise ValueError("the manifest is of another format")
    given: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in plain.items()
    }
    given["held_out"] = Accuracy(**plain["held_out"])
    given["others"] = tuple(Accuracy(**one) for one in plain["others"])
    given["rank"] = plain["rank"] and RankAgreement(**plain["rank"])
    return ProbeManifest(**given)
