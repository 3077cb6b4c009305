"""Restore a backup into a home: all of it or nothing.

Every part is held against its hash before anything is written. The store is loaded aside - on SQLite into a new file,
on Postgres within one transaction - at the revision of the backup, then migrated. Files go to their places before the
store does; an error puts back what they replaced. Nights that were under way when the backup was made are closed, and
the indexes are thrown away: they are caches.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sqlite3
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Any

from sqlalchemy import Connection, func, inspect, select, text, update
from sqlalchemy.engine import make_url
from sqlalchemy.exc import StatementError

from db.copying import KINDS, drop_everything, load_rows, quiet_feed
from db.engine import (
    APPLICATION,
    Database,
    is_at_head,
    is_disk_full,
    known_revisions,
    make_engine,
    migrate,
    named_errors,
    sqlite_url,
)
from db.errors import StoreUnusable
from db.tables import Fact, LedgerEntry, Node, SleepRun, Source
from memory import message_vectors
from memory.backup import (
    FORMAT,
    MANIFEST,
    PIECE_BYTES,
    VERSION,
    FilePart,
    Manifest,
    Progress,
    TablePart,
    silent,
)
from memory.errors import BackupTooNew, BadBackup, HomeInUse, HomeNotEmpty

STAGING = ".restoring"
# where artifacts live; replaced as a whole
FOLDERS = ("adapters", "recipes", "readouts", "probes", "verified", "runs")
_RESERVED = ("config.toml", "backups.jsonl", "exports.jsonl", "index", "cache", STAGING)


@dataclass(frozen=True, slots=True)
class RestoreReport:
    made_at: datetime  # when the backup was made
    n_rows: int
    n_files: int
    missing: tuple[str, ...]  # artifacts that were not there already when the backup was made


def restore(
    file: Path, home: Path, url: str, *, force: bool = False, progress: Progress = silent
) -> RestoreReport:
    """Make the home and the store at `url` what they were when the backup was made.

    Settings, caches and the list of backups of the home stay. Raises BadBackup, BackupTooNew, HomeNotEmpty unless
    `force`, HomeInUse, and what opening a store raises, with the home and the store as they were.
    """
    with _opened(file) as archive:
        manifest = _manifest(archive, file.name)
        _verify(archive, manifest, file.name, progress)
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not force and _holds_something(home, url):
            raise HomeNotEmpty(str(home))
        staging = home / STAGING
        shutil.rmtree(staging, ignore_errors=True)  # of a restore that was killed
        staging.mkdir(mode=0o700)
        try:
            _unpack(archive, manifest, staging / "new")
            with _moved_back_on_error(home, staging) as move, _store(url, archive, manifest, progress):
                for part in manifest.files:
                    move(part.path)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
        _drop_leftovers(home, manifest)
    n_rows = sum(table.n_rows for table in manifest.tables)
    return RestoreReport(manifest.made_at, n_rows, len(manifest.files), manifest.missing)


# Reading the archive


@contextmanager
def _opened(file: Path) -> Iterator[zipfile.ZipFile]:
    try:
        with zipfile.ZipFile(file) as archive:
            yield archive
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise BadBackup(file.name, "it is no whole zip") from error


def _manifest(archive: zipfile.ZipFile, name: str) -> Manifest:
    try:
        found = json.loads(archive.read(MANIFEST))
        if found["format"] != FORMAT:
            raise ValueError("another format")
        if found["version"] > VERSION or found["revision"] not in known_revisions():
            raise BackupTooNew(name)
        return Manifest(
            datetime.fromisoformat(found["made_at"]),
            found["revision"],
            tuple(_table(part) for part in found["tables"]),
            tuple(FilePart(**part) for part in found["files"]),
            tuple(found["missing"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise BadBackup(name, "it has no manifest of a backup") from error


def _table(part: dict[str, Any]) -> TablePart:
    columns = [(str(column), str(kind)) for column, kind in part["columns"]]
    if not all(kind in KINDS for _, kind in columns) or not str(part["name"]).isidentifier():
        raise ValueError("unknown column")
    return TablePart(str(part["name"]), columns, int(part["n_rows"]), part["sha256"])


def _verify(archive: zipfile.ZipFile, manifest: Manifest, name: str, progress: Progress) -> None:
    parts: list[TablePart | FilePart] = [*manifest.tables, *manifest.files]
    if {part.member for part in parts} | {MANIFEST} != set(archive.namelist()):
        raise BadBackup(name, "its parts are not those of its manifest")
    if not all(_is_safe(part.path) for part in manifest.files):
        raise BadBackup(name, "it names a file outside of a home's folders")
    for done, part in enumerate(parts):
        progress(done, len(parts), "verify")
        digest = hashlib.sha256()
        with archive.open(part.member) as member:
            while piece := member.read(PIECE_BYTES):
                digest.update(piece)
        if digest.hexdigest() != part.sha256:
            raise BadBackup(name, f"{part.member} is not what the manifest says")
    progress(len(parts), len(parts), "verify")


def _is_safe(path: str) -> bool:
    pure = PurePosixPath(path)
    is_inside = not pure.is_absolute() and pure.parts != () and ".." not in pure.parts and "\\" not in path
    return is_inside and pure.parts[0] not in _RESERVED and not pure.parts[0].startswith("graph.db")


def _unpack(archive: zipfile.ZipFile, manifest: Manifest, folder: Path) -> None:
    for part in manifest.files:
        target = folder / part.path
        target.parent.mkdir(parents=True, exist_ok=True)
        with archive.open(part.member) as member, target.open("wb") as file:
            shutil.copyfileobj(member, file, PIECE_BYTES)


# The home as it is


def _holds_something(home: Path, url: str) -> bool:
    """Whether the home has artifacts, or its store a person, a message, a fact, a night or a ledger."""
    if any((home / folder).is_dir() and any((home / folder).iterdir()) for folder in FOLDERS):
        return True
    path = _sqlite_path(url)
    if path is not None and not path.exists():
        return False
    database = Database(make_engine(url))
    try:
        with database.reading() as session:
            names = inspect(session.connection()).get_table_names()
            if Source.__tablename__ not in names:
                return path is not None and bool(names)
            kept = (Source, Node, Fact, LedgerEntry, SleepRun)
            return any(session.scalar(select(func.count()).select_from(item)) for item in kept)
    except StoreUnusable:
        if path is None:  # a server out of reach
            raise
        return True  # a damaged file
    finally:
        database.close()


def _sqlite_path(url: str) -> Path | None:
    parsed = make_url(url)
    return Path(parsed.database or "") if parsed.get_backend_name() == "sqlite" else None


# Putting it in place


@contextmanager
def _store(url: str, archive: zipfile.ZipFile, manifest: Manifest, progress: Progress) -> Iterator[None]:
    """The store is loaded when the block begins, and becomes the home's when the block ends well."""
    path = _sqlite_path(url)
    if path is not None:
        with _new_sqlite_file(path, archive, manifest, progress):
            yield
        return
    engine = make_engine(url)
    try:
        with named_errors(engine):
            is_at_head(engine)  # refuses a store that is newer than the code
            with engine.begin() as connection:
                migrate(connection)  # takes the writers' lock, and says whether pgvector is there
                if _others_are_connected(connection):
                    raise HomeInUse(engine.url.database or "the database")
                drop_everything(connection)
                _fill(connection, archive, manifest, progress)
                yield
    finally:
        engine.dispose()


