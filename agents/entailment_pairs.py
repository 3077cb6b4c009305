"""Invented pairs of statements about people, with what follows from what: a lesson the entailment head is given
beside transcripts, where facts in one sentence are rare.

Facts of the registry's predicates (and of some that it does not know) are said in the wordings of
`memory/wordings.toml`, as statements or as a message of their own in a short talk. The same value again is entailed;
another value contradicts where only one holds at a time, and is neutral where several do; another person or another
predicate is neutral, also with a value of the same kind. Opposites that no slot shows ("single", "married to") are
written out in `data/entailment_pairs.toml`. Nobody and nothing in it exists.
"""

from __future__ import annotations

import random
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

from agents.entailment import CONTRADICTION, ENTAILMENT, LABELS, NEUTRAL, as_dialogue
from memory.registry import Registry
from memory.wordings import Wordings, fill, spoken

HELD_OUT = 4  # every list's last 1/HELD_OUT is kept for measuring
SHARE_IMPLIED, SHARE_TALK, SHARE_SAME_KIND = 0.25, 0.35, 0.4
SHARE_NEAR, SHARE_MADE_UP = 0.5, 0.4
_FAR_REACHING = frozenset({"relationship_status", "died_on", "retired_on"})  # they bear on other predicates
_HOMES = ("flat", "house", "room", "cottage")
_UNITS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
_NAMED = frozenset({"person", "place", "organisation", "pet"})
_KINDS = frozenset({"person", "place", "organisation", "thing", "date", "number"})

_Value = TypeVar("_Value")


@dataclass(frozen=True, slots=True)
class Pair:
    premise: str
    hypothesis: str
    label: int  # index in LABELS


@dataclass(frozen=True, slots=True)
class _Slot:
    predicate: str
    values: str  # name of a list, or what is made up: "date", "number", "phone", "weight"
    is_single: bool  # one value at a time


def make_pairs(n: int, seed: int, *, is_held_out: bool = False) -> list[Pair]:
    """`n` pairs, the labels in turn; the same seed gives the same pairs."""
    maker = _Maker(random.Random(seed), is_held_out=is_held_out)
    return [maker.make(i % len(LABELS)) for i in range(n)]


