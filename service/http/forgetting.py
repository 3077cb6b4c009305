"""The routes that erase and prove: a plan first, then the same call with the plan's hash does it."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field

from memory.erasure import Mentions, Reason, TargetKind
from service.entrances import forgetting, proving
from service.http.given import Given
from service.http.paging import Paged, page_of

router = APIRouter(tags=["forgetting"])


class Erasure(BaseModel):
    """What is to be erased: a person by name, anything else by id. Without `plan` nothing is erased."""

    model_config = ConfigDict(extra="forbid")
    kind: TargetKind
    what: str = Field(min_length=1, max_length=400)
    mentions: Mentions = "redact"
    spare: list[str] = Field(default=[], max_length=50)
    with_messages: bool = False
    plan: Annotated[str | None, Field(min_length=12, max_length=64, pattern="^[0-9a-f]+$")] = None
    reason: Reason = "request"
    leave_weights: bool = False


class Resumption(BaseModel):
    model_config = ConfigDict(extra="forbid")
    names: list[str] = Field(default=[], max_length=50)


@router.post("/v1/forget")
def forget(app: Given, wanted: Erasure, request: Request) -> dict[str, Any]:
    """The plan of an erasure; or, with the hash of that plan, the erasure. 409 where the plan is another one by now."""
    asked = forgetting.Asked(**{**wanted.model_dump(), "spare": tuple(wanted.spare)})
    is_sure = wanted.plan is not None
    request.state.is_plan = not is_sure  # then nothing is changed, and nothing goes on record
    with app.lock:
        return forgetting.forget(app.services, asked, is_sure=is_sure, end_talks=app.talks.end).as_json()


@router.post("/v1/forget/resume")
def resume(app: Given, wanted: Resumption | None = None) -> list[dict[str, Any]]:
    """Finish erasures that were cut off, of which `names` are looked for; do again those that a restore undid."""
    with app.lock:
        app.talks.end()
        outcomes = forgetting.finish(app.services, (wanted or Resumption()).names)
    return [outcome.as_json() for outcome in outcomes]


@router.get("/v1/certificates/{seq}")
def certificate(app: Given, seq: int) -> dict[str, Any]:
    """The certificate of the erasure that this ledger entry began or finished."""
    from memory.erasure import certificate as find

    return find(app.services.database, app.services.space_id, seq).as_json()


@router.get("/v1/sources")
def sources(app: Given, page: Paged) -> dict[str, Any]:
    """The imports and live channels that messages came from, oldest first."""
    from memory.sources import list_sources

    found = [item.as_json() for item in list_sources(app.services.database, app.services.space_id)]
    return page_of("sources", found, page, "source")


@router.get("/v1/verify")
def verify(app: Given) -> dict[str, Any]:
    """Every problem of the space; `sound` is true where there is none."""
    with app.lock:
        return proving.verify(app.services).as_json()
