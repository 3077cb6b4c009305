"""What every entrance tells of the daemon's work: what runs, waits and failed, by space, and what the machine has left.

All of it is read from the store and the home, so it is the same with the daemon and without. No words: of what failed
there is the stage, the class and where to look. The shape is in docs/json.md.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

from sqlalchemy import func, select

from consolidation.runs import Run, list_runs, reap, stage_records
from db import tables
from db.engine import known_revisions
from memory.spaces import Space, zone
from service import machine
from service.daemon import schedule
from service.daemon.due import Plan, next_moment
from service.daemon.running import find_daemon
from service.entrances import run as run_entrance
from service.jobs import queue
from service.wiring import Services

SHOWN_JOBS = 20


def status(services: Services, spaces: Sequence[Space]) -> dict[str, Any]:
    """Of these spaces, in their order; `services` are open in any space of the store."""
    home, daemon = services.settings.home, find_daemon(services.settings.home)
    return {
        "at": services.clock().isoformat(),
        "daemon": None if daemon is None else {**asdict(daemon), "bytes": machine.resident_bytes(daemon.pid)},
        "spaces": [_space(_within(services, space), space) for space in spaces],
        "store": {
            "kind": services.database.engine.dialect.name,
            "revision": known_revisions()[0],
            "bytes": machine.store_bytes(services.database),
        },
        "disk_free_bytes": machine.free_bytes(home),
        "memory_available_bytes": machine.available_bytes(),
        "versions": machine.versions(),
    }


def _within(services: Services, space: Space) -> Services:
    if space.id == services.space_id:
        return services
    settings = replace(services.settings, space=space.name, timezone=space.timezone)
    return Services(settings, clock=services.clock, shared=services.shared)


def _space(services: Services, space: Space) -> dict[str, Any]:
    reap(services.database, space.id)
    runs = list_runs(services.database, space.id, 20)
    known = schedule.known(services.database, space.id)
    now, plan = services.clock(), Plan.of(services.settings.serve)
    moment = next_moment(plan, space.id, zone(space.timezone), now)
    return {
        "space": space.name,
        "timezone": space.timezone,
        "running": _running(services, next((run for run in runs if run.status == "running"), None)),
        "waits": None
        if known is None or known.waits_since is None
        else {"since": known.waits_since.isoformat(), "asked_by": known.waits_for},
        "next": moment.isoformat() if moment else None,
        "last": _last(services, next((run for run in runs if run.status != "running"), None)),
        "tried": None
        if known is None or known.tried_at is None
        else {
            "at": known.tried_at.isoformat(),
            "asked_by": known.asked_by,
            "outcome": known.outcome,
            "error": known.error,
            "run": known.run_id,
        },
        "pending": pending(services, space.id),
        "jobs": _jobs(services),
    }


def pending(services: Services, space_id: str) -> dict[str, int]:
    """Messages that nobody has read yet, by why they wait."""
    episode, waits = tables.Episode, tables.Pending
    query = (
        select(waits.reason, func.count())
        .select_from(episode)
        .outerjoin(waits, waits.episode_id == episode.id)
        .where(
            episode.space_id == space_id,
            episode.origin == "observed",
            episode.kind == "text",
            episode.extracted_by.is_(None),
        )
        .group_by(waits.reason)
    )
    with services.database.reading() as session:
        return {reason or "not_asked": n for reason, n in session.execute(query)}


def _running(services: Services, run: Run | None) -> dict[str, Any] | None:
    if run is None:
        return None
    told = run_entrance.run(services, run.id)
    return {"run": run.id, "started": told["started"], **(told["doing"] or {})}


def _last(services: Services, run: Run | None) -> dict[str, Any] | None:
    if run is None:
        return None
    told = run_entrance.run_json(run)
    stages = stage_records(services.database, run.id).values()
    broken = next((stage.name for stage in stages if stage.status in ("failed", "running")), None)
    match = re.match(r"([A-Za-z_]\w*(?:Error|Exception|Failed|Missing|Held|Spent|Full))\b", run.error or "")
    return {
        **{key: told[key] for key in ("run", "status", "started", "finished", "published")},
        "stage": broken if run.status in ("failed", "interrupted") else None,
        "error": match[1] if match and run.status == "failed" else None,
    }


def _jobs(services: Services) -> list[dict[str, Any]]:
    """Those that wait, run or failed, the newest first."""
    shown = (*queue.UNFINISHED, queue.FAILED)
    found = queue.list_jobs(services.database, services.space_id, states=shown, limit=SHOWN_JOBS)
    told = ("job", "kind", "state", "queued", "started", "finished", "step", "done", "total", "why")
    return [{key: value for key, value in job.as_json().items() if key in told} for job in found]
