"""CSV: what DiscordChatExporter writes, and any other table with a time, a speaker and a text.

The delimiter is told from the header, the columns by their names in the languages of `_COLUMNS`. A date may stand in two
columns, date and time. Dates that are no ISO 8601 are read in the order that fits the whole file, as WhatsApp's are.
DiscordChatExporter (2.46) writes AuthorID, Author, Date, Content, Attachments, Reactions; its file name is the channel's.
"""

from __future__ import annotations

import csv
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, tzinfo

from memory import names
from memory.errors import UnknownFormat
from memory.importers.files import File
from memory.importers.shape import DAMAGE, Reading, ReadOptions, people_of
from memory.importers.values import parse_time, whole_text
from memory.importers.whatsapp_dates import ChosenOrder, DateSurvey, Fields, day_of
from memory.types import Message, MessageKind, Row, Skipped

_DELIMITERS = ",;\t|"
# fmt: off
_COLUMNS: Mapping[str, tuple[str, ...]] = {
    "time": ("timestamp", "datetime", "date time", "date/time", "sent at", "date sent", "message date", "created at",
             "time sent", "sent", "ts", "date", "time", "datum", "fecha", "data", "zeit"),
    "hour": ("time", "hour", "uhrzeit", "hora", "heure"),
    "speaker": ("speaker", "sender", "sender name", "author", "from", "username", "user", "name", "who",
                "absender", "de", "remitente"),
    "text": ("text", "message", "content", "body", "msg", "message text", "nachricht", "mensaje", "mensagem"),
    "conversation": ("conversation", "chat", "chat session", "channel", "thread", "room", "group", "chat name"),
    "account": ("authorid", "author id", "sender id", "user id", "userid"),
    "media": ("attachments", "attachment", "media", "file"),
    "id": ("message id", "id", "guid", "uuid"),
    "kind": ("kind",),
}
# fmt: on
_DISCORD = ("authorid", "author", "date", "content")
_KINDS: dict[str, MessageKind] = {"media": "media", "deleted": "deleted"}
_DATE = re.compile(
    r"(?P<a>\d{1,4})[./-](?P<b>\d{1,2})[./-](?P<c>\d{1,4})"
    r"(?:[,T]?\s+|T)?(?P<h>\d{1,2})?(?:[:.](?P<m>\d{2}))?(?:[:.](?P<s>\d{2}))?(?:\.\d+)?\s*(?P<half>[AaPp]\.?[Mm]\.?)?\s*(?:UTC|Z)?"
)


@dataclass(frozen=True, slots=True)
class _Table:
    """How the file is written, and which column means what."""

    delimiter: str
    columns: Mapping[str, int]
    is_discord: bool

    def cell(self, row: Sequence[str], column: str) -> str:
        at = self.columns.get(column)
        return row[at].strip() if at is not None and at < len(row) else ""

    def when(self, row: Sequence[str]) -> str:
        return f"{self.cell(row, 'time')} {self.cell(row, 'hour')}".strip()


@dataclass(slots=True)
class _Survey:
    dates: DateSurvey = field(default_factory=lambda: DateSurvey(is_american=False))
    names: dict[str, str] = field(default_factory=dict)  # by account
    speakers: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))  # by conversation


@dataclass(frozen=True, slots=True)
class _Understood:
    """All that a row is read by: the table, the order of dates, what people and chats are called."""

    table: _Table
    order: ChosenOrder
    shown: dict[str, str]  # by account
    called: dict[str, str]  # by what the column says
    zone: tzinfo


def looks_like(head: str) -> bool:
    """Whether the first line names a time, a speaker and a text."""
    return _table(head) is not None


def read(file: File, options: ReadOptions) -> Reading:
    """The table's messages, after one look through it at its dates and people."""
    table = _table(file.head_text())
    if table is None:
        raise UnknownFormat(file.name)
    survey = _survey(file, table)
    called = {name: name or _name(file, table, speakers) for name, speakers in survey.speakers.items()}
    understood = _Understood(table, survey.dates.chosen(), _shown(survey.names), called, options.zone)

    def rows() -> Iterator[Row]:
        for place, row in _records(file, table):
            yield row if isinstance(row, Skipped) else _row(place, row, understood)

    kind, form = ("discord", "DiscordChatExporter, CSV") if table.is_discord else ("csv", "CSV")
    notes = (form, understood.order.note) if survey.dates.n_dates else (form,)
    return Reading(kind, notes, rows)


