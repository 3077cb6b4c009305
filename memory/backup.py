"""Back a home up while it runs: one zip with every row of the store and every artifact file that the rows name.

The rows come from one snapshot, so that nobody who writes meanwhile is waited for or half seen, and in one form for
every kind of store. Indexes, caches, settings and half-done nights' scratch files are left out. A manifest with the
hash of every part is written last; a backup that was cut short has none. `memory.restore` reads it back.

Which backups were made of a home is kept in a list of the home (`memory.kept_lines`): erasure has to name those that still
hold what it erased.
"""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Any, Protocol

from sqlalchemy import select
from sqlalchemy.orm import Session

from db.copying import Columns, columns_of, copied_tables, count_rows, dump_rows
from db.engine import Database, known_revisions
from db.tables import Artifact
from memory import kept_lines
from memory.errors import BackupExists
from memory.ports import Clock, utc_now

FORMAT, VERSION = "slowwave backup", 1
MANIFEST = "manifest.json"
RECORDS_NAME = "backups.jsonl"
PIECE_BYTES = 1 << 20
_LEVEL = 1  # of compression: chats shrink to a third, and a stronger one takes thrice the time


class Progress(Protocol):
    """`done` of `total` rows or files; the note names the step."""

    def __call__(self, done: int, total: int, note: str = "") -> None: ...


def silent(done: int, total: int, note: str = "") -> None:
    """Progress that nobody watches."""


@dataclass(frozen=True, slots=True)
class BackupRecord:
    """One backup that was finished. Whether the file is still there is not known here."""

    path: Path  # absolute
    made_at: datetime
    sha256: str  # of the whole file


@dataclass(frozen=True, slots=True)
class BackupReport:
    record: BackupRecord
    size_bytes: int
    n_rows: int
    n_files: int
    missing: tuple[str, ...]  # artifacts that the store names and the home does not have


@dataclass(frozen=True, slots=True)
class TablePart:
    name: str
    columns: Columns
    n_rows: int
    sha256: str

    @property
    def member(self) -> str:
        return f"tables/{self.name}.jsonl"


@dataclass(frozen=True, slots=True)
class FilePart:
    path: str  # relative to the home, with slashes
    size_bytes: int
    sha256: str

    @property
    def member(self) -> str:
        return f"files/{self.path}"


@dataclass(frozen=True, slots=True)
class Manifest:
    """What is in a backup. `tables` stand in the order in which they can be loaded."""

    made_at: datetime
    revision: str
    tables: tuple[TablePart, ...]
    files: tuple[FilePart, ...]
    missing: tuple[str, ...]


def known_backups(home: Path) -> list[BackupRecord]:
    """Every backup made of this home, oldest first."""
    return list(map(_record, kept_lines.read(home / RECORDS_NAME)))


def back_up(
    database: Database, home: Path, target: Path, *, clock: Clock = utc_now, progress: Progress = silent
) -> BackupReport:
    """Write the backup, readable by its owner only, and add it to the home's list.

    The file appears under its name when it is whole. Raises BackupExists, StoreUnusable and OSError, with no file left.
    """
    target = target.absolute()
    if target.exists():
        raise BackupExists(str(target))
    made_at = clock()
    part = target.with_name(target.name + ".part")
    try:
        with os.fdopen(os.open(part, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600), "w+b") as file:
            manifest = _write(database, home, file, made_at, progress)
            file.flush()
            os.fsync(file.fileno())
            sha256, size = _hash_file(file)
        os.replace(part, target)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    record = BackupRecord(target, made_at, sha256)
    _remember(home, record)
    n_rows = sum(table.n_rows for table in manifest.tables)
    return BackupReport(record, size, n_rows, len(manifest.files), manifest.missing)


def _write(
    database: Database, home: Path, file: IO[bytes], made_at: datetime, progress: Progress
) -> Manifest:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=_LEVEL) as archive:
        with database.reading() as session:
            tables = tuple(_tables(session, archive, progress))
            usable = select(Artifact.path).where(Artifact.tainted_at.is_(None))  # others go with an erasure
            named = sorted(set(session.scalars(usable)))
        paths, missing = _files_of(home, named)
        files = tuple(_files(archive, home, paths, progress))
        manifest = Manifest(made_at, known_revisions()[0], tables, files, missing)
        archive.writestr(MANIFEST, json.dumps(_plain(manifest)))
    return manifest


def _tables(session: Session, archive: zipfile.ZipFile, progress: Progress) -> Iterator[TablePart]:
    counts = {item.name: count_rows(session, item) for item in copied_tables()}
    total, done = sum(counts.values()), 0
    for item in copied_tables():
        n_rows, digest = 0, hashlib.sha256()
        with archive.open(f"tables/{item.name}.jsonl", "w", force_zip64=True) as member:
            for line in dump_rows(session, item):
                member.write(line)
                digest.update(line)
                n_rows += 1
                if n_rows % 1000 == 0:
                    progress(done + n_rows, total, item.name)
        done += n_rows
        yield TablePart(item.name, columns_of(item), n_rows, digest.hexdigest())
    progress(done, total)


def _files_of(home: Path, named: Iterable[str]) -> tuple[list[str], tuple[str, ...]]:
    """The files of these artifacts, folders walked; and the artifacts that are not there."""
    found: set[str] = set()
    missing = []
    for name in named:
        path = home / name
        inside = path.resolve().is_relative_to(home.resolve())
        if inside and path.is_file():
            found.add(name)
        elif inside and path.is_dir():
            found |= {item.relative_to(home).as_posix() for item in path.rglob("*") if item.is_file()}
        else:
            missing.append(name)
    return sorted(found), tuple(missing)


def _files(archive: zipfile.ZipFile, home: Path, paths: list[str], progress: Progress) -> Iterator[FilePart]:
    for done, path in enumerate(paths):
        progress(done, len(paths), "files")
        digest, size = hashlib.sha256(), 0
        with (
            (home / path).open("rb") as source,
            archive.open(f"files/{path}", "w", force_zip64=True) as member,
        ):
            while piece := source.read(PIECE_BYTES):
                member.write(piece)
                digest.update(piece)
                size += len(piece)
        yield FilePart(path, size, digest.hexdigest())
    if paths:
        progress(len(paths), len(paths), "files")


def _hash_file(file: IO[bytes]) -> tuple[str, int]:
    file.seek(0)
    digest = hashlib.sha256()
    while piece := file.read(PIECE_BYTES):
        digest.update(piece)
    return digest.hexdigest(), file.tell()


def _plain(manifest: Manifest) -> dict[str, Any]:
    return {"format": FORMAT, "version": VERSION, **asdict(manifest), "made_at": manifest.made_at.isoformat()}


def _remember(home: Path, record: BackupRecord) -> None:
    line = {"path": str(record.path), "made_at": record.made_at.isoformat(), "sha256": record.sha256}
    kept_lines.append(home / RECORDS_NAME, line)


def _record(line: dict[str, str]) -> BackupRecord:
    return BackupRecord(Path(line["path"]), datetime.fromisoformat(line["made_at"]), line["sha256"])
