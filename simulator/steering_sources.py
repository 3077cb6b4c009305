"""Directions found in a space: in the readout that serves, among its probes, or made by day of its messages.

Of a persona only their own messages count: they are steered towards how they themselves write of a topic or a person.
What is withheld from readers, and what a model wrote, is never part of a direction; nothing made by day is kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from agents.errors import UnfitVectors
from consolidation.readouts import Readout
from memory import names
from memory.episodes import list_episodes, readable
from memory.people import list_people
from memory.types import Episode, Person
from simulator.errors import OtherBase, UnknownDirection
from simulator.steering import (
    MENTIONS,
    PROBE,
    TOPIC,
    Direction,
    Messages,
    Steering,
    Wish,
    concepts_of,
    mentions,
    messages_of,
    of_probe,
    of_readout,
    of_texts,
)

if TYPE_CHECKING:
    from agents.runtime.lm import LanguageModel
    from agents.runtime.steering import Positions
    from simulator.dosing import Measure
    from simulator.tools import SimulatorTools

DEPTH = (0.4, 0.7)  # layers of a direction made by day where no readout says which, as shares of the depth
N_LAYERS = 3
MAX_ABOUT = 240  # messages that a search for a topic gives
MIN_DENSE = 1.1  # one that shares no word with the topic counts from this dense part of its score on


@dataclass(slots=True)
class Sources:
    """Where directions are found, for one persona or (`person` None) for all who speak. Not safe for threads."""

    tools: SimulatorTools
    model: LanguageModel
    readout: Readout | None
    person: Person | None = None
    layers: tuple[int, ...] = ()  # of directions made by day; default: the readout's, else N_LAYERS of DEPTH
    _made: dict[str, Direction] = field(default_factory=dict)

    def find(self, name: str) -> Direction:
        """Raises UnknownDirection, TooFewExamples, OtherBase, UnfitVectors, and what probes and memory raise."""
        kind, _, what = (part.strip() for part in name.partition(":"))
        if kind == PROBE and what:
            found = of_probe(self.tools.probe(what), name)
        elif kind in (TOPIC, MENTIONS) and what:
            found = self._made_by_day(name, kind, what)
        else:
            found = of_readout(self.readout, name)
        if found.base_hash != self.model.base_hash:
            raise OtherBase(name, found.base_hash, self.model.base_hash)
        self._check_layers(found.layers)
        return found

    def steering(self, wishes: Sequence[Wish], positions: Positions = "reply") -> Steering:
        """All that is wished for, each at its whole dose. Raises what `find` does."""
        return Steering(tuple((self.find(wish.name), wish.dose) for wish in wishes), positions)

    def measure(self, direction: Direction) -> Measure | None:
        """How strongly a text has what the direction stands for, by the unsteered model: in standard deviations of texts
        without it, of a probe its logit."""
        kind, _, what = (part.strip() for part in direction.name.partition(":"))
        if kind == PROBE and what:
            probe = self.tools.probe(what)
            rule = probe.manifest.token_rule
            return lambda texts: [
                float(logit)
                for logit in probe.linear.logits(self.model.mean_residuals(texts, [probe.layer], rule)[:, 0])
            ]
        if direction.others:
            return lambda texts: self._standing(direction, texts)
        if self.readout is None:
            return None
        return lambda texts: self._read(direction.name, texts)

    def _standing(self, direction: Direction, texts: Sequence[str]) -> list[float]:
        acts_NLD = self.model.mean_residuals(texts, direction.layers)
        found = [
            (acts_NLD[:, index] @ direction.vectors[layer] - mean) / deviation
            for index, (layer, (mean, deviation)) in enumerate(sorted(direction.others.items()))
        ]
        return [float(value) for value in np.mean(found, axis=0)]

    def _read(self, name: str, texts: Sequence[str]) -> list[float]:
        """Of a pair the first concept less the other."""
        if self.readout is None:
            raise UnknownDirection(name, ())
        manifest = self.readout.manifest
        rows = self.readout.read(self.model.mean_residuals(texts, manifest.layers, manifest.token_rule))
        one, other = concepts_of(name, self.readout.manifest.concepts)
        return [row[one] - (row[other] if other else 0.0) for row in rows]

    def _made_by_day(self, name: str, kind: str, what: str) -> Direction:
        if name not in self._made:
            messages = self._mentioning(name, what) if kind == MENTIONS else self._about(name, what)
            layers = self.layers or self._usual_layers()
            self._check_layers(layers)
            texts = [*messages.having, *messages.lacking]
            acts_NLD, norms_L = self.model.residual_statistics(texts, layers)
            norms = dict(zip(layers, map(float, norms_L), strict=True))
            base, n_having = self.model.base_hash, len(messages.having)
            self._made[name] = of_texts(name, kind, base, acts_NLD, n_having, norms)
        return self._made[name]

    def _check_layers(self, layers: Sequence[int]) -> None:
        for layer in layers:
            if not 0 <= layer < self.model.n_layers:
                known = f"the model has layers 0 to {self.model.n_layers - 1}"
                raise UnfitVectors(f"there is no layer {layer}; {known}")

    def _usual_layers(self) -> tuple[int, ...]:
        if self.readout is not None:
            return self.readout.manifest.layers
        first, last = (share * (self.model.n_layers - 1) for share in DEPTH)
        return tuple(sorted({round(layer) for layer in np.linspace(first, last, N_LAYERS)}))

    def _mentioning(self, name: str, whom: str) -> Messages:
        """By any of the names somebody goes by; a name that the graph does not know stands for itself."""
        wanted = names.key(whom)
        people = list_people(self.tools.database, self.tools.space_id)
        known = next(
            (
                one
                for one in people
                if wanted in map(names.key, (one.name, *one.aliases, names.first(one.name)))
            ),
            None,
        )
        forms = (known.name, names.first(known.name), *known.aliases) if known else (whom,)
        return messages_of(name, self._episodes(), mentions(sorted({form for form in forms if form})))

    def _about(self, name: str, topic: str) -> Messages:
        hits = self.tools.index.search(
            topic, k=MAX_ABOUT, known_to=self.person.id if self.person else None, kinds=("episode",)
        )
        near = {hit.id for hit in hits if "fulltext" in hit.parts or hit.parts.get("dense", 0.0) >= MIN_DENSE}
        return messages_of(name, self._episodes(), lambda episode: episode.id in near)

    def _episodes(self) -> list[Episode]:
        """What was really said, by the person where there is one, and is withheld from no reader."""
        found = list_episodes(self.tools.database, self.tools.space_id, origins=("observed",))
        return [
            episode
            for episode in readable(found, self.tools.withhold)
            if self.person is None or episode.speaker_id == self.person.id
        ]


def steering_for(
    sources: Sources, wishes: Sequence[Wish], *, weights: str | None, is_forced: bool
) -> Steering | None:
    """What a session wears; doses that break fluency are clamped unless forced. None where nothing is wished for.

    `weights` names the recipe that the model wears. Raises what `Sources.find` does.
    """
    from simulator.dosing import clamped

    if not wishes:
        return None
    whole = sources.steering(wishes)
    if is_forced:
        return whole
    return clamped(sources.model, whole, sources.tools.home / "cache" / "steering", weights)
