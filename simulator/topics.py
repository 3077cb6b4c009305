"""What a persona may turn to when a conversation goes in circles: facts, patterns and digests of what they can know.

A topic is chosen from areas that were turned to least, of what has not been spoken of for longest; what came up lately
is left alone. Nothing sensitive, withheld or unknown to the persona is ever among them, nor what gives orders to
machines: an opening is said as it stands. Under one seed and one conversation the same topics come in the same order.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial
from random import Random
from typing import TYPE_CHECKING

from agents.pasted import IN_A_ROW_S, MOST_PIECES
from agents.turns import Persona
from memory.digests import list_digests
from memory.episodes import episodes_near, get_episodes, readable
from memory.errors import UnknownFact
from memory.facts import get_fact, list_facts
from memory.names import key
from memory.ports import Clock, Withhold
from memory.sensitive import kinds, kinds_of_fact
from memory.types import Episode, Fact
from memory.wordings import Wordings, content_words, fill
from simulator.confidences import kept_facts, kept_messages
from simulator.knowing import UNDISPUTED, gives_orders

if TYPE_CHECKING:
    from db.engine import Database
    from memory.registry import Registry

RESTING = 12  # turns for which what was spoken of is left alone
MOST_DIGEST_LINES = 200
MAX_QUOTED = 160  # characters of a remembered message
_CHANGING = ("months", "days")  # how soon something of a partner changes, to be worth asking about
_PATTERN = "pattern"
_AROUND = timedelta(seconds=IN_A_ROW_S * MOST_PIECES)  # of a message, in which what it belongs to was said


@dataclass(frozen=True, slots=True)
class Topic:
    """Something to talk about. `words`: stems by which one tells that it is being spoken of.

    `note` is for the prompt, in the second person; `openings` are sentences that the persona may say as they stand, the
    plainest first, and may be none.
    """

    area: str  # a topic of the registry, "habits" for patterns, "memories" for digests
    name: str  # what it is about, in a word or two of the graph's
    words: frozenset[str]
    note: str
    openings: tuple[str, ...] = ()
    fact_id: str | None = None  # that it is made of
    is_so: Callable[[], bool] = field(
        default=lambda: True, compare=False, repr=False
    )  # what it rests on, now


@dataclass(frozen=True, slots=True)
class Graph:
    """Where topics are read: a space, for one persona by id."""

    database: Database
    space_id: str
    registry: Registry
    clock: Clock
    withhold: Withhold
    listeners: tuple[str, ...] = ()  # ids of those before whom they are brought up


def topics_of(graph: Graph, person_id: str, persona: Persona) -> list[Topic]:
    """All that the persona can know and may bring up before these listeners, by area and name."""
    facts = list_facts(
        graph.database,
        graph.space_id,
        graph.registry,
        known_to=person_id,
        statuses=UNDISPUTED,
        clock=graph.clock,
    )
    wordings = Wordings.load()
    kept = kept_facts(graph.database, graph.space_id, graph.listeners, facts)
    found = [
        replace(topic, fact_id=fact.id, is_so=partial(_holds, graph, person_id, fact.id))
        for fact in facts
        if fact.id not in kept
        and not kinds_of_fact(fact)
        and not gives_orders(fact)
        and (topic := _of_fact(fact, persona, graph.registry, wordings))
    ]
    found += [
        replace(_of_line(line, persona), is_so=partial(_is_kept, graph, line.id))
        for line in _digest_lines(graph, person_id)[-MOST_DIGEST_LINES:]
        if not kinds(line.text) and len(content_words(line.text)) >= 3
    ]
    return sorted(_each_once(found), key=lambda topic: (topic.area, topic.name, topic.note))


def _digest_lines(graph: Graph, person_id: str) -> list[Episode]:
    """The lines that may be read, judged by all that was said around them."""
    digests = list_digests(graph.database, graph.space_id, known_to=person_id)
    lines = [line for digest in digests for line in digest.lines]
    around = episodes_near(graph.database, graph.space_id, {line.id for line in lines}, _AROUND)
    allowed = {episode.id for episode in readable(around, graph.withhold)}
    kept = kept_messages(graph.database, graph.space_id, graph.listeners, lines)
    return [line for line in lines if line.id in allowed and line.id not in kept]


def _holds(graph: Graph, person_id: str, fact_id: str) -> bool:
    with suppress(UnknownFact):
        fact = get_fact(
            graph.database, graph.space_id, fact_id, graph.registry, known_to=person_id, clock=graph.clock
        )
        return fact.status in UNDISPUTED
    return False


def _is_kept(graph: Graph, episode_id: str) -> bool:
    return bool(get_episodes(graph.database, graph.space_id, [episode_id]))


def _each_once(topics: Iterable[Topic]) -> Iterable[Topic]:
    return {(topic.name, topic.words): topic for topic in topics if topic.words}.values()


def _of_fact(fact: Fact, persona: Persona, registry: Registry, wordings: Wordings) -> Topic | None:
    is_own, is_partners = fact.subject == persona.name, fact.subject in persona.partners
    if fact.predicate == _PATTERN:
        return _of_pattern(fact) if is_own else None
    words = content_words(f"{fact.object} {'' if is_own or is_partners else fact.subject}")
    said = [
        fill(template, subject=fact.subject, object=fact.object, predicate=fact.predicate)
        for template in (wordings.first_person if is_own else wordings.statements)(fact.predicate)
    ]
    area, name = registry.get(fact.predicate).topic, fact.object if is_own else fact.subject
    if not is_partners:
        is_sayable = not any(
            fact.subject.startswith(f"{one}'s ") for one in (persona.name, *persona.partners)
        )
        note = f"You want to talk about this now: {said[0]}"
        return Topic(area, name, words, note, tuple(said) if is_sayable else ())
    if fact.volatility not in _CHANGING:
        return None  # nobody asks somebody they know where they were born
    about = f"You want to ask {_first(fact.subject)} how this goes on: {said[0]}"
    return Topic(area, f"{fact.subject}: {fact.object}", words, about, wordings.you_questions(fact.predicate))


def _first(name: str) -> str:
    return name.split()[0]


def _of_pattern(fact: Fact) -> Topic:
    note = f"You want to talk about yourself now: {fact.subject} {fact.object}."
    return Topic("habits", fact.object, content_words(fact.object), note)


def _of_line(line: Episode, persona: Persona) -> Topic:
    who = "you" if line.speaker == persona.name else _first(line.speaker)
    text = " ".join(line.text.split())
    quoted = text if len(text) <= MAX_QUOTED else text[:MAX_QUOTED].rsplit(" ", 1)[0]
    note = f'You want to come back to what {who} wrote in {line.time:%B %Y}: "{quoted}"'
    return Topic("memories", f"{line.time:%B %Y}", content_words(quoted), note)


class Topics:
    """Chooses what to turn to. Told every turn; `used` are the topics turned to so far, in order."""

    def __init__(self, known: Sequence[Topic], *, seed: int = 0, about: str = "") -> None:
        """`about`: words of what is to be talked about first, where something known matches them."""
        self._known = tuple(known)
        self._seed = seed
        self._wanted = content_words(about)
        self._n_turns = 0
        self._spoken_of: dict[int, int] = {}  # place -> turn in which it came up last
        self._areas: Counter[str] = Counter()
        self._times: Counter[int] = Counter()  # place -> how often it was turned to
        self._gone: set[int] = set()  # places of what was erased or holds no more
        self.used: list[Topic] = []

    def heard(self, text: str) -> None:
        self._n_turns += 1
        said = content_words(text)
        for place, topic in enumerate(self._known):
            if _comes_up(topic.words, said):
                self._spoken_of[place] = self._n_turns

    def next(self, *, has_opening: bool = False) -> Topic | None:
        """What to turn to now, or None where nothing is known, or nothing rested. `has_opening`: it can be said as it is.

        What it rests on is looked up again: a fact may have been erased or taken back since the conversation began.
        """
        while (place := self._next_place(has_opening=has_opening)) is not None:
            if self._known[place].is_so():
                return self._use(place)
            self._gone.add(place)
        return None

    def opening(self) -> str | None:
        """A sentence in the persona's words that changes the topic; another one when the topic comes again."""
        topic = self.next(has_opening=True)
        if topic is None:
            return None
        place = self._known.index(topic)
        return topic.openings[(self._times[place] - 1) % len(topic.openings)]

    def _next_place(self, *, has_opening: bool) -> int | None:
        able = [
            at
            for at, topic in enumerate(self._known)
            if at not in self._gone and (topic.openings or not has_opening)
        ]
        rested = [at for at in able if self._rests_since(at) >= RESTING]
        wanted = [at for at in rested if self._wanted & self._known[at].words and not self._times[at]]
        if not (rested := wanted or rested):
            return None
        dice = Random(f"{self._seed}/{self._n_turns}/{len(self.used)}")
        return min(rested, key=lambda at: (*self._weariness(at), dice.random()))

    def _use(self, place: int) -> Topic:
        topic = self._known[place]
        self._areas[topic.area] += 1
        self._times[place] += 1
        self._spoken_of[place] = self._n_turns
        self.used.append(topic)
        return topic

    def _rests_since(self, place: int) -> int:
        return self._n_turns - self._spoken_of.get(place, -RESTING)

    def _weariness(self, place: int) -> tuple[int, int]:
        """How often it and then its area were turned to."""
        return self._times[place], self._areas[self._known[place].area]


def _comes_up(words: Collection[str], said: Collection[str]) -> bool:
    """Whether half of a topic's words, and at least one, are said."""
    n_said = sum(word in said for word in words)
    return n_said > 0 and 2 * n_said >= len(words)


def main_words(texts: Sequence[str], *, but: Collection[str] = ()) -> list[tuple[str, float]]:
    """Stems by the share of the texts that hold them, the commonest first; not those in `but` (names of who speaks)."""
    left_out = {word for name in but for word in content_words(key(name))}
    counts = Counter(word for text in texts for word in content_words(text) - left_out)
    return [
        (word, n / len(texts)) for word, n in sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    ]
