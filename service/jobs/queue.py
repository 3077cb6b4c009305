"""Long work of a space, kept in the store: what waits, what runs and how far it is, what failed and why.

This is the record alone; `service.jobs.worker` takes jobs up, one of a space at a time. A row holds no words: why a job
failed is the class of the error and its place. A job that has ended is kept until KEPT newer ones have.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, delete, or_, select, update
from sqlalchemy.orm import Session

from db import tables
from db.engine import Database
from memory.ports import Clock, utc_now
from service.errors import JobEnded, UnknownJob

QUEUED, RUNNING, DONE, FAILED, CANCELLED = "queued", "running", "done", "failed", "cancelled"
STATES = (QUEUED, RUNNING, DONE, FAILED, CANCELLED)
UNFINISHED = (QUEUED, RUNNING)
KEPT = 500
MAX_TRIES = 3  # of a job that ends with the process that runs it


@dataclass(frozen=True, slots=True)
class Job:
    """One piece of work. `done` of `total` are counted within `step`; what they count depends on the kind."""

    id: str
    kind: str
    state: str
    asked_by: str
    queued_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    step: str
    done: int
    total: int
    n_tries: int
    is_unwanted: bool
    why: str | None
    wanted: dict[str, Any]
    result: dict[str, Any]

    @property
    def is_finished(self) -> bool:
        return self.state not in UNFINISHED

    def as_json(self) -> dict[str, Any]:
        """As routes and commands show it: times as ISO 8601."""
        return {
            "job": self.id,
            "kind": self.kind,
            "state": self.state,
            "asked_by": self.asked_by,
            "queued": self.queued_at.isoformat(),
            "started": self.started_at.isoformat() if self.started_at else None,
            "finished": self.finished_at.isoformat() if self.finished_at else None,
            "step": self.step,
            "done": self.done,
            "total": self.total,
            "cancelling": self.is_unwanted and not self.is_finished,
            "why": self.why,
            "result": self.result,
        }


def submit(
    database: Database,
    space_id: str,
    kind: str,
    wanted: Mapping[str, Any] | None = None,
    *,
    asked_by: str,
    clock: Clock = utc_now,
) -> Job:
    """Put work at the end of the space's queue. `wanted` holds ids and flags, never words."""
    row = tables.Job(
        space_id=space_id,
        kind=kind,
        state=QUEUED,
        asked_by=asked_by,
        queued_at=clock(),
        step="",
        done=0,
        total=0,
        n_tries=0,
        is_unwanted=False,
        wanted=dict(wanted or {}),
        result={},
    )
    with database.transaction() as session:
        session.add(row)
        session.flush()
        _forget_oldest(session, space_id)
        return _job(row)


def list_jobs(
    database: Database,
    space_id: str,
    *,
    states: Collection[str] = STATES,
    kind: str | None = None,
    limit: int = 50,
    after: str | None = None,
) -> list[Job]:
    """The newest first; behind the job `after`, where one is named. Raises UnknownJob."""
    row = tables.Job
    query = select(row).where(row.space_id == space_id, row.state.in_(states))
    if kind is not None:
        query = query.where(row.kind == kind)
    if after is not None:
        last = get_job(database, space_id, after)
        query = query.where(_queued_before(last))
    query = query.order_by(row.queued_at.desc(), row.id.desc()).limit(limit)
    with database.reading() as session:
        return [_job(found) for found in session.scalars(query)]


def get_job(database: Database, space_id: str, job_id: str) -> Job:
    """The space's job of that id; one of another space is as unknown as one that never was. Raises UnknownJob."""
    with database.reading() as session:
        return _job(_row(session, space_id, job_id))


def claim(
    database: Database, space_id: str, *, patient: Collection[str] = (), clock: Clock = utc_now
) -> Job | None:
    """The job that has waited longest, running from now on; for whoever holds the space's queue. Kinds that are patient
    come after all others."""
    row = tables.Job
    query = select(row).where(row.space_id == space_id, row.state == QUEUED)
    order = row.kind.in_(patient), row.queued_at, row.id
    with database.transaction() as session:
        found = session.scalars(query.order_by(*order).limit(1)).first()
        if found is None:
            return None
        found.state, found.started_at = RUNNING, clock()
        found.n_tries += 1
        session.flush()
        return _job(found)


def is_any_waiting(database: Database, space_id: str, *, but: Collection[str]) -> bool:
    """Whether a job of any other kind waits."""
    row = tables.Job
    query = select(row.id).where(row.space_id == space_id, row.state == QUEUED, row.kind.not_in(but))
    with database.reading() as session:
        return session.scalar(query.limit(1)) is not None


