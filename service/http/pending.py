"""The routes that show what waits for a model, work it off, and tell what was spent."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from service.entrances import pending as pending_entrance
from service.http.given import Given
from service.http.route import Route

router = APIRouter(route_class=Route, tags=["reading"])


@router.get("/v1/pending")
def pending(app: Given) -> dict[str, Any]:
    """Messages that could not be read and facts without a verdict, by reason."""
    return pending_entrance.waiting(app.services)


@router.post("/v1/pending/drain")
def drain(app: Given) -> dict[str, Any]:
    """Try again to read what waits; answers when it is done, with what is left."""
    return pending_entrance.drain(app.services)


@router.get("/v1/budget")
def budget(app: Given) -> dict[str, Any]:
    """What the language model has cost, by day, and the limits."""
    return pending_entrance.budget(app.services)
