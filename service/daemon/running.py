"""Which daemon serves a home: a small file in it, written when the daemon listens and removed when it ends."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from memory.whole import write_text

NAME = "daemon.json"


@dataclass(frozen=True, slots=True)
class RunningDaemon:
    pid: int
    url: str
    started: str


@contextmanager
def on_record(home: Path, daemon: RunningDaemon) -> Iterator[None]:
    path = home / NAME
    write_text(path, json.dumps(asdict(daemon)))
    try:
        yield
    finally:
        if find_daemon(home) in (daemon, None):
            path.unlink(missing_ok=True)


def find_daemon(home: Path) -> RunningDaemon | None:
    """The daemon of that home on this machine, if its process is there."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        told = json.loads((home / NAME).read_text(encoding="utf-8"))
        found = RunningDaemon(int(told["pid"]), str(told["url"]), str(told["started"]))
        try:
            os.kill(found.pid, 0)
        except ProcessLookupError:
            return None
        except OSError:
            pass  # another user's: it is there
        return found
    return None
