"""When a proposed fact counts as one of the gold facts of a chat folder.

Subject: the full name, or the first name, is the same. Predicate: the same, in one family below, or sharing a word
(`flight_arrival` and `arrival`). Object: without case, accents and articles, one contains the other as whole words,
and the shorter has the head word of the longer; gold aliases count. Dates match by day. A third party's tie may be told from either end:
(Duarte, cousin, Nuno) is (Nuno, relation, "Duarte's cousin").
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from memory.names import key

FAMILIES: tuple[frozenset[str], ...] = tuple(
    frozenset(names.split())
    for names in (
        "partner fiance fiancee husband wife spouse girlfriend boyfriend married_to engaged_to",
        "job workplace occupation employer profession business owns_business",
        "pet dog cat",
        "gave_up quit stopped_drinking stopped stopped_smoking given_up",
        "health_condition injury illness diagnosis bad_knee surgery condition",
        "medication medication_dose dose",
        "lives_in moved_to moved_for_job_to residence home",
        "arrival flight_arrival visits visit_date",
        "sings singing_voice voice",
        "exercise sport hobby plays instrument",
        "owns owns_boat bought transport vehicle car boat",
        "sold boat_status car_status status",
        "studies school studies_at university degree",
        "starts_on start_date job_start",
        "plans visits travels_to honeymoon_place trip",
        "number_of_children children",
        "hometown born_in from birthplace",
        "closing_date closes_on",
        "opening_date opens_on launched_on",
        "died_on death_date died",
        "retired_on retired",
        "child daughter son baby",
        "street address",
        "roommate flatmate housemate",
    )
)
_ARTICLES = frozenset(["a", "an", "the", "her", "his", "my", "their", "our"])


@dataclass(frozen=True, slots=True)
class Said:
    """A proposed fact, reduced to what matching looks at."""

    subject: str
    predicate: str
    object: str


def is_match(said: Said, gold: Mapping[str, Any]) -> bool:
    """Whether a proposal states the gold fact."""
    objects = [gold["object"], *gold.get("object_aliases", [])]
    if is_same_person(said.subject, gold["subject"]) and is_same_predicate(said.predicate, gold["predicate"]):
        return any(is_same_object(said.object, str(value)) for value in objects)
    return gold["predicate"] == "relation" and _is_told_from_the_other_end(said, gold)


def is_same_person(one: str, other: str) -> bool:
    a, b = _words(one), _words(other)
    return a == b or (bool(a) and bool(b) and a[0] == b[0] and 1 in (len(a), len(b)))


def is_same_predicate(one: str, other: str) -> bool:
    if one == other or any(one in family and other in family for family in FAMILIES):
        return True
    return bool({w for w in one.split("_") if len(w) > 3} & {w for w in other.split("_") if len(w) > 3})


def is_same_object(one: str, other: str) -> bool:
    a, b = _words(one), _words(other)
    if not a or not b:
        return False
    if _day(one) and _day(other):
        return _day(one) == _day(other)
    short, long = sorted((a, b), key=len)
    return _contains(long, short) and (
        _head(long) in short or len(short) == len(long) or _is_name(one, other, short)
    )


def _is_told_from_the_other_end(said: Said, gold: Mapping[str, Any]) -> bool:
    words = _words(gold["object"])
    owner = _words(said.subject)
    return (
        is_same_person(said.object, gold["subject"])
        and said.predicate in words
        and bool(set(owner) & set(words))
    )


def _words(text: str) -> list[str]:
    plain = key(str(text)).replace("'s", "")
    found = (w for w in re.findall(r"[\w.,@+-]*\w", plain) if w not in _ARTICLES)
    return [w[:-1] if len(w) > 3 and w.endswith("s") and not w.endswith("ss") else w for w in found]


def _day(text: str) -> str | None:
    found = re.match(r"\d{4}-\d\d-\d\d", text)
    return found[0] if found else None


def _contains(long: Sequence[str], short: Sequence[str]) -> bool:
    n = len(short)
    return any(list(long[i : i + n]) == list(short) for i in range(len(long) - n + 1))


def _head(words: Sequence[str]) -> str:
    """The head of a noun phrase: the last word before the first preposition."""
    for i, word in enumerate(words):
        if i and word in ("at", "in", "of", "from", "with", "on", "to", "for"):
            return words[i - 1]
    return words[-1]


def _is_name(one: str, other: str, short: Sequence[str]) -> bool:
    """A proper name inside a longer description identifies it."""
    shorter = one if _words(one) == list(short) else other
    return any(w[:1].isupper() or any(c.isdigit() for c in w) for w in shorter.split())
