"""What a persona can be steered by: directions of concepts, pairs, probes, topics, and of messages that mention somebody.

A direction is a unit vector at each of a few layers, applied at the layers it was taken from. Its dose is a share of the
mean residual norm there, dealt out evenly over the layers, so that a dose means the same for one layer and for three. How
it is asked for: `joy`, `love-hate` (one concept less the other), `probe:NAME`, `topic:WORDS`, `mentions:NAME`.
Letters: N text, L layer, D hidden. The adding is in `agents.runtime.steering`, what a dose does in `dosing`; where
messages, readouts and probes come from is in `steering_sources`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from consolidation.readouts import Contrast, Readout, find_directions
from memory.ports import FloatMatrix
from memory.types import Episode
from simulator.errors import BadDose, OtherBase, TooFewExamples, UnknownDirection

if TYPE_CHECKING:
    from agents.runtime.steering import Positions
    from consolidation.probes import Probe

CONCEPT, PAIR, PROBE, TOPIC, MENTIONS, RANDOM = "concept", "pair", "probe", "topic", "mentions", "random"
MIN_EXAMPLES, MAX_EXAMPLES = 8, 60  # texts of either side of a direction made by day
MIN_CHARS = 15
MAX_DOSE = 4.0  # beyond, the residual stream is little else


@dataclass(frozen=True, slots=True)
class Direction:
    """`vectors`: layer -> unit (D,). `norms`: layer -> mean residual norm per token. `auroc` is held out, None unknown."""

    name: str
    kind: str
    base_hash: str
    vectors: Mapping[int, FloatMatrix]
    norms: Mapping[int, float]
    n_examples: int | None = None  # texts that have it
    auroc: float | None = None
    others: Mapping[int, tuple[float, float]] = field(
        default_factory=dict
    )  # mean and deviation of texts without it

    @property
    def layers(self) -> tuple[int, ...]:
        return tuple(sorted(self.vectors))

    def added(self, dose: float) -> dict[int, FloatMatrix]:
        """What that dose adds: at each of n layers dose / n of its norm along the unit vector."""
        share = dose / len(self.vectors)
        return {
            layer: np.asarray(share * self.norms[layer] * vector, dtype=np.float32)
            for layer, vector in self.vectors.items()
        }

    def random(self, seed: int) -> Direction:
        """A control: one random direction, the same at all the layers, so that equal doses are equally long."""
        width = len(next(iter(self.vectors.values())))
        drawn = np.random.default_rng(seed).normal(size=width)
        unit = np.asarray(drawn / np.linalg.norm(drawn), dtype=np.float32)
        return replace(
            self, name=f"random {seed}", kind=RANDOM, vectors=dict.fromkeys(self.vectors, unit), auroc=None
        )


@dataclass(frozen=True, slots=True)
class Wish:
    """One `DIRECTION=DOSE` as it is asked for."""

    name: str
    dose: float

    @classmethod
    def parse(cls, text: str) -> Wish:
        """Raises BadDose for what is no `DIRECTION=DOSE`, or a dose that is no number in reach."""
        name, separator, number = text.rpartition("=")
        try:
            dose = float(number)
        except ValueError:
            raise BadDose(text) from None
        if not separator or not name.strip() or not abs(dose) <= MAX_DOSE:
            raise BadDose(text)
        return cls(name.strip(), dose)


@dataclass(frozen=True, slots=True)
class Steering:
    """Directions with their doses, as a session wears them. `clamped_to` is the share of the doses that is given."""

    parts: tuple[tuple[Direction, float], ...]
    positions: Positions = "reply"
    clamped_to: float = 1.0

    def added(self, share: float | None = None) -> dict[int, FloatMatrix]:
        """The sum over all directions, layer by layer, of `share` of the doses."""
        given = self.clamped_to if share is None else share
        total: dict[int, FloatMatrix] = {}
        for direction, dose in self.parts:
            for layer, vector in direction.added(dose * given).items():
                total[layer] = total[layer] + vector if layer in total else vector
        return total

    def check_base(self, base_hash: str) -> None:
        """Raises OtherBase, with both hashes."""
        for direction, _ in self.parts:
            if direction.base_hash != base_hash:
                raise OtherBase(direction.name, direction.base_hash, base_hash)

    def as_json(self) -> list[dict[str, Any]]:
        return [
            {
                "direction": direction.name,
                "kind": direction.kind,
                "wanted": dose,
                "dose": round(dose * self.clamped_to, 4),
                "layers": list(direction.layers),
                "positions": self.positions,
            }
            for direction, dose in self.parts
        ]


@dataclass(frozen=True, slots=True)
class Messages:
    """A direction's texts: those that have it, and like ones that have not; never fewer of these."""

    having: tuple[str, ...]
    lacking: tuple[str, ...]


