"""WhatsApp text exports, in the forms of the Android and iOS apps.

A message begins with a date head (`12/03/2025, 18:03 - ` or `[12/03/2025, 18:03:11] `) in the one style of its file;
every line without such a head continues the message above it. Whether the day or the month comes first is decided over
the whole file. Lines that name no speaker are system lines: counted, not kept. Links, calls and polls are not taken apart.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from functools import lru_cache
from typing import NamedTuple

from memory import names
from memory.errors import UnknownFormat
from memory.importers.files import File
from memory.importers.shape import Reading, ReadOptions
from memory.importers.whatsapp_dates import DateSurvey, Fields, Order, day_of
from memory.importers.whatsapp_text import classify, is_notice, subject_of
from memory.types import SYSTEM, Message, Row, Skipped

_MARKS = "[\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]*"
_DATE = r"(?P<a>\d{1,4})(?P<sep>[./-])\s?(?P<b>\d{1,2})(?P=sep)\s?(?P<c>\d{1,4})\.?"
_TIME = (
    r"(?:(?P<pre>上午|下午|오전|오후|午前|午後)[^\S\n]?)?(?P<h>[01]?\d|2[0-3])[:.](?P<m>[0-5]\d)"
    r"(?:[:.](?P<s>[0-5]\d))?"
    r"(?:[^\S\n]?(?P<half>[AaPp]\.?[^\S\n]?[Mm]\.?|[صم]))?"
)
_ANDROID = re.compile(rf"^{_MARKS}{_DATE}[,،]?[^\S\n]{_TIME}[^\S\n][-–][^\S\n]")
_IOS = re.compile(rf"^{_MARKS}\[{_DATE}[,،]?[^\S\n]{_TIME}\][^\S\n]?")
_N_LINES_TO_JUDGE = 20
_N_FORMS = 100_000  # of names whose meaning is kept
MAX_MESSAGE = 1 << 20  # characters; what a message holds beyond them is left out and reported
_AFTER_NOON = ("p", "م", "下午", "오후", "午後")


class _Block(NamedTuple):
    """One message or notice: its head, and what follows it up to the next head. Without a head: lines before the first."""

    line: int  # 1-based number of its first line
    head: re.Match[str] | None
    rest: str
    is_cut: bool = False


@dataclass(frozen=True, slots=True)
class _Form:
    """How the file writes its heads: the app, the separator of dates, whether there are seconds."""

    pattern: re.Pattern[str]
    separator: str
    has_seconds: bool

    def match(self, line: str) -> re.Match[str] | None:
        """The head of a message: a real date and time in the look of the first.

        Another chat pasted into a message often has another separator, or seconds where this one has none.
        """
        head = self.pattern.match(line)
        if head is None or head["sep"] != self.separator or (head["s"] is not None) != self.has_seconds:
            return None
        return head if _is_date(head) else None


def looks_like(head: str) -> bool:
    """Whether one of the first lines begins as a message of an export does."""
    return _form(head.split("\n", _N_LINES_TO_JUDGE)) is not None


def read(file: File, options: ReadOptions) -> Reading:
    """The chat, after two looks through the file: at its dates and colons, then at its names."""
    form = _form(file.head_text().split("\n"))
    if form is None:
        raise UnknownFormat(file.name)
    survey = _survey(file, form)
    order = survey.dates.chosen()
    speakers = _Names(survey.colons.full_names())
    conversation = _conversation(file, form, speakers)

    def rows() -> Iterator[Row]:
        for block in _blocks(file, form):
            yield _row(block, order.order, speakers, conversation, options.zone)
            if block.is_cut:
                yield Skipped(f"line {block.line}", f"it goes on for more than {MAX_MESSAGE} characters")

    app = "iOS" if form.pattern is _IOS else "Android"
    return Reading("whatsapp", (f"WhatsApp, {app} form", order.note), rows)


def _row(block: _Block, order: Order, speakers: _Names, conversation: str, zone: tzinfo) -> Row:
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
        for pattern in (_ANDROID, _IOS) if found is None else (found.pattern,):
            head = pattern.match(line)
            if head is None:
                continue
            found = found or _Form(pattern, head["sep"], head["s"] is not None)
            if _is_date(head):
                return _Form(pattern, head["sep"], head["s"] is not None)
        if found is None and number >= _N_LINES_TO_JUDGE:
            return None
    return found


def _is_date(head: re.Match[str]) -> bool:
    return _fields(head["a"], head["b"], head["c"]) is not None


@dataclass(slots=True)
class _Survey:
    dates: DateSurvey
    colons: _Colons


def _survey(file: File, form: _Form) -> _Survey:
    """What only the whole file can tell: the order of dates, and which colons belong to names."""
    dates, colons = DateSurvey(), _Colons()
    for head, rest in _head_lines(file, form):
        fields = _fields(head["a"], head["b"], head["c"])
        if fields is not None:
            dates.add(fields)
        dates.is_american = dates.is_american and _is_american(head)
        colons.add(rest)
    return _Survey(dates, colons)


def _head_lines(file: File, form: _Form) -> Iterator[tuple[re.Match[str], str]]:
    """Each head, and what stands behind it in its line."""
    for line in file.lines():
        head = form.match(line)
        if head is not None:
            yield head, line[head.end() :]


def _blocks(file: File, form: _Form) -> Iterator[_Block]:
    """The file in pieces that each begin with a head."""
    head: re.Match[str] | None = None
    begun, parts, n_chars = 0, list[str](), 0
    for number, line in enumerate(file.lines(), start=1):
        found = form.match(line)
        if found is None:
            n_chars += len(line) + 1
            if n_chars <= MAX_MESSAGE and (head is not None or line.strip("\ufeff \t\r")):
                parts.append(line)
                begun = begun or number
            continue
        if begun:
            yield _Block(begun, head, "\n".join(parts).rstrip("\r\n"), n_chars > MAX_MESSAGE)
        head, begun, parts, n_chars = found, number, [line[found.end() :]], len(line)
    if begun:
        yield _Block(begun, head, "\n".join(parts).rstrip("\r\n"), n_chars > MAX_MESSAGE)


@lru_cache(maxsize=65536)
def _fields(a: str, b: str, c: str) -> Fields | None:
    """The date as numbers, or None where no order of them makes a date."""
    is_year_first = len(a) == 4
    year, first, second = (a, b, c) if is_year_first else (c, a, b)
    is_year = len(year) == 2 or (len(year) == 4 and 1990 <= int(year) <= 2200)
    low, high = sorted((int(first), int(second)))
    return (
        Fields(int(a), int(b), int(c), is_year_first) if is_year and 1 <= low <= 12 and high <= 31 else None
    )


def _time(head: re.Match[str], order: Order, zone: tzinfo) -> datetime:
    a, b, c, before, hour_text, minute, second, after = head.group(
        "a", "b", "c", "pre", "h", "m", "s", "half"
    )
    fields = _fields(a, b, c)
    if fields is None:
        raise ValueError("a head without a date")
    hour = int(hour_text)
    half = (after or before or "").lower()
    if half:
        hour = hour % 12 + (12 if half.startswith(_AFTER_NOON) else 0)
    return datetime(*day_of(fields, order), hour, int(minute), int(second or 0), tzinfo=zone)


def _is_american(head: re.Match[str]) -> bool:
    """Whether the head looks as the app writes it for the United States: `3/5/25, 6:03 PM`."""
    return (
        head["sep"] == "/"
        and head["half"] in ("AM", "PM")
        and len(head["c"]) == 2
        and not any(head[part].startswith("0") for part in "abh")
    )


@dataclass(slots=True)
class _Colons:
    """Which text before a first colon is a whole name, and which only a name's first part.

    Where every message that begins with `Ana: ` goes on with the same second part and colon, that part belongs to the name.
    """

    _seconds: dict[str, tuple[str, int] | None] = field(default_factory=dict)  # None: more than one

    def add(self, line: str) -> None:
        parts = line.split(": ", 2)
        if len(parts) == 1:
            return
        second = parts[1] if len(parts) == 3 else ""
        known = self._seconds.setdefault(parts[0], (second, 0))
        if known is not None:
            self._seconds[parts[0]] = (second, known[1] + 1) if known[0] == second else None

    def full_names(self) -> dict[str, str]:
        """From the text before the first colon to the speaker's full name."""
        full = {}
        for short, known in self._seconds.items():
            second, count = known or ("", 0)
            is_part = bool(second) and count >= 3 and len(second) <= 40
            full[short] = f"{short}: {second}" if is_part else short
        return full


