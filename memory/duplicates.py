"""Suggest who may be in the graph twice, with reasons. Nothing is merged here: a person decides (memory.merging).

Pairs are found by what names share (a short form, a slip of the pen, another order of words), never by comparing
everybody with everybody. Two who take part in one conversation are two, and are not suggested.
"""

from __future__ import annotations

import itertools
import re
import tomllib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from sqlalchemy import select

from db.engine import Database
from db.tables import Fact, Participant
from memory import names
from memory.people import list_people
from memory.registry import Registry
from memory.types import Person

CERTAIN, LIKELY, POSSIBLE = 0.9, 0.7, 0.5
APART, SHARED = 0.05, 0.15  # what "never in one conversation" and a shared relation add
LEAST = 0.5
MAX_NAMESAKES = 30  # people who share a first name; among more, the name says nothing
_LETTERS = str.maketrans({"ø": "o", "ł": "l", "đ": "d", "ð": "d", "æ": "ae", "œ": "oe", "þ": "th", "ħ": "h"})


@dataclass(frozen=True, slots=True)
class Duplicate:
    """`first` speaks or has the longer name: who would be kept. `likelihood` in [0, 1] orders the suggestions."""

    first: Person
    second: Person
    likelihood: float
    reasons: tuple[str, ...]


@lru_cache(maxsize=1)
def short_forms() -> Mapping[str, frozenset[str]]:
    """A short form's key -> the keys of the first names that it stands for."""
    tables = tomllib.loads(Path(__file__).with_name("short_forms.toml").read_text(encoding="utf-8"))
    found: dict[str, set[str]] = defaultdict(set)
    for language in tables.values():
        for full, shorts in language.items():
            for short in shorts.split():
                found[names.key(short)].add(names.key(full))
    return {short: frozenset(full) for short, full in found.items()}


def is_short_form(short: str, full: str) -> bool:
    """Whether people call a `full` by `short`: both are first names, in any spelling."""
    return names.key(full) in short_forms().get(names.key(short), ())


def likely_duplicates(database: Database, space_id: str, registry: Registry) -> list[Duplicate]:
    """Pairs of people who may be one, the likeliest first."""
    people = [one for one in list_people(database, space_id) if names.described(one.name) is None]
    found: dict[tuple[str, str], tuple[float, list[str]]] = {}
    by_id = {person.id: person for person in people}
    for a, b, likelihood, reason in _pairs(people):
        if a != b:
            key = (a, b) if _rank(by_id[a]) <= _rank(by_id[b]) else (b, a)
            before, reasons = found.get(key, (0.0, []))
            found[key] = (max(before, likelihood), reasons if reason in reasons else [*reasons, reason])
    suspects = {person_id for key in found for person_id in key}
    heard_in, ties = (
        _conversations(database, space_id, suspects),
        _ties(database, space_id, suspects, registry),
    )
    suggestions = []
    for (a, b), (likelihood, reasons) in found.items():
        if heard_in[a] & heard_in[b]:
            continue
        if heard_in[a] and heard_in[b]:
            likelihood, reasons = likelihood + APART, [*reasons, "never in the same conversation"]
        for tie in sorted(ties[a] & ties[b]):
            likelihood, reasons = likelihood + SHARED, [*reasons, f"both are {tie[1]}"]
        if likelihood >= LEAST:
            suggestions.append(Duplicate(by_id[a], by_id[b], min(1.0, round(likelihood, 2)), tuple(reasons)))
    return sorted(suggestions, key=lambda one: (-one.likelihood, names.key(one.first.name), one.second.id))


def duplicate_json(pair: Duplicate) -> dict[str, Any]:
    return {
        "keep": pair.first.name,
        "other": pair.second.name,
        "likelihood": pair.likelihood,
        "reasons": list(pair.reasons),
    }


def _rank(person: Person) -> tuple[bool, int, str]:
    return (not person.is_speaker, -len(person.name), person.id)


def _pairs(people: Iterable[Person]) -> Iterator[tuple[str, str, float, str]]:
    """(id, id, likelihood, reason) for every pair that names bring together; a pair may come more than once."""
    spelled: dict[str, set[str]] = defaultdict(set)
    ordered: dict[tuple[str, ...], set[str]] = defaultdict(set)
    slips: dict[str, set[tuple[str, str]]] = defaultdict(set)
    firsts: dict[str, list[_Form]] = defaultdict(list)
    for person in people:
        for name in (person.name, *person.aliases):
            form = _Form.of(person.id, name)
            spelled[form.plain].add(person.id)
            ordered[tuple(sorted(form.plain.split()))].add(person.id)
            for left in _with_a_letter_less(form.plain):
                slips[left].add((form.plain, person.id))
            if form.first:
                firsts[form.first].append(form)
    yield from _same(spelled.values(), CERTAIN, "the same name in other letters")
    yield from _same(ordered.values(), LIKELY, "the same words in another order")
    yield from _slips(slips)
    yield from _called(firsts)