def report(database: Database, job_id: str, step: str, done: int, total: int) -> None:
    """How far a running job is."""
    _change(database, job_id, {"step": step[:32], "done": done, "total": total})


def finish(
    database: Database,
    job_id: str,
    state: str,
    *,
    why: str | None = None,
    result: Mapping[str, Any] | None = None,
    clock: Clock = utc_now,
) -> None:
    """End a running job. One that has ended meanwhile, as by an erasure, stays as it ended."""
    values = {"state": state, "why": why, "result": dict(result or {}), "finished_at": clock()}
    _change(database, job_id, values)


def put_back(database: Database, job_id: str) -> None:
    """A running job waits again: the process that ran it ends in good order."""
    with database.transaction() as session:
        row = session.get(tables.Job, job_id)
        if row is not None and row.state == RUNNING:
            row.state, row.n_tries = QUEUED, row.n_tries - 1


def cancel(database: Database, space_id: str, job_id: str, *, clock: Clock = utc_now) -> Job:
    """Take a waiting job out of the queue, or ask a running one to end. Raises UnknownJob, JobEnded."""
    with database.transaction() as session:
        row = _row(session, space_id, job_id)
        if row.state not in UNFINISHED:
            raise JobEnded(job_id, row.state)
        row.is_unwanted = True
        if row.state == QUEUED:
            row.state, row.finished_at, row.why = CANCELLED, clock(), "cancelled while it waited"
        session.flush()
        return _job(row)


def is_wanted(database: Database, job_id: str) -> bool:
    """Whether a running job shall go on."""
    query = select(tables.Job.state, tables.Job.is_unwanted).where(tables.Job.id == job_id)
    with database.reading() as session:
        found = session.execute(query).first()
    return found is not None and found.state == RUNNING and not found.is_unwanted


def recover(database: Database, space_id: str, *, clock: Clock = utc_now) -> list[str]:
    """What a process left running that ended without a word waits again; what did so MAX_TRIES times has failed.

    For whoever holds the space's queue. Returns the ids.
    """
    row = tables.Job
    with database.transaction() as session:
        found = session.scalars(select(row).where(row.space_id == space_id, row.state == RUNNING)).all()
        for left in found:
            if left.is_unwanted:
                left.state, left.finished_at, left.why = CANCELLED, clock(), "cancelled"
            elif left.n_tries >= MAX_TRIES:
                left.state, left.finished_at = FAILED, clock()
                left.why = f"the process that ran it ended without a word, {left.n_tries} times"
            else:
                left.state = QUEUED
        return [left.id for left in found]


def unfinished_spaces(database: Database) -> list[str]:
    """Names of spaces in whose queue something waits or was left running."""
    query = (
        select(tables.Space.name)
        .join(tables.Job, tables.Job.space_id == tables.Space.id)
        .where(tables.Job.state.in_(UNFINISHED))
    )
    with database.reading() as session:
        return list(session.scalars(query.distinct().order_by(tables.Space.name)))


def _queued_before(last: Job) -> ColumnElement[bool]:
    row = tables.Job
    return or_(row.queued_at < last.queued_at, and_(row.queued_at == last.queued_at, row.id < last.id))


def _row(session: Session, space_id: str, job_id: str) -> tables.Job:
    row = session.get(tables.Job, job_id)
    if row is None or row.space_id != space_id:
        raise UnknownJob(job_id)
    return row


def _change(database: Database, job_id: str, values: Mapping[str, Any]) -> None:
    with database.transaction() as session:
        mine = update(tables.Job).where(tables.Job.id == job_id, tables.Job.state == RUNNING)
        session.execute(mine.values(**values))


def _forget_oldest(session: Session, space_id: str) -> None:
    row = tables.Job
    ended = select(row.id).where(row.space_id == space_id, row.state.not_in(UNFINISHED))
    old = ended.order_by(row.queued_at.desc(), row.id.desc()).offset(KEPT).limit(KEPT)
    ids = session.scalars(old).all()
    if ids:
        session.execute(delete(row).where(row.id.in_(ids)))


def _job(row: tables.Job) -> Job:
    return Job(
        id=row.id,
        kind=row.kind,
        state=row.state,
        asked_by=row.asked_by,
        queued_at=row.queued_at,
        started_at=row.started_at,
        finished_at=row.finished_at,
        step=row.step,
        done=row.done,
        total=row.total,
        n_tries=row.n_tries,
        is_unwanted=row.is_unwanted,
        why=row.why,
        wanted=row.wanted,
        result=row.result,
    )
