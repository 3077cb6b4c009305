"""Pairs of statements made of a chat's gold facts, and what structured rules say of them.

Contradictions: a fact and the one that took its place, a fact and the value that a correction took back, and a fact
whose predicate holds one value at a time with a value that somebody else has. Not contradictions: the same fact in
other words or under an alias, the same predicate of somebody else, another value of a predicate that holds several,
and a statement of another topic. Every statement is in the wordings of `memory/wordings.toml`; the exam's are unread.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from memory import families, names, values
from memory.registry import Registry
from memory.wordings import Wordings, fill

Fact = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Said:
    """A fact as far as a rule sees it."""

    subject: str
    predicate: str
    object: str

    def statement(self, number: int) -> str:
        """The predicate's wording of that number, in a circle."""
        templates = Wordings.load().statements(self.predicate)
        template = templates[number % len(templates)]
        return fill(template, subject=self.subject, object=self.object, predicate=self.predicate)


@dataclass(frozen=True, slots=True)
class FactPair:
    first: Said
    second: Said
    contradicts: bool
    kind: str
    number: int  # of the second one's wording

    @property
    def premise(self) -> str:
        return self.first.statement(0)

    @property
    def hypothesis(self) -> str:
        return self.second.statement(self.number)


def rule_says(pair: FactPair, registry: Registry) -> bool | None:
    """Whether slots, cardinality and values settle it. None: not by rule, a predicate that nobody knows is in it."""
    one, other = pair.first, pair.second
    if names.key(one.subject) != names.key(other.subject):
        return False
    known = [registry.get(said.predicate).is_known for said in (one, other)]
    if one.predicate != other.predicate:
        if families.slot(one.predicate) == families.slot(other.predicate):
            first, second = (families.Value(said.predicate, said.object) for said in (one, other))
            return families.excludes(first, second, is_news=False)
        return False if all(known) else None
    predicate = registry.get(one.predicate)
    if values.is_same(one.object, other.object, kind=predicate.object):
        return False
    return predicate.cardinality == "one" if predicate.is_known else None


def fact_pairs(facts: Sequence[Fact], registry: Registry) -> list[FactPair]:
    """In the order of the facts; the same facts give the same pairs."""
    usable = [
        fact
        for fact in facts
        if all(str(fact.get(key) or "").strip() for key in ("subject", "predicate", "object"))
    ]
    found = [pair for makes in _MAKERS for pair in makes(usable, registry)]
    return list(dict.fromkeys(pair for pair in found if pair.premise != pair.hypothesis))


def _replaced(facts: Sequence[Fact], registry: Registry) -> Iterator[FactPair]:
    """In both directions: what was said before, and what was said after it."""
    by_id = {fact.get("id"): fact for fact in facts}
    for fact in facts:
        earlier = by_id.get(fact.get("supersedes"))
        if earlier is None or earlier["predicate"] != fact["predicate"] or _is_one(earlier, fact):
            continue
        for number in (0, 1):
            yield FactPair(_said(earlier), _said(fact), True, "replaced", number)
            yield FactPair(_said(fact), _said(earlier), True, "replaced", number)


def _corrected(facts: Sequence[Fact], registry: Registry) -> Iterator[FactPair]:
    for fact in facts:
        wrong = str(fact.get("corrected_from") or "").strip()
        if wrong:
            for number in (0, 1):
                yield FactPair(_said(fact, wrong), _said(fact), True, "corrected", number)


def _with_a_strange_value(facts: Sequence[Fact], registry: Registry) -> Iterator[FactPair]:
    """A value that a fact about somebody else has, of the same predicate."""
    for fact, others in _by_predicate(facts):
        if registry.get(fact["predicate"]).cardinality != "one":
            continue
        strange = [
            other for other in others if other["subject"] != fact["subject"] and not _is_one(fact, other)
        ]
        for number, other in enumerate(strange[:2]):
            yield FactPair(_said(fact), _said(fact, str(other["object"])), True, "strange value", number)


def _restated(facts: Sequence[Fact], registry: Registry) -> Iterator[FactPair]:
    for fact in facts:
        yield FactPair(_said(fact), _said(fact), False, "other words", 1)
        yield FactPair(_said(fact), _said(fact), False, "other words", 2)
        for number, alias in enumerate(fact.get("object_aliases") or ()):
            yield FactPair(_said(fact), _said(fact, str(alias)), False, "alias", number)


def _of_somebody_else(facts: Sequence[Fact], registry: Registry) -> Iterator[FactPair]:
    for fact, others in _by_predicate(facts):
        strange = [other for other in others if other["subject"] != fact["subject"]]
        for number, other in enumerate(strange[:2]):
            yield FactPair(_said(fact), _said(other), False, "somebody else", number)


def _of_several(facts: Sequence[Fact], registry: Registry) -> Iterator[FactPair]:
    for fact, others in _by_predicate(facts):
        predicate = registry.get(fact["predicate"])
        if predicate.cardinality == "many" and predicate.is_known:
            own = [
                o
                for o in others
                if o["subject"] == fact["subject"] and not _is_one(fact, o) and not _linked(fact, o)
            ]
            for number, other in enumerate(own[:2]):
                yield FactPair(_said(fact), _said(other), False, "one of several", number)


def _of_another_topic(facts: Sequence[Fact], registry: Registry) -> Iterator[FactPair]:
    """The next facts about the same one whose topic is another."""
    for place, fact in enumerate(facts):
        topic = registry.get(fact["predicate"]).topic
        others = [
            other
            for other in facts[place + 1 :]
            if other["subject"] == fact["subject"]
            and registry.get(other["predicate"]).topic != topic
            and not _linked(fact, other)
        ]
        for number, other in enumerate(others[:2]):
            yield FactPair(_said(fact), _said(other), False, "another topic", number)


_MAKERS = (
    _replaced,
    _corrected,
    _with_a_strange_value,
    _restated,
    _of_somebody_else,
    _of_several,
    _of_another_topic,
)


def _said(fact: Fact, value: str | None = None) -> Said:
    said = fact["object"] if value is None else value
    return Said(str(fact["subject"]), str(fact["predicate"]), str(said))


def _is_one(fact: Fact, other: Fact) -> bool:
    """Whether the two have the same value, under any of its names."""
    forms = [[str(f["object"]), *map(str, f.get("object_aliases") or ())] for f in (fact, other)]
    return any(values.is_same(a, b) for a in forms[0] for b in forms[1])


def _linked(fact: Fact, other: Fact) -> bool:
    """Whether one took the other's place."""
    return any(
        a.get("id") is not None and a["id"] == b.get("supersedes") for a, b in ((fact, other), (other, fact))
    )


def _by_predicate(facts: Sequence[Fact]) -> Iterator[tuple[Fact, list[Fact]]]:
    """Every fact with the later ones, then the earlier ones, of its predicate."""
    groups: dict[str, list[Fact]] = defaultdict(list)
    for fact in facts:
        groups[fact["predicate"]].append(fact)
    for group in groups.values():
        for place, fact in enumerate(group):
            yield fact, group[place + 1 :] + group[:place]
