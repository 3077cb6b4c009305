"""The last step of a restore, which a kill may cut off: the store is swapped in one act, and says whether the rest follows.

What is to come waits in a folder of the home with a plan. Before the swap, whatever is there is thrown away by whoever
opens the home next, and nothing was done; after it, they put the files in their places, and all is done. On SQLite the
swap is one rename, on Postgres one commit; the new store carries the plan's mark.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import secrets
import shutil
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from sqlalchemy import Connection, text
from sqlalchemy.engine import make_url

from db import sealing
from db.engine import make_engine, named_errors
from memory import kept_lines
from memory.backup_parts import CONFIG, LISTS, STAGING
from memory.errors import BeingRestored
from memory.whole import drop, keep, on_disk, whole_file, write_text

# where artifacts live; replaced as a whole
FOLDERS = ("adapters", "recipes", "readouts", "probes", "verified", "runs")
_PLAN, _LOCK, NEW, SETTINGS = "plan.json", "lock", "new", "settings"
_MARK = "slowwave restore "


@dataclass(frozen=True, slots=True)
class Plan:
    """`mark` is in the new store and in no other; `files` are those of artifacts, relative to the home."""

    mark: int
    files: tuple[str, ...]


def new_mark() -> int:
    return secrets.randbelow(2**31 - 1) + 1


@contextmanager
def staged(home: Path, url: str) -> Iterator[Path]:
    """The folder in which a restore gets ready, for one process at a time. When the block has ended, well or not, the
    restore is finished if the store at `url` was swapped, and thrown away if not. Raises BeingRestored.
    """
    staging = home / STAGING
    staging.mkdir(mode=0o700, exist_ok=True)
    with _locked(staging):
        try:
            yield staging
        finally:
            _conclude(home, url)


def settle(home: Path, url: str) -> None:
    """Throw away what a restore left that was cut off, or finish it. Raises BeingRestored while one is under way."""
    staging = home / STAGING
    if staging.is_dir():
        with _locked(staging):
            _conclude(home, url)


def _conclude(home: Path, url: str) -> None:
    plan = _read(home / STAGING)
    if plan is not None and _mark_of(url) == plan.mark:
        finish(home, plan)
    path = sqlite_path(url)
    if path is not None:
        remove_sqlite(path.with_name(path.name + STAGING))
    shutil.rmtree(home / STAGING, ignore_errors=True)
    drop(home / STAGING)


@contextmanager
def _locked(staging: Path) -> Iterator[None]:
    try:
        file = (staging / _LOCK).open("wb")
    except FileNotFoundError as error:  # another process has just settled it
        raise BeingRestored(str(staging.parent)) from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BeingRestored(str(staging.parent)) from error
        yield


def announce(staging: Path, plan: Plan) -> None:
    """From here on a cut-off restore can be told from a finished one: everything it needs is on the disk."""
    for path in (*staging.rglob("*"), staging):
        on_disk(path)
    keep(staging)
    write_text(staging / _PLAN, json.dumps(asdict(plan)))


def _read(staging: Path) -> Plan | None:
    try:
        found = json.loads((staging / _PLAN).read_text(encoding="utf-8"))
        return Plan(found["mark"], tuple(found["files"]))
    except (FileNotFoundError, ValueError, KeyError):
        return None


def sqlite_path(url: str) -> Path | None:
    """The file of a store that is one."""
    parsed = make_url(url)
    return Path(parsed.database or "") if parsed.get_backend_name() == "sqlite" else None


def mark(connection: Connection, number: int) -> None:
    """Leave the plan's mark in a store, within the transaction that fills it."""
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql(f"PRAGMA user_version={number}")
    else:
        connection.exec_driver_sql(f"COMMENT ON TABLE alembic_version IS '{_MARK}{number}'")


def _mark_of(url: str) -> int | None:
    path = sqlite_path(url)
    if path is not None:
        try:
            if sealing.key_of(path) is not None:
                return _mark_inside(path)
            with path.open("rb") as file:
                return int.from_bytes(file.read(64)[60:], "big")  # https://sqlite.org/fileformat.html, 1.3
        except OSError:
            return None
    engine = make_engine(url)
    try:
        with named_errors(engine), engine.connect() as connection:
            said = connection.scalar(
                text("SELECT obj_description(to_regclass('alembic_version'), 'pg_class')")
            )
    finally:
        engine.dispose()
    return int(said.removeprefix(_MARK)) if str(said).startswith(_MARK) else None


def _mark_inside(path: Path) -> int | None:
    """The same of an encrypted store, which has to be opened for it."""
    if not path.exists():
        return None
    with closing(sealing.connect(path)) as connection:
        try:
            return int(connection.execute("PRAGMA user_version").fetchone()[0])
        except Exception:  # damaged, in the words of whichever driver
            return None


def finish(home: Path, plan: Plan) -> None:
    """Put the files in their places and drop what the store before had; can be cut off and done again."""
    new = home / STAGING / NEW
    for path in plan.files:
        if (new / path).exists():
            _put(new / path, home / path)
    _add_settings(home)
    _drop_leftovers(home, plan.files)
    keep(home)


def _put(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.replace(source, target)
    except OSError as error:
        if error.errno != errno.EXDEV:  # a folder of artifacts may be a link to another disk
            raise
        with whole_file(target) as part:
            shutil.copyfile(source, part)


def _add_settings(home: Path) -> None:
    """Settings where the home has none; and what it does not know yet about backups and exports."""
    given = home / STAGING / SETTINGS
    if (given / CONFIG).exists() and not (home / CONFIG).exists():
        _put(given / CONFIG, home / CONFIG)
    for name in LISTS:
        known = kept_lines.read(home / name)
        for line in kept_lines.read(given / name):
            if line not in known:
                kept_lines.append(home / name, line)


def _drop_leftovers(home: Path, files: Iterable[str]) -> None:
    """Indexes of the store before, and artifact files that the restored store does not know."""
    from memory import message_vectors

    for folder in ("index", message_vectors.FOLDER):
        shutil.rmtree(home / folder, ignore_errors=True)
    kept = {home / path for path in files}
    for folder in FOLDERS:
        for path in sorted((home / folder).rglob("*"), reverse=True):
            if path.is_dir() and not path.is_symlink():
                if not any(path.iterdir()):
                    path.rmdir()
            elif path not in kept:
                path.unlink()


def remove_sqlite(path: Path) -> None:
    """The file with its journals."""
    for journal in ("", "-wal", "-shm"):
        path.with_name(path.name + journal).unlink(missing_ok=True)
