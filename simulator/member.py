"""A persona in company: composes its turns as in any conversation, from its own perspective, and has a mood of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from agents.errors import AgentError
from agents.turns import Turn
from memory.sessions import NewTurn
from memory.types import Episode, Person
from simulator.company import Interrupted, uncalled
from simulator.composing import Composer, Moment
from simulator.mood import Mood
from simulator.reader import Reader
from simulator.topics import Topic


@dataclass(slots=True)
class PersonaMember:
    """Implements `simulator.company.Member`. Without a reader (a server speaks, no night yet) it feels nothing.

    A `human` among those who are there is owed what a persona owes in a talk of two, and gets an answer.
    """

    composer: Composer
    reader: Reader | None = None
    human: Person | None = None
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
        self.composer.is_among_personas = by is None or by != self.human
        to_it = uncalled(heard.text, self.person.name) if heard else ""
        composed = self.composer.compose(to_it, turns, moment, by=by)
        try:
            for _ in composed:
                pass
        except AgentError as error:
            raise Interrupted(composed.new_turn(is_interrupted=True)) from error
        self.n_tokens += composed.spoken.n_tokens
        return composed.new_turn()

    def heard(self, speaker: str, text: str) -> None:
        self.composer.hear(speaker, text)

    def feel(self, said: Episode) -> None:
        """A turn is read by who feels it; what is kept of it is how its speaker reads it, of a human's how the last member does.

        A pause is counted up to what a human says, which the next turn answers.
        """
        is_own = said.speaker_id == self.person.id
        is_humans = self.human is not None and said.speaker_id == self.human.id
        if not is_humans:
            self._last_at = said.time
        if self.reader is None:
            return
        if is_own or is_humans:
            found = self.reader.keep(self.composer.tools, [said])
        else:
            found = self.reader.read([said])
        self.mood = self.mood.after(found[said.id], said.time, is_own=is_own)

    def resume(self, said: Sequence[Episode]) -> None:
        self._last_at = said[-1].time
        if self.reader is not None:
            self.mood = self.reader.mood_after(self.composer.tools, said, self.person.id)

    def turn_to(self) -> Topic | None:
        return self.composer.topics.next() if self.composer.topics else None
