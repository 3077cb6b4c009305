"""A conversation of two or three personas with each other: whose turn it is, what it may turn to, when it is over.

A human may sit among them as a person of the graph: all hear what they say, and the personas speak until it is the
human's turn again. Each persona speaks from its own perspective, with its own weights and guards; what is said is kept
as `simulated`, turn by turn, so that a conversation that is killed goes on where it was. A prompt holds the last turns
and one sentence about what came before: it does not grow with the conversation. Who speaks and how is behind the
Protocol `Member`.
"""

from __future__ import annotations

import re
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from random import Random
from typing import TYPE_CHECKING, Literal, Protocol

from agents.turns import Turn, recent
from memory.sessions import NewTurn
from memory.types import Episode, Person
from simulator.errors import SamePerson, TooManyPersonas
from simulator.session import check_said
from simulator.topics import Topic, main_words

if TYPE_CHECKING:
    from simulator.company_record import Record

MOST_PERSONAS = 3  # a human among them counted
DRIFT_TURNS = 16  # last turns in which a word that DRIFT of them share means that they are stuck with it
DRIFT = 0.5
_SEED = 2**31

Ended = Literal["turns", "answered", "nothing left to say", "interrupted"]


class Interrupted(Exception):
    """A turn that the engine broke off; the engine's error is its cause."""

    def __init__(self, turn: NewTurn) -> None:
        super().__init__("a turn was broken off")
        self.turn = turn


class Member(Protocol):
    """A persona in company. `found`: loops by detector so far; `turned_to`: topics so far, in order; `n_tokens`: drawn."""

    n_tokens: int

    @property
    def person(self) -> Person: ...

    def speak(self, turns: Sequence[Turn], notes: Sequence[str], *, seed: int) -> NewTurn:
        """What it says after these turns, with how that came to be. An empty reply where it has nothing to say."""
        ...

    def heard(self, speaker: str, text: str) -> None:
        """A turn was said, also its own."""
        ...

    def feel(self, said: Episode) -> None:
        """A turn was kept, also its own."""
        ...

    def resume(self, said: Sequence[Episode]) -> None:
        """The conversation goes on after these turns of it, at least one, each of which it was told before."""
        ...

    def turn_to(self) -> Topic | None:
        """Something else to talk about, from what it can know."""
        ...

    @property
    def found(self) -> Mapping[str, int]: ...

    @property
    def turned_to(self) -> Sequence[Topic]: ...


@dataclass(frozen=True, slots=True)
class CompanySettings:
    """`changes`: whether topics change by themselves and where the talk drifts, after `pace` turns (from, to) at random."""

    seed: int = 0
    context_chars: int = 1000  # of the turns that a prompt holds
    changes: bool = True
    pace: tuple[int, int] = (6, 14)


@dataclass(frozen=True, slots=True)
class SaidTurn:
    """One turn of a persona that was kept. `topic`: what the speaker was told to turn to, in the graph's words."""

    number: int  # from 0, over everything these people said to each other
    speaker: str
    text: str
    turn: NewTurn
    topic: str | None = None
    n_tokens: int = 0  # drawn for it, those that were thrown away among them


