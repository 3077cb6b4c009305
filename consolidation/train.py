"""Stage `train`: put tonight's curriculum into an adapter, in a child process.

The job and its rows are written into the run's folder, the child trains and reports by files, and its adapter moves
to home/adapters. Killed at any instruction, the stage goes on: the child resumes from its checkpoint, a finished child
is not started again, and the same adapter is recorded once. No torch in this process.
"""

from __future__ import annotations

import errno
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sqlalchemy import select

from agents.runtime.adapter import Adapter
from consolidation.errors import NightStopped, StageFailed
from consolidation.recipe import current_recipe, worn_folders
from consolidation.stage import NightContext, Progress, StageResult
from consolidation.trainer.job import EXIT_FULL, JobFolder, Row, TrainJob, read_json
from consolidation.vectors import Origin, hash_rows
from db.tables import Example
from memory import vector_nodes
from memory.artifacts import record_artifact

_POLL_S = 0.25
_GRACE_S = 20.0  # for a child that was asked to stop to write its checkpoint
_ROOT = Path(__file__).parent.parent

log = logging.getLogger(__name__)


def run(context: NightContext, progress: Progress) -> StageResult:
    """Output: adapter (folder relative to home), adapter_id, steps, seconds, final_loss and the child's result.

    Without rows nothing is trained and `adapter` is None.
    """
    rows = training_rows(context)
    if not rows:
        return StageResult(counts={"steps": 0}, output={"adapter": None, "adapter_id": None, "steps": 0})
    folder = JobFolder(context.run_dir / "train")
    _write_job(context, folder, rows)
    started = time.monotonic()
    if read_json(folder.result) is None:
        _run_child(context, folder, progress)
    result = read_json(folder.result)
    if result is None:
        raise StageFailed(
            "train", "the training child left no result; look at train/log.txt in the run's folder"
        )
    path, adapter_id = _keep(context, folder, result)
    counts = {
        "rows": len(rows),
        "steps": result["steps"],
        "seconds": round(time.monotonic() - started, 1),
        "tokens_per_s": round(result["tokens_per_s"], 1),
        "final_loss": round(result["final_loss"], 4),
        "share_learned": round(result["share_learned"], 4),
    }
    output = {**result, "adapter": path, "adapter_id": adapter_id}
    return StageResult(counts=counts, output=output)


def training_rows(context: NightContext) -> list[Row]:
    """Tonight's training examples in an order that depends on what they say, not on ids or time."""
    query = select(Example).where(Example.run_id == context.run_id, Example.split == "train")
    with context.database.reading() as session:
        found = [
            (example.kind, json.dumps(example.messages, sort_keys=True), example.fact_id)
            for example in session.scalars(query)
        ]
    return [
        Row(f"{kind}:{place}", kind, tuple(json.loads(messages)), fact_id)
        for place, (kind, messages, fact_id) in enumerate(sorted(found, key=lambda row: (row[0], row[1])))
    ]


def _write_job(context: NightContext, folder: JobFolder, rows: list[Row]) -> None:
    """Leave a job that is the same alone: its checkpoint goes on. Another one starts anew."""
    recipe = current_recipe(context.database, context.space_id, context.home)
    job = TrainJob(
        base_model=context.settings.base_model,
        cache_dir=str(context.home / "cache"),
        adapters=worn_folders(context.home, recipe, folder.so_far) if recipe is not None else (),
        settings=context.settings.train,
        seed=context.settings.seed,
        n_facts=len({row.fact_id for row in rows if row.kind not in ("negative", "replay") and row.fact_id}),
        n_refusals=sum(row.kind == "negative" for row in rows),
        meta=Origin(hash_rows(rows), recipe.sha256 if recipe else None, context.run_id).as_meta("night"),
    )
    if folder.job_file.is_file():
        try:
            is_same = folder.read_job() == job and folder.read_rows() == rows
        except (OSError, ValueError, KeyError, TypeError):
            is_same = False
        if is_same:
            return
        for file in (folder.result, folder.checkpoint, folder.metrics, folder.error):
            file.unlink(missing_ok=True)
    folder.write(job, rows)


def _run_child(context: NightContext, folder: JobFolder, progress: Progress) -> None:
    """Start the child and wait for it. One that is killed is started once more, and goes on from its checkpoint.

    Raises NightStopped, StageFailed, OSError (ENOSPC).
    """
    code = _attend_child(context, folder, progress)
    if code == -signal.SIGKILL:
        log.warning("night %s: the training child was killed; it is started once more", context.run_id)
        code = _attend_child(context, folder, progress)
    if code == EXIT_FULL:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder.path))
    if code != 0:
        raise StageFailed("train", _why(folder, code))


def _attend_child(context: NightContext, folder: JobFolder, progress: Progress) -> int:
    """Start a child and report its steps until it ends; its exit code."""
    search_path = os.pathsep.join(filter(None, (str(_ROOT), os.environ.get("PYTHONPATH"))))
    with (folder.path / "log.txt").open("ab") as output:
        child = subprocess.Popen(
            [sys.executable, "-m", "consolidation.trainer", str(folder.path)],
            stdout=output,
            stderr=output,
            stdin=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": search_path, "PYTHONUNBUFFERED": "1"},
        )
    try:
        while child.poll() is None:
            if context.should_stop():
                raise NightStopped(context.run_id)
            _report(folder, progress)
            time.sleep(_POLL_S)
    finally:
        _end(child)
    _report(folder, progress)
    return child.returncode


def _report(folder: JobFolder, progress: Progress) -> None:
    row = folder.last_metrics()
    if row is None:
        progress(0, 1, "preparing")
        return
    note = f"loss {row.get('loss_answer', 0.0):.2f}, {row['learned']:.0%} learnt"
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
            "and run `slowwave sleep` again"
        )
    return f"the training child ended with code {code}; look at train/log.txt in the run's folder"


def _keep(context: NightContext, folder: JobFolder, result: dict[str, Any]) -> tuple[str, str]:
    """Copy the adapter to home/adapters and record it; its path relative to home and its artifact id."""
    adapter = Adapter.load(folder.adapter)
    if adapter.sha256 != result["sha256"]:
        raise StageFailed(
            "train", "the adapter is not the one that was trained; delete the run's train folder"
        )
    path = f"adapters/{adapter.sha256[:12]}"
    if not (context.home / path / "adapter_model.safetensors").is_file():
        adapter.save(context.home / path)
    shutil.rmtree(folder.so_far, ignore_errors=True)  # it holds the weights of other nights
    meta = {
        "base_hash": adapter.base_hash,
        "rank": adapter.rank,
        "steps": result["steps"],
        "settings": asdict(context.settings.train),
    }
    with context.database.transaction() as session:
        people, patterns = vector_nodes.taught_by(session, context.run_id)
        vector_nodes.connect(
            session,
            context.space_id,
            adapter.sha256,
            run_id=context.run_id,
            people=people,
            patterns=patterns,
            clock=context.clock,
        )
        artifact_id = record_artifact(
            session,
            context.space_id,
            run_id=context.run_id,
            kind="adapter",
            path=path,
            sha256=adapter.sha256,
            meta=meta,
            clock=context.clock,
        )
    return path, artifact_id
