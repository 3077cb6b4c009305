"""What a child read of an upload, opened again: chats that can be imported as any export, or a notebook.

Its records were written by a process that strangers' bytes went through, so that every line is checked (`lines`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from memory.errors import BrokenExport
from memory.importers.files import Meter
from memory.parsing import lines
from memory.parsing.child import SHOWN
from memory.types import Message, Row

if TYPE_CHECKING:
    from memory.exchange.notes import Notebook


@dataclass(frozen=True, slots=True)
class ParsedChats:
    """Rows as an `Export` gives them, with nothing left to be understood."""

    kind: str
    name: str
    size_bytes: int
    notes: tuple[str, ...]
    meter: Meter
    records: Path
    digest: str

    def rows(self) -> Iterator[Row]:
        """Every message and what was left out. Raises BrokenExport where the records are none."""
        try:
            yield from lines.read_rows(self.records, self.meter)
        except lines.BadLine as error:
            raise BrokenExport(SHOWN, f"what was read of it cannot be used: {error}") from error

    def messages(self) -> Iterator[Message]:
        return (row for row in self.rows() if isinstance(row, Message))

    def sha256(self) -> str:
        """Of what was sent."""
        return self.digest


def open_parsed(records: Path, name: str, digest: str) -> ParsedChats | Notebook:
    """Raises BrokenExport where the records are none."""
    try:
        head = lines.read_head(records)
        if head.is_notebook:
            return _notebook(records, head)
    except lines.BadLine as error:
        raise BrokenExport(SHOWN, f"what was read of it cannot be used: {error}") from error
    return ParsedChats(head.kind, name, records.stat().st_size, head.notes, Meter(), records, digest)


def _notebook(records: Path, head: lines.Head) -> Notebook:
    from memory.exchange.notes import Note, Notebook, Relation, Thing

    things: list[Thing] = []
    notes: list[Note] = []
    relations: list[Relation] = []
    tellers: set[str] = set()
    for sign, values in lines.read_records(records, Meter()):
        try:
            if sign == "thing":
                *described, is_teller = values
                name, kind, alias, type_ = _texts(described)
                things.append(Thing(name, kind, alias, type_))
                tellers.update({name} if is_teller else ())
            elif sign == "note":
                *said, time, updated = values
                about, text, own_id = _texts(said)
                notes.append(Note(about, text, own_id, _moment(time), _moment(updated)))
            elif sign == "relation":
                *said, time = values
                subject, relation, object_ = _texts(said)
                relations.append(Relation(subject, relation, object_, _moment(time)))
        except (TypeError, ValueError) as error:
            raise lines.BadLine("a note lacks something") from error
    return Notebook(head.kind, tuple(things), tuple(notes), tuple(relations), frozenset(tellers), head.notes)


def _texts(values: list[Any]) -> list[str]:
    if not all(isinstance(value, str) for value in values):
        raise TypeError
    return values


def _moment(value: Any) -> datetime | None:
    return None if value is None else datetime.fromisoformat(value)
