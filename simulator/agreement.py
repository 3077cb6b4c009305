"""Whether what replies say of people agrees with what the graph holds of them and the person could know.

A reply is read as a session reads what its persona claims (`simulator.claims`); each thing that it tells is laid beside the
facts of the same subject and predicate as of that moment. Real replies are measured in the same way: what they reach
is what the measure gives to a person who makes nothing up, for real people also tell what nobody knew before. Nothing is
kept: a report is no conversation.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from memory import names, values
from memory.facts import HOLDING, list_facts
from memory.ports import Extractor
from memory.types import Fact, Person
from simulator.claims import Listener, Told
from simulator.held_out import Exchange
from simulator.tools import SimulatorTools

_BEFORE = timedelta(microseconds=1)
_HELD_THEN = (*HOLDING, "past")
AGREES, CONTRADICTS, NEW = "agrees", "contradicts", "new"


@dataclass(frozen=True, slots=True)
class Agreement:
    """What the replies tell: what is known, what a known fact rules out, and what nobody had told."""

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
        listener = Listener(extractor, exchange.person, exchange.partners)
        heard = [turn.text for turn in exchange.before if turn.speaker != exchange.person]
        told = listener.told("\n".join(lines), exchange.at, heard=heard[-1] if heard else "")
        if told:
            known = _known(tools, person, exchange.at - _BEFORE)
            counts.update(_verdict(tools, one, known) for one in told)
    return Agreement(counts[AGREES], counts[CONTRADICTS], counts[NEW], len(replies))


def _known(tools: SimulatorTools, person: Person, then: datetime) -> list[Fact]:
    return list_facts(
        tools.database,
        tools.space_id,
        tools.registry,
        as_of=then,
        known_to=person.id,
        statuses=_HELD_THEN,
        clock=lambda: then,
    )


def _verdict(tools: SimulatorTools, told: Told, known: Sequence[Fact]) -> str:
    """What was so and is told as past contradicts nothing; of a predicate with many values only a denial does."""
    one, predicate = told.fact, tools.registry.get(told.fact.predicate)
    slot = [
        fact
        for fact in known
        if fact.predicate == one.predicate and names.key(fact.subject) == names.key(one.subject)
    ]
    same = [fact for fact in slot if values.is_same(fact.object, one.object, kind=predicate.object)]
    holds = [fact for fact in slot if fact.status in HOLDING]
    if told.is_past:
        return AGREES if same else NEW
    if any(fact in holds for fact in same):
        return CONTRADICTS if told.is_negated else AGREES
    rules_out = predicate.cardinality == "one" and holds and not told.is_negated
    return CONTRADICTS if rules_out and one.change == "state" else NEW
