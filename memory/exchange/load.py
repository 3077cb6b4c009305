"""Bring an export of `memory.exchange.dump` into an empty space, exactly: ids, times and the ledger's chain are kept.

Everything happens in one transaction that ends after the trailer was compared with what was read, so a file that is
cut, damaged or newer than this program changes nothing. Memory does not grow with the file. A space's own id and name
are the store's: the file's name for it is passed over, its time zone and age are taken.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import IO, Any

from sqlalchemy import JSON, and_, bindparam, insert, select, update
from sqlalchemy.exc import DataError, IntegrityError
from sqlalchemy.orm import Session

from db.engine import Database
from db.tables import Space
from memory import ledger, spaces
from memory.episodes import dated_key
from memory.errors import BrokenExport, NewerFormat, SpaceInUse, UnknownTimezone, WrongEntrance
from memory.exchange import mcp_memory, mem0, records
from memory.exchange.dump import Progress, silent
from memory.exchange.records import BadRecord

_BATCH = 500  # rows per insert
_NOTEBOOKS = (mem0.KIND, mcp_memory.KIND)
MAX_LINE = 256 * 2**20  # bytes; a longer line is no record


@dataclass(frozen=True, slots=True)
class LoadReport:
    """`counts` are records by type; `ledger_breaks` says where the loaded chain does not hold (never silently)."""

    counts: dict[str, int]
    ledger_breaks: tuple[str, ...]


def load(
    database: Database,
    space_id: str,
    file: IO[bytes],
    name: str,
    *,
    n_bytes: int = 0,
    progress: Progress = silent,
) -> LoadReport:
    """Read the file into the space, which must hold nothing. `name` is the file's, for errors.

    Raises SpaceInUse, WrongEntrance for another program's file, NewerFormat, and BrokenExport with the line.
    """
    loader = _Loader(space_id, name, n_bytes, progress)
    with database.transaction() as session:
        _refuse_a_used_space(session, space_id)
        loader.run(session, file)
    breaks = tuple(ledger.verify(database, space_id))
    return LoadReport({kind: loader.counts[kind] for kind in loader.kinds}, breaks)


def _refuse_a_used_space(session: Session, space_id: str) -> None:
    for kind in (*records.TYPES, records.VECTORS):
        own = records.table(kind)
        if session.execute(select(own.c.space_id).where(own.c.space_id == space_id).limit(1)).first():
            raise SpaceInUse(session.get_one(Space, space_id).name)


@dataclass(slots=True)
class _Loader:
    space_id: str
    name: str
    n_bytes: int
    progress: Progress
    counts: Counter[str] = field(default_factory=Counter)
    kinds: tuple[str, ...] = records.TYPES
    version: int = records.VERSION
    notebooks: set[str] = field(default_factory=set)  # sources whose notes have keys of their own
    digest: Any = field(default_factory=hashlib.sha256)
    batch: list[dict[str, Any]] = field(default_factory=list)
    batch_kind: str = ""
    first_line: int = 0  # of the batch
    n_read: int = 0  # bytes

    def run(self, session: Session, file: IO[bytes]) -> None:
        numbered = self._lines(file)
        self._header(next(numbered, (1, b"")))
        self._space(session, next(numbered, (2, b"")))
        number = 2
        for number, raw in numbered:
            record = self._parsed(number, raw)
            kind = record["type"]
            if kind == "trailer":
                self._insert(session)
                self._compare(number, record)
                self._end(numbered)
                return
            self._take(session, number, kind, record)
            self._digest(raw)
        raise self._damage(number, "it breaks off after this line, without the trailer")

    def _lines(self, file: IO[bytes]) -> Iterator[tuple[int, bytes]]:
        number = 0
        while raw := file.readline(MAX_LINE + 1):
            number += 1
            if len(raw) > MAX_LINE:
                raise self._damage(number, f"the line is longer than {MAX_LINE} bytes")
            self.n_read += len(raw)
            if number % 1000 == 0:
                self.progress(self.n_read, self.n_bytes, f"{number} lines")
            yield number, raw
        self.progress(self.n_read, self.n_bytes, f"{number} lines")

    def _parsed(self, number: int, raw: bytes) -> dict[str, Any]:
        if not raw.endswith(b"\n"):
            raise self._damage(number, "it breaks off within this line")
        try:
            return records.parse(raw)
        except BadRecord as error:
            raise self._damage(number, str(error)) from error

    def _header(self, first: tuple[int, bytes]) -> None:
        try:
            record = records.parse(first[1])
        except BadRecord as error:
            raise WrongEntrance(self.name, is_own=False) from error
        if record["type"] != "header" or record.get("format") != records.FORMAT:
            raise WrongEntrance(self.name, is_own=False)
        version = record.get("version")
        if isinstance(version, bool) or not isinstance(version, int) or version < 1:
            raise self._damage(1, "the header has no version")
        if version > records.VERSION:
            raise NewerFormat(self.name, version, records.VERSION)
        self.version = version
        self._digest(first[1])

    def _space(self, session: Session, second: tuple[int, bytes]) -> None:
        number, raw = second
        record = self._parsed(number, raw)
        try:
            if record["type"] != records.SPACE:
                raise BadRecord("the space is missing")
            row = records.decode(records.SPACE, record)
            spaces.zone(row["timezone"])
        except (BadRecord, UnknownTimezone) as error:
            raise self._damage(number, str(error)) from error
        session.execute(
            update(Space)
            .where(Space.id == self.space_id)
            .values(timezone=row["timezone"], created_at=row["created_at"])
        )
        self._digest(raw)

    def _take(self, session: Session, number: int, kind: str, record: Mapping[str, Any]) -> None:
        try:
            if kind not in (*records.TYPES, records.VECTORS):
                raise BadRecord(f"no version of slowwave up to this one writes records of type {kind[:40]!r}")
            row = records.decode(kind, record)
        except BadRecord as error:
            raise self._damage(number, str(error)) from error
        if self.version < 2:
            self._date_key(kind, row)
        if kind != self.batch_kind or len(self.batch) >= _BATCH:
            self._insert(session)
            self.batch_kind, self.first_line = kind, number
        self.batch.append({**row, "space_id": self.space_id})
        self.counts[kind] += 1

    def _date_key(self, kind: str, row: dict[str, Any]) -> None:
        """Keys of messages had no times in files of the first version."""
        if kind == "source" and row["kind"] in _NOTEBOOKS:
            self.notebooks.add(row["id"])
        elif kind == "episode" and row["source_id"] not in self.notebooks:
            row["key"] = dated_key(row["time"], row["key"])

    def _insert(self, session: Session) -> None:
        """Write the batch. Where the store refuses it, find the line and say why."""
        if not self.batch:
            return
        statement = _insert_into(self.batch_kind)
        try:
            with session.begin_nested():
                session.connection().execute(statement, self.batch)
        except (IntegrityError, DataError):
            for offset, row in enumerate(self.batch):
                self._insert_alone(session, statement, row, self.first_line + offset)
            raise
        self.batch = []

    def _insert_alone(self, session: Session, statement: Any, row: dict[str, Any], number: int) -> None:
        try:
            with session.begin_nested():
                session.connection().execute(statement, [row])
        except (IntegrityError, DataError) as error:
            own = records.table(self.batch_kind)
            keys = [column == row[column.name] for column in own.primary_key.columns]
            is_taken = session.execute(select(own.c.space_id).where(and_(*keys))).scalar()
            if is_taken is None:
                why = "the store refuses it: it refers to a row that is not there, or repeats one under another id"
            elif is_taken == self.space_id:
                why = "its id was there before in the file"
            else:
                why = "its id is taken by another space of this store; load into a store of its own (--home)"
            raise self._damage(number, why) from error

    def _compare(self, number: int, trailer: Mapping[str, Any]) -> None:
        counts = trailer.get("counts")
        if not isinstance(counts, dict) or {k: n for k, n in counts.items() if n} != dict(self.counts):
            raise self._damage(number, "the number of records is not what the trailer says")
        if trailer.get("sha256") != self.digest.hexdigest():
            raise self._damage(number, "something before this line was changed: the sha256 does not match")
        self.kinds = tuple(kind for kind in (*records.TYPES, records.VECTORS) if kind in counts)

    def _end(self, numbered: Iterator[tuple[int, bytes]]) -> None:
        for number, raw in numbered:
            if raw.strip():
                raise self._damage(number, "there is more after the trailer")

    def _digest(self, raw: bytes) -> None:
        self.digest.update(raw)

    def _damage(self, number: int, why: str) -> BrokenExport:
        return BrokenExport(self.name, f"line {number}: {why}")


def _insert_into(kind: str) -> Any:
    """An insert that writes None into a nullable JSON column as no value, not as JSON's null."""
    own = records.table(kind)
    values = {
        column.name: bindparam(column.name, type_=JSON(none_as_null=True))
        for column in own.columns
        if isinstance(column.type, JSON) and column.nullable
    }
    return insert(own).values(values) if values else insert(own)
