"""Reads what is said in a conversation by a model and a readout, and keeps the readings with the messages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from consolidation.reading import read_texts
from consolidation.readouts import sha256_of
from memory.readings import Reading, keep_readings, list_readings
from memory.types import Episode
from simulator.mood import Mood, mood_of
from simulator.tools import SimulatorTools

if TYPE_CHECKING:
    from agents.runtime.lm import LanguageModel
    from consolidation.readouts import Readout


@dataclass(slots=True)
class Reader:
    """One for all personas with the same weights, so that each turn is read once. `sha256`: the readout's."""

    model: LanguageModel
    readout: Readout
    sha256: str = field(init=False)
    _last: dict[str, Mapping[str, float]] = field(default_factory=dict)  # by message, of the last turn

    def __post_init__(self) -> None:
        self.sha256 = sha256_of(self.readout)

    def read(self, said: Sequence[Episode]) -> Mapping[str, Mapping[str, float]]:
        """The readings by message."""
        if any(one.id not in self._last for one in said):
            found = read_texts(self.model, self.readout, [one.text for one in said])
            self._last = {one.id: numbers for one, numbers in zip(said, found, strict=True)}
        return self._last

    def keep(self, tools: SimulatorTools, said: Sequence[Episode]) -> Mapping[str, Mapping[str, float]]:
        """The same, written down with the messages."""
        found = self.read(said)
        rows = [Reading(one.id, self.sha256, found[one.id]) for one in said]
        with tools.database.transaction() as session:
            keep_readings(session, tools.space_id, rows, clock=tools.clock)
        return found

    def mood_after(self, tools: SimulatorTools, said: Sequence[Episode], person_id: str) -> Mood:
        """What that person's persona feels after these turns, oldest first, by what was kept with them."""
        kept = list_readings(
            tools.database, tools.space_id, readout=self.sha256, episodes=[one.id for one in said]
        )
        found = {one.episode_id: one.concepts for one in kept}
        return mood_of([(one.time, one.speaker_id == person_id, found.get(one.id, {})) for one in said])
