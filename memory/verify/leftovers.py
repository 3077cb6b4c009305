"""What work that was cut off left on the disk: harmless, named, and removed by `slowwave clean`.

Nothing here is in use: scratch files carry the number of the process that wrote them, which is gone; artifacts count only
while nobody works on any space, and where neither a row nor a recipe names them.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from db import tables
from db.engine import Database
from memory.backup import cut_off
from memory.ports import utc_now

COMMAND = "slowwave clean"
UPLOADS = "uploads"
UPLOAD_S = 3600.0  # after which an upload that no job wants is left
_SCRATCH = re.compile(r"\..+\.(\d+)(\.old)?$")  # memory.whole
_ARTIFACTS = ("adapters", "readouts", "probes", "verified")


@dataclass(frozen=True, slots=True)
class Leftover:
    """`what`: scratch | backup | upload | night | artifact."""

    path: Path
    what: str
    size_bytes: int

    def as_json(self) -> dict[str, Any]:
        told = {"path": str(self.path), "what": self.what, "size_bytes": self.size_bytes}
        return {**told, "command": COMMAND}


def leftovers(database: Database, home: Path) -> list[Leftover]:
    """Everything of that kind in the home, of all spaces, and cut-off backups elsewhere."""
    with database.reading() as session:
        found = {
            **dict.fromkeys(_scratch(home), "scratch"),
            **dict.fromkeys(cut_off(home), "backup"),
            **dict.fromkeys(_uploads(session, home), "upload"),
        }
        if not _somebody_works(session):
            found |= dict.fromkeys(_nights(session, home), "night")
            found |= dict.fromkeys(_artifacts(session, home), "artifact")
    return [Leftover(path, what, _size(path)) for path, what in sorted(found.items())]


def clean(found: list[Leftover]) -> None:
    """Remove them; what is gone already is no error."""
    for item in found:
        if item.path.is_dir() and not item.path.is_symlink():
            shutil.rmtree(item.path, ignore_errors=True)
        else:
            item.path.unlink(missing_ok=True)


def _scratch(home: Path) -> Iterator[Path]:
    for folder, names, files in os.walk(home):
        for name in (*names, *files):
            match = _SCRATCH.match(name)
            if match is not None and not _is_alive(int(match[1])):
                yield Path(folder) / name
        names[:] = [name for name in names if not _SCRATCH.match(name)]


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        return True
    return True


def _uploads(session: Session, home: Path) -> Iterator[Path]:
    wanted = session.scalars(select(tables.Job.wanted).where(tables.Job.state.in_(("queued", "running"))))
    named = json.dumps(list(wanted))
    before = time.time() - UPLOAD_S
    for path in (home / UPLOADS).glob("*/*"):
        if path.is_dir() and path.name not in named and path.stat().st_mtime < before:
            yield path


def _somebody_works(session: Session) -> bool:
    held = select(tables.Lease.name).where(tables.Lease.expires_at > utc_now())
    return session.scalar(held.limit(1)) is not None


def _nights(session: Session, home: Path) -> Iterator[Path]:
    """Folders of nights that are in no table."""
    known = set(session.scalars(select(tables.SleepRun.id)))
    for path in (home / "runs").glob("*"):
        if path.name not in known and not _SCRATCH.match(path.name):
            yield path


def _artifacts(session: Session, home: Path) -> Iterator[Path]:
    """Those that neither a row nor a recipe names: they were made right before a kill."""
    named = set(session.scalars(select(tables.Artifact.path))) | set(_vectors(home))
    for folder in _ARTIFACTS:
        for path in (home / folder).glob("*"):
            if path.relative_to(home).as_posix() not in named and not _SCRATCH.match(path.name):
                yield path


def _vectors(home: Path) -> Iterator[str]:
    for path in (home / "recipes").glob("*.json"):
        try:
            yield from (entry["path"] for entry in json.loads(path.read_text(encoding="utf-8"))["entries"])
        except (OSError, ValueError, KeyError, TypeError):
            continue  # `verify` tells


def _size(path: Path) -> int:
    files = [path] if path.is_file() else [item for item in path.rglob("*") if item.is_file()]
    return sum(item.lstat().st_size for item in files)
