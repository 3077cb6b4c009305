"""One question on its way to an answer: what was understood, the facts at hand, and which of a slot's facts it means."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from db.engine import Database
from memory import names, permanence, staleness, timing, values
from memory.confidence import Thresholds
from memory.decay import Held, decay
from memory.episodes import get_episodes
from memory.index import Index
from memory.lookup import Match
from memory.questions import Question
from memory.registry import Registry
from memory.search.timephrases import TimePhrase
from memory.types import Answer, Fact
from memory.wordings import Wordings

_EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
MAX_LISTED = 6  # values of one answer
NEAR_EVENT = 0.45  # cosine from which on a fact is the event that "before she moved" speaks of


@dataclass
class Asked:
    """Everything that the ways of answering share. `facts` are those that may be seen, quarantine left out."""

    database: Database
    space_id: str
    index: Index
    registry: Registry
    wordings: Wordings
    question: Question
    words: Sequence[str]  # that the index looks for
    facts: list[Fact]
    known_to: str | None
    as_of: datetime | None
    now: datetime
    thresholds: Thresholds
    explain: dict[str, Any]
    event: Fact | None = None  # the dated fact that the anchor's words tell of
    live: list[Fact] = field(init=False)

    def __post_init__(self) -> None:
        self.live = [fact for fact in self.facts if fact.status not in timing.TIMELESS]

    @property
    def times(self) -> list[TimePhrase]:
        """What the question's words of time mean, the event of "before she moved" resolved through its fact."""
        found = list(self.question.times)
        anchor, event = self.question.anchor, self.event
        if anchor is None or event is None or event.valid_from is None:
            return found
        begun, ended = event.valid_from, event.valid_to or self.now
        spans = {"before": (_EARLIEST, begun), "after": (begun, self.now), "during": (begun, ended)}
        return [
            *found,
            TimePhrase("in", *spans[anchor.relation], anchor.begin, anchor.stop, anchor.text, is_span=True),
        ]

    def slot(self, top: Match) -> list[Fact]:
        return [fact for fact in self.live if (fact.subject_id, fact.predicate) == top.slot]

    def timed(self, facts: list[Fact]) -> list[Fact]:
        """The facts of one slot that the question's words of time choose."""
        order, phrase = self.question.order, self.question.time
        if order == "earliest":
            return timing.earliest(facts)
        if self.question.anchor is not None:
            return self._anchored(facts)
        if phrase is not None:
            return timing.during(facts, phrase, self.registry)
        if order == "previous":
            return timing.latest_past(facts, self.now)
        holding = timing.at(facts, self.now, self.registry)
        return holding or timing.latest_past(facts, self.now) or timing.next_after(facts, self.now)

    def _anchored(self, facts: list[Fact]) -> list[Fact]:
        """ "before Paula", "before she moved": the value before another value, or before an event."""
        anchor = self.question.anchor
        assert anchor is not None
        if anchor.relation == "during":
            return self._at_event(facts)
        step = timing.after if anchor.relation == "after" else timing.before
        named = [fact for fact in facts if _says(anchor.text, fact.object)]
        if named:
            instead = step(facts, named[0])
            if instead or anchor.relation == "after":
                return instead
            return [fact for fact in facts if fact not in named and timing.holds(fact, self.now)]
        if self.event is not None and self.event.valid_from is not None:
            marked = replace(self.event, id="")
            return step(facts, marked) or timing.at(facts, self.event.valid_from, self.registry)
        if anchor.relation == "before":
            held = timing.at(facts, self.now, self.registry) if self.as_of else []
            return held or timing.latest_past(facts, self.now)
        return timing.at(facts, self.now, self.registry)

    def _at_event(self, facts: list[Fact]) -> list[Fact]:
        """ "when she worked at the museum": what held while that held."""
        if self.event is None:
            return timing.at(facts, self.now, self.registry)
        begun = self.event.valid_from or timing.DAWN
        overlapping = [
            fact
            for fact in facts
            if (self.event.valid_to is None or timing.start(fact) < self.event.valid_to)
            and (fact.valid_to is None or fact.valid_to > begun)
        ]
        return overlapping[:1] if self.registry.get(facts[0].predicate).cardinality == "one" else overlapping

    def alive(self, facts: list[Fact]) -> list[Fact]:
        """As many of them as one answer names, in their order: where there are more, those that time has left most of."""
        if len(facts) <= MAX_LISTED:
            return facts
        ids = [episode_id for fact in facts for episode_id in fact.evidence]
        said = {episode.id: episode.time for episode in get_episodes(self.database, self.space_id, ids)}
        left = [self._left(fact, said) for fact in facts]
        kept = sorted(range(len(facts)), key=lambda place: -left[place])[:MAX_LISTED]
        return [facts[place] for place in sorted(kept)]

    def _left(self, fact: Fact, said: Mapping[str, datetime]) -> float:
        times = [said[episode_id] for episode_id in fact.evidence if episode_id in said]
        held = Held(
            permanence.as_stated(self.registry.get(fact.predicate), fact.volatility),
            times,
            is_pinned=fact.is_pinned,
        )
        return decay(held, self.now)

    def answer(self, text: str, confidence: float, facts: Sequence[Fact]) -> Answer:
        """With the messages that its facts rest on, and a word on what has not been said for long."""
        unique = list({fact.id: fact for fact in facts}.values())
        ids = [episode_id for fact in unique for episode_id in fact.evidence]
        evidence = tuple(get_episodes(self.database, self.space_id, list(dict.fromkeys(ids))))
        stale = staleness.note(unique, evidence, self.now)
        said = f"{text} {stale}" if stale else text
        return Answer(said, False, confidence, tuple(unique), evidence, self.explain)


def _says(text: str, value: str) -> bool:
    said = set(names.key(text).split())
    wanted = [word for word in values.normal(value).split() if len(word) > 2]
    return any(word in said for word in wanted)
