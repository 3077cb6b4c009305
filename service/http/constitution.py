"""The routes about constitutions: read a version, compare two, edit by hand; and how somebody writes, in numbers."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from memory.constitutions import Edit
from memory.types import Principle
from service.entrances import constitution as entrance
from service.http.given import Given, as_moment
from service.http.route import IfMatch, Route

router = APIRouter(route_class=Route, tags=["people"])


class NewLine(BaseModel):
    model_config = ConfigDict(extra="forbid")
    kind: str
    text: str
    about: str | None = None


class LineText(BaseModel):
    model_config = ConfigDict(extra="forbid")
    line: str
    kind: str
    text: str


class Edited(BaseModel):
    model_config = ConfigDict(extra="forbid")
    add: list[NewLine] = Field(default_factory=list, max_length=100)
    drop: list[str] = Field(default_factory=list, max_length=100)
    change: list[LineText] = Field(default_factory=list, max_length=100)


@router.get("/v1/people/{name}/constitution")
def constitution(
    app: Given,
    name: str,
    version: int | None = None,
    as_of: datetime | date | None = None,
    known_to: str | None = None,
    evidence: bool = False,
) -> dict[str, Any]:
    """One version, by its number or by a time, else the newest; with the messages of each line where asked."""
    return entrance.show(
        app.services,
        name,
        as_of=version if version is not None else as_moment(as_of),
        known_to=known_to,
        with_quotes=evidence,
    )


@router.get("/v1/people/{name}/constitution/versions")
def versions(app: Given, name: str) -> list[dict[str, Any]]:
    """Every version, the newest first."""
    return entrance.versions(app.services, name)


@router.get("/v1/people/{name}/constitution/diff")
def diff(
    app: Given, name: str, old: int | None = None, new: int | None = None, known_to: str | None = None
) -> dict[str, Any]:
    """What changed from version `old` to `new`; without them, what the newest changed."""
    return entrance.diff(app.services, name, old, new, known_to=known_to)


@router.post("/v1/people/{name}/constitution")
def edit(app: Given, name: str, wanted: Edited, unchanged: IfMatch) -> dict[str, Any]:
    """Add, drop and change lines by hand; the new version. The nights leave them as they are."""
    added = [
        Principle(one.kind, one.text, (), app.services.person(one.about).name if one.about else None)
        for one in wanted.add
    ]
    changed = {one.line: Principle(one.kind, one.text, ()) for one in wanted.change}
    with unchanged.held(lambda: entrance.show(app.services, name)):
        return entrance.edit(app.services, name, Edit(added, wanted.drop, changed))


@router.get("/v1/people/{name}/habits")
def habits(app: Given, name: str, known_to: str | None = None) -> dict[str, Any]:
    """How the person writes, counted over all of their messages."""
    return entrance.habits(app.services, name, known_to=known_to)
