"""Phrases of time in a question: "in May 2025", "on 3 October", "last spring", "between March and June", "now".

English; pure functions. `reference` is when the question is asked, or the day as of which it is: "yesterday" is counted
from there, and a month, season or weekday without a year is the last one that had begun by then. Days are calendar
days of the space's time zone, written as midnight UTC like the days of facts; intervals are half-open.
"before she moved" names an event, not a date: `memory.questions` looks that up.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Literal

Interval = tuple[datetime, datetime]
Relation = Literal["in", "before", "after", "now"]

_NAMES = "january february march april may june july august september october november december"
_MONTHS = _NAMES.split()
_MONTH = "|".join(
    [*_MONTHS, "jan", "feb", "mar", "apr", "jun", "jul", "aug", "sept", "sep", "oct", "nov", "dec"]
)
_WEEKDAYS = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
_NUMBERS = ["two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]
_SEASONS = {"spring": 3, "summer": 6, "autumn": 9, "fall": 9, "winter": 12}
_LEAD = (
    r"(?P<lead>\b(?:as\s+(?:known\s+)?(?:of|on|at)|(?:(?:at|by|from|around|towards?|since|in)\s+)?the\s+(?:very\s+)?"
    r"(?:start|beginning|end|middle)\s+of|(?:in\s+)?(?:early|late|mid)(?=[\s-])-?|"
    r"back\s+in|during|before|after|since|until|till|by|on|in|at|over|around|about|from|towards?|as\s+of)\s*(?<=[\s-]))?"
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
        r"(?P<relative>yesterday|tomorrow|(?:the\s+)?(?P<twice>(?:day|week|month|year|spring|summer|autumn|fall|winter)\s+"
        r"before\s+(?:last|yesterday))|(?:last|this|next)\s+(?:week|month|year|spring|summer|autumn|fall|winter|weekend|"
        rf"{'|'.join(_WEEKDAYS)}|{'|'.join(_MONTHS)})|"
        rf"(?P<count>\d+|an?|{'|'.join(_NUMBERS)}|a\s+couple\s+of|a\s+few|several)\s+"
        r"(?P<unit>day|week|month|year)s?\s+ago)\b",
    )
)
# without a year these words need a preposition before them: "may", "fall", "march" mean other things too
_BARE = tuple(
    re.compile(_LEAD.rstrip("?") + _OF + body, re.IGNORECASE)
    for body in (
        rf"(?P<month>{'|'.join(_MONTHS)})\b",
        rf"(?P<weekday>{'|'.join(_WEEKDAYS)})\b",
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
_COUNTS = {"a": 1, "an": 1, "a couple of": 2, "a few": 3, "several": 5} | {
    w: n for n, w in enumerate(_NUMBERS, 2)
}
_PART = rf"(?:\d{{1,2}}(?:st|nd|rd|th)?\s+(?:of\s+)?)?(?:{_MONTH})\b\.?(?:\s+\d{{1,2}}\b(?!\d))?(?:,?\s+(?:19|20)\d\d\b)?|(?:19|20)\d\d\b"
_SPAN = re.compile(
    rf"\b(?:between\s+(?P<a>{_PART})\s+and|from\s+(?P<b>{_PART})\s+(?:to|until|till))\s+(?P<c>{_PART})",
    re.IGNORECASE,
)
# which part of the interval is meant, as shares of its length, and where in it the one moment lies
_PARTS = {"start": (0.0, 0.25), "beginning": (0.0, 0.25), "early": (0.0, 1 / 3), "mid": (1 / 3, 2 / 3)}
_PARTS |= {"middle": (1 / 3, 2 / 3), "late": (2 / 3, 1.0), "end": (0.75, 1.0)}


@dataclass(frozen=True, slots=True)
class TimePhrase:
    """`text` is what stood in the question, from `begin` to `stop`."""

    relation: Relation
    start: datetime | None
    end: datetime | None
    begin: int
    stop: int
    text: str
    is_span: bool = False  # "between March and June": everything within is meant, not one moment of it

    @property
    def moment(self) -> datetime | None:
        """The one instant that stands for the phrase when a state is asked for; None for now."""
        if self.start is None or self.end is None:
            return None
        if self.relation == "before":
            return self.start - timedelta(seconds=1)
        if self.relation == "after":
            return self.end
        if re.match(r"(?:\w+ )?the (?:very )?end of", self.text.casefold()):
            return self.end - timedelta(seconds=1)
        return self.start + (self.end - self.start) / 2


def find_times(question: str, reference: datetime, zone: tzinfo = UTC) -> list[TimePhrase]:
    """Every phrase of time, in order; none overlaps another. `zone` tells which day it is at the reference."""
    reference = reference.astimezone(zone).replace(tzinfo=UTC)
    found = [span for match in _SPAN.finditer(question) if (span := _span(match, reference))]
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
    lead = (match["lead"] or "").casefold().replace("-", " ").split()
    interval = _portion(interval, lead)
    relation: Relation = "in"
    if lead and lead[0].lower() == "before":
        relation = "before"
    elif lead and lead[0].lower() in ("after", "since"):
        relation = "after"
    return TimePhrase(relation, *interval, match.start(), match.end(), match[0])


def _span(match: re.Match[str], reference: datetime) -> TimePhrase | None:
    """ "between March and June 2024": from the first of the one to the last of the other."""
    first, last = match["a"] or match["b"], match["c"]
    year = re.search(r"(?:19|20)\d\d", last)
    if year and not re.search(r"(?:19|20)\d\d", first):
        first = f"{first} {year[0]}"
    ends = [find_times(f"in {words}", reference) for words in (first, last)]
    if not all(ends):
        return None
    start, end = ends[0][0].start, ends[1][0].end
    if start is None or end is None:
        return None
    if end <= start:  # "between November and February 2024"
        start = start.replace(year=start.year - 1)
    return TimePhrase("in", start, end, match.start(), match.end(), match[0], is_span=True)


def _portion(interval: Interval, lead: list[str]) -> Interval:
    """The part of the interval that "early" or "the end of" means; around a day, the days beside it too."""
    start, end = interval
    length = end - start
    for word in lead:
        if word in _PARTS and length > timedelta(days=2):
            low, high = _PARTS[word]
            return start + low * length, start + high * length
    if lead and lead[0] in ("around", "about", "over") and length <= timedelta(days=2):
        return start - timedelta(days=7), end + timedelta(days=7)
    return interval


def _interval(found: dict[str, str], reference: datetime) -> Interval:
    if "iso" in found:
        return _days(datetime.fromisoformat(found["iso"]).replace(tzinfo=UTC), 1)
    if "relative" in found:
        return _relative(found, reference)
    year = int(found["year"]) if "year" in found else None
    if "feast" in found:
        return _last(lambda y: _days(_feast(found["feast"], y), 1), year, reference)
    if "weekday" in found:
        return _weekday(found["weekday"], reference)
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
    if found["relative"] in _NEAR_DAYS:
        return _days(midnight + timedelta(days=_NEAR_DAYS[found["relative"]]), 1)
    if "twice" in found:
        return _before_last(found["twice"].split()[0], midnight, reference)
    if "unit" in found:
        count = _COUNTS.get(" ".join(found["count"].split())) or int(found["count"])
        days = {"day": 1, "week": 7, "month": 30.44, "year": 365.25}[found["unit"]]
        middle = midnight - timedelta(days=count * days)
        return middle - timedelta(days=days / 2), middle + timedelta(days=days / 2 + 1)
    which, unit = found["relative"].split()
    back = {"last": 1, "this": 0, "next": -1}[which]
    if unit in _WEEKDAYS:
        begin, stop = _weekday(unit, reference)
        ahead = timedelta(days=7 if back < 1 else 0)
        return begin + ahead, stop + ahead
    if unit == "week":
        return _days(midnight - timedelta(days=midnight.weekday() + 7 * back), 7)
    if unit == "weekend":
        return _days(midnight - timedelta(days=midnight.weekday() - 5 + 7 * back), 2)
    if unit == "month":
        month = midnight.year * 12 + midnight.month - 1 - back
        return _months(month // 12, month % 12 + 1, 1)
    if unit == "year":
        return _months(midnight.year - back, 1, 12)
    first = _SEASONS.get(unit) or _MONTHS.index(unit) + 1
    length = 3 if unit in _SEASONS else 1
    latest = _last(lambda y: _months(y, first, length), None, reference)
    if back < 0:
        return _months(latest[0].year + 1, first, length)
    return _months(latest[0].year - 1, first, length) if back and reference < latest[1] else latest


_NEAR_DAYS = {"yesterday": -1, "tomorrow": 1}


def _before_last(unit: str, midnight: datetime, reference: datetime) -> Interval:
    """ "the summer before last": the one before the one that "last" means."""
    if unit == "day":
        return _days(midnight - timedelta(days=2), 1)
    if unit == "week":
        return _days(midnight - timedelta(days=midnight.weekday() + 14), 7)
    if unit == "month":
        month = midnight.year * 12 + midnight.month - 3
        return _months(month // 12, month % 12 + 1, 1)
    start, end = _relative({"relative": f"last {unit}"}, reference)
    return start.replace(year=start.year - 1), end.replace(year=end.year - 1)


def _weekday(name: str, reference: datetime) -> Interval:
    """The last day of that name before the reference's own."""
    midnight = reference.replace(hour=0, minute=0, second=0, microsecond=0)
    back = (midnight.weekday() - _WEEKDAYS.index(name) - 1) % 7 + 1
    return _days(midnight - timedelta(days=back), 1)


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
