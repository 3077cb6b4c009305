"""The routes that read digests of old talk."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path

from service.entrances import digest as digest_entrance
from service.http.given import Given, as_moment
from service.http.paging import Paged, page_of
from service.http.route import Route

router = APIRouter(route_class=Route, tags=["people"])


@router.get("/v1/digests")
def digests(
    app: Given, page: Paged, known_to: str | None = None, as_of: datetime | date | None = None
) -> dict[str, Any]:
    """Old months of talk, each by the messages that tell most of it."""
    found = digest_entrance.digests(app.services, known_to=known_to, as_of=as_moment(as_of))
    return page_of("digests", found, page, "id")


@router.get("/v1/digests/{digest_id}")
def digest(
    app: Given,
    digest_id: Annotated[str, Path(pattern=r"^[\w.:-]{1,64}$")],
    known_to: str | None = None,
    as_of: datetime | date | None = None,
) -> dict[str, Any]:
    """One of them."""
    return digest_entrance.digest(app.services, digest_id, known_to=known_to, as_of=as_moment(as_of))
