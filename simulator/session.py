"""One conversation with a persona: hear, consider what it can know, speak part by part, read its state, write back.

Everything said in it, by either side, is kept as `simulated`: it never supports a fact. What the person cannot know is
never put into the prompt, which holds the last turns and one sentence about what came before them. The weights are the
current recipe's as that person wears them, loaded once per session.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from agents.errors import AgentError
from agents.turns import Turn, recent
from memory import sessions
from memory.names import is_blank
from memory.ports import Judge
from memory.sessions import KeptTurn, Kind, NewSession
from memory.types import Fact, Person
from simulator.claims import check_claims
from simulator.composing import Composed, Composer, Moment
from simulator.drawing import AskedSampling
from simulator.errors import EmptyTurn
from simulator.mood import Mood
from simulator.reader import Reader
from simulator.spoken_turn import SpokenTurn
from simulator.steering import Steering, Wish
from simulator.tools import SimulatorTools

if TYPE_CHECKING:
    from agents.runtime.lm import LanguageModel
    from simulator.spoken_digests import SpokenDigests


@dataclass(frozen=True, slots=True)
class SessionSettings(AskedSampling):
    """`seed` None draws one from the clock."""

    seed: int | None = None
    use_weights: bool = True
    trust_weights: bool = False  # leave out of the prompt what the weights have mastered
    think: bool = False  # let the model draw a thought before it speaks
    steer: tuple[Wish, ...] = ()
    force_dose: bool = False  # steer with the whole dose also where it breaks fluency

    def as_json(self) -> dict[str, object]:
        """For the record of a session; without anybody's words."""
        steer = [{"direction": wish.name.partition(":")[0], "dose": wish.dose} for wish in self.steer]
        return {**asdict(self), "steer": steer}