class _Names:
    """Who is meant by what stands before the first colon of a message. Each form is judged once."""

    def __init__(self, full: dict[str, str]) -> None:
        self._full = full
        self._known: dict[str, tuple[str | None, int]] = {}  # speaker, and where the words begin

    def split(self, rest: str) -> tuple[str | None, str]:
        """The speaker and what they said; the speaker is None on a system line."""
        end = rest.find(": ")
        line_end = rest.find("\n")
        if end < 0 or 0 <= line_end < end:
            first = rest if line_end < 0 else rest[:line_end]
            if not first.endswith(":") or first.endswith("::"):
                return None, rest
            end = len(first) - 1
        short = rest[:end]
        speaker, begin = self._known.get(short) or self._judge(short)
        return speaker, rest[begin:].removeprefix(" ") if speaker is not None else rest

    def _judge(self, short: str) -> tuple[str | None, int]:
        full = self._full.get(short, short)
        speaker = _shown(full)
        if not speaker or len(full) > 120 or _is_notice_head(short, self._full):
            judged: tuple[str | None, int] = None, 0
        else:
            judged = speaker, len(full) + 1
        if len(self._known) < _N_FORMS:
            self._known[short] = judged
        return judged


def _is_notice_head(head: str, speakers: dict[str, str]) -> bool:
    """Whether the text before a colon is the beginning of a notice: `Ana created group "Trip`, `Ana added Bo`."""
    if re.search(r"[\"“„«]", head) and is_notice(head, must_be_marked=False):
        return True
    match = re.match(r"(.+?) (?:added|removed|changed|created|pinned) ", head)
    return match is not None and (match[1] == "You" or match[1] in speakers)


