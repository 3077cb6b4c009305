"""Back a home up while it runs: one zip with every row of the store and every artifact file that the rows name.

The rows come from one snapshot, so that nobody who writes meanwhile is waited for or half seen, and in one form for
every kind of store. Indexes, caches and half-done nights' scratch files are left out; of the settings, what the caller
gives. A manifest with the hash of every part is written last, and the whole file is read and proved before it gets its
name (`memory.backup_parts`). `memory.restore` reads it back.

Which backups were made of a home is kept in a list of the home (`memory.kept_lines`), also those that were begun and
cut off: erasure has to name those that still hold what it erased. A backup that an erasure overtook is made again.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import IO, Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from db.copying import columns_of, copied_tables, count_rows, dump_rows
from db.engine import Database, known_revisions
from db.tables import Artifact, LedgerEntry
from memory import kept_lines, tombstones
from memory.backup_parts import (
    LISTS,
    MANIFEST,
    PIECE_BYTES,
    FilePart,
    Manifest,
    Progress,
    TablePart,
    opened,
    prove,
    read_manifest,
    silent,
)
from memory.errors import BackupExists, BackupNotProved, BadBackup, ErasedMeanwhile
from memory.ports import Clock, utc_now
from memory.sealed.homes import opened_at
from memory.sealed.keys import HomeKey
from memory.sealed.pieces import Sealer
from memory.whole import on_disk

RECORDS_NAME = "backups.jsonl"
_LEVEL = 1  # of compression: chats shrink to a third, and a stronger one takes thrice the time
_TRIES = 3  # of a backup during which something is erased
_STORED = ".safetensors"  # weights do not shrink


@dataclass(frozen=True, slots=True)
class BackupRecord:
    """One backup. Whether the file is still there is not known here; without a hash it was begun and is not whole."""

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
class KeptSettings:
    """Files of settings as a backup keeps them, by name, and the keys that were taken out of them."""

    files: Mapping[str, bytes] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()


def known_backups(home: Path) -> list[BackupRecord]:
    """Every backup made of this home, oldest first."""
    return [record for record in _records(home) if record.sha256]


def forget(home: Path, path: Path) -> None:
    """Take a backup that its maker has removed off the home's list, whole or begun."""
    ours = {str(path), f"{path}.part"}
    lines = kept_lines.read(home / RECORDS_NAME)
    if any(line["path"] in ours for line in lines):
        kept_lines.replace(home / RECORDS_NAME, [line for line in lines if line["path"] not in ours])


def cut_off(home: Path) -> list[Path]:
    """Files of backups that were begun and never finished, and that nobody writes any more."""
    begun = dict.fromkeys(record.path for record in _records(home) if not record.sha256)
    return [path for path in begun if path.exists() and not _is_being_written(path)]


def back_up(
    database: Database,
    home: Path,
    target: Path,
    settings: KeptSettings | None = None,
    *,
    seal: HomeKey | None = None,
    clock: Clock = utc_now,
    progress: Progress = silent,
) -> BackupReport:
    """Write the backup, readable by its owner only, prove it, and add it to the home's list.

    It is sealed with the key of an encrypted home, else with `seal`, where one is given.

    The file appears under its name when it is whole. Raises BackupExists, BackupNotProved, ErasedMeanwhile, StoreUnusable and
    OSError, with no file left.
    """
    target = target.absolute()
    if target.exists():
        raise BackupExists(str(target))
    here = opened_at(home)
    key = seal if here is None else here.key
    work = _Work(database, home, target, settings or KeptSettings(), key, clock, progress)
    for _ in range(_TRIES):
        tombstones.keep(database, home)
        before = _n_erasures(database)
        report = work.once()
        if _n_erasures(database) == before:
            return report
        target.unlink(
            missing_ok=True
        )  # an erasure that ended before this backup was on record could not name it
    raise ErasedMeanwhile


def _n_erasures(database: Database) -> int:
    with database.reading() as session:
        count = select(func.count()).select_from(LedgerEntry).where(LedgerEntry.kind == "erasure")
        return session.scalar(count) or 0


