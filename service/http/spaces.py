"""The routes about spaces: which there are, and a new one. All else is said within one."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict
from starlette.exceptions import HTTPException

from memory.errors import UnknownSpace
from memory.spaces import Space
from service.http.given import GivenCaller, GivenSpaces

router = APIRouter()


class NewSpace(BaseModel):
    model_config = ConfigDict(extra="forbid")
    name: str
    timezone: str | None = None


@router.get("/v1/spaces")
def spaces(spaces: GivenSpaces, caller: GivenCaller) -> list[dict[str, Any]]:
    """The spaces that the caller may open, by name; `default` is the one of requests that name none."""
    default = caller.space or spaces.default
    return [_json(space, default) for space in spaces.all() if caller.space in (None, space.name)]


@router.post("/v1/spaces", status_code=201)
def new_space(spaces: GivenSpaces, caller: GivenCaller, wanted: NewSpace) -> dict[str, Any]:
    """Make a space; 409 where one has the name."""
    if caller.space is not None:
        raise HTTPException(403, "a token of one space makes no other; use one of all spaces")
    return _json(spaces.create(wanted.name, wanted.timezone), spaces.default)


@router.get("/v1/spaces/{name}")
def space(spaces: GivenSpaces, caller: GivenCaller, name: str) -> dict[str, Any]:
    """One space."""
    found = next((item for item in spaces.all() if item.name == name), None)
    if found is None or caller.space not in (None, name):
        raise UnknownSpace(name)
    return _json(found, caller.space or spaces.default)


def _json(space: Space, default: str) -> dict[str, Any]:
    return {
        "id": space.id,
        "name": space.name,
        "timezone": space.timezone,
        "created": space.created_at.isoformat(),
        "default": space.name == default,
    }
