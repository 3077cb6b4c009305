"""From the words that the trained reader marked to the value of a fact; None where they are not that kind of value."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

from agents.extractors.dates import When, day_and_month, find_dates
from agents.extractors.lexicon import lexicon
from agents.extractors.names import capital
from agents.extractors.numbers import NUMBER, to_int
from agents.span_head import Span

PEOPLE = frozenset(
    [
        "roommate",
        "neighbour",
        "boss",
        "colleague",
        "partner",
        "fiance",
        "husband",
        "wife",
        "mother",
        "father",
        "sister",
        "brother",
        "daughter",
        "son",
        "grandmother",
        "grandfather",
        "aunt",
        "uncle",
        "cousin",
        "niece",
        "nephew",
        "friend",
        "relation",
    ]
)
ANIMALS = frozenset(["dog", "cat", "pet"])
PLACES = frozenset(["lives_in", "hometown", "honeymoon_place"])
ORGANISATIONS = frozenset(["workplace", "school"])
THINGS = frozenset(["owns", "sold"])
DAYS = frozenset(
    [
        "starts_on",
        "interview_date",
        "wedding_date",
        "due_date",
        "died_on",
        "opening_date",
        "closing_date",
        "arrival",
        "retired_on",
    ]
)
COUNTS = frozenset(["age", "number_of_children"])
_ARTICLE = re.compile(r"^(?:an?|my|our|his|her|their|your|some|own|in|at|on|to)\s+", re.IGNORECASE)
_EDGE = " \t\n.,;:!?…()[]\"'’“”*_~-"
_COUNT = re.compile(NUMBER, re.IGNORECASE)
_MUST_HAVE = {
    "email": re.compile(r"^[^\s@]+@[^\s@]+\.\w+$"),
    "address": re.compile(r"\d"),
    "medication_dose": re.compile(rf"\d|\b(?:{NUMBER}|half|once|twice)\b", re.IGNORECASE),
    "birth_weight": re.compile(r"(?:kg|kilo|gram|\dg|lb|pound|oz|ounce)", re.IGNORECASE),
}
_BROKEN = (
    (re.compile(r"\b(?:broke|broken|fractur\w+|snapped)\b", re.IGNORECASE), "broken"),
    (re.compile(r"\b(?:tore|torn|ruptured)\b", re.IGNORECASE), "torn"),
    (re.compile(r"\bsprain\w*\b", re.IGNORECASE), "sprained"),
    (re.compile(r"\bcrack\w*\b", re.IGNORECASE), "cracked"),
    (re.compile(r"\bdislocat\w*\b", re.IGNORECASE), "dislocated"),
)
_HURT = re.compile(
    r"broken|torn|sprain|crack|dislocat|fractur|burn|cut|pull|twist|ruptur|bruis|concuss|strain|stitch"
)


@dataclass(frozen=True, slots=True)
class Value:
    text: str
    kind: str | None  # of node, where it is one


def value_of(span: Span, text: str, said: datetime, names: dict[str, str]) -> Value | None:
    """`names` gives the written form of names that somebody typed in lowercase."""
    words = text[span.start : span.end].strip(_EDGE)
    predicate = span.predicate
    if not words or len(words) > 80:
        return None
    if predicate in DAYS or predicate == "birthday":
        return _day(predicate, span, text, said)
    if predicate in COUNTS:
        match = _COUNT.search(words)
        count = to_int(match[0]) if match else None
        return Value(str(count), None) if count is not None and 0 < count < 120 else None
    if predicate == "phone_number":
        return Value(words, None) if sum(map(str.isdigit, words)) >= 6 else None
    if predicate in _MUST_HAVE and not _MUST_HAVE[predicate].search(words):
        return None
    if predicate == "injury" and not _HURT.search(words.lower()):
        how = next((name for pattern, name in _BROKEN if pattern.search(text[: span.start])), None)
        return Value(f"{how} {_plain(words)}".lower(), None) if how else Value(_plain(words).lower(), None)
    if predicate in PEOPLE | ANIMALS:
        return _named(words, names, "person" if predicate in PEOPLE else "thing")
    if predicate in PLACES | ORGANISATIONS:
        restored = _restored(_plain(words), names)
        return Value(restored, "place" if predicate in PLACES else "organisation")
    if not any(map(str.isalpha, words)) and predicate != "medication_dose":
        return None
    if predicate == "job" and not lexicon().classes["joke_titles"].isdisjoint(words.lower().split()):
        return None
    return Value(_plain(words), "thing" if predicate in THINGS else None)


def _plain(words: str) -> str:
    """Without an article or possessive in front."""
    return _ARTICLE.sub("", words) or words


def _named(words: str, names: dict[str, str], kind: str) -> Value | None:
    """A name; words that people type in lowercase are a description and not one."""
    plain = _plain(words).removesuffix("'s").removesuffix("’s")
    parts = plain.split()
    if not parts or len(parts) > 4 or any(c.isdigit() for c in plain):
        return None
    restored = [names.get(part.lower(), part) for part in parts]
    if all(part.islower() and lexicon().is_ordinary(part) for part in restored):
        return None
    return Value(" ".join(capital(p.lower() if p.isupper() and len(p) > 2 else p) for p in restored), kind)


def _restored(words: str, names: dict[str, str]) -> str:
    restored = [names.get(part.lower(), part) for part in words.split()]
    return " ".join(
        capital(part) if part.islower() and not lexicon().is_ordinary(part) else part for part in restored
    )


def _day(predicate: str, span: Span, text: str, said: datetime) -> Value | None:
    is_past = predicate in ("died_on", "retired_on")
    dates = find_dates(text, said, is_past=is_past)
    inside = [when for when in dates if when.start < span.end and span.start < when.end]
    usable = [when for when in inside if when.precision != "duration"]
    if not usable:
        return None
    when: When = usable[0]
    if predicate == "birthday":
        return Value(day_and_month(when.day.date()), None) if when.is_day else None
    return Value(when.iso, None)
