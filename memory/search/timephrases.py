"""Phrases of time in a question: "in May 2025", "on 3 October", "last spring", "before 2024", "now".

English; pure functions. A month, season or day without a year is the last one that had begun at `reference`.
"before she moved" names an event, not a date: `memory.questions` looks that up. Intervals are half-open, in UTC.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

Interval = tuple[datetime, datetime]
Relation = Literal["in", "before", "after", "now"]

_NAMES = "january february march april may june july august september october november december"
_MONTHS = _NAMES.split()
_MONTH = "|".join(
    [*_MONTHS, "jan", "feb", "mar", "apr", "jun", "jul", "aug", "sept", "sep", "oct", "nov", "dec"]
)
_SEASONS = {"spring": 3, "summer": 6, "autumn": 9, "fall": 9, "winter": 12}
_LEAD = (
    r"(?P<lead>\b(?:as\s+(?:known\s+)?(?:of|on|at)|at\s+the\s+(?:start|beginning|end)\s+of|(?:in\s+)?(?:early|late|mid)|"
    r"back\s+in|during|before|after|since|until|till|by|on|in|at|over|around|as\s+of)\s+)?"
)
_DAY = r"(?P<day>\d{1,2})(?:st|nd|rd|th)?"
_YEAR = r"(?P<year>(?:19|20)\d\d)"
_OF = r"(?:the\s+)?(?:(?:month|year|day|morning|evening|night)\s+of\s+)?"
_PATTERNS = tuple(
    re.compile(_LEAD + _OF + body, re.IGNORECASE)
    for body in (
        r"(?P<iso>\d{4}-\d\d-\d\d)\b",
        rf"{_DAY}\s+(?:of\s+)?(?P<month>{_MONTH})\b\.?(?:,?\s+(?:of\s+)?{_YEAR}\b)?",
        rf"(?P<month>{_MONTH})\b\.?\s+{_DAY}\b(?:,?\s+{_YEAR}\b)?",
        rf"(?P<month>{_MONTH})\b\.?,?\s+(?:of\s+)?{_YEAR}\b",
        r"(?P<season>spring|summer|autumn|fall|winter)\s+(?:of\s+)?" + _YEAR + r"\b",
        r"(?P<feast>easter|christmas|new\s+year(?:'s)?(?:\s+(?:day|eve))?)(?:\s+(?:of\s+)?" + _YEAR + r")?\b",
        r"(?P<relative>yesterday|(?:last|this)\s+(?:week|month|year|spring|summer|autumn|fall|winter|"
        rf"{'|'.join(_MONTHS)})|"
        r"(?P<count>\d+|an?|two|three|four|five|six|ten)\s+(?P<unit>day|week|month|year)s?\s+ago)\b",
    )
)
# without a year these words need a preposition before them: "may", "fall", "march" mean other things too
_BARE = tuple(
    re.compile(_LEAD.rstrip("?") + _OF + body, re.IGNORECASE)
    for body in (
        rf"(?P<month>{'|'.join(_MONTHS)})\b",
        r"(?:the\s+)?(?P<season>spring|summer|autumn|fall|winter)\b",
        _YEAR + r"\b",
    )
)
_NOW = re.compile(
    r"\b(?:(?:right\s+)?now|nowadays|currently|at\s+present|at\s+the\s+moment|today|these\s+days|"
    r"(?:at|by|in)\s+the\s+(?:very\s+)?end(?:\s+of\s+(?:the|this|our|their)\s+(?:chat|history|conversation|story|messages))?|"
    r"current|latest|present-day|as\s+things\s+stand)(?=\s|[?.,!]|$)(?!\s+of\s+(?:19|20)\d\d)",
    re.IGNORECASE,
)
_COUNTS = {"a": 1, "an": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "ten": 10}


@dataclass(frozen=True, slots=True)
class TimePhrase:
    """`text` is what stood in the question, from `begin` to `stop`."""

    relation: Relation
    start: datetime | None
    end: datetime | None
    begin: int
    stop: int
    text: str

    @property
    def moment(self) -> datetime | None:
        """The one instant that stands for the phrase when a state is asked for; None for now."""
        if self.start is None or self.end is None:
            return None
        if self.relation == "before":
            return self.start - timedelta(seconds=1)
        if self.relation == "after":
            return self.end
        if self.text.casefold().startswith("at the end of"):
            return self.end - timedelta(seconds=1)
        return self.start + (self.end - self.start) / 2


def find_times(question: str, reference: datetime) -> list[TimePhrase]:
    """Every phrase of time, in order; none overlaps another."""
    found: list[TimePhrase] = []
    for patterns in (_PATTERNS, _BARE):
        for pattern in patterns:
            for match in pattern.finditer(question):
                phrase = _phrase(match, reference)
                if phrase and not any(p.begin < phrase.stop and phrase.begin < p.stop for p in found):
                    found.append(phrase)
    for match in _NOW.finditer(question):
        if not any(p.begin < match.end() and match.start() < p.stop for p in found):
            found.append(TimePhrase("now", None, None, match.start(), match.end(), match[0]))
    return sorted(found, key=lambda phrase: phrase.begin)


def _phrase(match: re.Match[str], reference: datetime) -> TimePhrase | None:
    try:
        interval = _interval({k: v.lower() for k, v in match.groupdict().items() if v}, reference)
    except ValueError:  # 31 June
        return None
    lead = (match["lead"] or "").split()
    relation: Relation = "in"
    if lead and lead[0].lower() == "before":
        relation = "before"
    elif lead and lead[0].lower() in ("after", "since"):
        relation = "after"
    return TimePhrase(relation, *interval, match.start(), match.end(), match[0])


def _interval(found: dict[str, str], reference: datetime) -> Interval:
    if "iso" in found:
        return _days(datetime.fromisoformat(found["iso"]).replace(tzinfo=UTC), 1)
    if "relative" in found:
        return _relative(found, reference)
    year = int(found["year"]) if "year" in found else None
    if "feast" in found:
        return _last(lambda y: _days(_feast(found["feast"], y), 1), year, reference)
    if "season" in found:
        return _last(lambda y: _months(y, _SEASONS[found["season"]], 3), year, reference)
    if "month" in found:
        month = next(i for i, name in enumerate(_MONTHS, 1) if name.startswith(found["month"][:3]))
        if "day" in found:
            day = int(found["day"])
            return _last(lambda y: _days(datetime(y, month, day, tzinfo=UTC), 1), year, reference)
        return _last(lambda y: _months(y, month, 1), year, reference)
    return _months(int(found["year"]), 1, 12)


def _last(make: Callable[[int], Interval], year: int | None, reference: datetime) -> Interval:
    """The interval of that year, or the last that had begun by the reference."""
    if year is not None:
        return make(year)
    interval = make(reference.year)
    return interval if interval[0] <= reference else make(reference.year - 1)


def _relative(found: dict[str, str], reference: datetime) -> Interval:
    midnight = reference.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    if found["relative"] == "yesterday":
        return _days(midnight - timedelta(days=1), 1)
    if "unit" in found:
        count = _COUNTS.get(found["count"]) or int(found["count"])
        days = {"day": 1, "week": 7, "month": 30.44, "year": 365.25}[found["unit"]]
        middle = midnight - timedelta(days=count * days)
        return middle - timedelta(days=days / 2), middle + timedelta(days=days / 2 + 1)
    which, unit = found["relative"].split()
    back = 1 if which == "last" else 0
    if unit == "week":
        return _days(midnight - timedelta(days=midnight.weekday() + 7 * back), 7)
    if unit == "month":
        month = midnight.year * 12 + midnight.month - 1 - back
        return _months(month // 12, month % 12 + 1, 1)
    if unit == "year":
        return _months(midnight.year - back, 1, 12)
    first = _SEASONS.get(unit) or _MONTHS.index(unit) + 1
    length = 3 if unit in _SEASONS else 1
    latest = _last(lambda y: _months(y, first, length), None, reference)
    return _months(latest[0].year - 1, first, length) if back and reference < latest[1] else latest


def _days(start: datetime, n: int) -> Interval:
    return start, start + timedelta(days=n)


def _months(year: int, month: int, n: int) -> Interval:
    last = year * 12 + month - 1 + n
    return datetime(year, month, 1, tzinfo=UTC), datetime(last // 12, last % 12 + 1, 1, tzinfo=UTC)


def _feast(name: str, year: int) -> datetime:
    if name.startswith("christmas"):
        return datetime(year, 12, 25, tzinfo=UTC)
    if name.startswith("new"):
        return datetime(year, 1, 1, tzinfo=UTC)
    return _easter(year)


def _easter(year: int) -> datetime:
    """Western Easter Sunday (the anonymous Gregorian computus, Meeus, Astronomical Algorithms, ch. 8)."""
    a, b, c = year % 19, year // 100, year % 100
    h = (19 * a + b - b // 4 - (b - (b + 8) // 25 + 1) // 3 + 15) % 30
    m = (32 + 2 * (b % 4) + 2 * (c // 4) - h - c % 4) % 7
    n = h + m - 7 * ((a + 11 * h + 22 * m) // 451) + 114
    return datetime(year, n // 31, n % 31 + 1, tzinfo=UTC)
