"""The training child as its parent sees it: started, watched, asked to stop, and asked why where it failed.

It ends with its parent, also where the parent is killed: it holds the other end of its standard input.
A child that is killed is started once more and goes on from its checkpoint; one that finished is not started again.
No torch in this process.
"""

from __future__ import annotations

import errno
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from consolidation.errors import TrainingFailed, TrainingStopped
from consolidation.stage import Progress
from consolidation.trainer.job import ATTENDED, EXIT_FULL, JobFolder, Row, TrainJob, read_json
from memory.whole import keep

_POLL_S = 0.25
_GRACE_S = 20.0  # for a child that was asked to stop to write its checkpoint
_ROOT = Path(__file__).parent.parent

log = logging.getLogger(__name__)


def put_job(folder: JobFolder, job: TrainJob, rows: Sequence[Row]) -> None:
    """Leave a job that is the same alone: its checkpoint goes on. Another one starts anew, beside what the last one logged."""
    if folder.job_file.is_file():
        try:
            is_same = folder.read_job() == job and folder.read_rows() == list(rows)
        except (OSError, ValueError, KeyError, TypeError):
            is_same = False
        if is_same:
            return
        for file in (folder.result, folder.checkpoint, folder.error):
            file.unlink(missing_ok=True)
        folder.lay_metrics_by()
    folder.write(job, rows)


def trained(folder: JobFolder, progress: Progress, should_stop: Callable[[], bool]) -> dict[str, Any]:
    """The child's result, once it has one.

    Raises TrainingStopped, TrainingFailed, OSError (ENOSPC).
    """
    if read_json(folder.result) is None:
        _run(folder, progress, should_stop)
    result = read_json(folder.result)
    if result is None:
        raise TrainingFailed("the training child left no result; look at log.txt in the training's folder")
    return result


def _run(folder: JobFolder, progress: Progress, should_stop: Callable[[], bool]) -> None:
    code = _attend(folder, progress, should_stop)
    if code == -signal.SIGKILL:
        log.warning("the training child of %s was killed; it is started once more", folder.path.parent.name)
        code = _attend(folder, progress, should_stop)
    if code == EXIT_FULL:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder.path))
    if code != 0:
        raise TrainingFailed(_why(folder, code))


def _attend(folder: JobFolder, progress: Progress, should_stop: Callable[[], bool]) -> int:
    """Start a child and report its steps until it ends; its exit code."""
    search_path = os.pathsep.join(filter(None, (str(_ROOT), os.environ.get("PYTHONPATH"))))
    with (folder.path / "log.txt").open("ab") as output:
        child = subprocess.Popen(
            [sys.executable, "-m", "consolidation.trainer", str(folder.path), ATTENDED],
            stdout=output,
            stderr=output,
            stdin=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": search_path, "PYTHONUNBUFFERED": "1"},
        )
    try:
        while child.poll() is None:
            if should_stop():
                raise TrainingStopped(int((folder.last_metrics() or {}).get("step", 0)))
            _report(folder, progress)
            time.sleep(_POLL_S)
    finally:
        _end(child)
        if child.stdin is not None:
            child.stdin.close()
    keep(folder.path)
    _report(folder, progress)
    return child.returncode


def _report(folder: JobFolder, progress: Progress) -> None:
    row = folder.last_metrics()
    if row is None:
        progress(0, 1, "preparing")
        return
    if "loss_answer" in row:
        note = f"loss {row['loss_answer']:.2f}, {row['learned']:.0%} learnt"
    else:
        note = f"loss {row.get('loss_style', 0.0):.2f}"
    progress(int(row["step"]), int(row["total"]), note)


def _end(child: subprocess.Popen[bytes]) -> None:
    """Ask a running child to stop, wait for its checkpoint, then insist."""
    if child.poll() is not None:
        return
    child.terminate()
    try:
        child.wait(_GRACE_S)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def _why(folder: JobFolder, code: int) -> str:
    error = read_json(folder.error)
    if error is not None:
        return str(error["error"])
    if code == -signal.SIGKILL:
        return (
            "the training child was killed twice, most likely for memory; free some, or set a smaller base_model, "
            "and run the same command again"
        )
    return f"the training child ended with code {code}; look at log.txt in the training's folder"