class _Maker:
    def __init__(self, rng: random.Random, *, is_held_out: bool) -> None:
        found = _read()
        self._rng = rng
        self._lists: dict[str, list[str]] = {
            name: _part(values, is_held_out) for name, values in found["lists"].items()
        }
        self._parts: dict[str, list[str]] = found["made_up"]
        self._implied = [group for group in found["implied"] if group.get("held_out", False) == is_held_out]
        self._same_values: dict[str, list[Sequence[str]]] = {
            kind: _part(forms, is_held_out) for kind, forms in found["same"].items()
        }
        self._alike = [frozenset(names) for names in found["alike"].values()]
        self._slots = _slots(found)
        self._single = [slot for slot in self._slots if slot.is_single]
        self._several = [slot for slot in self._slots if not slot.is_single]
        self._unrelated = [slot for slot in self._slots if slot.predicate not in _FAR_REACHING]
        self._wordings = Wordings.load()

    def make(self, label: int) -> Pair:
        if self._rng.random() < SHARE_IMPLIED:
            return self._from_implied(label)
        kinds: dict[int, Sequence[Callable[[], Pair]]] = {
            ENTAILMENT: (self._same, self._shorter, self._in_other_words),
            NEUTRAL: (
                self._other_person,
                self._other_predicate,
                self._other_predicate,
                self._one_of_several,
            ),
            CONTRADICTION: (self._other_value, self._not_shorter, self._not_in_other_words),
        }
        return self._rng.choice(kinds[label])()

    def _from_implied(self, label: int) -> Pair:
        group = self._rng.choice(self._implied)
        subject = self._value("person")
        value, other = map(spoken, self._values(group["of"], of=subject))
        said, asked = (self._rng.choice(group[key]) for key in ("premise", LABELS[label]))
        texts = [t.replace("{s}", subject).replace("{o}", value).replace("{x}", other) for t in (said, asked)]
        return Pair(_raised(texts[0]), _raised(texts[1]), label)

    def _same(self) -> Pair:
        slot, subject = self._rng.choice(self._slots), self._value("person")
        value, _ = self._values(slot.values, of=subject)
        return Pair(*self._two_sayings(slot, subject, value, value), ENTAILMENT)

    def _shorter(self) -> Pair:
        """A value with more to it says the value alone: "nurse at Hillview Hospital" is "nurse"."""
        slot, full, short = self._rng.choice(self._long_values())
        return Pair(*self._two_sayings(slot, self._value("person"), full, short), ENTAILMENT)

    def _not_shorter(self) -> Pair:
        """The same of two values; half of the time both in full."""
        place = self._rng.randrange(len(self._long_values()))
        (slot, full, short), (_, other, other_short) = (self._long_values()[place] for _ in range(2))
        if short == other_short:
            return self._not_shorter()
        told = other if self._rng.random() < 0.5 else other_short
        return Pair(*self._two_sayings(slot, self._value("person"), full, told), CONTRADICTION)

    def _long_values(self) -> list[tuple[_Slot, str, str]]:
        job, place, day, phone = (self._value(kind) for kind in ("job", "place", "date", "phone"))
        a_day = self._single_of("date")
        grams = int(self._value("weight").split()[0])
        return [
            (_Slot("job", "job", True), f"{job} at {self._value('organisation')}", job),
            (_Slot("lives_in", "place", True), f"{self._rng.choice(_HOMES)} in {place}", place),
            (_Slot("phone_number", "phone", True), phone, phone[-5:].replace(" ", "")),
            (_Slot("birth_weight", "weight", True), f"{grams} grams", f"{grams / 1000:g} kg"),
            (a_day, day, _without_year(day)),
            (a_day, day, _day_alone(day)),
        ]

    def _in_other_words(self) -> Pair:
        kind = self._rng.choice(list(self._same_values))
        slot = self._rng.choice([slot for slot in self._slots if slot.values == kind])
        value, other = self._rng.choice(self._same_values[kind])
        return Pair(*self._two_sayings(slot, self._value("person"), value, other), ENTAILMENT)

    def _not_in_other_words(self) -> Pair:
        """A value of these lists against a plain one; colours of one name may be one, so they are left out."""
        kinds = {slot.values for slot in self._single} & set(self._same_values) - {"colour"}
        kind = self._rng.choice(sorted(kinds))
        value, other = self._rng.choice(self._same_values[kind])
        plain = self._value(kind)
        if plain in (value, other):
            return self._not_in_other_words()
        texts = (value, plain) if self._rng.random() < 0.5 else (plain, other)
        return Pair(*self._two_sayings(self._single_of(kind), self._value("person"), *texts), CONTRADICTION)

    def _single_of(self, values: str) -> _Slot:
        return self._rng.choice([slot for slot in self._single if slot.values == values])

    def _other_value(self) -> Pair:
        slot, subject = self._rng.choice(self._single), self._value("person")
        return Pair(*self._two_sayings(slot, subject, *self._values(slot.values, of=subject)), CONTRADICTION)

    def _one_of_several(self) -> Pair:
        slot, subject = self._rng.choice(self._several), self._value("person")
        return Pair(*self._two_sayings(slot, subject, *self._values(slot.values, of=subject)), NEUTRAL)

    def _other_person(self) -> Pair:
        slot = self._rng.choice(self._slots)
        one, another = self._values("person")
        value, other = self._values(slot.values, of=one)
        premise, _ = self._two_sayings(slot, one, value, value)
        told = value if value != another and self._rng.random() < 0.5 else other
        return Pair(premise, self._statement(slot, another, told), NEUTRAL)

    def _other_predicate(self) -> Pair:
        """With a value of another kind, or with another value of the same."""
        subject, slot = self._value("person"), self._rng.choice(self._unrelated)
        is_same_kind = self._rng.random() < SHARE_SAME_KIND
        others = [
            other
            for other in self._unrelated
            if (other.values == slot.values) == is_same_kind and not self._say_the_same(slot, other)
        ]
        if not others:
            return self._other_predicate()
        other = self._rng.choice(others)
        value, another = self._values(slot.values, of=subject)
        premise, _ = self._two_sayings(slot, subject, value, value)
        told = another if is_same_kind else self._value(other.values)
        return Pair(premise, self._statement(other, subject, told), NEUTRAL)

    def _say_the_same(self, slot: _Slot, other: _Slot) -> bool:
        names = {slot.predicate, other.predicate}
        return len(names) == 1 or any(names <= alike for alike in self._alike)

    def _two_sayings(self, slot: _Slot, subject: str, first: str, second: str) -> tuple[str, str]:
        """The first value as a statement or in talk, the second as a statement."""
        if self._rng.random() < SHARE_TALK:
            premise = self._talk(slot, subject, first)
        else:
            premise = self._statement(slot, subject, first)
        return premise, self._statement(slot, subject, second)

    def _statement(self, slot: _Slot, subject: str, value: str) -> str:
        now = self._wordings.now(slot.predicate) if slot.is_single and self._rng.random() < 0.1 else ()
        template = self._rng.choice([*(now or self._wordings.statements(slot.predicate))])
        return fill(template, subject=subject, object=value, predicate=slot.predicate)

    def _talk(self, slot: _Slot, subject: str, value: str) -> str:
        template = self._rng.choice(self._wordings.first_person(slot.predicate))
        said = fill(template, subject=subject, object=value, predicate=slot.predicate)
        if self._rng.random() < 0.5:
            said = said.rstrip(".").lower()
        other = self._value("person")
        turns = [(subject, said)]
        for _ in range(self._rng.randrange(3)):
            turns.insert(self._rng.choice((0, len(turns))), (other, self._rng.choice(self._lists["reply"])))
        return as_dialogue(turns)

    def _value(self, kind: str) -> str:
        if kind == "date":
            return (date(2018, 1, 1) + timedelta(days=self._rng.randrange(3000))).isoformat()
        if kind == "phone":
            return "+{} {} {} {:02} {:02}".format(
                *(self._rng.randrange(10, top) for top in (99, 99, 999, 99, 99))
            )
        if kind == "weight":
            return f"{self._rng.randrange(240, 440) * 10} grams"
        if kind == "number":
            number = self._rng.randint(1, 12) if self._rng.random() < 0.6 else self._rng.randint(13, 99)
            return _UNITS[number - 1] if number <= 12 and self._rng.random() < 0.5 else str(number)
        if kind in _NAMED and self._rng.random() < SHARE_MADE_UP:
            return self._made_up(kind)
        return self._rng.choice(self._lists[kind])

    def _values(self, kind: str, *, of: str = "") -> tuple[str, str]:
        """Two different ones, neither of them whom they are said `of`."""
        one = another = of
        while one == of:
            one = self._value(kind)
        while another == of or _plain(another) == _plain(one):
            another = self._near(kind, one) if self._rng.random() < SHARE_NEAR else self._value(kind)
        return one, another

    def _near(self, kind: str, value: str) -> str:
        """A day, number or phone number that differs little; of other kinds any value."""
        if kind == "date":
            return (date.fromisoformat(value) + timedelta(days=self._rng.randint(-20, 20))).isoformat()
        if kind == "number":
            return str(max(1, int(_plain(value)) + self._rng.choice((-2, -1, 1, 2))))
        if kind == "phone":
            return f"{value[:-2]}{self._rng.randrange(10, 99)}"
        return self._value(kind)

    def _made_up(self, kind: str) -> str:
        """A name that nobody has, so that names are compared and not remembered."""
        parts = self._parts
        name = "".join(
            self._rng.choice(parts["syllable"]) for _ in range(self._rng.randint(2, 3))
        ).capitalize()
        return f"{name} {self._rng.choice(parts['firm'])}" if kind == "organisation" else name