def _shown(name: str) -> str:
    """A sender's name without the marks and the tilde that iOS puts before people who are no contacts."""
    shown = names.clean(name)
    return names.clean(shown.removeprefix("~")) or shown


def _conversation(file: File, form: _Form, speakers: _Names) -> str:
    """Who is in a chat of two, else the group's name from its notices or the file's name."""
    said_by: dict[str, None] = {}
    heads: dict[str, None] = {}
    subject: str | None = None
    for _, rest in _head_lines(file, form):
        speaker, said = speakers.split(rest)
        if speaker is not None and not is_notice(said):
            said_by[speaker] = None
            continue
        subject = subject_of(said) or subject
        if speaker:
            heads[_shown(speaker)] = None
    return _name(list(said_by), [head for head in heads if head not in said_by], subject, file.stem)


def _name(speakers: list[str], titles: list[str], subject: str | None, name: str) -> str:
    if match := re.fullmatch(r"WhatsApp Chat (?:with|-) (.+?)(?: ?\(\d+\))?", name):
        titles.append(match[1])
    if subject or len(speakers) > 2:
        return subject or (titles or [name])[0]
    if len(speakers) == 2 and titles and titles[0] != name and titles[0] not in speakers:
        return titles[0]
    others = [title for title in titles[:1] if title not in speakers and len(speakers) < 2]
    return " & ".join(sorted([*speakers, *others], key=names.key))
