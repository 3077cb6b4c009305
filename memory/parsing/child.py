"""The child that reads an upload, as its parent sees it: started, watched, and asked why where it failed.

It runs in a process group of its own and ends with the parent, also where that is killed. What it writes beyond its
records and one line about an error is dropped: it may hold anything.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from memory import errors
from memory.errors import BrokenExport, ExportTooCostly, GraphError
from memory.parsing.limits import Asked

SHOWN = "the upload"
_POLL_S = 0.2
_SAID_BYTES = 1 << 16  # of a line on standard error
_ROOT = Path(__file__).parents[2]
_KINDS = (
    "UnknownFormat",
    "BrokenExport",
    "EmptyChat",
    "ExportTooCostly",
    "NewerFormat",
    "WrongEntrance",
    "ZipInZip",
    "BadPattern",
)

Progress = Callable[[int, int], None]


class Stopped(Exception):
    """The reading was given up because it was asked to."""


def read(
    asked: Asked,
    records: Path,
    scratch: Path,
    *,
    progress: Progress = lambda done, total: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> None:
    """Let a child read the file and write its records. `scratch` is an empty folder for what it unpacks.

    Raises what the importers raise, ExportTooCostly, Stopped, and OSError where the disk is full.
    """
    part = records.with_name(records.name + ".part")
    try:
        with part.open("wb") as out:
            os.chmod(part, 0o600)
            child = start(asked, out.fileno(), scratch)
            try:
                said = _attend(child, asked.limits.wall_s, progress, should_stop)
            finally:
                _end(child)
        if child.returncode != 0:
            raise _why(said, child.returncode)
        part.replace(records)
    finally:
        part.unlink(missing_ok=True)


def start(asked: Asked, out: int, scratch: Path) -> subprocess.Popen[bytes]:
    """The child, asked; its records go to the file `out`."""
    child = subprocess.Popen(
        [sys.executable, "-s", "-B", "-m", "memory.parsing"],
        stdin=subprocess.PIPE,
        stdout=out,
        stderr=subprocess.PIPE,
        cwd=scratch,
        env={"PYTHONPATH": str(_ROOT), "PYTHONUTF8": "1", "TMPDIR": str(scratch), "HOME": str(scratch)},
        start_new_session=True,
    )
    assert child.stdin is not None
    try:
        child.stdin.write(json.dumps(asked.as_json()).encode() + b"\n")
        child.stdin.flush()
    except BrokenPipeError:
        pass  # it has ended already, and why is told by what it said
    return child


def _attend(
    child: subprocess.Popen[bytes], wall_s: float, progress: Progress, should_stop: Callable[[], bool]
) -> dict[str, Any]:
    """Follow what it says until it ends; the last thing that it said of an error."""
    assert child.stderr is not None
    said = _Said(progress)
    until = time.monotonic() + wall_s
    stream = child.stderr.fileno()
    with selectors.DefaultSelector() as selector:
        selector.register(stream, selectors.EVENT_READ)
        while True:
            if should_stop():
                raise Stopped
            if time.monotonic() > until:
                raise ExportTooCostly(f"more than {wall_s:g} seconds")
            if selector.select(_POLL_S):
                piece = os.read(stream, _SAID_BYTES)
                if not piece:
                    break
                said.take(piece)
    try:
        child.wait(max(_POLL_S, until - time.monotonic()))
    except subprocess.TimeoutExpired as error:
        raise ExportTooCostly(f"more than {wall_s:g} seconds") from error
    return said.error


@dataclass(slots=True)
class _Said:
    """Lines of JSON out of pieces; anything else is forgotten."""

    progress: Progress
    error: dict[str, Any] = field(default_factory=dict)
    _begun: bytes = b""

    def take(self, piece: bytes) -> None:
        *lines, self._begun = (self._begun + piece).split(b"\n")
        self._begun = self._begun[-_SAID_BYTES:]
        for line in lines:
            try:
                told = json.loads(line)
            except (ValueError, RecursionError):
                continue
            if isinstance(told, dict) and "error" in told:
                self.error = told
            elif isinstance(told, dict) and isinstance(told.get("done"), int):
                self.progress(told["done"], int(told.get("total", 0)))


def _end(child: subprocess.Popen[bytes]) -> None:
    if child.poll() is None:
        try:
            os.killpg(child.pid, signal.SIGKILL)
        except ProcessLookupError:
            child.kill()
        child.wait()
    for pipe in (child.stdin, child.stderr):
        if pipe is not None:
            with contextlib.suppress(BrokenPipeError):
                pipe.close()


def _why(said: dict[str, Any], code: int) -> Exception:
    kind = said.get("error")
    if kind in _KINDS and "message" in said:
        return _remade(str(kind), str(said["message"]))
    if kind == "ExportTooCostly" or code in (-signal.SIGKILL, -signal.SIGSEGV, -signal.SIGABRT):
        return ExportTooCostly("memory")
    if kind == "OSError":
        return _of_system(int(said.get("errno", 0)))
    if code == -signal.SIGXCPU:
        return ExportTooCostly("processor time")
    place = f"{said.get('class', 'the reader')} at {said.get('place') or f'code {code}'}"
    return BrokenExport(SHOWN, f"nothing can be made of it ({place[:100]})")


def _of_system(number: int) -> Exception:
    if number == errno.EFBIG:
        return ExportTooCostly("room on the disk")
    if number in (errno.ENOSPC, errno.EDQUOT):
        return OSError(number, os.strerror(number))
    if number in (errno.ENOMEM, errno.EMFILE):
        return ExportTooCostly("memory")
    return BrokenExport(SHOWN, os.strerror(number))


def _remade(kind: str, message: str) -> GraphError:
    """The child's error with its own message, which was built there."""
    made: type[GraphError] = getattr(errors, kind)
    error = made.__new__(made, message)
    Exception.__init__(error, " ".join(message.split()))
    return error
