"""The record of nights: which there were, which can be resumed, what each stage of one gave.

Reads and writes the tables `sleep_run` and `stage_run`; runs nothing itself.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select, update

from consolidation.errors import AmbiguousRun, NotExamined, UnknownRun
from consolidation.lease import free_if_dead
from consolidation.stage import STAGES, NightSettings, StageResult
from db.engine import Database
from db.tables import SleepRun, StageRun, new_id
from memory.ports import Clock


@dataclass(frozen=True, slots=True)
class Run:
    """One night as recorded. status: running | done | failed | refused | interrupted."""

    id: str
    status: str
    seed: int
    settings: dict[str, Any]
    started_at: datetime
    finished_at: datetime | None
    error: str | None
    is_published: bool


@dataclass(frozen=True, slots=True)
class StageRecord:
    name: str
    status: str
    inputs_hash: str
    started_at: datetime
    seconds: float
    counts: dict[str, float]
    output: dict[str, Any]


def list_runs(database: Database, space_id: str, limit: int = 50) -> list[Run]:
    """The newest nights first."""
    query = select(SleepRun).where(SleepRun.space_id == space_id)
    with database.reading() as session:
        rows = session.scalars(query.order_by(SleepRun.started_at.desc(), SleepRun.id).limit(limit))
        return [_run(row) for row in rows]


def running(database: Database, space_id: str) -> str | None:
    """The id of the night that runs now."""
    return next((run.id for run in list_runs(database, space_id) if run.status == "running"), None)


def get_run(database: Database, space_id: str, run_id: str) -> Run:
    """The space's night of that id; one of another space is as unknown as one that never was. Raises UnknownRun."""
    with database.reading() as session:
        row = session.get(SleepRun, run_id)
        if row is None or row.space_id != space_id:
            raise UnknownRun(run_id)
        return _run(row)


def find_run(database: Database, space_id: str, name: str | None = None) -> Run:
    """The space's night of that id or unique beginning of one; without a name the newest.

    Raises UnknownRun, AmbiguousRun.
    """
    if name is None:
        newest = list_runs(database, space_id, limit=1)
        if not newest:
            raise UnknownRun
        return newest[0]
    query = select(SleepRun).where(
        SleepRun.space_id == space_id, SleepRun.id.startswith(name, autoescape=True)
    )
    with database.reading() as session:
        found = [_run(row) for row in session.scalars(query.order_by(SleepRun.id))] if name else []
    exact = [run for run in found if run.id == name] or found
    if len(exact) > 1:
        raise AmbiguousRun(name, len(exact))
    if not exact:
        raise UnknownRun(name)
    return exact[0]


def examined(database: Database, space_id: str, name: str | None = None) -> tuple[Run, dict[str, Any]]:
    """A night with its exam, {condition: numbers}: the one of that name, or the newest that has one.

    Raises UnknownRun, AmbiguousRun, NotExamined.
    """
    nights = [find_run(database, space_id, name)] if name is not None else list_runs(database, space_id)
    for run in nights:
        record = stage_records(database, run.id).get("exam")
        if record is not None and record.output.get("exam"):
            return run, record.output["exam"]
    raise NotExamined(nights[0].id if name is not None else None)


def stage_records(database: Database, run_id: str) -> dict[str, StageRecord]:
    """What is recorded of the run's stages, in the order of the night."""
    query = select(StageRun).where(StageRun.run_id == run_id).order_by(StageRun.position)
    with database.reading() as session:
        return {row.name: _stage(row) for row in session.scalars(query)}


def reap(database: Database, space_id: str) -> list[str]:
    """Mark nights as interrupted that say `running` although nobody works on them. Returns their ids."""
    # listed before the lease is looked at, so that a night that begins just now is not among them
    dead = [run.id for run in list_runs(database, space_id) if run.status == "running"]
    if free_if_dead(database, space_id) is not None or not dead:
        return []  # who only looks waits for no writer
    with database.transaction() as session:
        session.execute(
            update(SleepRun)
            .where(SleepRun.id.in_(dead), SleepRun.status == "running")
            .values(status="interrupted", error="its process ended without a word")
        )
    return dead


def resumable(database: Database, space_id: str) -> Run | None:
    """The night that stands unfinished. Only sensible for whoever holds the space's lease."""
    unfinished = select(SleepRun).where(
        SleepRun.space_id == space_id, SleepRun.status.in_(("running", "interrupted"))
    )
    with database.reading() as session:
        row = session.scalars(unfinished.order_by(SleepRun.started_at.desc()).limit(1)).first()
        return None if row is None else _run(row)


def begin(
    database: Database, space_id: str, run_id: str, settings: NightSettings, *, is_resumed: bool, clock: Clock
) -> None:
    """Open the run, or open it again. Older unfinished nights are closed as failed: this one takes over."""
    with database.transaction() as session:
        session.execute(
            update(SleepRun)
            .where(
                SleepRun.space_id == space_id,
                SleepRun.id != run_id,
                SleepRun.status.in_(("running", "interrupted")),
            )
            .values(status="failed", error=f"left unfinished; night {run_id} began anew", finished_at=clock())
        )
        if is_resumed:
            reopened = {"status": "running", "error": None, "finished_at": None}
            session.execute(update(SleepRun).where(SleepRun.id == run_id).values(**reopened))
            return
        session.add(
            SleepRun(
                id=run_id,
                space_id=space_id,
                status="running",
                seed=settings.seed,
                settings=plain_settings(settings),
                started_at=clock(),
            )
        )


def finish(database: Database, run_id: str, status: str, error: str | None, *, clock: Clock) -> None:
    with database.transaction() as session:
        values = {"status": status, "error": error, "finished_at": clock()}
        session.execute(update(SleepRun).where(SleepRun.id == run_id).values(**values))


def begin_stage(
    database: Database, space_id: str, run_id: str, name: str, inputs_hash: str, *, clock: Clock
) -> None:
    """A stage that starts anew forgets what an attempt before left in its record."""
    with database.transaction() as session:
        session.merge(
            StageRun(
                run_id=run_id,
                name=name,
                space_id=space_id,
                position=STAGES.index(name),
                status="running",
                inputs_hash=inputs_hash,
                started_at=clock(),
                seconds=None,
                counts={},
                output={},
            )
        )


def end_stage(database: Database, run_id: str, name: str, result: StageResult | None, seconds: float) -> None:
    """Close a stage as done with its result, or as failed without one."""
    values: dict[str, Any] = {"status": "failed", "seconds": seconds}
    if result is not None:
        values |= {"status": "done", "counts": result.counts, "output": result.output}
    with database.transaction() as session:
        session.execute(
            update(StageRun).where(StageRun.run_id == run_id, StageRun.name == name).values(**values)
        )


def plain_settings(settings: NightSettings) -> dict[str, Any]:
    """The settings as JSON gives them back, so that a recorded copy compares equal."""
    plain: dict[str, Any] = json.loads(json.dumps(settings.as_json()))
    return plain


def digest(value: Any) -> str:
    """sha256 over canonical JSON."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def new_run_id() -> str:
    return new_id()


def _run(row: SleepRun) -> Run:
    return Run(
        id=row.id,
        status=row.status,
        seed=row.seed,
        settings=row.settings,
        started_at=row.started_at,
        finished_at=row.finished_at,
        error=row.error,
        is_published=row.is_published,
    )


def _stage(row: StageRun) -> StageRecord:
    return StageRecord(
        name=row.name,
        status=row.status,
        inputs_hash=row.inputs_hash,
        started_at=row.started_at,
        seconds=row.seconds or 0.0,
        counts=row.counts,
        output=row.output,
    )