@dataclass(slots=True)
class Company:
    """Open one with `Company.begin`. Not safe for two threads, nor for two processes on one conversation."""

    members: tuple[Member, ...]
    record: Record
    settings: CompanySettings
    human: Person | None = None  # who of them is no persona, and leads the talk
    notices: tuple[str, ...] = ()  # what whoever reads it should know, a sentence each
    ended: Ended | None = None
    _turns: list[Turn] = field(default_factory=list)
    _latest: deque[Turn] = field(default_factory=lambda: deque(maxlen=DRIFT_TURNS))
    _number: int = 0
    _change_at: int = 0
    _n_silent: int = 0
    _unanswered: str | None = None  # id of what the human said last

    @classmethod
    def begin(
        cls,
        members: Sequence[Member],
        record: Record,
        settings: CompanySettings,
        before: Sequence[Turn] = (),
        human: Person | None = None,
    ) -> Company:
        """The conversation as it was left, or a new one that follows `before`. Raises SamePerson, TooManyPersonas.

        Where a `human` leads, topics do not change by themselves.
        """
        check_people([member.person for member in members], human)
        settings = replace(settings, changes=settings.changes and human is None)
        company = cls(tuple(members), record, settings, human)
        said = record.last_said()
        for turn in [Turn(one.speaker, one.text) for one in said] or before:
            company._hear(turn)
        for member in members if said else ():
            member.resume(said)
        company._number = record.n_turns
        company._plan_change()
        return company

    @property
    def _personas(self) -> list[str]:
        return [member.person.name for member in self.members]

    @property
    def _names(self) -> list[str]:
        """Of all who are there."""
        return [*self._personas, *([self.human.name] if self.human else [])]

    @property
    def found(self) -> Counter[str]:
        """Loops by detector, over all members, since this process began."""
        return sum((Counter(member.found) for member in self.members), Counter())

    def turns(self, n: int) -> Iterator[SaidTurn]:
        """At most n further turns as they are said; each is kept before it is given out. `ended` says why they stop."""
        self.ended = None
        for _ in range(n):
            said = self._turn_of_any()
            if said is None:
                self.ended = "nothing left to say"
                return
            yield said
        self.ended = "turns"

    def answer(self, text: str) -> Iterator[SaidTurn]:
        """What the personas say to what the human says, each turn kept before it is given out.

        Whoever is called by name answers, else one by chance. Others go on until it is the human's turn again, or has
        nothing to add, for two turns a persona at most. What the human says is kept before anybody answers. Raises
        EmptyTurn, and ValueError where no human is there.
        """
        if self.human is None:
            raise ValueError("no human is there to answer")
        check_said(text)
        self.ended = None
        heard = self.record.hear(self.human, text)
        self._unanswered, self._n_silent = heard.id, 0
        self._take_in(heard)
        said = self._turn_of_any()
        if said is None:
            self._keep(NewTurn(self.members[0].person.id, ""))  # on record that it was said to them
            self.ended = "nothing left to say"
            return
        yield said
        for _ in range(2 * len(self.members) - 1):
            name, seed = self._next(self._names)
            said = None if name == self.human.name else self._turn(name, seed)
            if said is None:
                break
            yield said
        self.ended = "answered"

    def _turn_of_any(self) -> SaidTurn | None:
        """None where none of the personas has anything to say."""
        while True:
            said = self._turn(*self._next(self._personas))
            if said is not None or self._n_silent > 2 * len(self.members):
                return said

    def _next(self, names: Sequence[str]) -> tuple[str, int]:
        """Who of these speaks next, and the seed of what they say."""
        dice = Random(f"{self.settings.seed}/{self._number}/{self._n_silent}")
        return next_speaker(list(self._latest), names, dice, self._n_silent), dice.randrange(_SEED)

    def _turn(self, name: str, seed: int) -> SaidTurn | None:
        """None where the persona of that name has nothing to say."""
        speaker = self.members[self._personas.index(name)]
        topic = speaker.turn_to() if self._is_time_to_change() else None
        summary = self.record.digests.summary_before(len(self._turns))
        notes = [note for note in (summary, topic.note if topic else "") if note]
        before = speaker.n_tokens
        try:
            made = speaker.speak(self._turns, notes, seed=seed)
        except Interrupted as cut:
            if cut.turn.reply or self._unanswered:
                self._keep(cut.turn)
            raise cut.__cause__ or cut from None
        if topic is not None:
            self._plan_change()
        if made.reply.strip(" :\n") in ("", *self._names):  # a model that only writes whose line it is
            self._n_silent += 1
            return None
        self._n_silent = 0
        if topic is not None and topic.fact_id is not None:
            made = replace(made, facts={topic.fact_id: "prompt", **made.facts})
        about = topic.name if topic else None
        said = SaidTurn(self._number, name, made.reply, made, about, speaker.n_tokens - before)
        self._keep(made)
        return said

    def _keep(self, turn: NewTurn) -> None:
        if self._unanswered is not None:
            turn, self._unanswered = replace(turn, answers_id=self._unanswered), None
        said = self.record.keep(turn)
        if said is not None:
            self._take_in(said)

    def _take_in(self, said: Episode) -> None:
        """A message was kept: all feel and hear it."""
        self._number += 1
        for member in self.members:
            member.feel(said)
        self._hear(Turn(said.speaker, said.text))

    def _hear(self, turn: Turn) -> None:
        self._turns = recent([*self._turns, turn], self.settings.context_chars)
        self._latest.append(turn)
        for member in self.members:
            member.heard(turn.speaker, turn.text)

    def _plan_change(self) -> None:
        self._change_at = self._number + Random(f"{self.settings.seed}:{self._number}").randint(
            *self.settings.pace
        )

    def _is_time_to_change(self) -> bool:
        if not self.settings.changes:
            return False
        return self._number >= self._change_at or self._n_silent > 0 or not self._latest or self._drifts()

    def _drifts(self) -> bool:
        """Whether half of the last turns share a word, other than the names of who is here."""
        if len(self._latest) < DRIFT_TURNS or self._number < self._change_at - self.settings.pace[0]:
            return False
        words = main_words([turn.text for turn in self._latest], but=self._names)
        return bool(words) and words[0][1] >= DRIFT