@dataclass(frozen=True, slots=True)
class _Work:
    """One backup on its way."""

    database: Database
    home: Path
    target: Path
    settings: KeptSettings
    key: HomeKey | None
    clock: Clock
    progress: Progress

    def once(self) -> BackupReport:
        made_at = self.clock()
        with self._part(made_at) as (part, file):
            with self._sealed(file) as out:
                manifest = self._write(out, made_at)
            file.flush()
            os.fsync(file.fileno())
            sha256, size = _hash_file(file)
            self._prove(part)
            os.replace(part, self.target)
        on_disk(self.target.parent)
        record = BackupRecord(self.target, made_at, sha256)
        _remember(self.home, record)
        return BackupReport(record, size, manifest.n_rows, len(manifest.files), manifest.missing)

    @contextmanager
    def _part(self, made_at: datetime) -> Iterator[tuple[Path, IO[bytes]]]:
        """Where it is written, on record from the start and locked for as long as somebody writes it."""
        part = self.target.with_name(self.target.name + ".part")
        _remember(self.home, BackupRecord(part, made_at, ""))
        try:
            with os.fdopen(os.open(part, os.O_RDWR | os.O_CREAT, 0o600), "r+b") as file:
                _lock(file, self.target)
                file.truncate()
                yield part, file
        except BackupExists:
            raise
        except BaseException:
            part.unlink(missing_ok=True)
            raise

    @contextmanager
    def _sealed(self, file: IO[bytes]) -> Iterator[Any]:
        if self.key is None:
            yield file
            return
        sealer = Sealer(file, self.key.derived("backups"))
        yield sealer
        sealer.finish()

    def _write(self, file: Any, made_at: datetime) -> Manifest:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=_LEVEL) as archive:
            with self.database.reading() as session:
                tables = tuple(_tables(session, archive, self.progress))
                usable = select(Artifact.path).where(
                    Artifact.tainted_at.is_(None)
                )  # others go with an erasure
                named = sorted(set(session.scalars(usable)))
            paths, missing = _files_of(self.home, named)
            files = tuple(self._files(archive, paths))
            gone = sorted(set(paths) - {part.path for part in files})
            manifest = Manifest(
                made_at,
                known_revisions()[0],
                tables,
                files,
                (*missing, *gone),
                tuple(self._settings(archive)),
                self.settings.left_out,
            )
            archive.writestr(MANIFEST, json.dumps(manifest.as_json()))
        return manifest

    def _files(self, archive: zipfile.ZipFile, paths: list[str]) -> Iterator[FilePart]:
        """Those that are still there: an erasure may take some meanwhile."""
        for done, path in enumerate(paths):
            self.progress(done, len(paths), "files")
            try:
                source = (self.home / path).open("rb")
            except FileNotFoundError:
                continue
            with source:
                yield _copied(archive, source, path)
        if paths:
            self.progress(len(paths), len(paths), "files")

    def _settings(self, archive: zipfile.ZipFile) -> Iterator[FilePart]:
        lists = {name: self.home / name for name in LISTS}
        kept = {name: path.read_bytes() for name, path in lists.items() if path.exists()}
        for name, data in {**self.settings.files, **kept}.items():
            part = FilePart(name, len(data), hashlib.sha256(data).hexdigest(), "settings")
            archive.writestr(part.member, data)
            yield part

    def _prove(self, part: Path) -> None:
        try:
            with opened(part, self.key) as archive:
                prove(archive, read_manifest(archive, part.name), part.name, self.progress)
        except BadBackup as error:
            raise BackupNotProved(str(self.target)) from error


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


def _copied(archive: zipfile.ZipFile, source: IO[bytes], path: str) -> FilePart:
    digest, size = hashlib.sha256(), 0
    info = zipfile.ZipInfo(f"files/{path}")
    info.compress_type = zipfile.ZIP_STORED if path.endswith(_STORED) else zipfile.ZIP_DEFLATED
    with archive.open(info, "w", force_zip64=True) as member:
        while piece := source.read(PIECE_BYTES):
            member.write(piece)
            digest.update(piece)
            size += len(piece)
    return FilePart(path, size, digest.hexdigest())


def _hash_file(file: IO[bytes]) -> tuple[str, int]:
    file.seek(0)
    digest = hashlib.sha256()
    while piece := file.read(PIECE_BYTES):
        digest.update(piece)
    return digest.hexdigest(), file.tell()


def _lock(file: IO[bytes], target: Path) -> None:
    """Held by this process for as long as the file is open. Raises BackupExists where another writes the same backup."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise BackupExists(f"{target}.part") from error


def _is_being_written(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # gone since, or its disk is
        return False
    return False


def _records(home: Path) -> list[BackupRecord]:
    return list(map(_record, kept_lines.read(home / RECORDS_NAME)))


def _remember(home: Path, record: BackupRecord) -> None:
    kept_lines.append(home / RECORDS_NAME, line_of(record))


def line_of(record: BackupRecord) -> dict[str, str]:
    """As the list keeps it."""
    return {"path": str(record.path), "made_at": record.made_at.isoformat(), "sha256": record.sha256}


def _record(line: dict[str, str]) -> BackupRecord:
    return BackupRecord(Path(line["path"]), datetime.fromisoformat(line["made_at"]), line["sha256"])
