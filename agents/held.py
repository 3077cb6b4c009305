"""Lines of a constitution out of what the graph holds of somebody: fears, ways of eating, what they gave up or want.

A fact was checked by a night, with hedges, jokes and corrections looked at; its line rests on the fact's messages and
goes when the fact is withdrawn.
"""

from __future__ import annotations

from collections.abc import Iterable

from memory.types import Fact, Principle

MOST = 8
_LINES = {
    "fears": ("limit", "Is afraid of {value}"),
    "dislikes": ("limit", "Cannot stand {value}"),
    "allergy": ("limit", "Does not touch {value}, being allergic"),
    "diet": ("principle", "Keeps to a way of eating: {value}"),
    "gave_up": ("principle", "Gave up {value} and keeps off it"),
    "wants": ("value", "Wants {value}"),
    "proud_of": ("value", "Is proud of {value}"),
    "exercise": ("habit", "Keeps moving: {value}"),
    "habit": ("habit", "Has the habit: {value}"),
}
_HOLDING = ("current", "candidate")
_WITHDRAWN = ("retracted", "rejected")


def held(facts: Iterable[Fact]) -> list[Principle]:
    """At most MOST lines, the surest facts first. `facts` are of one person."""
    chosen = [
        fact
        for fact in facts
        if fact.predicate in _LINES
        and fact.status in _HOLDING
        and fact.origin == "observed"
        and fact.evidence
    ]
    surest = sorted(chosen, key=lambda fact: (-fact.confidence, fact.predicate, fact.object))
    return [_line(fact) for fact in surest[:MOST]]


def withdrawn(facts: Iterable[Fact]) -> list[Principle]:
    """The lines of facts that were taken back, or never true."""
    return [_line(fact) for fact in facts if fact.predicate in _LINES and fact.status in _WITHDRAWN]


def _line(fact: Fact) -> Principle:
    kind, text = _LINES[fact.predicate]
    return Principle(kind, text.format(value=fact.object), fact.evidence)
