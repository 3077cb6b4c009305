"""The routes about people: who is known, what is known of them, merging two of them and undoing it."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from service.http_app import Given

router = APIRouter()


@router.get("/v1/people")
def people(app: Given) -> list[dict[str, Any]]:
    """Everybody the graph knows; those who speak first."""
    from memory.people import list_people

    found = list_people(app.services.database, app.services.space_id)
    return [{"id": p.id, "name": p.name, "aliases": list(p.aliases), "speaks": p.is_speaker} for p in found]
