"""Restore a backup into a home: all of it or nothing.

Every part is held against its hash before anything is written. The store is loaded aside - on SQLite into a new file,
on Postgres within one transaction - at the revision of the backup, then migrated, and swapped in one act; the artifact
files follow it (`memory.restoring`). Nights that were under way when the backup was made are closed, tokens are revoked (one
that was revoked since would open the store again), consents that were withdrawn since are
withdrawn (`memory.tombstones`), and the indexes are thrown away: they are caches.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy import Connection, func, inspect, select, text, update
from sqlalchemy.exc import SQLAlchemyError, StatementError

from db import sealing
from db.copying import drop_everything, load_rows, quiet_feed
from db.engine import (
    APPLICATION,
    Database,
    is_at_head,
    is_disk_full,
    make_engine,
    migrate,
    named_errors,
    sqlite_url,
)
from db.errors import DatabaseError, StoreFull, StoreUnusable
from db.tables import Fact, LedgerEntry, Node, SleepRun, Source, Token
from memory import kept_lines, tombstones
from memory.backup import RECORDS_NAME, BackupRecord, line_of
from memory.backup_parts import (
    PIECE_BYTES,
    STAGING,
    FilePart,
    Manifest,
    Progress,
    lines_of,
    opened,
    prove,
    read_manifest,
    silent,
)
from memory.errors import BadBackup, GraphError, HomeInUse, HomeNotEmpty
from memory.ports import utc_now
from memory.restoring import (
    FOLDERS,
    NEW,
    SETTINGS,
    Plan,
    announce,
    mark,
    new_mark,
    remove_sqlite,
    settle,
    sqlite_path,
    staged,
)
from memory.sealed.keys import HomeKey
from memory.whole import on_disk


@dataclass(frozen=True, slots=True)
class RestoreReport:
    made_at: datetime  # when the backup was made
    n_rows: int
    n_files: int
    missing: tuple[str, ...]  # artifacts that were not there already when the backup was made
    left_out: tuple[str, ...] = ()  # settings that are to be set again
    n_withdrawn: int = 0  # consents that stood then and were withdrawn since


def restore(
    file: Path,
    home: Path,
    url: str,
    *,
    key: HomeKey | None = None,
    force: bool = False,
    brings_back: bool = False,
    progress: Progress = silent,
) -> RestoreReport:
    """Make the home and the store at `url` what they were when the backup was made.

    Settings of the home stay; where it has none, it gets those of the backup. Its lists of backups and exports grow by those
    of the backup, and by the backup itself. Consents that were withdrawn since are withdrawn, as far as the home, the
    store that is replaced or a backup beside the file know of it. What was erased since is to be erased again by the caller
    (`memory.tombstones.undone`), unless it `brings_back`: then it stays for good. Killed at any moment, nothing was done
    or all is done once the home is opened again. A sealed backup needs its key. Raises BadBackup, BackupTooNew, HomeNotEmpty unless `force`, HomeInUse, and what opening a store raises,
    with the home and the store as they were.
    """
    with opened(file, key) as archive:
        manifest = read_manifest(archive, file.name)
        prove(archive, manifest, file.name, progress)
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        settle(home, url)
        if not force and _holds_something(home, url):
            raise HomeNotEmpty(str(home))
        _refuse_without_room(archive, home)
        with staged(home, url) as staging:
            _unpack(archive, manifest.files, staging / NEW)
            _unpack(archive, manifest.settings, staging / SETTINGS)
            (staging / SETTINGS).mkdir(exist_ok=True)
            kept_lines.append(staging / SETTINGS / RECORDS_NAME, _itself(file, manifest))
            told = _tombstones(file, home, url, staging / SETTINGS / tombstones.NAME, key)
            if brings_back:
                for line in tombstones.lifted(told, manifest.made_at):
                    kept_lines.append(staging / SETTINGS / tombstones.NAME, line)
            _refuse_without_places(home, manifest)
            plan = Plan(new_mark(), tuple(part.path for part in manifest.files))
            content = _Content(archive, manifest, plan.mark, told)
            with _store(url, content, progress):
                announce(staging, plan)
    return RestoreReport(
        manifest.made_at,
        manifest.n_rows,
        len(manifest.files),
        manifest.missing,
        manifest.left_out,
        content.n_withdrawn,
    )


def _tombstones(file: Path, home: Path, url: str, kept: Path, key: HomeKey | None) -> list[tombstones.Line]:
    """What is known to have been erased and withdrawn, by the backup's list at `kept`, by the home, by the store that is
    replaced, as far as it can be read, and by other backups in the file's folder. The list gets the others' lines.
    """
    own = kept_lines.read(kept)
    path = sqlite_path(url)
    if path is None or path.exists():
        database = Database(make_engine(url))
        try:
            tombstones.keep(database, home)
        except (DatabaseError, SQLAlchemyError):
            pass  # it is damaged, empty or of long ago: what the list has holds
        finally:
            database.close()
    told = {json.dumps(line, sort_keys=True): line for line in own}
    for line in (*tombstones.read(home), *_told_beside(file, key)):
        if told.setdefault(json.dumps(line, sort_keys=True), line) is line:
            kept_lines.append(kept, line)
    return list(told.values())


def _told_beside(file: Path, key: HomeKey | None) -> Iterator[tombstones.Line]:
    """The lists of other backups in the same folder: a newer one knows more, of whichever home it is."""
    for other in sorted(file.absolute().parent.glob("*.zip")):
        if other.name == file.name:
            continue
        try:
            with opened(other, key) as archive:
                manifest = read_manifest(archive, other.name)
                for part in manifest.settings:
                    if part.path == tombstones.NAME:
                        yield from map(json.loads, archive.read(part.member).splitlines())
        except (GraphError, OSError, KeyError, ValueError):
            continue  # no backup of ours, or none that can be read now


def _itself(file: Path, manifest: Manifest) -> dict[str, str]:
    """The backup as the home's list keeps it: an erasure has to name it, wherever it was made."""
    with file.open("rb") as opened_file:
        digest = hashlib.file_digest(opened_file, "sha256").hexdigest()
    return line_of(BackupRecord(file.absolute(), manifest.made_at, digest))