def of_readout(readout: Readout | None, name: str) -> Direction:
    """A concept's direction, or for `one-other` the unit difference of two. Raises UnknownDirection, BrokenReadout."""
    known = readout.manifest.concepts if readout is not None else ()
    if readout is None:
        raise UnknownDirection(name, known)
    found = concepts_of(name, known)
    manifest, vectors = readout.manifest, readout.to_steer()
    rows = [known.index(one) for one in found if one]
    signs = np.array((1.0, -1.0)[: len(rows)], dtype=np.float32)
    summed = {layer: signs @ vectors[layer][rows] for layer in manifest.layers}
    if any(np.linalg.norm(vector) < 1e-6 for vector in summed.values()):
        raise UnknownDirection(name, known)
    return Direction(
        name=name,
        kind=CONCEPT if len(rows) == 1 else PAIR,
        base_hash=manifest.model_hash,
        vectors={layer: vector / np.linalg.norm(vector) for layer, vector in summed.items()},
        norms=dict(zip(manifest.layers, manifest.mean_residual_norm, strict=True)),
        n_examples=min(manifest.n_positive[row] for row in rows),
        auroc=float(np.mean([[by_concept[row] for row in rows] for by_concept in manifest.auroc])),
    )


def concepts_of(name: str, known: Sequence[str]) -> tuple[str, str | None]:
    """The concept and None, or the two of a pair; a concept may have a hyphen of its own. Raises UnknownDirection."""
    if name in known:
        return name, None
    cuts = [(name[: at.start()].strip(), name[at.end() :].strip()) for at in re.finditer("-", name)]
    for one, other in cuts:
        if one in known and other in known and one != other:
            return one, other
    raise UnknownDirection(name, known)


def of_probe(probe: Probe, name: str) -> Direction:
    """The way in which a probe's "yes" grows. Raises UnusableProbe where the probe is of no use."""
    probe.check_usable()
    manifest = probe.manifest
    summed = np.asarray(manifest.coefficients, dtype=np.float32) @ probe.vectors[probe.layer]
    return Direction(
        name=name,
        kind=PROBE,
        base_hash=manifest.model_hash,
        vectors={probe.layer: np.asarray(summed / np.linalg.norm(summed), dtype=np.float32)},
        norms=dict(zip(manifest.layers, manifest.mean_residual_norm, strict=True)),
        n_examples=sum(manifest.trained_on.values()),
        auroc=None,
    )


def of_texts(
    name: str, kind: str, base_hash: str, acts_NLD: FloatMatrix, n_having: int, norms: Mapping[int, float]
) -> Direction:
    """The difference of means between the first `n_having` rows and the others, with its held-out AUROC."""
    having, lacking = tuple(range(n_having)), tuple(range(n_having, len(acts_NLD)))
    found = find_directions(acts_NLD, [Contrast(having, lacking)], seed=0)
    layers = tuple(norms)
    return Direction(
        name=name,
        kind=kind,
        base_hash=base_hash,
        vectors={layer: found.steering_LKD[index, 0] for index, layer in enumerate(layers)},
        norms=norms,
        n_examples=n_having,
        auroc=float(found.auroc_LK.mean()),
        others={
            layer: _spread_of(acts_NLD[n_having:, index] @ found.steering_LKD[index, 0])
            for index, layer in enumerate(layers)
        },
    )


def _spread_of(values: FloatMatrix) -> tuple[float, float]:
    return float(values.mean()), max(float(values.std()), 1e-6)


def messages_of(name: str, episodes: Sequence[Episode], has_it: Callable[[Episode], bool]) -> Messages:
    """Of each message that has it one by the same speaker, of the nearest length, that has not.

    Raises TooFewExamples below MIN_EXAMPLES of either.
    """
    usable = {" ".join(one.text.casefold().split()): one for one in episodes if len(one.text) >= MIN_CHARS}
    having = [one for one in usable.values() if has_it(one)]
    free = [one for one in usable.values() if not has_it(one)]
    chosen: list[tuple[Episode, Episode]] = []
    for one in _spread(having, MAX_EXAMPLES):
        if free:
            like = min(
                free, key=lambda other: (other.speaker_id != one.speaker_id, _apart(one, other), other.id)
            )
            free.remove(like)
            chosen.append((one, like))
    if len(chosen) < MIN_EXAMPLES:
        raise TooFewExamples(name, len(having), len(usable) - len(having), MIN_EXAMPLES)
    return Messages(tuple(one.text for one, _ in chosen), tuple(like.text for _, like in chosen))


def _spread(items: Sequence[Episode], most: int) -> Sequence[Episode]:
    return items[:: max(1, -(-len(items) // most))]


def _apart(one: Episode, other: Episode) -> int:
    return abs(len(one.text) - len(other.text))


def mentions(names: Sequence[str]) -> Callable[[Episode], bool]:
    """Whether a message holds one of the names as a word of its own."""
    pattern = re.compile(r"(?<!\w)(?:" + "|".join(map(re.escape, names)) + r")(?!\w)", re.IGNORECASE)
    return lambda episode: pattern.search(episode.text) is not None
