"""Errors as problem+json (RFC 9457): one line that says what to do, and what a program needs to go on."""

from __future__ import annotations

import logging
import re
import traceback
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from db.errors import LeaseHeld
from memory.errors import UnknownPerson
from service.errors import EXPECTED, PersonasBusy, http_status, one_line

MEDIA_TYPE = "application/problem+json"

log = logging.getLogger(__name__)


def problem(error: Exception) -> dict[str, Any]:
    """The body for an expected error; anything else says no more than that it happened."""
    if is_unexpected(error):
        return body(500, "something went wrong inside; the daemon's log has the place", "internal")
    extra: dict[str, Any] = {}
    if isinstance(error, LeaseHeld):
        extra["holder"] = error.holder
    if isinstance(error, UnknownPerson):
        extra["nearest"] = list(error.nearest)
    return body(http_status(error), one_line(error), _kind(error), **extra)


def is_unexpected(error: Exception) -> bool:
    """Whether it is a mistake of ours, whose place belongs into the log."""
    return not isinstance(error, EXPECTED)


def body(status: int, detail: str, kind: str | None = None, **extra: Any) -> dict[str, Any]:
    title = HTTPStatus(status).phrase
    name = kind or title.lower().replace(" ", "-")
    return {
        "type": f"urn:slowwave:problem:{name}",
        "title": title,
        "status": status,
        "detail": detail,
        **extra,
    }


def response(content: dict[str, Any], headers: dict[str, str] | None = None) -> JSONResponse:
    return JSONResponse(content, content["status"], headers, media_type=MEDIA_TYPE)


def install(app: FastAPI) -> None:
    """Map every error of the routes."""
    for kind in EXPECTED:
        app.add_exception_handler(kind, _on_expected)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(RequestValidationError, _on_invalid)


def _kind(error: Exception) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "-", type(error).__name__).lower()


async def _on_expected(_: Request, error: Exception) -> JSONResponse:
    headers = {"Retry-After": str(error.retry_after_s)} if isinstance(error, PersonasBusy) else None
    return response(problem(error), headers)


async def _on_http(_: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, HTTPException):
        raise error
    headers = dict(error.headers) if error.headers else None
    return response(body(error.status_code, str(error.detail)), headers)


async def _on_invalid(_: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, RequestValidationError):
        raise error
    wrong = [_field(item) for item in error.errors()]
    said = "; ".join(f"{one['field']}: {one['detail']}" for one in wrong)
    return response(body(422, said, errors=wrong))


def _field(item: dict[str, Any]) -> dict[str, str]:
    """Which field, and what is to be done; never what stood in it."""
    place = item["loc"] if item["type"] != "json_invalid" else item["loc"][:1]
    return {
        "field": ".".join(str(part) for part in place),
        "detail": item["msg"].removeprefix("Value error, "),
    }


def log_unexpected(error: Exception) -> None:
    """Class and place; the message may hold somebody's words and stays out."""
    frames = "".join(traceback.format_tb(error.__traceback__))
    log.error("unexpected %s\n%s", type(error).__name__, frames)
