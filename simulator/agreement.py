"""Whether what replies say of people agrees with what the graph holds of them and the person could know.

A reply is read by the extractor that reads chats, after what was said before it; each fact that it states is laid
beside those of the same subject and predicate as of that moment. Real replies are measured in the same way: what they
reach is what the measure gives to a person who makes nothing up, for real people also tell what nobody knew before.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from memory import names, values
from memory.facts import list_facts
from memory.ports import Extractor, Roster
from memory.types import Episode, Fact, FactCandidate, Person
from simulator.adherence import as_episodes
from simulator.held_out import Exchange
from simulator.session import SimulatorTools

_BEFORE = timedelta(microseconds=1)
AGREES, CONTRADICTS, NEW = "agrees", "contradicts", "new"


@dataclass(frozen=True, slots=True)
class Agreement:
    """What the replies state: facts that are known, that a known one rules out, and that nobody had told."""

    agrees: int
    contradicts: int
    new: int
    replies: int

    @property
    def consistent(self) -> float | None:
        """Share of agreeing among those about which something is known."""
        known = self.agrees + self.contradicts
        return self.agrees / known if known else None

    def as_json(self) -> dict[str, Any]:
        share = self.consistent
        return {
            "consistent": None if share is None else round(share, 4),
            "agrees": self.agrees,
            "contradicts": self.contradicts,
            "new": self.new,
            "replies": self.replies,
        }


def agreement(
    tools: SimulatorTools,
    person: Person,
    extractor: Extractor,
    exchanges: Sequence[Exchange],
    replies: Sequence[Sequence[str]],
) -> Agreement:
    """Of replies to those exchanges, seen from the person at the time of each."""
    counts: Counter[str] = Counter()
    for exchange, lines in zip(exchanges, replies, strict=True):
        stated = _stated(extractor, exchange, lines)
        if stated:
            then = exchange.at - _BEFORE
            known = list_facts(
                tools.database,
                tools.space_id,
                tools.registry,
                as_of=then,
                known_to=person.id,
                clock=lambda then=then: then,
            )
            counts.update(_verdict(tools, candidate, known) for candidate in stated)
    return Agreement(counts[AGREES], counts[CONTRADICTS], counts[NEW], len(replies))


def _stated(extractor: Extractor, exchange: Exchange, lines: Sequence[str]) -> list[FactCandidate]:
    """What the reply itself states; the messages before it are read with it, and count for nothing."""
    own = as_episodes([exchange], [lines])
    if not own:
        return []
    before = [
        Episode(
            f"before+{i}", "made", -len(exchange.before) + i, turn.speaker, turn.speaker, exchange.at, turn.text
        )
        for i, turn in enumerate(exchange.before)
    ]  # fmt: skip
    speakers = (exchange.person, *exchange.partners)
    ids = {episode.id for episode in own}
    found = extractor.extract([*before, *own], Roster(speakers))
    return [candidate for candidate in found if ids.issuperset(candidate.episode_ids)]


def _verdict(tools: SimulatorTools, candidate: FactCandidate, known: Sequence[Fact]) -> str:
    predicate = tools.registry.get(candidate.predicate)
    of_it = [
        fact
        for fact in known
        if fact.predicate == candidate.predicate and names.key(fact.subject) == names.key(candidate.subject)
    ]
    if any(values.is_same(fact.object, candidate.object, kind=predicate.object) for fact in of_it):
        return AGREES
    rules_out = of_it and predicate.cardinality == "one" and candidate.change == "state"
    return CONTRADICTS if rules_out else NEW