@dataclass(frozen=True, slots=True)
class _Form:
    person_id: str
    plain: str
    first: str
    rest: str

    @classmethod
    def of(cls, person_id: str, name: str) -> _Form:
        plain = " ".join(re.sub(r"[^\w\s]+", " ", names.key(name).translate(_LETTERS)).split())
        first = names.first(name)
        rest = plain.partition(first)[2].strip() if first else ""
        return cls(person_id, plain, first, rest)


def _same(
    groups: Iterable[set[str]], likelihood: float, reason: str
) -> Iterator[tuple[str, str, float, str]]:
    for ids in groups:
        for a, b in itertools.combinations(sorted(ids), 2):
            yield a, b, likelihood, reason


def _with_a_letter_less(plain: str) -> set[str]:
    """The name and every name that is left when one letter is dropped, for names long enough to bear it."""
    if len(plain) < 6 or any(char.isdigit() for char in plain):
        return set()
    return {plain} | {plain[:at] + plain[at + 1 :] for at in range(len(plain))}


def _slips(groups: Mapping[str, set[tuple[str, str]]]) -> Iterator[tuple[str, str, float, str]]:
    """Names one letter apart: dropped, added, changed, or swapped with its neighbour."""
    for forms in groups.values():
        for (one, a), (other, b) in itertools.combinations(sorted(forms), 2):
            if one != other and _is_slip(one, other):
                likelihood = LIKELY if " " in one and " " in other else POSSIBLE
                yield a, b, likelihood, "names one letter apart"


def _is_slip(a: str, b: str) -> bool:
    start = next((at for at, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
    rest_a, rest_b = a[start:], b[start:]
    is_swapped = rest_a[:2] == rest_b[1::-1] and rest_a[2:] == rest_b[2:]
    return is_swapped or rest_a[1:] == rest_b[1:] or rest_a[1:] == rest_b or rest_a == rest_b[1:]


def _called(firsts: Mapping[str, list[_Form]]) -> Iterator[tuple[str, str, float, str]]:
    """People whose first names are one, or one the other's short form, and whose other names do not speak against it."""
    for first, forms in firsts.items():
        others = [(full, firsts[full]) for full in sorted(short_forms().get(first, ())) if full in firsts]
        if len(forms) <= MAX_NAMESAKES:
            for a, b in itertools.combinations(forms, 2):
                if not a.rest or not b.rest:
                    yield a.person_id, b.person_id, POSSIBLE, "the same first name"
        for full, longer in others:
            if len(forms) + len(longer) > 2 * MAX_NAMESAKES:
                continue
            for a, b in itertools.product(forms, longer):
                reason = f"{first.title()} is short for {full.title()}"
                if a.rest and a.rest == b.rest:
                    yield a.person_id, b.person_id, CERTAIN, reason
                elif not a.rest or not b.rest:
                    yield a.person_id, b.person_id, POSSIBLE, reason


def _conversations(database: Database, space_id: str, ids: Iterable[str]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = defaultdict(set)
    wanted = sorted(ids)
    with database.reading() as session:
        for start in range(0, len(wanted), 500):
            query = select(Participant.node_id, Participant.conversation_id).where(
                Participant.space_id == space_id, Participant.node_id.in_(wanted[start : start + 500])
            )
            for node_id, conversation_id in session.execute(query):
                found[node_id].add(conversation_id)
    return found


def _ties(
    database: Database, space_id: str, ids: Iterable[str], registry: Registry
) -> dict[str, set[tuple[str, str]]]:
    """For each of these people what they are to others: (owner's id and predicate, in words)."""
    found: dict[str, set[tuple[str, str]]] = defaultdict(set)
    wanted = sorted(ids)
    owners = {person.id: person.name for person in list_people(database, space_id)} if wanted else {}
    with database.reading() as session:
        for start in range(0, len(wanted), 500):
            query = select(Fact.object_id, Fact.subject_id, Fact.predicate).where(
                Fact.space_id == space_id,
                Fact.object_id.in_(wanted[start : start + 500]),
                Fact.state.in_(("candidate", "stored")),
                Fact.retracted_at.is_(None),
            )
            for object_id, subject_id, predicate in session.execute(query.distinct()):
                if registry.get(predicate).object == "person" and object_id and subject_id in owners:
                    words = f"{owners[subject_id]}'s {predicate.replace('_', ' ')}"
                    found[object_id].add((f"{subject_id} {predicate}", words))
    return found
