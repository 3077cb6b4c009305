"""What the graph holds, slot by slot, as the curriculum teaches and the exam asks it; and how people are called.

A `Slot` is what one subject's predicate holds now, with what it held before. Pure functions over facts.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from consolidation.scoring import gives_any
from memory import names
from memory.registry import Registry
from memory.types import Fact, Person
from memory.wordings import spoken

MAX_OBJECT_WORDS = 20
MAX_OBJECT_BYTES = 240  # a byte is a token at worst, and question and answer share a text's window
MAX_SUBJECT_BYTES = 80
MAX_VALUES = 4  # of one slot that an answer lists


@dataclass(frozen=True, slots=True)
class Slot:
    """What a subject's predicate holds: facts (the most salient first) and values that no longer hold."""

    subject_id: str
    subject: str
    predicate: str
    facts: tuple[Fact, ...]
    old: tuple[str, ...] = ()

    @property
    def fact_ids(self) -> tuple[str, ...]:
        return tuple(fact.id for fact in self.facts)

    @property
    def said(self) -> str:
        """All values as one phrase: "Ebba and Nils"."""
        values = [spoken(fact.object) for fact in self.facts]
        return " and ".join(filter(None, [", ".join(values[:-1]), values[-1]]))

    @property
    def key(self) -> str:
        """What the slot is about, the same in every copy of the graph; ids are not."""
        return f"{names.key(self.subject)}|{self.predicate}"


def make_slots(current: Iterable[Fact], past: Iterable[Fact], registry: Registry) -> list[Slot]:
    """Slots in the order of their most salient fact, pinned ones first. Old values are those that no current one repeats."""
    by_slot: dict[tuple[str, str], list[Fact]] = defaultdict(list)
    for fact in sorted(current, key=_by_salience):
        by_slot[fact.subject_id, fact.predicate].append(fact)
    gone: dict[tuple[str, str], list[str]] = defaultdict(list)
    for fact in sorted(past, key=_by_salience):
        if registry.get(fact.predicate).cardinality == "one" or fact.status == "retracted":
            gone[fact.subject_id, fact.predicate].append(fact.object)
    return [
        Slot(subject_id, facts[0].subject, predicate, tuple(facts[:MAX_VALUES]), _apart(gone, facts))
        for (subject_id, predicate), facts in by_slot.items()
    ]


def emptied_slots(taught: Iterable[Fact], current: Iterable[Fact]) -> list[Slot]:
    """Slots of which something was taught and nothing holds any more, what was taught as their old values; in a fixed order."""
    held = {(fact.subject_id, fact.predicate) for fact in current}
    gone: dict[tuple[str, str], list[Fact]] = defaultdict(list)
    for fact in sorted(taught, key=_by_salience):
        if (fact.subject_id, fact.predicate) not in held:
            gone[fact.subject_id, fact.predicate].append(fact)
    return [
        Slot(subject_id, facts[0].subject, predicate, (), tuple(dict.fromkeys(f.object for f in facts)))
        for (subject_id, predicate), facts in gone.items()
    ]


def _by_salience(fact: Fact) -> tuple[bool, float, str, str, str]:
    return (
        not fact.is_pinned,
        -(fact.salience or 0.0),
        names.key(fact.subject),
        fact.predicate,
        fact.object,
    )


def _apart(gone: Mapping[tuple[str, str], list[str]], facts: Sequence[Fact]) -> tuple[str, ...]:
    old = gone.get((facts[0].subject_id, facts[0].predicate), [])
    kept = [
        value
        for value in dict.fromkeys(old)
        if len(value.split()) <= MAX_OBJECT_WORDS
        and not any(gives_any(fact.object, [value]) or gives_any(value, [fact.object]) for fact in facts)
    ]
    return tuple(kept[:2])


def is_teachable(fact: Fact) -> bool:
    """Short enough for one answer, one line, and something that a person said: no model, and no inference."""
    return (
        fact.origin == "observed"
        and "\n" not in fact.object
        and bool(fact.object.strip() and fact.subject.strip())
        and not is_too_long(fact.subject, fact.object)
    )


def now_and_before(facts: Iterable[Fact]) -> tuple[list[Fact], list[Fact]]:
    """What can be taught as it holds, and what people said that holds no longer."""
    shown = list(facts)
    current = [fact for fact in shown if fact.status == "current" and is_teachable(fact)]
    past = [fact for fact in shown if fact.status in ("past", "retracted") and fact.origin != "simulated"]
    return current, past


def is_too_long(subject: str, value: str) -> bool:
    """Whether a text about it would not fit the window of training, in whatever script it is written."""
    return (
        len(value.split()) > MAX_OBJECT_WORDS
        or len(value.encode("utf-8", "surrogatepass")) > MAX_OBJECT_BYTES
        or len(subject.encode("utf-8", "surrogatepass")) > MAX_SUBJECT_BYTES
    )


def accepted_values(value: str, kind: str) -> tuple[str, ...]:
    """What counts as giving the value. Beyond the value itself, as written and as said: the day of a moment, the place
    in "flat in Bonfim", the role in "nurse at Santa Clara" (`kind` text), the first name of a person."""
    found = list(dict.fromkeys((value, spoken(value))))
    if moment := re.match(r"\d{4}-\d{2}-\d{2}(?=[T ]\d{2}:\d{2})", value):
        found.append(moment[0])
    if match := re.match(r"(?P<head>[^,]+?) (?:in|at|on|near|for) (?P<tail>.+)", value):
        if kind == "place" and match["tail"][0].isupper():
            found.append(match["tail"])
        if kind == "text" and match["head"][0].islower() and len(match["head"].split()) > 1:
            found.append(match["head"])
    if kind == "person" and not names.is_single(value):
        found.append(value.split()[0])
    return tuple(found)


class Names:
    """How people and things are called: in full, and by first name where only one person has it."""

    def __init__(self, people: Sequence[Person]) -> None:
        self.people = tuple(people)
        self._by_id = {person.id: person for person in people}
        self._firsts = Counter(names.first(person.name) for person in people)
        self._keys = {names.key(form) for person in people for form in (person.name, *person.aliases)}

    def forms(self, subject_id: str, subject: str) -> tuple[str, ...]:
        """The ways to name the subject, the full one first."""
        if subject_id not in self._by_id or names.is_single(subject):
            return (subject,)
        first = self.first(subject)
        return (subject, first) if first and self._firsts[names.key(first)] == 1 else (subject,)

    def first(self, name: str) -> str:
        """The first name as it is written; titles are passed over."""
        wanted = names.first(name)
        return next((word for word in name.split() if names.key(word) == wanted), "")

    def is_known(self, name: str) -> bool:
        """Whether the name, or its first name alone, is somebody's."""
        return names.key(name) in self._keys or (names.is_single(name) and names.key(name) in self._firsts)

    def speakers(self) -> tuple[Person, ...]:
        return tuple(person for person in self.people if person.is_speaker)
