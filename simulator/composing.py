"""How a persona's turn is made: what it brings to what was said, the prompt of it, and the reply under the guards.

Nothing is written here; `simulator.session` keeps a turn of two, `simulator.company` one of several.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, tzinfo
from typing import TYPE_CHECKING

from agents.turns import MAX_RECENT_CHARS, Persona, Turn, recent, turn_messages
from consolidation.mastery import Mastered
from memory.claims import NewClaim
from memory.sessions import NewTurn, Place, Status
from memory.types import Fact, Person
from memory.wordings import Wordings
from simulator.answering import ButForOwed, Owed
from simulator.confidences import kept_facts
from simulator.consistency import ClaimGuard
from simulator.deliberation import Deliberation, with_thought
from simulator.knowing import related
from simulator.lengths import Lengths
from simulator.loops import LoopGuard
from simulator.manner import Manner
from simulator.mentions import Mentioned, mention_notes, mentioned
from simulator.moments import moment_note
from simulator.mood import Mood
from simulator.persona import own_words
from simulator.ports import Engine, Guard
from simulator.speaking import Speaker, Spoken, joined
from simulator.stance import Stance, claim_words, stance
from simulator.tools import SimulatorTools, check_consent
from simulator.topics import Topics

if TYPE_CHECKING:
    from agents.sampling import Sampling

LEAST_RECENT_CHARS = 200  # of the conversation, below which a prompt is too long for other reasons
MAX_CHARS = 24_000  # of what was said, that is looked at; the prompt holds less


@dataclass(frozen=True, slots=True)
class Brought:
    """What a persona brings to one turn. `spared`: ids of facts that the prompt leaves to the weights."""

    stance: Stance
    deliberation: Deliberation
    facts: tuple[Fact, ...] = ()
    spared: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()  # ids of further facts that the prompt holds: who others are


@dataclass(frozen=True, slots=True)
class Moment:
    """The circumstances of one turn. `last_at`: when anybody last spoke; `notes`: more that the prompt says to the persona."""

    now: datetime
    seed: int
    mood: Mood = field(default_factory=Mood)
    last_at: datetime | None = None
    notes: tuple[str, ...] = ()


@dataclass(slots=True)
class Composer:
    """One persona in one conversation; `engine` is set before its first turn."""

    tools: SimulatorTools
    person: Person
    partners: tuple[Person, ...]
    persona: Persona
    sampling: Sampling
    lengths: Lengths
    engine: Engine = field(init=False)
    manner: Manner = field(default_factory=Manner)  # of a guard's words
    claims: ClaimGuard | None = None
    loops: LoopGuard | None = None
    topics: Topics | None = None  # what else there is to talk about
    zone: tzinfo | None = None
    mastered: Mastered = field(default_factory=Mastered)  # by the weights
    thinks: bool = False
    is_among_personas: bool = (
        False  # it may then say nothing, and does not owe the same answer again and again
    )
    recipe: str | None = None
    adapters: tuple[str, ...] = ()

    def compose(
        self,
        heard: str,
        turns: Sequence[Turn],
        moment: Moment,
        *,
        prefix: str = "",
        by: Person | None = None,
    ) -> Composed:
        """The turn that answers what `by` said (the first partner, where it is not given), after these turns.

        It is drawn while it is iterated over. `prefix` is what the persona has begun to write. Raises NoConsent, also
        where it was withdrawn since, and what `memory.ask` does.
        """
        check_consent(self.tools, self.person)
        self._face(by or self.partners[0])
        if self.claims is not None:
            self.claims.begin(heard)
        return Composed(self, self.bring(heard, moment, by=by), tuple(turns), moment, prefix)

    @property
    def guards(self) -> list[Guard]:
        return [guard for guard in (self.claims, self.loops) if guard is not None]

    def hear(self, speaker: str, text: str) -> None:
        """A turn is over, the persona's own or another's."""
        for guard in self.guards:
            guard.heard(speaker, text)
        if self.topics is not None:
            self.topics.heard(text)

    def opening(self) -> str:
        """Something else to say, where nothing passes the guards."""
        return (self.topics.opening() if self.topics else None) or ""

    def _face(self, partner: Person) -> None:
        """Who "I" and "you" are from now on, for whatever reads questions and claims."""
        if self.claims is not None and self.claims.sight.partner.id != partner.id:
            others = [one.name for one in self.partners if one.id != partner.id]
            self.claims.sight = replace(self.claims.sight, partner=partner)
            self.claims.listener = replace(self.claims.listener, partners=(partner.name, *others))

    def bring(self, heard: str, moment: Moment, *, by: Person | None = None) -> Brought:
        """What bears on what was heard, from what the persona can know now."""
        heard = heard[-MAX_CHARS:]
        partner = by or self.partners[0]
        owed = self._stance(heard)
        found = {fact.id: fact for fact in owed.facts}
        if heard:
            near = related(self.tools, self.person, partner, heard, as_of=moment.now)
            kept = self._kept(near)
            found |= {fact.id: fact for fact in near if fact.id not in kept}
        needed = [fact for fact in found.values() if not self.mastered.covers(fact)]
        wordings = Wordings.load()
        known = [own_words(fact, self.persona, wordings, moment.now) for fact in needed]
        if owed.kind == "answer" and not owed.facts:
            known.append(owed.plain)  # a message that answers
        others = self._others(heard)
        deliberation = Deliberation(
            owed.kind,
            self.lengths.draw(len(heard), moment.seed),
            tuple(dict.fromkeys(known)),
            tuple(claim_words(claim, self.person.name) for claim in owed.claims),
            moment_note(moment.now, moment.last_at, *([self.zone] if self.zone else [])),
            moment.mood,
            tuple(mention_notes(others, self.persona, wordings)),
            notes_given=moment.notes,
        )
        spared = tuple(fact.id for fact in found.values() if fact not in needed)
        beside = tuple(fact.id for other in others for fact in other.facts if fact.id not in found)
        return Brought(owed, deliberation, tuple(found.values()), spared, beside)

    def _stance(self, heard: str) -> Stance:
        if not heard or self.claims is None:
            return Stance("talk")
        return stance(self.claims.sight, heard, self.claims.claims_bearing_on)

    def _others(self, heard: str) -> list[Mentioned]:
        tools = self.tools
        present = [self.person.id, *(one.id for one in self.partners)]
        found = mentioned(
            tools.database,
            tools.space_id,
            tools.index,
            tools.registry,
            [heard],
            known_to=self.person.id,
            present=present,
            clock=tools.clock,
        )
        kept = self._kept([fact for one in found for fact in one.facts])
        told = [replace(one, facts=tuple(fact for fact in one.facts if fact.id not in kept)) for one in found]
        return [one for one in told if one.facts]

    def _kept(self, facts: Sequence[Fact]) -> frozenset[str]:
        """Ids of those that are not brought up before these partners."""
        listeners = [one.id for one in self.partners]
        return kept_facts(self.tools.database, self.tools.space_id, listeners, facts)

    def prompt(
        self, deliberation: Deliberation, turns: Sequence[Turn], now: datetime, prefix: str
    ) -> list[dict[str, str]]:
        """Of the conversation as much as leaves room for a reply: characters are counted, and where they are more tokens than
        usual, half as many, and again."""
        limit = MAX_RECENT_CHARS
        while True:
            messages = turn_messages(
                self.persona,
                recent(turns, limit),
                deliberation.known,
                now=now,
                prefix=prefix,
                notes=deliberation.notes,
            )
            if limit <= LEAST_RECENT_CHARS or self.engine.fits(messages):
                return messages
            limit //= 2


class Composed:
    """A turn under way: iterate for its parts. `spoken`, `seconds` and `brought` are whole once that has ended."""

    def __init__(
        self, composer: Composer, brought: Brought, turns: tuple[Turn, ...], moment: Moment, prefix: str
    ) -> None:
        self.brought = brought
        self.spoken = Spoken()
        self.seconds = 0.0
        self.prefix = prefix
        self._composer = composer
        self._n_topics = len(composer.topics.used) if composer.topics else 0  # turned to before
        self._turns = turns
        self._moment = moment

    def __iter__(self) -> Iterator[str]:
        began = time.monotonic()
        try:
            yield from self._parts()
        finally:
            self.seconds = time.monotonic() - began

    @property
    def said(self) -> str:
        """All that the persona said, what it had begun included."""
        return joined(self.prefix, self.spoken.text).strip()

    def new_turn(self, *, is_interrupted: bool = False) -> NewTurn:
        """The turn for the record, with what it claims."""
        composer, brought, spoken = self._composer, self.brought, self.spoken
        status: Status = "interrupted" if is_interrupted else "corrected" if spoken.is_corrected else "whole"
        return NewTurn(
            speaker_id=composer.person.id,
            reply=self.said,
            status=status,
            facts=self._facts(),
            rests_on=() if brought.stance.facts else tuple(one.id for one in brought.stance.evidence),
            claims=self._claims(),
            recipe=composer.recipe,
            adapters=composer.adapters,
            seed=self._moment.seed,
            n_draws=max(1, spoken.n_draws),
            objections=tuple((one.guard, one.reason) for one in spoken.objections),
            seconds=self.seconds,
            deliberation="\n".join(brought.deliberation.lines),
        )

    def _claims(self) -> Sequence[NewClaim]:
        """What was said whole claims something; half a sentence does not."""
        guard, spoken = self._composer.claims, self.spoken
        whole = spoken.text[: len(spoken.text) - spoken.n_cut]
        return guard.claims_of(joined(self.prefix, whole).strip()) if guard and whole.strip() else ()

    def _facts(self) -> dict[str, Place]:
        """Every fact that the turn rests on, and where it was."""
        brought = self.brought
        topics = self._composer.topics.used[self._n_topics :] if self._composer.topics else []
        opened = [topic.fact_id for topic in topics if topic.fact_id is not None]
        places: dict[str, Place] = dict.fromkeys((*brought.beside, *opened), "prompt")
        return places | {
            fact.id: "weights" if fact.id in brought.spared else "prompt" for fact in brought.facts
        }

    def _parts(self) -> Iterator[str]:
        composer, moment = self._composer, self._moment
        sampling = replace(composer.sampling, seed=moment.seed)
        messages = composer.prompt(self.brought.deliberation, self._turns, moment.now, self.prefix)
        if composer.thinks:
            thoughtful = with_thought(self.brought.deliberation, composer.engine, messages, sampling)
            self.brought = replace(self.brought, deliberation=thoughtful)
            messages = composer.prompt(thoughtful, self._turns, moment.now, self.prefix)
        owed = self.brought.stance
        guards = composer.guards
        is_owed = owed.kind != "talk" and not self.prefix
        if is_owed and composer.is_among_personas and composer.loops:
            is_owed = composer.loops.objection("", owed.plain, ()) is None
        elif is_owed:
            guards = [
                ButForOwed(guard, owed.is_given) if guard is composer.loops else guard for guard in guards
            ]
        if is_owed:
            guards.insert(0, Owed(owed.kind, owed.is_given, owed.plain))
        tags = composer.persona.tags
        speaker = Speaker(
            composer.engine,
            guards,
            composer.persona.tag,
            [tag for name, tag in tags.items() if name != composer.person.name],
            [form for name in tags for form in dict.fromkeys((name, name.split()[0]))],
            composer.opening,
            owed.plain if is_owed else "",
            self.prefix,
            composer.is_among_personas,
            composer.manner,
        )
        yield from speaker.speak(messages, sampling, self.brought.deliberation.length, self.spoken)
