"""The HTTP entrance: `create_app` and the routes of `/v1`. Shapes are those of the CLI's `--json`.

Routes are plain functions, run in threads; one lock stands before the index and the persona. Everything that decides
anything is in the packages below. Documented in docs/http.md.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, FastAPI, Query, Request, Response
from fastapi.responses import FileResponse, JSONResponse, PlainTextResponse, StreamingResponse
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import func, select
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from db.tables import Episode, Fact
from service import (
    http_ask,
    http_constitution,
    http_digests,
    http_exchange,
    http_facts,
    http_forgetting,
    http_pending,
    http_people,
    http_review,
    http_spaces,
    problems,
)
from service.guard import Guard
from service.http_app import App, Given
from service.nights import night_settings
from service.spaces import Spaces
from service.talks import Says
from service.wiring import Services
from simulator.steering import Wish

# FastAPI can hand requests to OpenTelemetry; nothing leaves this daemon but its answers
_NO_TELEMETRY: Any = dict.fromkeys(("tracing", "metrics", "logs", "operation_spans", "auto_configure"), False)
TALK_TIMEOUT_S = 10.0  # how long a persona may go on speaking then
STOP_TIMEOUT_S = 60.0  # how long a night may take to reach its next step when the daemon ends


class Turn(BaseModel):
    model_config = ConfigDict(extra="forbid", populate_by_name=True)
    person: str
    as_person: str = Field(alias="as")
    text: str = Field(max_length=8000)
    autocomplete: bool = False
    seed: int | None = None
    temperature: float | None = None  # bounds are the simulator's, as for each that follows
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    think: bool = False
    use_weights: bool = True
    steer: dict[str, float] = {}  # direction -> dose
    force_dose: bool = False
    stream: bool = False


class Night(BaseModel):
    model_config = ConfigDict(extra="forbid")
    seed: int | None = None
    minutes: Annotated[float | None, Field(gt=0)] = None
    model: str | None = None
    fresh: bool = False


router = APIRouter()


def routers() -> tuple[APIRouter, ...]:
    """Every router of the application; each is documented in docs/http.md."""
    return (
        router,
        http_spaces.router,
        http_ask.router,
        http_people.router,
        http_constitution.router,
        http_facts.router,
        http_exchange.router,
        http_forgetting.router,
        http_review.router,
        http_pending.router,
        http_digests.router,
    )


def create_app(opened: Spaces | Services, *, token: str = "") -> FastAPI:
    """The application on the spaces of a store; with services alone, on those of the store that they are open in.

    `token` is one of all spaces and every scope; with it nobody is served without one.
    """
    spaces = opened if isinstance(opened, Spaces) else Spaces.around(opened)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        closing = asyncio.create_task(_close_idle(spaces))
        yield
        closing.cancel()
        await run_in_threadpool(spaces.end, talk_timeout_s=TALK_TIMEOUT_S, night_timeout_s=STOP_TIMEOUT_S)

    # the interactive pages of FastAPI load scripts from elsewhere, so only the description is served
    app = FastAPI(
        title="slowwave",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url="/v1/openapi.json",
        telemetry=_NO_TELEMETRY,
    )
    app.state.spaces = spaces
    for part in routers():
        app.include_router(part)
    app.add_middleware(Guard, token=token, metrics=spaces.metrics)
    problems.install(app)
    return app


async def _close_idle(spaces: Spaces) -> None:
    idle_s = 60.0 * spaces.settings.serve.space_idle_minutes
    while idle_s:
        await asyncio.sleep(min(60.0, idle_s))
        await run_in_threadpool(spaces.close_idle, idle_s)


@router.get("/healthz")
def healthz(app: Given) -> dict[str, Any]:
    """Whether the store answers."""
    with app.services.database.reading() as session:
        session.scalar(select(1))
    return {"status": "ok", "night_running": app.nights.is_running}


@router.get("/metrics", response_class=PlainTextResponse)
def metrics(app: Given) -> PlainTextResponse:
    """Counters and the size of the graph, as Prometheus reads them."""
    space_id = app.services.space_id
    with app.services.database.reading() as session:
        sizes = [
            session.scalar(select(func.count()).select_from(table).where(table.space_id == space_id)) or 0
            for table in (Episode, Fact)
        ]
    gauges = {
        "slowwave_episodes": sizes[0],
        "slowwave_facts": sizes[1],
        "slowwave_night_running": float(app.nights.is_running),
    }
    return PlainTextResponse(app.metrics.render(gauges), media_type="text/plain; version=0.0.4")


@router.post("/v1/chat", response_model=None)
def chat(app: Given, turn: Turn, request: Request) -> Response:
    """Say something to a persona: JSON, or server-sent events with `stream` or `Accept: text/event-stream`."""
    wishes = tuple(Wish.parse(f"{name}={dose}") for name, dose in turn.steer.items())
    says = Says(**turn.model_dump(exclude={"stream", "steer"}), steer=wishes)
    if turn.stream or "text/event-stream" in request.headers.get("accept", ""):
        events = _events(app, says)
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return StreamingResponse(events, media_type="text/event-stream", headers=headers)
    spoken = app.talks.reply(says)
    app.metrics.count("slowwave_chat_turns_total")
    return JSONResponse(spoken.as_json())


@router.post("/v1/sleep", status_code=202)
def sleep(app: Given, response: Response, night: Night | None = None) -> dict[str, Any]:
    """Begin a night in the background, or go on with one that was stopped. 409 names who runs one already."""
    wanted = night or Night()
    settings = night_settings(
        app.services.settings.night, seed=wanted.seed, minutes=wanted.minutes, model=wanted.model
    )
    run_id = app.nights.start(settings, resume=not wanted.fresh)
    response.headers["Location"] = f"/v1/runs/{run_id}"
    return {"run": run_id, "status": "running"}


@router.get("/v1/runs")
def runs(app: Given, limit: Annotated[int, Query(ge=1, le=1000)] = 50) -> list[dict[str, Any]]:
    """The nights, the newest first."""
    from consolidation.runs import list_runs, reap

    reap(app.services.database, app.services.space_id)
    return [_run_json(run) for run in list_runs(app.services.database, app.services.space_id, limit)]


@router.get("/v1/runs/{run_id}")
def run(app: Given, run_id: str) -> dict[str, Any]:
    """One night: its stages so far, its exam, and where it stands while it runs."""
    from consolidation.runs import get_run, reap, stage_records

    reap(app.services.database, app.services.space_id)
    found = get_run(app.services.database, app.services.space_id, run_id)
    records = stage_records(app.services.database, run_id)
    doing = app.nights.doing
    return {
        **_run_json(found),
        "stages": [
            {"name": record.name, "status": record.status, "seconds": record.seconds, "counts": record.counts}
            for record in records.values()
        ],
        "exam": records["exam"].output.get("exam", {}) if "exam" in records else {},
        "doing": {"stage": doing.stage, "done": doing.done, "total": doing.total}
        if doing is not None and doing.run_id == run_id
        else None,
        "report": f"/v1/runs/{run_id}/report" if _report_path(app, run_id) else None,
    }


@router.get("/v1/runs/{run_id}/report", response_class=FileResponse)
def report(app: Given, run_id: str) -> FileResponse:
    """The night's report, one self-contained page; made again where its file is gone."""
    from consolidation.runs import get_run

    get_run(app.services.database, app.services.space_id, run_id)
    path = _report_path(app, run_id)
    if path is None:
        raise HTTPException(404, f"night {run_id} has no report yet")
    page = path if path.is_file() else app.services.night_page(run_id)
    return FileResponse(page, media_type="text/html")


def _run_json(run: Any) -> dict[str, Any]:
    return {
        "run": run.id,
        "status": run.status,
        "started": run.started_at.isoformat(),
        "finished": run.finished_at.isoformat() if run.finished_at else None,
        "published": run.is_published,
        "error": run.error,
    }


def _report_path(app: App, run_id: str) -> Path | None:
    from consolidation.runs import stage_records

    record = stage_records(app.services.database, run_id).get("report")
    relative = record.output.get("report") if record is not None else None
    return app.services.settings.home / relative if relative else None


def _events(app: App, says: Says) -> Iterator[str]:
    """`piece` events as the reply is drawn, then `turn` with the whole of it, or `problem`."""
    spoken = app.talks.stream(says)  # raises before the response begins

    def events() -> Iterator[str]:
        for part in spoken:
            if isinstance(part, str):
                yield _event("piece", {"text": part})
            elif isinstance(part, Exception):
                problems.log_unexpected(part)
                yield _event("problem", problems.problem(part))
            else:
                app.metrics.count("slowwave_chat_turns_total")
                yield _event("turn", part.as_json())

    return events()


def _event(name: str, data: dict[str, Any]) -> str:
    return f"event: {name}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n"
