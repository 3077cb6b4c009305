"""What the machine has left and what runs on it: sizes in bytes, versions. Reads files of the system; None where it has none."""

from __future__ import annotations

import platform
import re
import shutil
import sqlite3
from contextlib import suppress
from importlib import metadata
from pathlib import Path

from sqlalchemy import text

from db.engine import Database

SHOWN = ("slowwave", "sqlalchemy", "torch", "transformers", "fastapi", "uvicorn", "psycopg")


def resident_bytes(pid: int | str = "self") -> int | None:
    """The memory that a process holds."""
    return _field(Path(f"/proc/{pid}/status"), "VmRSS")


def available_bytes() -> int | None:
    """The memory that is to be had, less where a control group says so."""
    found = [_field(Path("/proc/meminfo"), "MemAvailable")]
    with suppress(OSError, ValueError):
        group = Path("/sys/fs/cgroup")
        limit = int((group / "memory.max").read_text())  # "max" where there is none
        found.append(max(0, limit - int((group / "memory.current").read_text())))
    return min((value for value in found if value is not None), default=None)


def free_bytes(folder: Path) -> int | None:
    """What is left on the disk of a folder, or of the nearest one above that is there."""
    for place in (folder, *folder.parents):
        with suppress(OSError):
            return shutil.disk_usage(place).free
    return None


def store_bytes(database: Database) -> int | None:
    """The size of the store, its log of writes with it."""
    if database.engine.dialect.name == "postgresql":
        with database.reading() as session:
            size: int | None = session.scalar(text("SELECT pg_database_size(current_database())"))
            return size
    place = database.engine.url.database
    if not place or place == ":memory:":
        return None
    sizes = [path.stat().st_size for path in (Path(place), Path(place + "-wal")) if path.exists()]
    return sum(sizes) if sizes else None


def versions() -> dict[str, str]:
    found = {"python": platform.python_version(), "sqlite": sqlite3.sqlite_version}
    for name in SHOWN:
        with suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def _field(path: Path, name: str) -> int | None:
    with suppress(OSError):
        match = re.search(rf"^{name}:\s+(\d+) kB$", path.read_text(), re.MULTILINE)
        return int(match[1]) * 1024 if match else None
    return None