def check_people(personas: Sequence[Person], human: Person | None = None) -> None:
    """Raises SamePerson where somebody is there twice, TooManyPersonas above three with the human."""
    people = seats(personas, human)
    if len(people) > MOST_PERSONAS:
        raise TooManyPersonas(len(people), MOST_PERSONAS)
    for place, person in enumerate(people):
        if person.id in [other.id for other in people[:place]]:
            raise SamePerson(person.name)


def seats(personas: Sequence[Person], human: Person | None) -> list[Person]:
    """All who are there, the human last."""
    return [*personas, *([human] if human else [])]


def next_speaker(turns: Sequence[Turn], names: Sequence[str], dice: Random, n_silent: int = 0) -> str:
    """Who speaks after these turns: whoever is addressed by name, else by chance, those who were silent longest likelier.

    Never who spoke last. A question is likelier answered by who was asked it: the one that spoke before. `n_silent`: how
    often in a row nobody had anything to say; everybody is asked twice, whoever spoke last at the end.
    """
    if not turns:
        return names[n_silent % len(names)]
    last = turns[-1]
    others = [name for name in names if name != last.speaker]
    if n_silent:
        place = names.index(last.speaker) if last.speaker in names else -1
        return names[(place + 1 + n_silent // 2) % len(names)]
    if named := addressed(last.text, others):
        return named
    before = next((turn.speaker for turn in reversed(turns[:-1]) if turn.speaker != last.speaker), None)
    asks = last.text.rstrip().endswith("?")
    weights = [_silence(turns, name) + (3 if asks and name == before else 0) for name in others]
    return dice.choices(others, weights=weights)[0]


def addressed(text: str, names: Sequence[str]) -> str | None:
    """Whose first name stands where one calls somebody: at an end of a sentence or line, before or after a comma, behind @.

    The last one who is called; None where nobody is, and where two share the first name.
    """
    found: list[tuple[int, str]] = []
    for name in names:
        first = name.split()[0]
        if sum(other.split()[0] == first for other in names) > 1:
            continue
        called = rf"(?:@{re.escape(first)}\b|(?:^|[.!?\n,]\s*){re.escape(first)}\s*(?:[,:.!?\n]|$))"
        found += [(match.start(), name) for match in re.finditer(called, text, re.IGNORECASE)]
    return max(found)[1] if found else None


def uncalled(text: str, name: str) -> str:
    """What is said to whoever has that name, without their first name where they are called by it at an end of a sentence.

    "And you, Bo?" asks Bo no more than "And you?" does. A text that holds nothing else stays.
    """
    first = re.escape(name.split()[0])
    before = re.sub(rf"@{first}\b\s*|(^|[.!?\n]\s*){first}\s*[,:]\s*", r"\1", text, flags=re.IGNORECASE)
    rest = re.sub(rf",\s*{first}(?=\s*(?:[.!?\n]|$))", "", before, flags=re.IGNORECASE)
    return rest if re.search(r"\w", rest) else text


def _silence(turns: Sequence[Turn], name: str) -> int:
    """Turns since they spoke, at least 1; all that are looked at where they have not."""
    return next((n for n, turn in enumerate(reversed(turns)) if turn.speaker == name), len(turns)) or 1