def _others_are_connected(connection: Connection) -> bool:
    """Whether another slowwave has the database open: its indexes would not notice that everything is another."""
    others = text(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
        "AND application_name = :name AND pid <> pg_backend_pid()"
    )
    return bool(connection.scalar(others, {"name": APPLICATION}))


@contextmanager
def _new_sqlite_file(
    path: Path, archive: zipfile.ZipFile, manifest: Manifest, progress: Progress
) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    _refuse_if_open(path)  # before the work; once more before the swap
    new = path.with_name(path.name + STAGING)
    _remove_sqlite(new)
    try:
        engine = make_engine(sqlite_url(new))
        try:
            with named_errors(engine), engine.begin() as connection:
                _fill(connection, archive, manifest, progress)
        finally:
            engine.dispose()
        new.chmod(path.stat().st_mode & 0o777 if path.exists() else 0o600)
        yield
        _refuse_if_open(path)
        for journal in ("-wal", "-shm"):
            path.with_name(path.name + journal).unlink(missing_ok=True)
        os.replace(new, path)
    finally:
        _remove_sqlite(new)


def _refuse_if_open(path: Path) -> None:
    """SQLite lets nobody take a database for itself that another process has open."""
    if not path.exists():
        return
    with closing(sqlite3.connect(path, timeout=0, isolation_level=None)) as connection:
        try:
            connection.execute("PRAGMA locking_mode=EXCLUSIVE")
            connection.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError as error:
            if "locked" in str(error) or "busy" in str(error):
                raise HomeInUse(str(path)) from error
        except sqlite3.DatabaseError:
            return  # a damaged store: to be replaced


