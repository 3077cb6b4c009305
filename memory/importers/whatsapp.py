"""WhatsApp text exports, in the forms of the Android and iOS apps.

A message begins with a date head (`12/03/2025, 18:03 - ` or `[12/03/2025, 18:03:11] `) in the one style of its file;
every line without such a head continues the message above it. Whether the day or the month comes first is decided over
the whole file. Lines that name no speaker are system lines: counted, not kept. Links, calls and polls are not taken apart.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from functools import cache, lru_cache
from typing import NamedTuple

from memory.errors import UnknownFormat
from memory.importers.files import File
from memory.importers.shape import Reading, ReadOptions
from memory.importers.whatsapp_dates import DateSurvey, Fields, Order, day_of
from memory.importers.whatsapp_names import Openings, Speakers, conversation_of
from memory.importers.whatsapp_text import classify, is_notice
from memory.types import SYSTEM, Message, Row, Skipped

_MARKS = "[\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]*"
_GAP = r"[^\S\n]"
_DATE = rf"(?P<a>\d{{1,4}}){_MARKS}(?P<sep>SEPARATORS)\s?(?P<b>\d{{1,2}}){_MARKS}(?P=sep)\s?(?P<c>\d{{1,4}})(?:\.|{_GAP}г\.)?"
_AT = rf"(?:(?:klo?\.?|at|à|às|um|alle|a las){_GAP})?"
_HALF = (
    r"[AaPp]\.?[^\S\n]?[Mm]\.?|[صم]|[πμ]\.?μ\.?|пр\.?об\.?|сл\.?об\.?|d[eu]\.|ÖÖ|ÖS|SA|CH|PTG|PG|[PM]D|[ai]p\.|[vn]m\.|[قب]\.ظ\.?|"
    "上午|下午|凌晨|清晨|早上|中午|傍晚|晚上|오전|오후|午前|午後"
)
_TIME = (
    rf"(?:(?P<pre>{_HALF}){_GAP}?)?(?P<h>[01٠١۰۱]?\d|[2٢۲][0-3٠-٣۰-۳])(?:[:.]|{_GAP}?h{_GAP}?)(?P<m>[0-5٠-٥۰-۵]\d)"
    rf"SECONDS(?:{_GAP}?(?P<half>{_HALF}))?(?:{_GAP}ч\.)?"
)
_SECONDS = rf"(?:[:.]|{_GAP}?min{_GAP}?)(?P<s>[0-5٠-٥۰-۵]\d)(?:{_GAP}s)?"
_NO_SECONDS = "(?P<s>(?!))?"


def _pattern(
    *, is_ios: bool, separators: str = "[./-]", seconds: str = f"(?:{_SECONDS})?"
) -> re.Pattern[str]:
    """Heads as an app writes them: in every look, or with one separator of dates, and with or without seconds."""
    moment = f"{_DATE}[,،]?{_MARKS}{_GAP}{_MARKS}{_AT}{_TIME}"
    moment = moment.replace("SEPARATORS", separators).replace("SECONDS", seconds)
    return re.compile(rf"{_MARKS}\[{moment}\]{_GAP}?" if is_ios else rf"{_MARKS}{moment}{_GAP}[-–]{_GAP}")


_ANDROID, _IOS = _pattern(is_ios=False), _pattern(is_ios=True)
_N_LINES_TO_JUDGE = 20
_BUDDHIST = 543  # years by which the Thai calendar is ahead
MAX_MESSAGE = 1 << 20  # characters; what a message holds beyond them is left out and reported
_AFTER_NOON = frozenset(  # without dots
    (
        "pm",
        "م",
        "μμ",
        "слоб",
        "du",
        "ös",
        "ch",
        "ptg",
        "md",
        "ip",
        "nm",
        "بظ",
        "下午",
        "中午",
        "傍晚",
        "晚上",
        "오후",
        "午後",
    )
)


class _Block(NamedTuple):
    """One message or notice: its head, and what follows it up to the next head. Without a head: lines before the first."""

    line: int  # 1-based number of its first line
    head: re.Match[str] | None
    rest: str
    is_cut: bool = False


@dataclass(frozen=True, slots=True)
class _Form:
    """How the file writes its heads: the app, the separator of dates, whether there are seconds.

    Another chat pasted into a message often has another separator, or seconds where this one has none.
    """

    pattern: re.Pattern[str]
    is_ios: bool

    @classmethod
    def of(cls, head: re.Match[str]) -> _Form:
        """The form of files whose heads look like this one."""
        is_ios = head.re is _IOS
        seconds = _NO_SECONDS if head["s"] is None else _SECONDS
        return cls(_pattern(is_ios=is_ios, separators=re.escape(head["sep"]), seconds=seconds), is_ios)

    def match(self, line: str) -> re.Match[str] | None:
        """The head of a message: a real date and time in the look of the first."""
        head = self.pattern.match(line)
        return head if head is not None and _is_date(head) else None


def looks_like(head: str) -> bool:
    """Whether one of the first lines begins as a message of an export does."""
    return _form(head.split("\n", _N_LINES_TO_JUDGE)) is not None


def read(file: File, options: ReadOptions) -> Reading:
    """The chat, after one look through the file: at its dates, colons and names."""
    form = _form(file.head_text().split("\n"))
    if form is None:
        raise UnknownFormat(file.name)
    survey = _survey(file, form)
    order = survey.dates.chosen()
    speakers = Speakers(survey.openings.full_names())
    conversation = conversation_of(survey.openings, speakers, file.stem)

    def rows() -> Iterator[Row]:
        for block in _blocks(file, form):
            yield _row(block, order.order, speakers, conversation, options.zone)
            if block.is_cut:
                yield Skipped(f"line {block.line}", f"it goes on for more than {MAX_MESSAGE} characters")

    app = "iOS" if form.is_ios else "Android"
    return Reading("whatsapp", (f"WhatsApp, {app} form", order.note), rows)


def _row(block: _Block, order: Order, speakers: Speakers, conversation: str, zone: tzinfo) -> Row:
    if block.head is None:
        return Skipped(f"line {block.line}", "no message begins before it")
    speaker, said = speakers.split(block.rest)
    if speaker is None or is_notice(said):
        return Skipped(f"line {block.line}", SYSTEM)
    kind, words, is_edited = classify(said)
    return Message(_time(block.head, order, zone), speaker, words, kind, is_edited, None, conversation)


def _form(lines: Sequence[str]) -> _Form | None:
    """The form of the first lines, and the look of the first real head."""
    found: _Form | None = None
    for number, line in enumerate(lines):
        for pattern in (_ANDROID, _IOS) if found is None else ((_IOS if found.is_ios else _ANDROID),):
            head = pattern.match(line)
            if head is None:
                continue
            found = found or _Form.of(head)
            if _is_date(head):
                return _Form.of(head)
        if found is None and number >= _N_LINES_TO_JUDGE:
            return None
    return found


def _is_date(head: re.Match[str]) -> bool:
    return _fields(*head.group("a", "b", "c")) is not None


@dataclass(slots=True)
class _Survey:
    dates: DateSurvey
    openings: Openings


def _survey(file: File, form: _Form) -> _Survey:
    """What only the whole file can tell: the order of dates, which colons belong to names, who speaks."""
    dates, openings = DateSurvey(), Openings()
    date, n_of_date = tuple[str, ...](), 0
    match = form.match
    for number, line in enumerate(file.lines(), start=1):
        head = match(line)
        if head is None:
            continue
        openings.add(line[head.end() :], number)
        if dates.is_american:
            dates.is_american = _is_american(head)
        if (found := head.group("a", "b", "c")) != date:
            _add_date(dates, date, n_of_date)
            date, n_of_date = found, 0
        n_of_date += 1
    _add_date(dates, date, n_of_date)
    return _Survey(dates, openings)


def _add_date(dates: DateSurvey, date: Sequence[str], n: int) -> None:
    fields = _fields(*date) if n else None
    if fields is not None:
        dates.add(fields, n)


def _blocks(file: File, form: _Form) -> Iterator[_Block]:
    """The file in pieces that each begin with a head."""
    head: re.Match[str] | None = None
    begun, first, more, n_chars = 0, "", list[str](), 0
    match = form.match
    for number, line in enumerate(file.lines(), start=1):
        found = match(line)
        if found is None:
            n_chars += len(line) + 1
            if n_chars <= MAX_MESSAGE and (head is not None or line.strip("\ufeff \t\r")):
                more.append(line)
                begun = begun or number
            continue
        if begun:
            yield _block(begun, head, first, more, n_chars)
        head, begun, first, n_chars = found, number, line[found.end() :], len(line)
        more.clear()
    if begun:
        yield _block(begun, head, first, more, n_chars)


def _block(begun: int, head: re.Match[str] | None, first: str, more: list[str], n_chars: int) -> _Block:
    if not more:
        return _Block(begun, head, first.rstrip("\r"))
    lines = more if head is None else (first, *more)
    return _Block(begun, head, "\n".join(lines).rstrip("\r\n"), n_chars > MAX_MESSAGE)


@lru_cache(maxsize=65536)
def _fields(a: str, b: str, c: str) -> Fields | None:
    """The date as numbers, or None where no order of them makes a date. Thai years become ours."""
    is_year_first = len(a) == 4
    written, *others = (a, b, c) if is_year_first else (c, a, b)
    first, second = map(int, others)
    year = int(written) - (_BUDDHIST if int(written) > 2500 else 0)
    is_year = len(written) == 2 or (len(written) == 4 and 1990 <= year <= 2200)
    if not is_year or not 1 <= min(first, second) <= 12 or max(first, second) > 31:
        return None
    return Fields(year, first, second, True) if is_year_first else Fields(first, second, year, False)


def _time(head: re.Match[str], order: Order, zone: tzinfo) -> datetime:
    a, b, c, before, hour_text, minute, second, after = head.group(
        "a", "b", "c", "pre", "h", "m", "s", "half"
    )
    year, month, day = _day(a, b, c, order)
    hour = int(hour_text)
    if (half := after or before) and not (hour == 11 and half == "中午"):
        hour = hour % 12 + (12 if _is_after_noon(half) else 0)
    return datetime(year, month, day, hour, int(minute), int(second or 0), 0, zone)


@lru_cache(maxsize=65536)
def _day(a: str, b: str, c: str, order: Order) -> tuple[int, int, int]:
    fields = _fields(a, b, c)
    if fields is None:
        raise ValueError("a head without a date")
    return day_of(fields, order)


@cache
def _is_after_noon(half: str) -> bool:
    return re.sub(r"[.\s]", "", half).casefold() in _AFTER_NOON


def _is_american(head: re.Match[str]) -> bool:
    """Whether the head looks as the app writes it for the United States: `3/5/25, 6:03 PM`."""
    return (
        head["sep"] == "/"
        and head["half"] in ("AM", "PM")
        and len(head["c"]) == 2
        and not any(head[part].startswith("0") for part in "abh")
    )
