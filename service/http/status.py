"""How the daemon is: whether it lives, whether it can work, what it does and what it has counted."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import PlainTextResponse
from sqlalchemy import func, select

from db.tables import Episode, Fact, Pending, Schedule
from service import machine
from service.daemon.readiness import readiness
from service.entrances.status import status as told_status
from service.http.given import GivenCaller, GivenSpaces
from service.spaces import Spaces

router = APIRouter(tags=["daemon"])


@router.get("/healthz")
async def healthz(spaces: GivenSpaces) -> dict[str, Any]:
    """Whether the daemon lives: it answers, whatever else is busy."""
    return {"status": "ok", "night_running": spaces.night_running}


@router.get("/readyz")
def readyz(spaces: GivenSpaces, request: Request, response: Response) -> dict[str, Any]:
    """Whether it can do its work; 503 with the check that fails where it cannot."""
    found = readiness(spaces, getattr(request.app.state, "scheduler", None))
    response.status_code = 200 if found["ready"] else 503
    return found


@router.get("/v1/status")
def status(spaces: GivenSpaces, caller: GivenCaller) -> dict[str, Any]:
    """What runs, waits and failed in the spaces that the caller may open, and what the machine has left."""
    shown = [space for space in spaces.all() if caller.space in (None, space.name)]
    with spaces.use(caller.space) as app:
        return told_status(app.services, shown)


@router.get("/metrics", response_class=PlainTextResponse)
def metrics(spaces: GivenSpaces) -> PlainTextResponse:
    """What was counted since the start, and sizes over all spaces, as Prometheus reads them."""
    return PlainTextResponse(
        spaces.metrics.render(_gauges(spaces)), media_type="text/plain; version=0.0.4; charset=utf-8"
    )


def _gauges(spaces: Spaces) -> dict[str, float]:
    database = spaces.shared.database
    counted = {
        "slowwave_episodes": select(func.count()).select_from(Episode),
        "slowwave_facts": select(func.count()).select_from(Fact),
        "slowwave_pending": select(func.count()).select_from(Pending),
        "slowwave_nights_waiting": select(func.count())
        .select_from(Schedule)
        .where(Schedule.waits_since.is_not(None)),
    }
    with database.reading() as session:
        found: dict[str, float | None] = {name: session.scalar(query) for name, query in counted.items()}
    found |= {
        "slowwave_night_running": float(spaces.night_running),
        "slowwave_resident_bytes": machine.resident_bytes(),
        "slowwave_store_bytes": machine.store_bytes(database),
        "slowwave_disk_free_bytes": machine.free_bytes(spaces.settings.home),
        "slowwave_started_seconds": spaces.metrics.started_at,
    }
    return {name: value for name, value in found.items() if value is not None}