def _table(head: str) -> _Table | None:
    line = next((line for line in head.split("\n") if line.strip()), "")
    delimiter = max(_DELIMITERS, key=line.count)
    try:
        cells = next(csv.reader([line], delimiter=delimiter), [])
    except csv.Error:
        return None
    titles = [re.sub(r"[\s_-]+", " ", names.key(cell.strip("\ufeff "))) for cell in cells]
    columns: dict[str, int] = {}
    for column, known in _COLUMNS.items():
        found = next((titles.index(name) for name in known if name in titles), None)
        if found is not None and found not in columns.values():
            columns[column] = found
    if not {"time", "speaker", "text"} <= set(columns):
        return None
    return _Table(delimiter, columns, set(_DISCORD) <= set(titles))


def _records(file: File, table: _Table) -> Iterator[tuple[str, list[str] | Skipped]]:
    """The rows below the header, each with the place where it begins."""
    reader = csv.reader((f"{line}\n" for line in file.lines()), delimiter=table.delimiter)
    is_header = True
    while True:
        place = f"line {reader.line_num + 1}"
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error:
            yield place, Skipped(place, "a quotation mark is never closed, or a cell is too long")
            continue
        if not any(cell.strip() for cell in row):
            continue
        if is_header:
            is_header = False
            continue
        yield place, row


def _survey(file: File, table: _Table) -> _Survey:
    survey = _Survey()
    for _, row in _records(file, table):
        if isinstance(row, Skipped):
            continue
        fields = _fields(table.when(row))
        if fields is not None:
            survey.dates.add(fields)
        speaker = names.clean(table.cell(row, "speaker"))
        if speaker:
            survey.names.setdefault(table.cell(row, "account") or speaker, speaker)
            known = survey.speakers[table.cell(row, "conversation")]
            if len(known) < 3:
                known.add(speaker)
    return survey


def _shown(called: dict[str, str]) -> dict[str, str]:
    """From account to a name that no other account has."""
    sharing: dict[str, list[str]] = defaultdict(list)
    for account, name in called.items():
        sharing[names.key(name)].append(account)
    return {
        account: name if len(sharing[names.key(name)]) == 1 else names.clean(f"{name} ({account})")
        for account, name in called.items()
    }


def _name(file: File, table: _Table, speakers: set[str]) -> str:
    if table.is_discord:
        return re.sub(r"\s*\[\d+\]( \(.*\))?$", "", file.stem)
    return people_of(speakers) if len(speakers) <= 2 else file.stem


def _row(place: str, row: Sequence[str], understood: _Understood) -> Row:
    table = understood.table
    speaker = names.clean(table.cell(row, "speaker"))
    if not speaker:
        return Skipped(place, "no speaker")
    try:
        time = _time(table.when(row), understood.order, understood.zone)
    except DAMAGE:
        return Skipped(place, "no readable time")
    text, media = whole_text(table.cell(row, "text")), table.cell(row, "media")
    kind = _KINDS.get(table.cell(row, "kind").casefold(), "text" if text else "media")
    if not text and not media and kind == "text":
        return Skipped(place, "no text")
    return Message(
        time,
        understood.shown[table.cell(row, "account") or speaker],
        text or "<attachment>",
        kind,
        external_id=table.cell(row, "id") or None,
        conversation=understood.called[table.cell(row, "conversation")],
    )


def _fields(said: str) -> Fields | None:
    """The numbers of a date whose order is not told by ISO 8601; None for any other time."""
    match = _DATE.fullmatch(said)
    if match is None or len(match["a"]) == 4:
        return None
    a, b, c = int(match["a"]), int(match["b"]), int(match["c"])
    low, high = sorted((a, b))
    return Fields(a, b, c, False) if 1 <= low <= 12 and high <= 31 else None


def _time(said: str, order: ChosenOrder, zone: tzinfo) -> datetime:
    """Raises ValueError or TypeError for what is no time."""
    if re.fullmatch(r"\d{9,14}(\.\d+)?", said):
        return parse_time(float(said), zone)
    fields = _fields(said)
    if fields is None:
        return parse_time(re.sub(r" ?UTC$", "+00:00", said), zone)
    match = _DATE.fullmatch(said)
    if match is None:
        raise ValueError("no time")
    hour = int(match["h"] or 0)
    if match["half"]:
        hour = hour % 12 + (12 if match["half"].lower().startswith("p") else 0)
    year, month, day = day_of(fields, order.order)
    return parse_time(
        datetime(year, month, day, hour, int(match["m"] or 0), int(match["s"] or 0)).isoformat(), zone
    )
