"""The child: one file read within limits, records to standard output, progress and the error that ended it to the other.

Asked in one line on standard input, which stays open for as long as anybody waits. Says of an error its class and its
message without the names of files, of an unexpected one its place alone.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import re
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from memory.errors import BrokenExport, ExportTooCostly, GraphError, UnknownFormat
from memory.importers.bots import Bots
from memory.importers.detect import Export, open_files
from memory.importers.files import Meter, gather
from memory.importers.shape import ReadOptions
from memory.parsing import lines
from memory.parsing.limits import Asked, Limits
from memory.types import Message, Row, Skipped

if TYPE_CHECKING:
    from memory.exchange.notes import Notebook

SHOWN = "the upload"  # in place of every file's name
_TOLD_EVERY_S = 0.2
_NOTEBOOK = re.compile(rb'"(?:type|results|memories|memory|data|text)"', re.IGNORECASE)
_HEAD = 100_000
_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS = 1, 38


def main() -> int:
    asked = Asked.of_json(json.loads(sys.stdin.buffer.readline()))
    restrict(asked.limits)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        _read(asked, sys.stdout.buffer)
        sys.stdout.buffer.flush()
    except BaseException as error:  # whatever it was, whoever waits is told
        told = _told(error, asked)
        error.__traceback__ = None  # frees what it held, before it is told
        _say(told)
        return 1
    return 0


def restrict(limits: Limits) -> None:
    """Bound this process: memory, processor time, what it writes; no core, no new rights, no life without its parent."""
    import resource

    def bound(what: int, value: int) -> None:
        hard = resource.getrlimit(what)[1]
        allowed = value if hard == resource.RLIM_INFINITY else min(value, hard)
        try:
            resource.setrlimit(what, (allowed, allowed))
        except (ValueError, OSError):
            if sys.platform == "linux":  # macOS knows no bound of the address space
                raise

    bound(resource.RLIMIT_CORE, 0)
    bound(resource.RLIMIT_AS, limits.memory_bytes)
    bound(resource.RLIMIT_CPU, limits.cpu_s)
    bound(resource.RLIMIT_FSIZE, limits.written_bytes)
    bound(resource.RLIMIT_NOFILE, 64)
    signal.signal(signal.SIGXCPU, signal.SIG_DFL)
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def _end_with_parent() -> None:
    while os.read(0, 4096):
        pass
    os._exit(1)


def _read(asked: Asked, out: IO[bytes]) -> None:
    path = Path(asked.path)
    meter = Meter()
    options = ReadOptions(
        ZoneInfo(asked.timezone),
        datetime.fromisoformat(asked.now),
        asked.me,
        Bots.of(asked.bots, asked.patterns),
    )
    files = gather(path, meter, asked.name)
    _check_size(sum(file.size_bytes for file in files), len(files), asked.limits)
    total = sum(file.size_bytes for file in files)
    meter.watch = _telling(total)
    try:
        export = open_files(files, SHOWN, meter, options)
    except (UnknownFormat, BrokenExport):
        notebook = _notebook(path, asked.limits)
        if notebook is None:
            raise
        _write_notebook(notebook, out)
        return
    _write_rows(export, out, asked.limits)


def _check_size(n_bytes: int, n_files: int, limits: Limits) -> None:
    if n_bytes > limits.unpacked_bytes:
        raise ExportTooCostly(f"unpacked it is {n_bytes >> 30} GiB")
    if n_files > limits.n_files:
        raise ExportTooCostly(f"it holds {n_files} files")


def _notebook(path: Path, limits: Limits) -> Notebook | None:
    with path.open("rb") as stream:
        if not _NOTEBOOK.search(stream.read(_HEAD)):
            return None
    from memory.exchange.detect import find_notebook  # brings the whole graph with it

    if path.stat().st_size > limits.notebook_bytes:
        return None
    return find_notebook(path)


def _write_notebook(notebook: Notebook, out: IO[bytes]) -> None:
    lines.write(out, "head", notebook.kind, notebook.remarks, True)
    n_records = 0
    for thing in notebook.things:
        teller = thing.name in notebook.tellers
        n_records += _whole(out, "thing", thing.name, thing.kind, thing.alias, thing.type_, teller)
    for note in notebook.notes:
        times = (_iso(note.time), _iso(note.updated))
        n_records += _whole(out, "note", note.about, note.text, note.id, *times)
    for item in notebook.relations:
        n_records += _whole(out, "relation", item.subject, item.relation, item.object, _iso(item.time))
    lines.write(out, "end", n_records)


def _whole(out: IO[bytes], sign: str, *values: Any) -> bool:
    if not lines.write(out, sign, *values):
        raise BrokenExport(SHOWN, "a note is too long to be one")
    return True


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None


def _write_rows(export: Export, out: IO[bytes], limits: Limits) -> None:
    lines.write(out, "head", export.kind, export.notes, False)
    names: set[str] = set()
    n_records = n_messages = 0
    for row in export.rows():
        if isinstance(row, Message):
            n_messages += 1
            names.update((row.speaker, row.conversation, *row.hearers))
            if len(names) > limits.n_names:
                raise ExportTooCostly(f"it names more than {limits.n_names} people and conversations")
        if not _write_row(out, row):
            lines.write(out, "s", f"the {n_messages}. message", "it is too long to be one")
        n_records += 1
    lines.write(out, "end", n_records)


def _write_row(out: IO[bytes], row: Row) -> bool:
    if isinstance(row, Skipped):
        return lines.write(out, "s", row.place, row.reason)
    return lines.write(out, "m", *lines.message_values(row))


def _telling(total: int) -> Callable[[int], None]:
    told_at = 0.0

    def tell(done: int) -> None:
        nonlocal told_at
        if (now := time.monotonic()) - told_at > _TOLD_EVERY_S:
            told_at = now
            _say({"done": done, "total": total})

    return tell


def _told(error: BaseException, asked: Asked) -> dict[str, Any]:
    if isinstance(error, GraphError):
        return {"error": type(error).__name__, "message": _unnamed(str(error), asked)}
    if isinstance(error, MemoryError):
        return {"error": "ExportTooCostly", "why": "memory"}
    if isinstance(error, OSError) and error.errno is not None:
        return {"error": "OSError", "errno": error.errno}
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if "memory" in Path(frame.filename).parts] or frames
    place = f"{Path(own[-1].filename).name}:{own[-1].lineno}" if own else ""
    return {"error": "unexpected", "class": type(error).__name__, "place": place}


def _unnamed(message: str, asked: Asked) -> str:
    """Without what files are called: their names may be people's."""
    names = {asked.name, Path(asked.path).name}
    with contextlib.suppress(Exception):
        names.update(file.name for file in gather(Path(asked.path), Meter(), asked.name))
    message = message.replace(SHOWN, "\0")
    for name in sorted(filter(None, names), key=len, reverse=True):
        message = message.replace(name, "\0")
    return message.replace("\0", SHOWN)[:500]


def _say(told: dict[str, Any]) -> None:
    sys.stderr.write(json.dumps(told) + "\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
