"""Days and stretches of time named in a message, resolved against the time it was sent.

Every result is midnight UTC of the day meant. A bare weekday or day of the month looks back when the words are
about the past (`is_past`) or follow "since", else forward. What is vaguer than a day says so in `precision`:
a month is its first day, a year its first of January. Times of day are read for appointments only.
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Literal

from agents.extractors.numbers import COUNT, NUMBER, to_int

Precision = Literal["day", "month", "year", "duration"]

MONTHS = {name.lower(): i for i, name in enumerate(calendar.month_name) if name}
_SHORT = {name.lower(): i for i, name in enumerate(calendar.month_abbr) if name} | {"sept": 9}
_DAYS = {name.lower(): i for i, name in enumerate(calendar.day_name)}
_SHORT_DAYS = {"mon": 0, "tue": 1, "tues": 1, "wed": 2, "thu": 3, "thur": 3, "thurs": 3, "fri": 4, "sat": 5}

_MONTH = rf"(?P<month>{'|'.join(MONTHS)}|(?:{'|'.join(_SHORT)})\b\.?)"
_DAY = rf"(?P<weekday>{'|'.join(_DAYS)}|(?:{'|'.join(_SHORT_DAYS)})\b)"
_NTH = r"(?P<day>\d{1,2})(?:st|nd|rd|th)?"
_UNIT = r"(?P<unit>day|week|fortnight|month|year)s?"


@dataclass(frozen=True, slots=True)
class When:
    """A mention of time. `is_since`: the words say a state began then ("since", "from ... on")."""

    start: int
    end: int
    day: datetime
    precision: Precision
    is_since: bool = False
    hour: str | None = None  # "15:40", where one is said beside the day

    @property
    def is_day(self) -> bool:
        return self.precision == "day"

    @property
    def iso(self) -> str:
        width = {"day": 10, "month": 7, "year": 4, "duration": 10}[self.precision]
        return self.day.date().isoformat()[:width] + (f" {self.hour}" if self.hour else "")


@dataclass(frozen=True, slots=True)
class _Frame:
    """What a pattern is resolved against. `look`: -1 back, +1 forward."""

    today: date
    look: int


_Resolve = Callable[[re.Match[str], _Frame], date | None]


def find_dates(text: str, said: datetime, *, is_past: bool = False) -> list[When]:
    """Mentions in order of place, none overlapping; the longest reading of a place wins."""
    if not _HINT.search(text):
        return []
    found: list[When] = []
    for pattern, resolve, precision in _PATTERNS:
        for match in pattern.finditer(text):
            if any(match.start() < w.end + _beside(match) and w.start < match.end() for w in found):
                continue
            is_since = bool(_SINCE.search(text, 0, match.start()))
            day = _resolved(match, resolve, said.date(), is_past=is_past, is_since=is_since)
            if day is not None:
                found.append(
                    When(match.start(), match.end(), _midnight(day), precision, is_since, _hour(text, match))
                )
    return sorted(found, key=lambda w: w.start)


def _resolved(
    match: re.Match[str], resolve: _Resolve, today: date, *, is_past: bool, is_since: bool
) -> date | None:
    """Back for what is past and after "since", else forward; after "from" whichever is nearer by half a year."""
    if is_since and not is_past and _FROM.search(match.string, 0, match.start()):
        ahead = resolve(match, _Frame(today, 1))
        if ahead is not None and timedelta(0) <= ahead - today <= timedelta(183):
            return ahead
    return resolve(match, _Frame(today, -1 if is_past or is_since else 1))


def _beside(match: re.Match[str]) -> int:
    """A bare weekday just after a day ("6 february, friday") repeats it."""
    return 5 if match[0].lower() in _DAYS else 0


def day_and_month(day: date) -> str:
    """ "14 November": how a birthday is kept."""
    return f"{day.day} {calendar.month_name[day.month]}"


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def _hour(text: str, match: re.Match[str]) -> str | None:
    clock = _CLOCK.match(text, match.end())
    if not clock:
        return None
    hour, minute = int(clock["h"]), int(clock["m"] or 0)
    hour += 12 if clock["half"].lower() == "pm" and hour < 12 else 0
    return f"{hour:02d}:{minute:02d}" if hour < 24 and minute < 60 else None


def _named_day(match: re.Match[str], frame: _Frame) -> date | None:
    """ "22 August", "friday 3 oct", "March 4th 2024": without a year, the nearest that fits the direction."""
    month = _month(match["month"])
    if year := match["year"]:
        return _safe(int(year), month, int(match["day"]))
    years = (frame.today.year + offset for offset in (0, frame.look, -frame.look))
    days = [d for d in (_safe(y, month, int(match["day"])) for y in years) if d]
    near = [d for d in days if abs((d - frame.today).days) <= 183]
    forward = [d for d in days if 0 <= (d - frame.today).days * frame.look <= 330]
    return next(iter(forward or near or days), None)


def _nth(match: re.Match[str], frame: _Frame) -> date | None:
    """ "the 22nd", "friday the 22nd": this month or the next one over, where a weekday is said one that fits."""
    weekday = _weekday(match["weekday"]) if match["weekday"] else None
    for offset in (0, 1, 2) if frame.look > 0 else (0, -1, -2):
        day = _shift_months(frame.today.replace(day=1), offset)
        found = _safe(day.year, day.month, int(match["day"]))
        if found and (found - frame.today).days * frame.look >= 0 and weekday in (None, found.weekday()):
            return found
    return None if weekday is None else _same_month(match, frame)


def _same_month(match: re.Match[str], frame: _Frame) -> date | None:
    """The weekday said does not fit any month near by: the number is the better witness."""
    for offset in (0, frame.look):
        day = _shift_months(frame.today.replace(day=1), offset)
        found = _safe(day.year, day.month, int(match["day"]))
        if found and (found - frame.today).days * frame.look >= 0:
            return found
    return None


def _on_weekday(match: re.Match[str], frame: _Frame) -> date:
    look = {"last": -1, "past": -1, "next": 1, "this": 1}.get((match["which"] or "").lower(), frame.look)
    ahead = (_weekday(match["weekday"]) - frame.today.weekday()) % 7
    if look < 0:
        return frame.today - timedelta((7 - ahead) % 7 or 7)
    skips = (match["which"] or "").lower() == "next" and 0 < ahead <= 2
    return frame.today + timedelta((ahead or 7) + (7 if skips else 0))


def _month_only(match: re.Match[str], frame: _Frame) -> date | None:
    month = _month(match["month"])
    look = {"last": -1, "next": 1}.get((match["which"] or "").lower(), frame.look)
    if match["year"]:
        year = int(match["year"])
    else:
        year = frame.today.year
        if look > 0 and month < frame.today.month:
            year += 1
        if look < 0 and (month > frame.today.month or (match["which"] and month == frame.today.month)):
            year -= 1
    part = (match["part"] or "").lower()
    last = calendar.monthrange(year, month)[1]
    return date(year, month, last if part == "end of" else 15 if part.startswith("mid") else 1)


def _year_only(match: re.Match[str], frame: _Frame) -> date:
    return date(int(match["year"]), 1, 1)


def _ago(match: re.Match[str], frame: _Frame) -> date | None:
    return _span(match, frame, -1)


def _ahead(match: re.Match[str], frame: _Frame) -> date | None:
    return _span(match, frame, 1)


def _span(match: re.Match[str], frame: _Frame, sign: int) -> date | None:
    n = to_int(match["n"])
    if n is None or n > 100:
        return None
    return _add(frame.today, match["unit"].lower(), sign * n)


def _which_unit(match: re.Match[str], frame: _Frame) -> date:
    return _add(frame.today, match["unit"].lower(), 1 if match["which"].lower() == "next" else -1)


def _weekend(match: re.Match[str], frame: _Frame) -> date:
    saturday = frame.today + timedelta((5 - frame.today.weekday()) % 7)
    which = match["which"].lower()
    return saturday + timedelta({"last": -7, "next": 7}.get(which, 0))


def _near(match: re.Match[str], frame: _Frame) -> date:
    return frame.today + timedelta(_NEAR[re.sub(r"\s+", " ", match[0].lower())])


def _iso(match: re.Match[str], frame: _Frame) -> date | None:
    return _safe(int(match["year"]), int(match["m"]), int(match["day"]))


def _slashed(match: re.Match[str], frame: _Frame) -> date | None:
    """ "28/3", "3/28/2025": only where one of the numbers can be no month, for writers differ in their order."""
    a, b = int(match["a"]), int(match["b"])
    if (a > 12) == (b > 12):
        return None
    day, month = (a, b) if a > 12 else (b, a)
    if match["year"]:
        return _safe(int(match["year"][-2:]) + 2000, month, day)
    years = (frame.today.year + offset for offset in (0, frame.look))
    found = [d for y in years if (d := _safe(y, month, day)) and (d - frame.today).days * frame.look >= 0]
    return found[0] if found else None


def _add(day: date, unit: str, n: int) -> date:
    if unit in ("day", "week", "fortnight"):
        return day + timedelta(n * {"day": 1, "week": 7, "fortnight": 14}[unit])
    return _shift_months(day, n * (12 if unit == "year" else 1))


def _shift_months(day: date, n: int) -> date:
    months = day.year * 12 + day.month - 1 + n
    year, month = months // 12, months % 12 + 1
    return date(year, month, min(day.day, calendar.monthrange(year, month)[1]))


def _safe(year: int, month: int, day: int) -> date | None:
    try:
        return date(year, month, day)
    except ValueError:
        return None


def _month(name: str) -> int:
    plain = name.lower().rstrip(".")
    return MONTHS.get(plain) or _SHORT[plain]


def _weekday(name: str) -> int:
    plain = name.lower()
    return _DAYS[plain] if plain in _DAYS else _SHORT_DAYS[plain]


_NEAR = {
    "today": 0,
    "tonight": 0,
    "this morning": 0,
    "this afternoon": 0,
    "this evening": 0,
    "yesterday": -1,
    "yesterday morning": -1,
    "yesterday evening": -1,
    "last night": -1,
    "the day before yesterday": -2,
    "tomorrow": 1,
    "the day after tomorrow": 2,
}
_SINCE = re.compile(r"\b(?:since|from|starting|as of)\s+(?:the\s+)?$", re.IGNORECASE)
_FROM = re.compile(r"\b(?:from|starting|as of)\s+(?:the\s+)?$", re.IGNORECASE)
_CLOCK = re.compile(
    r",?\s*(?:at|@)?\s*(?P<h>\d{1,2})(?:[:.](?P<m>\d{2})(?!\d))?\s*(?P<half>am\b|pm\b|(?<=[:.]\d\d))",
    re.IGNORECASE,
)
_HINT = re.compile(
    r"\d|day|week|month|year|night|morning|afternoon|evening|tomorrow|ago\b"
    r"|jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec|\b(?:mon|tue|wed|thu|fri|sat)\b",
    re.IGNORECASE,
)


def _compiled() -> Iterator[tuple[re.Pattern[str], _Resolve, Precision]]:
    year = r"(?:,?\s+(?P<year>(?:19|20)\d\d))?"
    before = rf"(?:{_DAY},?\s+)?(?:the\s+)?"
    rows: list[tuple[str, _Resolve, Precision]] = [
        (r"\b(?P<year>(?:19|20)\d\d)-(?P<m>\d\d)-(?P<day>\d\d)\b", _iso, "day"),
        (r"(?<![\d/.:])(?P<a>\d{1,2})/(?P<b>\d{1,2})(?:/(?P<year>(?:20)?\d\d))?(?![\d/])", _slashed, "day"),
        (rf"\b{before}{_NTH}\s+(?:of\s+)?{_MONTH}\b{year}", _named_day, "day"),
        (rf"\b{before}{_MONTH}\s+(?:the\s+)?{_NTH}\b(?![:.]\d){year}", _named_day, "day"),
        (rf"\b(?:{_DAY},?\s+)?the\s+(?P<day>\d{{1,2}})(?:st|nd|rd|th)\b", _nth, "day"),
        (rf"\b{_DAY},?\s+(?P<day>\d{{1,2}})(?:st|nd|rd|th)\b", _nth, "day"),
        (rf"\b({'|'.join(sorted(_NEAR, key=len, reverse=True))})\b", _near, "day"),
        (rf"\b(?:(?P<which>last|past|next|this)\s+)?{_DAY}(?!s)\b", _on_weekday, "day"),
        (r"\b(?P<which>last|next|this)\s+weekend\b", _weekend, "day"),
        (rf"\bin\s+(?P<n>{COUNT})\s+{_UNIT}(?:'s?\s+time)?\b(?!\s+flat)", _ahead, "day"),
        (rf"\b(?P<n>{COUNT})\s+{_UNIT}\s+(?:ago|back|before)\b", _ago, "day"),
        (r"\bday\s+(?P<n>\d{1,3})(?P<unit>)\b", _nth_day_of, "duration"),
        (rf"\b(?P<which>last|next)\s+{_UNIT}\b", _which_unit, "month"),
        (
            r"\b(?:(?:the\s+)?(?P<part>end of|mid(?=[- ])|middle of|beginning of|start of)[- ]\s*)?"
            rf"(?:(?P<which>last|next)\s+)?{_MONTH}\b"
            rf"(?:\s+(?:of\s+)?(?P<year>(?:19|20)\d\d))?",
            _month_named,
            "month",
        ),
        (r"\b(?:in|since|from|back in|of)\s+(?P<year>(?:19|20)\d\d)\b", _year_only, "year"),
        (
            rf"(?<!the )(?<!once )(?<!twice )(?<!times )\b(?P<n>{COUNT})\s+{_UNIT}\b(?!\s+(?:old|later|away|off|of age|flat|in\b))",
            _ago,
            "duration",
        ),
    ]
    for pattern, resolve, precision in rows:
        yield re.compile(pattern, re.IGNORECASE), resolve, precision


def _nth_day_of(match: re.Match[str], frame: _Frame) -> date:
    """ "day 19" of something kept up: it began nineteen days before."""
    return frame.today - timedelta(int(match["n"]))


def _month_named(match: re.Match[str], frame: _Frame) -> date | None:
    """ "may" and "march" are verbs too: alone they need a word before them that takes a month."""
    name = match["month"].lower()
    has_frame = match["part"] or match["which"] or match["year"]
    before = match.string[: match.start()].rstrip().lower()
    if not has_frame and not re.search(
        r"\b(?:in|since|until|till|by|from|for|this|of|during|early|late|around|to|due)$", before
    ):
        return None
    if name in ("may", "mar", "march", "sat", "sun") and not has_frame and before.endswith(" to"):
        return None
    return _month_only(match, frame)


_PATTERNS = tuple(_compiled())
__all__ = ["MONTHS", "NUMBER", "When", "day_and_month", "find_dates"]
