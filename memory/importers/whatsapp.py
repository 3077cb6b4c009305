"""WhatsApp text exports, in the forms of the Android and iOS apps.

A message begins with a date head (`12/03/2025, 18:03 - ` or `[12/03/2025, 18:03:11] `) in the one style of its file;
every line without such a head continues the message above it. Whether the day or the month comes first is decided over
the whole file. Lines that name no speaker are system lines: counted, not kept. Links, calls and polls are not taken apart.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from functools import lru_cache

from memory import names
from memory.importers.whatsapp_dates import Fields, Order, choose_order, day_of
from memory.importers.whatsapp_text import classify, is_notice, subject_of
from memory.types import Export, Message

_MARKS = "[\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]*"
_DATE = r"(?P<a>\d{1,4})(?P<sep>[./-])\s?(?P<b>\d{1,2})(?P=sep)\s?(?P<c>\d{1,4})\.?"
_TIME = (
    r"(?:(?P<pre>上午|下午|오전|오후|午前|午後)[^\S\n]?)?(?P<h>\d{1,2})[:.](?P<m>\d{2})(?:[:.](?P<s>\d{2}))?"
    r"(?:[^\S\n]?(?P<half>[AaPp]\.?[^\S\n]?[Mm]\.?|[صم]))?"
)
_ANDROID = re.compile(rf"^{_MARKS}{_DATE}[,،]?[^\S\n]{_TIME}[^\S\n][-–][^\S\n]", re.MULTILINE)
_IOS = re.compile(rf"^{_MARKS}\[{_DATE}[,،]?[^\S\n]{_TIME}\][^\S\n]?", re.MULTILINE)
_N_LINES_TO_JUDGE = 20
_AFTER_NOON = ("p", "م", "下午", "오후", "午後")


@dataclass(frozen=True, slots=True)
class _Line:
    """One head, read, with what follows it up to the next head."""

    fields: Fields
    hour: int
    minute: int
    second: int
    rest: str


def looks_like(text: str) -> bool:
    """Whether one of the first lines begins as a message of an export does."""
    return _style(text) is not None


def parse(text: str, name: str, zone: tzinfo) -> list[Export]:
    """The chat as one export. `name` is the file's name without its ending; it may name a group."""
    heads = _heads(text)
    lines = _lines(text, heads)
    order = choose_order([line.fields for line in lines], is_american=_is_american(heads))
    speakers = _speakers([line.rest for line in lines])
    messages: list[Message] = []
    notices: list[tuple[str | None, str]] = []
    for line in lines:
        speaker, said = _split(line.rest, speakers)
        if speaker is None or is_notice(said):
            notices.append((speaker, said))
            continue
        kind, words, is_edited = classify(said)
        messages.append(Message(_time(line, order.order, zone), speaker, words, kind, is_edited))
    form = "iOS" if _style(text) is _IOS else "Android"
    notes = (f"WhatsApp, {form} form", order.note)
    return [Export("whatsapp", _conversation(messages, notices, name), tuple(messages), len(notices), notes)]


def _style(text: str) -> re.Pattern[str] | None:
    head = "\n".join(text.split("\n", _N_LINES_TO_JUDGE)[:_N_LINES_TO_JUDGE])
    found = [(match.start(), form) for form in (_ANDROID, _IOS) if (match := form.search(head))]
    return min(found, key=lambda pair: pair[0])[1] if found else None


def _heads(text: str) -> list[re.Match[str]]:
    """The message heads of the file: real dates and times, all in the look of the first.

    Another chat pasted into a message often has another separator, or seconds where this one has none.
    """
    form = _style(text)
    heads: list[re.Match[str]] = []
    look: tuple[str, bool] | None = None
    for head in form.finditer(text) if form else ():
        a, separator, b, c, _, hour, minute, second, _ = head.groups()
        if _fields(a, b, c) is None or int(hour) > 23 or max(int(minute), int(second or 0)) > 59:
            continue
        look = look or (separator, second is not None)
        if look == (separator, second is not None):
            heads.append(head)
    return heads


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


def _lines(text: str, heads: Sequence[re.Match[str]]) -> list[_Line]:
    ends = [head.start() for head in heads[1:]] + [len(text)] * bool(heads)
    return [_line(head, text[head.end() : end]) for head, end in zip(heads, ends, strict=True)]


def _line(head: re.Match[str], rest: str) -> _Line:
    a, _, b, c, before, hour_text, minute, second, after = head.groups()
    fields = _fields(a, b, c)
    if fields is None:
        raise ValueError("a head without a date")
    hour = int(hour_text)
    half = (after or before or "").lower()
    if half:
        hour = hour % 12 + (12 if half.startswith(_AFTER_NOON) else 0)
    return _Line(fields, hour, int(minute), int(second or 0), rest.rstrip("\r\n"))


def _time(line: _Line, order: Order, zone: tzinfo) -> datetime:
    return datetime(*day_of(line.fields, order), line.hour, line.minute, line.second, tzinfo=zone)


def _is_american(heads: Sequence[re.Match[str]]) -> bool:
    """Whether the heads look as the app writes them for the United States: `3/5/25, 6:03 PM`."""
    return bool(heads) and all(
        head["sep"] == "/"
        and head["half"] in ("AM", "PM")
        and len(head["c"]) == 2
        and not any(head[part].startswith("0") for part in "abh")
        for head in heads
    )


def _speakers(rests: Sequence[str]) -> dict[str, str]:
    """From the text before the first colon to the speaker's full name, for names that hold a colon themselves.

    Where every message that begins with `Ana: ` goes on with the same second part and colon, that part belongs to the name.
    """
    longer: dict[str, Counter[str]] = defaultdict(Counter)
    for rest in rests:
        parts = rest.split("\n", 1)[0].split(": ", 2)
        if len(parts) > 1:
            longer[parts[0]][parts[1] if len(parts) == 3 else ""] += 1
    full = {}
    for short, seconds in longer.items():
        (second, count), *others = seconds.most_common(2)
        is_part = bool(second) and not others and count >= 3 and len(second) <= 40
        full[short] = f"{short}: {second}" if is_part else short
    return full


def _split(rest: str, speakers: dict[str, str]) -> tuple[str | None, str]:
    """The speaker and what they said; the speaker is None on a system line."""
    first = rest.split("\n", 1)[0]
    short, colon, _ = first.partition(": ")
    if not colon:
        if not first.endswith(":") or first.endswith("::"):
            return None, rest
        short = first[:-1]
    full = speakers.get(short, short)
    speaker = _shown(full)
    if not speaker or len(full) > 120 or _is_notice_head(short, speakers):
        return None, rest
    return speaker, rest[len(full) + 1 :].removeprefix(" ")


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


def _conversation(messages: Sequence[Message], notices: Sequence[tuple[str | None, str]], name: str) -> str:
    """Who is in a chat of two, else the group's name from its notices or the file's name."""
    speakers = list(dict.fromkeys(message.speaker for message in messages if message.speaker))
    subject = next((found for _, said in reversed(notices) if (found := subject_of(said))), None)
    titles = [_shown(head) for head, _ in notices if head and _shown(head) not in speakers]
    if match := re.fullmatch(r"WhatsApp Chat (?:with|-) (.+?)(?: ?\(\d+\))?", name):
        titles.append(match[1])
    if subject or len(speakers) > 2:
        return subject or (titles or [name])[0]
    if len(speakers) == 2 and titles and titles[0] != name and titles[0] not in speakers:
        return titles[0]
    others = [title for title in titles[:1] if title not in speakers and len(speakers) < 2]
    return " & ".join(sorted([*speakers, *others], key=names.key))
