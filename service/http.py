"""The HTTP entrance: `create_app` and the routes of `/v1`. Shapes are those of the CLI's `--json`.

Routes are plain functions, run in threads; one lock stands before the index and the persona. Everything that decides
anything is in the packages below. Documented in docs/http.md.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.responses import PlainTextResponse
from sqlalchemy import func, select
from starlette.concurrency import run_in_threadpool

from db.tables import Episode, Fact
from service import (
    http_ask,
    http_chats,
    http_constitution,
    http_digests,
    http_episodes,
    http_exchange,
    http_facts,
    http_forgetting,
    http_imports,
    http_jobs,
    http_page,
    http_pending,
    http_people,
    http_personas,
    http_readouts,
    http_recipes,
    http_review,
    http_runs,
    http_spaces,
    problems,
)
from service.guard import Guard
from service.http_app import Given
from service.spaces import Spaces
from service.wiring import Services

# FastAPI can hand requests to OpenTelemetry; nothing leaves this daemon but its answers
_NO_TELEMETRY: Any = dict.fromkeys(("tracing", "metrics", "logs", "operation_spans", "auto_configure"), False)
TALK_TIMEOUT_S = 10.0  # how long a persona may go on speaking then
STOP_TIMEOUT_S = 60.0  # how long a night may take to reach its next step when the daemon ends


router = APIRouter()


def routers() -> tuple[APIRouter, ...]:
    """Every router of the application; each is documented in docs/http.md."""
    return (
        router,
        http_spaces.router,
        http_ask.router,
        http_chats.router,
        http_runs.router,
        http_personas.router,
        http_recipes.router,
        http_readouts.router,
        http_episodes.router,
        http_people.router,
        http_constitution.router,
        http_facts.router,
        http_exchange.router,
        http_imports.router,
        http_jobs.router,
        http_forgetting.router,
        http_review.router,
        http_pending.router,
        http_page.router,
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
        await run_in_threadpool(spaces.take_up_jobs)
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
