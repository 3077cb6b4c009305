"""A persona in company: composes its turns as in any conversation, from its own perspective, and has a mood of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from agents.errors import AgentError
from agents.turns import Turn
from memory.sessions import NewTurn
from memory.types import Person
from simulator.company import Interrupted
from simulator.composing import Composer, Moment
from simulator.mood import Mood
from simulator.topics import Topic

if TYPE_CHECKING:
    from agents.runtime.lm import LanguageModel
    from consolidation.readouts import Readout


@dataclass(slots=True)
class Reader:
    """Reads turns by one model and readout; members with the same weights share one, so that each turn is read once."""

    model: LanguageModel
    readout: Readout
    _last: tuple[str, Mapping[str, float]] | None = None

    def read(self, text: str) -> Mapping[str, float]:
        if self._last is None or self._last[0] != text:
            from consolidation.reading import read_texts

            (found,) = read_texts(self.model, self.readout, [text])
            self._last = text, found
        return self._last[1]


@dataclass(slots=True)
class PersonaMember:
    """Implements `simulator.company.Member`. Without a reader (a server speaks, no night yet) it feels nothing."""

    composer: Composer
    reader: Reader | None = None
    mood: Mood = field(default_factory=Mood)
    n_tokens: int = 0  # drawn so far, those that were thrown away among them
    _last_at: datetime | None = None

    @property
    def person(self) -> Person:
        return self.composer.person

    @property
    def found(self) -> Mapping[str, int]:
        return self.composer.loops.found if self.composer.loops else {}

    @property
    def turned_to(self) -> Sequence[Topic]:
        return self.composer.topics.used if self.composer.topics else ()

    def speak(self, turns: Sequence[Turn], notes: Sequence[str], *, seed: int) -> NewTurn:
        """Raises NoConsent; `Interrupted` with what was said until then, where the engine fails."""
        now = self.composer.tools.clock()
        heard = next((turn for turn in reversed(turns) if turn.speaker != self.person.name), None)
        by = next((one for one in self.composer.partners if heard and one.name == heard.speaker), None)
        moment = Moment(now, seed, self.mood.now(now), self._last_at, tuple(notes))
        composed = self.composer.compose(heard.text if heard else "", turns, moment, by=by)
        try:
            for _ in composed:
                pass
        except AgentError as error:
            raise Interrupted(composed.new_turn(is_interrupted=True)) from error
        self.n_tokens += composed.spoken.n_tokens
        return composed.new_turn()

    def heard(self, speaker: str, text: str) -> None:
        self._last_at = self.composer.tools.clock()
        self.composer.hear(speaker, text)
        if self.reader is not None:
            reading = self.reader.read(text)
            self.mood = self.mood.after(reading, self._last_at, is_own=speaker == self.person.name)

    def turn_to(self) -> Topic | None:
        return self.composer.topics.next() if self.composer.topics else None
