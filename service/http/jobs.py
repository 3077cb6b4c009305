"""The routes about long work: what waits, runs and has ended, followed as it goes, and cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Response
from fastapi.responses import StreamingResponse
from starlette.concurrency import run_in_threadpool

from service.http import events
from service.http.given import App, Given
from service.http.paging import Paged, found_page
from service.jobs import queue
from service.jobs.queue import Job

router = APIRouter(tags=["jobs"])

_LOOK_S = 0.4
_SILENT_S = 15.0  # after which a line says that the stream lives


@router.get("/v1/jobs")
def every(
    app: Given,
    page: Paged,
    state: Literal["queued", "running", "done", "failed", "cancelled"] | None = None,
    kind: Annotated[str | None, Query(max_length=32)] = None,
) -> dict[str, Any]:
    """The space's jobs, the newest first."""
    states = queue.STATES if state is None else (state,)
    found = app.jobs.every(states=states, kind=kind, limit=page.limit + 1, after=page.after)
    return found_page("jobs", [job.as_json() for job in found], page, "job")


@router.get("/v1/jobs/{job_id}")
def one(app: Given, job_id: str) -> dict[str, Any]:
    """One job as it is now."""
    return app.jobs.get(job_id).as_json()


@router.delete("/v1/jobs/{job_id}")
def cancel(app: Given, job_id: str, response: Response) -> dict[str, Any]:
    """Take it out of the queue (200), or let it end at its next step (202); 409 where it has ended."""
    job = app.jobs.cancel(job_id)
    response.status_code = 200 if job.is_finished else 202
    return job.as_json()


@router.get("/v1/jobs/{job_id}/events", response_class=StreamingResponse)
async def follow(app: Given, job_id: str) -> StreamingResponse:
    """An event `job` whenever something changes, with the whole of it; the stream ends with the job."""
    first = await run_in_threadpool(app.jobs.get, job_id)
    return events.response(_changes(app, first))


async def _changes(app: App, job: Job) -> AsyncIterator[str]:
    yield events.event("job", job.as_json())
    silent_s = 0.0
    while not job.is_finished:
        await asyncio.sleep(_LOOK_S)
        silent_s += _LOOK_S
        try:
            now = await run_in_threadpool(app.jobs.get, job.id)
        except Exception as error:
            yield events.failed(error)
            return
        if now != job:
            job, silent_s = now, 0.0
            yield events.event("job", job.as_json())
        elif silent_s >= _SILENT_S:
            silent_s = 0.0
            yield ": it goes on\n\n"
