"""Which daemon serves a home, and that it is the only one: a lock that dies with its process, and a small file that says which.

The lock decides; what the file says without it was left by a daemon that was killed, and keeps nobody out.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from memory.whole import write_text
from service.errors import AlreadyServed

NAME, LOCK = "daemon.json", "daemon.lock"
_PATIENCE_S = 1.0  # for those who only look whether a daemon is there


@dataclass(frozen=True, slots=True)
class RunningDaemon:
    pid: int
    url: str
    started: str


@contextmanager
def alone(home: Path) -> Iterator[None]:
    """Hold the home for this process until the block or the process ends. Raises AlreadyServed with who holds it."""
    home.mkdir(parents=True, exist_ok=True)
    with os.fdopen(os.open(home / LOCK, os.O_RDWR | os.O_CREAT, 0o600), "rb") as file:
        until = time.monotonic() + _PATIENCE_S
        while not _is_locked(file.fileno(), fcntl.LOCK_EX):
            if time.monotonic() > until:
                told = _on_file(home)
                raise AlreadyServed(told.url if told else None, told.pid if told else None)
            time.sleep(0.05)
        yield


@contextmanager
def on_record(home: Path, daemon: RunningDaemon) -> Iterator[None]:
    """Say where the daemon is, for as long as the block runs; within `alone`."""
    path = home / NAME
    write_text(path, json.dumps(asdict(daemon)))
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def find_daemon(home: Path) -> RunningDaemon | None:
    """The daemon of that home on this machine, if its process is there."""
    try:
        with (home / LOCK).open("rb") as file:
            is_free = _is_locked(file.fileno(), fcntl.LOCK_SH)
    except OSError:
        return None
    return None if is_free else _on_file(home)


def _is_locked(file: int, how: int) -> bool:
    """Whether this process got the lock; it keeps it until the file is closed."""
    try:
        fcntl.flock(file, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _on_file(home: Path) -> RunningDaemon | None:
    with suppress(OSError, ValueError, KeyError, TypeError):
        told = json.loads((home / NAME).read_text(encoding="utf-8"))
        return RunningDaemon(int(told["pid"]), str(told["url"]), str(told["started"]))
    return None