def _slots(found: dict[str, Any]) -> list[_Slot]:
    slots = []
    registry = Registry.load()
    for name in registry.names():
        predicate = registry.get(name)
        values = found["values"].get(name) or (predicate.object if predicate.object in _KINDS else None)
        if values is not None:
            slots.append(_Slot(name, values, predicate.cardinality == "one"))
    slots += [_Slot(name, values, True) for name, values in found["one_at_a_time"].items()]
    slots += [_Slot(name, values, False) for name, values in found["several"].items()]
    return slots


def _part(values: Sequence[_Value], is_held_out: bool) -> list[_Value]:
    """A list too short to leave two values on either side is on both."""
    n_aside = len(values) // HELD_OUT
    if n_aside < 2:
        return list(values)
    return list(values[-n_aside:] if is_held_out else values[:-n_aside])


def _plain(value: str) -> str:
    return str(_UNITS.index(value) + 1) if value in _UNITS else value


def _without_year(day: str) -> str:
    found = date.fromisoformat(day)
    return f"{found.day} {found:%B}"


def _day_alone(day: str) -> str:
    number = date.fromisoformat(day).day
    ending = "th" if 11 <= number <= 13 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"the {number}{ending}"


def _raised(text: str) -> str:
    return text[:1].upper() + text[1:]


@lru_cache(maxsize=1)
def _read() -> dict[str, Any]:
    path = Path(__file__).parent / "data" / "entailment_pairs.toml"
    return tomllib.loads(path.read_text(encoding="utf-8"))