@dataclass(slots=True)
class Session:
    """Open one with `Session.open`. Not safe for two threads at once."""

    composer: Composer
    settings: SessionSettings
    model: LanguageModel | None  # what speaks; None where a server does
    digests: SpokenDigests  # of what was said
    reader: Reader | None = None  # of what is said; None where a server speaks, or no readout serves
    checks: tuple[Judge, ...] = ()  # of what the persona claims
    steering: Steering | None = None
    notices: tuple[str, ...] = ()  # what whoever talks should know, a sentence each
    turns: list[Turn] = field(default_factory=list)
    mood: Mood = field(default_factory=Mood)
    last_at: datetime | None = None  # when the last turn was
    n_said: int = 0  # messages of this conversation that were heard here
    last: SpokenTurn | None = None
    id: str = ""  # on record from the first turn on
    kind: Kind = "reply"  # of what is on record under that id
    knobs: dict[str, Any] = field(default_factory=dict)  # as that says

    @property
    def tools(self) -> SimulatorTools:
        return self.composer.tools

    @property
    def recipe(self) -> str | None:
        """Hash of the space's recipe."""
        return self.composer.recipe

    @property
    def person(self) -> Person:
        return self.composer.person

    @property
    def partner(self) -> Person:
        return self.composer.partners[0]

    @classmethod
    def open(
        cls, tools: SimulatorTools, person: Person, partner: Person, settings: SessionSettings
    ) -> Session:
        """Load the persona. Raises NoConsent where nobody has recorded that the person agreed.

        A dose is tried before it is worn; raises what `Sources.find` does where there is nothing to steer by.
        """
        from simulator.opening import open_session

        return open_session(tools, person, partner, settings)

    def reply(self, text: str, *, autocomplete: bool = False) -> SpokenTurn:
        """The whole turn at once; see `stream`."""
        for _ in self.stream(text, autocomplete=autocomplete):
            pass
        if self.last is None:
            raise RuntimeError("the stream ended without a turn")
        return self.last

    def stream(self, text: str, *, autocomplete: bool = False) -> Iterator[str]:
        """The reply part by part, each as the guards let it pass; `last` holds the turn when the stream has ended.

        With `autocomplete`, `text` is what the person has begun to write themselves, and the stream continues it; before
        the first turn that is what follows the last real messages of the two. Raises EmptyTurn. Where the engine fails on the way, what was said until then is kept as interrupted, and the
        error is raised.
        """
        check_said(text, autocomplete=autocomplete)
        if autocomplete and not self.turns:
            from simulator.opening import begin_from_reality

            begin_from_reality(self)
        said = "" if autocomplete else text
        heard = said or self._last_heard()
        now = self.tools.clock()
        turns = recent([*self.turns, Turn(self.partner.name, said)]) if said else self.turns
        summary = self.digests.summary_before(min(len(turns) - bool(said), self.n_said))
        notes = (summary,) if summary else ()
        moment = Moment(now, self._seed(now), self.mood.now(now), self.last_at, notes)
        composed = self.composer.compose(heard, turns, moment, prefix=text if autocomplete else "")
        failure = None
        try:
            with self._steered():
                yield from composed
        except AgentError as error:
            failure = error
        kind: Kind = "autocomplete" if autocomplete else "reply"
        self._keep(composed, said, kind, is_interrupted=failure is not None)
        if failure is not None:
            raise failure

    def draw_as(self, asked: AskedSampling, seed: int | None) -> None:
        """How the turns from now on are drawn; weights, turns and what the engine keeps stay. Raises BadSampling."""
        from simulator.opening import sampling_of

        self.composer.sampling = sampling_of(self.tools, self.person, asked)
        self.settings = replace(self.settings, **asked.knobs(), seed=seed)

    def known_facts(self, text: str) -> list[Fact]:
        """Facts that bear on what was said and that the person can know, the best first."""
        now = self.tools.clock()
        return list(self.composer.bring(text, Moment(now, 0)).facts)

    def close(self) -> None:
        """End the session on record, and let go of the engine."""
        try:
            if self.id:
                sessions.end(self.tools.database, self.tools.space_id, self.id, clock=self.tools.clock)
        finally:
            self.composer.engine.close()

    def _seed(self, now: datetime) -> int:
        first = self.settings.seed if self.settings.seed is not None else int(now.timestamp() * 1000)
        return (first + self.n_said) % 2**31

    def _steered(self) -> AbstractContextManager[object]:
        """The model as the persona speaks with it; what it reads before and after, it reads unsteered."""
        if self.steering is None or self.model is None:
            return nullcontext()
        from agents.runtime.steering import steered

        return steered(self.model, self.steering.added(), self.steering.positions)

    def _keep(self, composed: Composed, said: str, kind: Kind, *, is_interrupted: bool) -> None:
        """Write the turn, read it, and tell the guards."""
        tools, brought, spoken = self.tools, composed.brought, composed.spoken
        new = composed.new_turn(is_interrupted=is_interrupted)
        if said:
            new = replace(new, heard=(self.partner.id, said))
        kept = sessions.keep_turn(
            tools.database, tools.space_id, self._on_record(kind), new, clock=tools.clock
        )
        heard, readings = self._read(kept)
        for turn, text, found in ((kept.heard, said, heard), (kept.reply, composed.said, readings)):
            if turn is not None:
                self.turns.append(Turn(turn.speaker, text))
                self.n_said += 1
                self.composer.hear(turn.speaker, text)
                is_own = turn.speaker_id == self.person.id
                self.mood = self.mood.after(found, turn.time, is_own=is_own)
                self.last_at = turn.time
        self.turns = recent(self.turns)
        self.last = SpokenTurn(
            id=kept.id,
            session_id=self.id,
            reply=spoken.text.strip(),
            facts=brought.facts,
            readouts=readings,
            recipe=self.recipe,
            deliberation=brought.deliberation,
            mood=self.mood,
            status=new.status,
            n_draws=spoken.n_draws,
            n_tokens=spoken.n_tokens,
            seconds=composed.seconds,
            objections=tuple(spoken.objections),
            left_to_weights=brought.spared,
            heard=heard,
            steering=self.steering,
            claims=tuple(check_claims(spoken.text, self.checks)),
            notices=self.notices,
            entropies=tuple(None if one is None else round(one, 4) for one in spoken.entropies),
        )
        for turn in (kept.heard, kept.reply):
            if turn is not None:
                self.digests.heard(turn)

    def _on_record(self, kind: Kind) -> str:
        """The session's id; it is begun with its first turn, and another one where what it is used for, or how it is drawn,
        changes. Each turn's seed is on record with the turn."""
        knobs = self.settings.knobs()
        if self.id and (self.kind, self.knobs) != (kind, knobs):
            sessions.end(self.tools.database, self.tools.space_id, self.id, clock=self.tools.clock)
            self.id = ""
        if not self.id:
            self.kind, self.knobs = kind, knobs
            new = NewSession(
                person_id=self.person.id,
                conversation=conversation_name(self.person, self.partner),
                people=(self.person.id, self.partner.id),
                kind=kind,
                settings=self.settings.as_json(),
                engine=self.composer.engine.name,
                recipe=self.recipe,
                readout=self.reader.sha256 if self.reader else None,
            )
            self.id = sessions.begin(self.tools.database, self.tools.space_id, new, clock=self.tools.clock)
        return self.id

    def _read(self, kept: KeptTurn) -> tuple[dict[str, float], dict[str, float]]:
        """The readings of the partner's and the persona's new turn, kept with them; empty where there is none."""
        said = [turn for turn in (kept.heard, kept.reply) if turn is not None and turn.text]
        if self.reader is None or not said:
            return {}, {}
        found = self.reader.keep(self.tools, said)
        heard, reply = (dict(found.get(one.id, {})) if one else {} for one in (kept.heard, kept.reply))
        return heard, reply

    def _last_heard(self) -> str:
        return next((turn.text for turn in reversed(self.turns) if turn.speaker == self.partner.name), "")


def check_said(text: str, *, autocomplete: bool = False) -> None:
    """Raises EmptyTurn where nothing can be seen of what is said, and nobody is to go on by themselves."""
    if not autocomplete and is_blank(text):
        raise EmptyTurn


def conversation_name(person: Person, partner: Person) -> str:
    return f"simulated: {person.name} with {partner.name}"
