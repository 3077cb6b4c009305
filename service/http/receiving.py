"""A body that goes to the disk piece by piece as it comes, so that no request has to fit into memory."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import Request
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect

from service.errors import BadUpload

_PIECE = 1 << 20  # bytes written at a time


async def pour(request: Request, take: Callable[[bytes], None]) -> None:
    """Give the whole body to `take`. Raises BadUpload where it breaks off, and what `take` does."""
    held = bytearray()
    try:
        async for piece in request.stream():
            held += piece
            if len(held) >= _PIECE:
                await run_in_threadpool(take, bytes(held))
                held.clear()
    except ClientDisconnect as error:
        raise BadUpload("it broke off before its end") from error
    if held:
        await run_in_threadpool(take, bytes(held))