def _refuse_without_room(archive: zipfile.ZipFile, home: Path) -> None:
    needed = sum(member.file_size for member in archive.infolist())
    if shutil.disk_usage(home).free < needed:
        raise StoreFull(str(home))


def _refuse_without_places(home: Path, manifest: Manifest) -> None:
    """A file where a folder has to be shows before anything is replaced. Raises NotADirectoryError, IsADirectoryError."""
    for part in manifest.files:
        target = home / part.path
        if target.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(target))
        for parent in target.relative_to(home).parents:
            if (home / parent).exists() and not (home / parent).is_dir():
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(home / parent))


# Getting ready


def _unpack(archive: zipfile.ZipFile, parts: Iterable[FilePart], folder: Path) -> None:
    for part in parts:
        target = folder / part.path
        target.parent.mkdir(parents=True, exist_ok=True)
        with archive.open(part.member) as member, target.open("wb") as file:
            shutil.copyfileobj(member, file, PIECE_BYTES)


# The home as it is


def _holds_something(home: Path, url: str) -> bool:
    """Whether the home has artifacts, or its store a person, a message, a fact, a night or a ledger."""
    if any((home / folder).is_dir() and any((home / folder).iterdir()) for folder in FOLDERS):
        return True
    path = sqlite_path(url)
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


# Putting it in place


@dataclass(slots=True)
class _Content:
    """What a new store gets; `n_withdrawn` once it has it."""

    archive: zipfile.ZipFile
    manifest: Manifest
    mark: int
    tombstones: Sequence[tombstones.Line]
    n_withdrawn: int = 0


@contextmanager
def _store(url: str, content: _Content, progress: Progress) -> Iterator[None]:
    """The store is loaded when the block begins, and becomes the home's, in one act, when the block ends well."""
    path = sqlite_path(url)
    if path is not None:
        with _new_sqlite_file(path, content, progress):
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
                _fill(connection, content, progress)
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
def _new_sqlite_file(path: Path, content: _Content, progress: Progress) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    _refuse_if_open(path)  # before the work; once more before the swap
    new = path.with_name(path.name + STAGING)
    remove_sqlite(new)
    try:
        engine = make_engine(sqlite_url(new))
        try:
            with named_errors(engine), engine.begin() as connection:
                _fill(connection, content, progress)
        finally:
            engine.dispose()
        new.chmod(path.stat().st_mode & 0o777 if path.exists() else 0o600)
        on_disk(new)
        yield
        _refuse_if_open(path)
        for journal in ("-wal", "-shm"):
            path.with_name(path.name + journal).unlink(missing_ok=True)
        os.replace(new, path)
        on_disk(path.parent)
    finally:
        remove_sqlite(new)


def _refuse_if_open(path: Path) -> None:
    """SQLite lets nobody take a database for itself that another process has open."""
    if not path.exists():
        return
    with closing(sealing.connect(path, timeout=0, isolation_level=None)) as connection:
        try:
            connection.execute("PRAGMA locking_mode=EXCLUSIVE")
            connection.execute("BEGIN EXCLUSIVE")
            connection.execute("ROLLBACK")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # its journals are about to go
        except Exception as error:  # of whichever driver; a damaged store is to be replaced
            if "locked" in str(error) or "busy" in str(error):
                raise HomeInUse(str(path)) from error


def _fill(connection: Connection, content: _Content, progress: Progress) -> None:
    migrate(connection, content.manifest.revision)
    with quiet_feed(connection):
        try:
            _load(connection, content, progress)
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
    connection.execute(update(Token).where(Token.revoked_at.is_(None)).values(revoked_at=utc_now()))
    content.n_withdrawn = tombstones.withdraw_again(connection, content.tombstones)
    if connection.dialect.name == "sqlite" and connection.execute(text("PRAGMA foreign_key_check")).first():
        raise BadBackup("the backup", "its rows do not fit together")
    mark(connection, content.mark)


def _load(connection: Connection, content: _Content, progress: Progress) -> None:
    total, done = content.manifest.n_rows, 0
    for table in content.manifest.tables:
        for n_rows in load_rows(connection, table.name, table.columns, lines_of(content.archive, table)):
            done += n_rows
            progress(done, total, "rows")
