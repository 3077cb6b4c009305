"""The routes by which a person looks at what the night did, settles what it could not, and pins facts."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, ConfigDict

from memory.ledger import entries, entry_json, verification_json
from service.entrances import review as review_entrance
from service.http.given import Given
from service.http.paging import MAX_SEQ, Page, found_page
from service.http.route import Route

router = APIRouter(route_class=Route, tags=["review"])

Id = Annotated[str, Path(pattern=r"^[\w.:-]{1,64}$")]


class Settlement(BaseModel):
    model_config = ConfigDict(extra="forbid")
    verdict: Literal["accept", "reject", "correct"]
    object: str | None = None
    by: str | None = None


@router.get("/v1/facts/{fact_id}/why")
def why(app: Given, fact_id: Id) -> dict[str, Any]:
    """One fact with the terms of its salience, what the check found, its decisions and how to undo them."""
    return review_entrance.why(app.services, fact_id)


@router.get("/v1/review")
def review(
    app: Given,
    limit: Annotated[int, Query(ge=1, le=1000)] = 20,
    after: Annotated[str | None, Query(max_length=64)] = None,
) -> dict[str, Any]:
    """Quarantined and contested facts, the most salient first; `next` is the `after` of the following page."""
    return review_entrance.waiting(app.services, limit=limit, after=after)


@router.post("/v1/facts/{fact_id}/settle", status_code=201)
def settle(app: Given, fact_id: Id, said: Settlement) -> dict[str, Any]:
    """Accept, reject or correct a fact that waits."""
    return review_entrance.settle(app.services, fact_id, said.verdict, said.object, said.by)


@router.put("/v1/facts/{fact_id}/pin")
def pin(app: Given, fact_id: Id, by: Annotated[str | None, Query(max_length=255)] = None) -> dict[str, Any]:
    """Pin a fact: it never fades in ranking and is always trained."""
    return review_entrance.pin(app.services, fact_id, by, is_pinned=True)


@router.delete("/v1/facts/{fact_id}/pin")
def unpin(app: Given, fact_id: Id, by: Annotated[str | None, Query(max_length=255)] = None) -> dict[str, Any]:
    """Take the pin back."""
    return review_entrance.pin(app.services, fact_id, by, is_pinned=False)


@router.get("/v1/ledger")
def ledger(
    app: Given,
    limit: Annotated[int, Query(ge=1, le=1000)] = 20,
    after: Annotated[int | None, Query(ge=1, le=MAX_SEQ)] = None,
) -> dict[str, Any]:
    """The entries of the ledger, newest first."""
    found = entries(app.services.database, app.services.space_id, limit + 1, before=after)
    return found_page("entries", [entry_json(row) for row in found], Page(limit, None), "seq")


@router.get("/v1/ledger/verify")
def verify_ledger(app: Given) -> dict[str, Any]:
    """The chain of hashes, recomputed: whether it is sound, and the first entry that is not."""
    return verification_json(app.services.database, app.services.space_id)