def _remove_sqlite(path: Path) -> None:
    for journal in ("", "-wal", "-shm"):
        path.with_name(path.name + journal).unlink(missing_ok=True)


def _fill(connection: Connection, archive: zipfile.ZipFile, manifest: Manifest, progress: Progress) -> None:
    migrate(connection, manifest.revision)
    with quiet_feed(connection):
        try:
            _load(connection, archive, manifest, progress)
        except (ValueError, StatementError) as error:
            if is_disk_full(error):
                raise
            raise BadBackup("the backup", "its rows do not fit the tables") from error
    migrate(connection)
    connection.execute(
        update(SleepRun)
        .where(SleepRun.status.in_(("running", "interrupted")))
        .values(status="failed", error="it was under way when this backup was made; begin a new night")
    )
    if connection.dialect.name == "sqlite" and connection.execute(text("PRAGMA foreign_key_check")).first():
        raise BadBackup("the backup", "its rows do not fit together")


def _load(connection: Connection, archive: zipfile.ZipFile, manifest: Manifest, progress: Progress) -> None:
    total, done = sum(table.n_rows for table in manifest.tables), 0
    for table in manifest.tables:
        with archive.open(table.member) as lines:
            for n_rows in load_rows(connection, table.name, table.columns, lines):
                done += n_rows
                progress(done, total, "rows")


@contextmanager
def _moved_back_on_error(home: Path, staging: Path) -> Iterator[Callable[[str], None]]:
    """Gives what moves an unpacked file to its place; an error brings back what the moves replaced."""
    moved: list[tuple[Path, Path | None]] = []

    def move(path: str) -> None:
        target, aside = home / path, None
        if target.exists():
            aside = staging / f"old-{len(moved)}"
            os.replace(target, aside)
        moved.append((target, aside))
        target.parent.mkdir(parents=True, exist_ok=True)
        os.replace(staging / "new" / path, target)

    try:
        yield move
    except BaseException:
        for target, aside in reversed(moved):
            target.unlink(missing_ok=True)
            if aside is not None:
                os.replace(aside, target)
        raise


def _drop_leftovers(home: Path, manifest: Manifest) -> None:
    """Indexes of the store before, and artifact files that the restored store does not know."""
    for folder in ("index", message_vectors.FOLDER):
        shutil.rmtree(home / folder, ignore_errors=True)
    kept = {home / part.path for part in manifest.files}
    for folder in FOLDERS:
        for path in sorted((home / folder).rglob("*"), reverse=True):
            if path.is_dir() and not path.is_symlink():
                if not any(path.iterdir()):
                    path.rmdir()
            elif path not in kept:
                path.unlink()
