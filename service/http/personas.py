"""The routes of somebody's persona beside talking with it: consent, how its words are drawn, its style, how like them it is."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field

from consolidation.stage import Progress
from service.entrances import persona as persona_entrance
from service.http import events
from service.http.given import App, Given, Seed, as_moment
from service.http.route import IfMatch, Route

router = APIRouter(route_class=Route, tags=["personas"])


class Agreement(BaseModel):
    """`by`: who agreed, the person or who may decide for them. `note`: where the agreement is written down."""

    model_config = ConfigDict(extra="forbid")
    by: Annotated[str, Field(min_length=1, max_length=255, pattern=r"\S")]
    note: Annotated[str, Field(max_length=2000)] = ""


class Drawing(BaseModel):
    """In the place of what was set before; without a value, as it is by default."""

    model_config = ConfigDict(extra="forbid")
    sampling: dict[str, float] = Field(default={}, max_length=32)


class Style(BaseModel):
    model_config = ConfigDict(extra="forbid")
    minutes: Annotated[float | None, Field(gt=0, le=1440)] = None
    until: datetime | date | None = None
    seed: Seed | None = None
    apply: bool = True


class Report(BaseModel):
    """`minutes`: for which it measures; the report says how many of the held-out replies that were."""

    model_config = ConfigDict(extra="forbid")
    minutes: Annotated[float, Field(ge=0, le=1440)] = 10.0
    seed: Seed = 0


@router.get("/v1/people/{name}/consent")
def consent(app: Given, name: str) -> dict[str, Any]:
    """Whether somebody may be simulated, and every record of it."""
    return persona_entrance.consents(app.services, name)


@router.post("/v1/people/{name}/consent", status_code=201)
def agree(app: Given, name: str, agreement: Agreement) -> dict[str, Any]:
    """Record that somebody agreed to be simulated."""
    return persona_entrance.agree(app.services, name, by=agreement.by, note=agreement.note)


@router.delete("/v1/people/{name}/consent")
def withdraw_consent(app: Given, name: str) -> dict[str, Any]:
    """Withdraw it: they are no longer simulated from now on, in talks that are open as well."""
    return persona_entrance.withdraw(app.services, name)


@router.get("/v1/people/{name}/persona")
def persona(app: Given, name: str) -> dict[str, Any]:
    """How the words of somebody's persona are drawn where a conversation does not say."""
    return persona_entrance.sampling(app.services, name)


@router.put("/v1/people/{name}/persona")
def set_persona(app: Given, name: str, drawing: Drawing, unchanged: IfMatch) -> dict[str, Any]:
    """Set it: temperature, top_k, top_p, min_p, repetition_penalty, dry_multiplier, max_new_tokens."""
    with unchanged.held(lambda: persona_entrance.sampling(app.services, name)):
        return persona_entrance.set_(app.services, name, drawing.sampling, clear=True)


@router.post("/v1/people/{name}/persona/train")
def train_style(app: Given, name: str, request: Request, style: Style | None = None) -> Response:
    """Train how somebody writes, as a night does; it serves where its gate lets it. Takes minutes: follow it as events."""
    from service.entrances import style as style_entrance

    given = style or Style()
    wish = style_entrance.Wish(given.minutes, as_moment(given.until), given.seed, given.apply)

    def work(step: events.Steps) -> dict[str, Any]:
        return style_entrance.train(
            app.services, name, wish, train_step=step("training"), exam_step=step("measuring")
        )

    return events.followed(app, request, work)


@router.post("/v1/people/{name}/persona/report")
def report_persona(app: Given, name: str, request: Request, report: Report | None = None) -> Response:
    """How like somebody their persona is, on real replies that its weights have not seen: as many as 10 minutes allow,
    or `minutes`. Follow it as events.
    """
    given = report or Report()
    return events.followed(
        app, request, lambda step: _report(app, name, given.minutes, given.seed, step("replies"))
    )


def _report(app: App, name: str, minutes: float, seed: int, progress: Progress) -> dict[str, Any]:
    """With components of its own, so that nobody waits for it who asks or searches meanwhile."""
    from service.entrances.fidelity import Asked, report
    from service.wiring import Services

    services = app.services
    with Services(services.settings, clock=services.clock, shared=services.shared) as own:
        return report(own, Asked(name, minutes, seed), progress=progress).document
