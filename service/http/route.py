"""What every route of `/v1` does alike: an ETag on what is read, If-Match before what is changed, answers given once.

The tag of an answer is a hash of what it says, so that a reader who polls is sent nothing twice. A POST with an
`Idempotency-Key` is done once: `kept_answers` remembers what it came to.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Annotated, Any
from urllib.parse import unquote

from fastapi import Depends, Request
from fastapi.responses import JSONResponse, Response
from fastapi.routing import APIRoute
from starlette.routing import Match
from starlette.types import Scope

from service.errors import ChangedMeanwhile
from service.http.kept_answers import answered_once

_CHANGING = threading.Lock()  # before what takes part in If-Match and is changed at once
_SLASH, _STANDS_FOR_SLASH = b"%2F", b"%EF%B7%90"  # a character that is in no text (U+FDD0)
_Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class Route(APIRoute):
    """For `APIRouter(route_class=Route)`."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """A name may hold a slash, sent as `%2F`: servers decode it, and the path would seem to go on behind it."""
        raw = scope.get("raw_path") or b""
        if _SLASH not in raw.upper():
            return super().matches(scope)
        path = unquote(re.sub(_SLASH, _STANDS_FOR_SLASH, raw, flags=re.IGNORECASE).decode("latin-1"))
        match, child = super().matches({**scope, "path": path})
        given = child.get("path_params", {})
        decoded = {
            name: value.replace(unquote(_STANDS_FOR_SLASH), "/") if isinstance(value, str) else value
            for name, value in given.items()
        }
        return match, {**child, "path_params": decoded} if given else child

    def get_route_handler(self) -> _Handler:
        handle = super().get_route_handler()

        async def handler(request: Request) -> Response:
            if request.method in ("GET", "HEAD"):
                return _tagged(request, await handle(request))
            if request.method == "POST" and "idempotency-key" in request.headers:
                return await answered_once(request, handle)
            return await handle(request)

        return handler


class Precondition:
    """The `If-Match` of a request that changes something."""

    def __init__(self, request: Request) -> None:
        self._given = request.headers.get("if-match")

    @contextmanager
    def held(self, current: Callable[[], Any]) -> Iterator[None]:
        """Checked, and no other request of this daemon changes it for as long as the block runs, which is not long."""
        with _CHANGING:
            self.check(current)
            yield

    def check(self, current: Callable[[], Any]) -> None:
        """`current` gives what the route that reads it would. Raises ChangedMeanwhile where it is another one by now.

        What it guards is to be held from before the check until after the change.
        """
        if self._given is None or self._given.strip() == "*":
            return
        if tag_of(json.loads(bytes(JSONResponse(current()).body))) not in _tags(self._given):
            raise ChangedMeanwhile


async def _precondition(request: Request) -> Precondition:
    return Precondition(request)


IfMatch = Annotated[Precondition, Depends(_precondition)]


def tag_of(document: Any) -> str:
    """A strong ETag of a JSON document, however it was written."""
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return f'"{hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]}"'


def _tagged(request: Request, answer: Response) -> Response:
    is_json = answer.headers.get("content-type", "").startswith("application/json")
    if answer.status_code != 200 or not is_json or not isinstance(answer.body, bytes):
        return answer
    tag = tag_of(json.loads(answer.body))
    headers = {"ETag": tag, "Cache-Control": "private, no-cache"}
    if tag in _tags(request.headers.get("if-none-match", "")):
        return Response(status_code=304, headers=headers)
    answer.headers.update(headers)
    return answer


def _tags(header: str) -> set[str]:
    return set(re.findall(r'"[^"]*"', header))
