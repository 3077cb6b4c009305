"""The routes about people: who is known, what is known of them, by which names; merging two and undoing it."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any, Literal

from fastapi import APIRouter
from fastapi.responses import HTMLResponse, JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field

from service.http.given import Given, as_moment
from service.http.paging import Paged, page_of
from service.http.route import Route

router = APIRouter(route_class=Route, tags=["people"])


class Name(BaseModel):
    model_config = ConfigDict(extra="forbid")
    name: str = Field(min_length=1, max_length=1000)


class NewMerge(BaseModel):
    model_config = ConfigDict(extra="forbid")
    kept: str
    other: str
    force: bool = False
    dry_run: bool = False


@router.get("/v1/people")
def people(app: Given, page: Paged) -> dict[str, Any]:
    """Everybody the graph knows; those who speak first."""
    from memory.people import list_people, person_json

    found = [person_json(one) for one in list_people(app.services.database, app.services.space_id)]
    return page_of("people", found, page, "id")


@router.get("/v1/duplicates")
def duplicates(app: Given) -> list[dict[str, Any]]:
    """Pairs who may be one person, with the reasons; nothing is merged."""
    from memory.duplicates import duplicate_json, likely_duplicates

    services = app.services
    found = likely_duplicates(services.database, services.space_id, services.registry)
    return [duplicate_json(pair) for pair in found]


@router.get("/v1/people/{name}/patterns")
def patterns(app: Given, name: str, known_to: str | None = None) -> list[dict[str, Any]]:
    """What the person does again and again, as they say themselves or as the nights have counted."""
    from consolidation.patterns import list_patterns, pattern_json

    services = app.services
    found = list_patterns(
        services.database,
        services.space_id,
        services.registry,
        person_id=services.person(name).id,
        known_to=services.person(known_to).id if known_to else None,
    )
    return pattern_json(services.database, found)


@router.get("/v1/people/{name}", response_model=None)
def profile(
    app: Given,
    name: str,
    as_of: datetime | date | None = None,
    known_to: str | None = None,
    format: Literal["json", "html"] = "json",
) -> Response:
    """The person's card, as JSON or (`format=html`) as a page."""
    from memory.profile import profile_json
    from service.entrances.card_page import render

    moment = as_moment(as_of)
    card = app.services.profile(name, as_of=moment, known_to=known_to)
    if format == "html":
        return HTMLResponse(render(card, as_of=moment))
    return JSONResponse(profile_json(card))


@router.get("/v1/people/{name}/relations")
def relations(
    app: Given, name: str, as_of: datetime | date | None = None, known_to: str | None = None
) -> list[dict[str, Any]]:
    """Who is what to the person, by the facts of either side."""
    from memory.profile import relation_json

    _, found = app.services.relations(name, as_of=as_moment(as_of), known_to=known_to)
    return [relation_json(edge) for edge in found]


@router.put("/v1/people/{name}/name")
def rename(app: Given, name: str, new: Name) -> dict[str, Any]:
    """Show the person under another name; the old one still leads to them."""
    from memory.aliases import rename as give_name
    from memory.people import person_json

    services = app.services
    return person_json(give_name(services.database, services.space_id, services.person(name).id, new.name))


@router.post("/v1/people/{name}/aliases", status_code=201)
def alias(app: Given, name: str, new: Name) -> dict[str, Any]:
    """Let the person go by one more name."""
    from memory.aliases import give_alias
    from memory.people import person_json

    services = app.services
    return person_json(give_alias(services.database, services.space_id, services.person(name).id, new.name))


@router.delete("/v1/people/{name}/aliases/{alias}")
def unalias(app: Given, name: str, alias: str) -> dict[str, Any]:
    """Take a name back that the person goes by."""
    from memory.aliases import take_alias
    from memory.people import person_json

    services = app.services
    return person_json(take_alias(services.database, services.space_id, services.person(name).id, alias))


@router.get("/v1/merges")
def merges(app: Given, page: Paged) -> dict[str, Any]:
    """Every merge, the newest first; those that were undone as well."""
    from memory.merging import list_merges, merge_json

    found = [merge_json(row) for row in list_merges(app.services.database, app.services.space_id)]
    return page_of("merges", found, page, "merge")


@router.post("/v1/merges")
def merge(app: Given, wanted: NewMerge) -> dict[str, Any]:
    """Make one person of two, or only say what that would do (`dry_run`)."""
    from memory.merging import report_json

    report = app.services.merge(wanted.kept, wanted.other, force=wanted.force, dry_run=wanted.dry_run)
    return report_json(report)


@router.delete("/v1/merges/{merge_id}")
def unmerge(app: Given, merge_id: str) -> list[dict[str, Any]]:
    """Undo a merge: the two people, apart again."""
    from memory.merging import unmerge as part
    from memory.people import person_json

    services = app.services
    two = part(services.database, services.space_id, merge_id, clock=services.clock)
    return [person_json(one) for one in two]
