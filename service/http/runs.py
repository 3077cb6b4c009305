"""The routes of nights: begin one, look at them, follow one live, read its report, let an earlier one serve."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Path, Response
from fastapi.responses import FileResponse, StreamingResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from service.daemon.nights import night_settings
from service.entrances import run as run_entrance
from service.http import events
from service.http.given import App, Given, Seed
from service.http.paging import Paged, page_of
from service.http.route import Route

LOOK_S = 0.5  # between two looks at a night that is followed
QUIET_S = 15.0  # after which a comment keeps the connection

router = APIRouter(route_class=Route, tags=["nights"])

Id = Annotated[str, Path(pattern=r"^[\w.:-]{1,64}$")]


class NewNight(BaseModel):
    model_config = ConfigDict(extra="forbid")
    seed: Seed | None = None
    minutes: Annotated[float | None, Field(gt=0)] = None
    model: str | None = None
    fresh: bool = False


class RollBack(BaseModel):
    model_config = ConfigDict(extra="forbid")
    to: Annotated[str | None, Field(min_length=1, max_length=64)] = None


@router.post("/v1/sleep", status_code=202)
def sleep(app: Given, response: Response, night: NewNight | None = None) -> dict[str, Any]:
    """Begin a night in the background, or go on with one that was stopped; it waits while one of another space runs.

    409 names who runs one of this space already.
    """
    wanted = night or NewNight()
    if wanted.model not in (None, "embedded", app.services.settings.night.base_model):
        raise HTTPException(400, "the model is that of the daemon's night.base_model, or `embedded`")
    settings = night_settings(
        app.services.settings.night, seed=wanted.seed, minutes=wanted.minutes, model=wanted.model
    )
    run_id = app.nights.start(settings, resume=not wanted.fresh)
    if run_id is None:
        return {"run": None, "status": "waiting"}
    response.headers["Location"] = f"/v1/runs/{run_id}"
    return {"run": run_id, "status": "running"}


@router.get("/v1/runs")
def runs(app: Given, page: Paged) -> dict[str, Any]:
    """The nights, the newest first."""
    return page_of("runs", run_entrance.runs(app.services), page, "run")


@router.get("/v1/runs/{run_id}")
def run(app: Given, run_id: Id) -> dict[str, Any]:
    """One night: its stages so far, its exam, and where it stands while it runs, with the seconds that it still takes."""
    return run_entrance.run(app.services, run_id)


@router.get("/v1/runs/{run_id}/events", response_class=StreamingResponse)
async def follow_run(app: Given, run_id: Id) -> StreamingResponse:
    """A night live: an event `run` at once and whenever something has changed, `end` when it is over."""
    first = await run_in_threadpool(run, app, run_id)
    return events.response(_followed(app, first))


@router.get("/v1/runs/{run_id}/report", response_class=FileResponse)
def report(app: Given, run_id: Id) -> FileResponse:
    """The night's report, one self-contained page; made again where its file is gone."""
    from consolidation.runs import get_run

    get_run(app.services.database, app.services.space_id, run_id)
    path = run_entrance.report_path(app.services, run_id)
    if path is None:
        raise HTTPException(404, f"night {run_id} has no report yet")
    page = path if path.is_file() else app.services.night_page(run_id)
    return FileResponse(page, media_type="text/html")


@router.post("/v1/roll-back")
def roll_back(app: Given, wanted: RollBack | None = None) -> dict[str, Any]:
    """Let an earlier night serve again: the one before, or the one that is named; `run` is null for the plain base."""
    return run_entrance.roll_back(app.services, wanted.to if wanted else None)


async def _followed(app: App, told: dict[str, Any]) -> AsyncIterator[str]:
    run_id, spoken = told["run"], time.monotonic()
    yield events.event("run", told)
    while told["status"] == "running":
        await asyncio.sleep(LOOK_S)
        try:
            now = await run_in_threadpool(run, app, run_id)
        except Exception as error:  # the response has begun: it is told as an event
            yield events.failed(error)
            return
        if now != told:
            told, spoken = now, time.monotonic()
            yield events.event("run", told)
        elif time.monotonic() - spoken > QUIET_S:
            spoken = time.monotonic()
            yield ": still the same\n\n"
    yield events.event("end", told)
