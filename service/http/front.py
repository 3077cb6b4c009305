"""The page at `/` with its files, which routes this daemon has, and the map of the graph that the page draws.

The files hold nobody's words; what the page shows it asks of `/v1` like any other client, and it shows no view whose
routes are not there.
"""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response
from starlette.exceptions import HTTPException

from service.http.given import Given
from service.http.page_files import Page, PageFile

router = APIRouter()
page = Page()

_FOR_EVER = "public, max-age=31536000, immutable"
_ASK_AGAIN = "no-cache"


@router.get("/", include_in_schema=False)
def index(request: Request) -> Response:
    """The page."""
    return _answer(request, page.index, _ASK_AGAIN)


@router.get("/page/routes", include_in_schema=False)
def routes(request: Request) -> list[str]:
    """Every route of `/v1` as "METHOD path"."""
    described = request.app.openapi()["paths"]
    return sorted(
        f"{method.upper()} {path}"
        for path, methods in described.items()
        for method in methods
        if path.startswith("/v1/")
    )


@router.get("/page/{version}/{name:path}", include_in_schema=False)
def file(request: Request, version: str, name: str) -> Response:
    """A file of the page's version that is served now."""
    found = page.find(name) if version == page.version else None
    if found is None:
        raise HTTPException(404, "the page has no such file; reload it, the program may have been updated")
    return _answer(request, found, _FOR_EVER)


@router.get("/v1/graph/map")
def graph_map(app: Given) -> dict[str, Any]:
    """Everything in the graph as columns, placed for the eye: nodes, the best connected first, and links between them."""
    from memory.graph_map import graph_map as read

    return read(app.services.database, app.services.space_id, clock=app.services.clock).as_json()


def _answer(request: Request, found: PageFile, caching: str) -> Response:
    headers = {"ETag": found.etag, "Cache-Control": caching, "Vary": "Accept-Encoding"}
    if found.etag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    if "gzip" in request.headers.get("accept-encoding", ""):
        headers["Content-Encoding"] = "gzip"
        return Response(found.packed, media_type=found.media_type, headers=headers)
    return Response(found.body, media_type=found.media_type, headers=headers)
