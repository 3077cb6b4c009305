"""The daemon's log on stderr: lines for people, or a JSON object a line for programs. Ids, routes, codes and counts.

An error's message may hold somebody's words, so no formatter here writes one: an error is its class and its place.
"""

from __future__ import annotations

import json
import logging
import sys
import threading
import traceback
from datetime import UTC, datetime
from types import TracebackType
from typing import TextIO

FORMATS = ("text", "json")

_LINE = "%(asctime)s %(levelname)s %(name)s: %(message)s"
_Raised = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]


def log_to_stderr(kind: str, stream: TextIO | None = None) -> None:
    """Set the process's log up, once, in one of FORMATS."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonLines() if kind == "json" else PlainLines(_LINE))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    logging.captureWarnings(True)
    logging.getLogger("apscheduler").setLevel(logging.WARNING)
    threading.excepthook = _on_thread_error


class PlainLines(logging.Formatter):
    def formatException(self, ei: _Raised) -> str:
        return place_of(ei)


class JsonLines(logging.Formatter):
    """at, level, logger, message, and where one was raised: error, place."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            kind = record.exc_info[0]
            line |= {"error": kind.__name__ if kind else "", "place": place_of(record.exc_info)}
        return json.dumps(line, ensure_ascii=False)


def place_of(raised: _Raised) -> str:
    """The class of the error and the lines it passed, those of its causes first; no message."""
    parts: list[str] = []
    error: BaseException | None = raised[1]
    while error is not None and len(parts) < 8:
        frames = "".join(
            f"  {frame.filename}:{frame.lineno} {frame.name}\n"
            for frame in traceback.extract_tb(error.__traceback__, limit=-20)
        )
        parts.append(f"{type(error).__name__}\n{frames}")
        error = error.__cause__ or error.__context__
    return "".join(reversed(parts)).rstrip()


def _on_thread_error(args: threading.ExceptHookArgs) -> None:
    if args.exc_type is SystemExit or args.exc_value is None:
        return
    log = logging.getLogger(__name__)
    raised = (args.exc_type, args.exc_value, args.exc_traceback)
    log.error("a thread ended with %s", args.exc_type.__name__, exc_info=raised)
