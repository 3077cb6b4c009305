"""What every router of the HTTP entrance shares: the space that a request is about, and how a moment is read.

Dependencies are coroutines: one that is not takes a thread, and the request waits for it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, time
from typing import Annotated, Any
from urllib.parse import unquote

from fastapi import Depends, Request
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from service.access.callers import NOBODY, Caller
from service.settings import MAX_SEED
from service.spaces import App, Spaces

__all__ = ["App", "AskedSampling", "Given", "GivenCaller", "GivenSpaces", "Seed", "as_moment"]

SPACE_HEADER = "Slowwave-Space"

Seed = Annotated[int, Field(ge=0, le=MAX_SEED)]
MAX_TURN = 60_000  # characters that are said to a persona at once


class AskedSampling(BaseModel):
    """The fields of `simulator.drawing.AskedSampling`; their bounds are the simulator's."""

    temperature: float | None = Field(None, description="0 always takes the likeliest token.")
    top_k: int | None = Field(None, description="How many of the likeliest tokens are left; 0: all.")
    top_p: float | None = Field(None, description="Share of probability that is left of the tokens.")
    min_p: float | None = Field(
        None, description="Share of the likeliest token's probability that one must have."
    )
    repetition_penalty: float | None = Field(None, description="Above 1 recent tokens are less likely.")
    dry_multiplier: float | None = Field(
        None, description="How much going on with a repetition costs; 0: nothing."
    )
    max_new_tokens: int | None = Field(
        None, description="The most that a reply has; it is as long as theirs are anyway."
    )

    def knobs(self) -> dict[str, Any]:
        return self.model_dump(include=set(AskedSampling.model_fields))


async def _spaces(request: Request) -> Spaces:
    spaces: Spaces = request.app.state.spaces
    return spaces


async def _caller(request: Request) -> Caller:
    """Who asks; behind a route that anybody may ask there can be nobody."""
    caller: Caller | None = request.state.caller
    return caller or NOBODY


GivenSpaces = Annotated[Spaces, Depends(_spaces)]
GivenCaller = Annotated[Caller, Depends(_caller)]


async def _app(request: Request, spaces: GivenSpaces, caller: GivenCaller) -> AsyncIterator[App]:
    """The space is held open until the last byte of the answer is sent."""
    name = (space_of(request, caller) if caller.scopes else None) or spaces.default
    if not spaces.is_open(name):
        await run_in_threadpool(_open, spaces, name)
    spaces.was_asked()
    with spaces.use(name) as app:
        request.state.space_id = app.services.space_id  # for the audit log
        yield app


def _open(spaces: Spaces, name: str) -> None:
    with spaces.use(name):
        pass


Given = Annotated[App, Depends(_app)]


def space_of(request: Request, caller: Caller) -> str | None:
    """The space that the request names, else the only one of its token; None leaves it to the settings.

    Raises 400 where it names two, and 403 where the token opens another: also for one that is not there, which
    nobody else's token can tell from one that is.
    """
    named = [unquote(value) for value in request.headers.getlist(SPACE_HEADER)]
    named += request.query_params.getlist("space")
    if len(set(named)) > 1:
        raise HTTPException(400, f"name one space, by the header {SPACE_HEADER} or by ?space=, not several")
    if not named:
        return caller.space
    if caller.space is not None and named[0] != caller.space:
        raise HTTPException(
            403, f"this token opens the space {caller.space!r} alone; leave {SPACE_HEADER} out"
        )
    return named[0]


def as_moment(value: datetime | date | None) -> datetime | None:
    """A date means its first moment; a time without a zone is UTC."""
    if value is None:
        return None
    moment = value if isinstance(value, datetime) else datetime.combine(value, time())
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
