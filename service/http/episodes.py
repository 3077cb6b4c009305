"""The routes that look through what was said: messages, conversations, and what somebody felt over time."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query

from memory.emotion_timeline import By
from memory.episode_pages import Origin
from service.entrances import episode as episode_entrance
from service.entrances.episode import Asked, Felt
from service.http.given import Given, as_moment
from service.http.paging import Paged
from service.http.route import Route

router = APIRouter(route_class=Route, tags=["episodes"])

Id = Annotated[str, Path(pattern=r"^[\w.:-]{1,64}$")]
Name = Annotated[str | None, Query(min_length=1, max_length=255)]
Since = Annotated[datetime | date | None, Query(alias="from")]
Until = Annotated[datetime | date | None, Query(alias="to")]


@router.get("/v1/episodes")
def episodes(
    app: Given,
    page: Paged,
    person: Name = None,
    conversation: Annotated[str | None, Query(max_length=64)] = None,
    source: Annotated[str | None, Query(max_length=64)] = None,
    known_to: Name = None,
    origin: Origin | None = None,
    since: Since = None,
    until: Until = None,
    newest: bool = False,
) -> dict[str, Any]:
    """Messages in time order, or the newest first; by whom, in which conversation, from which import, from when to when."""
    asked = Asked(person, conversation, source, known_to, origin, as_moment(since), as_moment(until), newest)
    return episode_entrance.messages(app.services, asked, limit=page.limit, after=page.after)


@router.get("/v1/episodes/{episode_id}")
def episode(app: Given, episode_id: Id) -> dict[str, Any]:
    """One message with its emotion tags and where it came from."""
    return episode_entrance.message(app.services, episode_id)


@router.get("/v1/conversations")
def conversations(app: Given, page: Paged) -> dict[str, Any]:
    """Conversations with who takes part in them, the one that was spoken in last first."""
    return episode_entrance.conversations(app.services, limit=page.limit, after=page.after)


@router.get("/v1/people/{name}/emotions", tags=["people"])
def emotions(
    app: Given,
    name: str,
    by: By = "month",
    since: Since = None,
    until: Until = None,
    known_to: Name = None,
    concept: Annotated[list[Annotated[str, Query(max_length=64)]] | None, Query(max_length=64)] = None,
    made_of: Literal["tags", "readings"] = "tags",
) -> dict[str, Any]:
    """What somebody felt over time: the tags of their messages, or what the readout that serves has read in them."""
    felt = Felt(
        name,
        by,
        as_moment(since),
        as_moment(until),
        known_to,
        tuple(concept or ()),
        made_of == "readings",
    )
    return episode_entrance.emotions(app.services, felt)
