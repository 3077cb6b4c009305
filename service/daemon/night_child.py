"""One night in a process of its own: `python -m service.daemon.night_child`, for a daemon.

Its job comes as one line of JSON on the standard input: home, settings, the key of an encrypted home, whether to resume. It tells on the standard
output, an object a line: `{"run"}` once the night is recorded, `{"ended"}` with its status, else why it could not
begin: `{"held", "name"}` or `{"failed"}`, a class and never a message. SIGTERM ends the night at its next step; it ends
at once, resumable, when whoever holds the other end of its standard input is gone. Once it has begun it gives way to everything else.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from contextlib import suppress
from io import FileIO
from typing import Any, TextIO

from consolidation.night import StageWatcher
from consolidation.runs import running
from consolidation.stage import Progress, no_progress
from db.errors import LeaseHeld
from service.daemon.logs import log_to_stderr
from service.encryption import close_home, taken
from service.wiring import Services

NICENESS = 10


def main() -> int:
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as told:
        os.dup2(2, 1)  # what a library prints is no news of the night's
        pipe = open(0, "rb", buffering=0, closefd=False)  # noqa: SIM115  (as long as the process)
        job = json.loads(pipe.readline())
        threading.Thread(target=_end_with_parent, args=(pipe,), name="parent", daemon=True).start()
        settings = taken(job)
        log_to_stderr(settings.serve.log_format)
        try:
            return _run(Services(settings), bool(job["resume"]), told)
        finally:
            close_home(settings)


def _run(services: Services, resume: bool, told: TextIO) -> int:
    with services:
        try:
            report = services.sleep(watch=_watch(services, told), resume=resume)
        except LeaseHeld as error:
            _tell(told, {"held": error.holder, "name": error.name})
            return 1
        except Exception as error:
            _tell(told, {"failed": type(error).__name__})
            return 1
    _tell(told, {"run": report.run_id})
    _tell(told, {"ended": report.status})
    return 0


def _watch(services: Services, told: TextIO) -> StageWatcher:
    is_told = False

    def watch(stage: str) -> Progress:
        nonlocal is_told
        if not is_told:
            is_told = True
            _tell(told, {"run": running(services.database, services.space_id)})
            os.nice(NICENESS)  # from here on nobody waits for it
        return no_progress

    return watch


def _tell(told: TextIO, news: dict[str, Any]) -> None:
    with suppress(BrokenPipeError):
        told.write(json.dumps(news) + "\n")
        told.flush()


def _end_with_parent(pipe: FileIO) -> None:
    while pipe.read(64):
        pass
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
