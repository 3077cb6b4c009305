"""The HTTP entrance: `create_app` and the routes of `/v1`. Shapes are those of the CLI's `--json`.

Routes are plain functions, run in threads; one lock of a space stands before its persona, and who waits for that waits
in a room. Everything that decides anything is in the packages below. Documented in docs/http.md.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import APIRouter, Depends, FastAPI
from starlette.concurrency import run_in_threadpool

from service import problems
from service.access.guard import Gate, Guard
from service.access.scopes import admit
from service.http import (
    ask,
    chats,
    constitution,
    digests,
    episodes,
    exchange,
    facts,
    forgetting,
    front,
    imports,
    jobs,
    kept_answers,
    pending,
    people,
    personas,
    readouts,
    recipes,
    review,
    runs,
    status,
    tokens,
)
from service.http import spaces as http_spaces
from service.http.description import describe, operation_id
from service.mcp import http
from service.spaces import Spaces
from service.wiring import Services

# FastAPI can hand requests to OpenTelemetry; nothing leaves this daemon but its answers
_NO_TELEMETRY: Any = dict.fromkeys(("tracing", "metrics", "logs", "operation_spans", "auto_configure"), False)
TALK_TIMEOUT_S = 10.0  # how long a persona may go on speaking then
STOP_TIMEOUT_S = 60.0  # how long a night may take to reach its next step when the daemon ends


def routers() -> tuple[APIRouter, ...]:
    """Every router of the application; each is documented in docs/http.md."""
    return (
        status.router,
        http_spaces.router,
        tokens.router,
        ask.router,
        chats.router,
        runs.router,
        personas.router,
        recipes.router,
        readouts.router,
        episodes.router,
        people.router,
        constitution.router,
        facts.router,
        exchange.router,
        imports.router,
        jobs.router,
        forgetting.router,
        review.router,
        pending.router,
        front.router,
        digests.router,
    )


def create_app(opened: Spaces | Services, *, token: str = "") -> FastAPI:
    """The application on the spaces of a store; with services alone, on those of the store that they are open in.

    `token` is one of all spaces and every scope; with it nobody is served without one.
    """
    spaces = opened if isinstance(opened, Spaces) else Spaces.around(opened)
    gate, agents = Gate(spaces, token), http.Endpoints(spaces)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        keeping = [asyncio.create_task(work) for work in (_keep_house(gate), kept_answers.keep(spaces))]
        await run_in_threadpool(spaces.take_up_jobs)
        async with agents.running():
            yield
        for task in keeping:
            task.cancel()
        await run_in_threadpool(gate.write_down_uses)
        await run_in_threadpool(spaces.end, talk_timeout_s=TALK_TIMEOUT_S, night_timeout_s=STOP_TIMEOUT_S)

    # the interactive pages of FastAPI load scripts from elsewhere, so only the description is served
    app = FastAPI(
        title="slowwave",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url="/v1/openapi.json",
        telemetry=_NO_TELEMETRY,
        generate_unique_id_function=operation_id,
        dependencies=[Depends(admit)],
    )
    app.state.spaces = spaces
    for part in routers():
        app.include_router(part)
    app.router.routes.extend(agents.routes)
    app.add_middleware(Guard, gate=gate)
    problems.install(app)
    describe(app)
    return app


async def _keep_house(gate: Gate) -> None:
    """Once a minute: close spaces that nobody uses, drop uploads that were left, write down when tokens were last used."""
    idle_s = 60.0 * gate.spaces.settings.serve.space_idle_minutes
    while True:
        await asyncio.sleep(60.0)
        try:
            if idle_s:
                await run_in_threadpool(gate.spaces.close_idle, idle_s)
            await run_in_threadpool(gate.write_down_uses)
            await run_in_threadpool(gate.spaces.drop_left_uploads)
        except Exception as error:  # a store that is busy now is not so in a minute
            problems.log_unexpected(error)
