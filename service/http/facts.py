"""The routes about facts: what is known, as of when, to whom and since when; and what a person states by hand."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Path, Query
from pydantic import BaseModel, ConfigDict, Field

from service.entrances import fact as fact_entrance
from service.entrances.fact import FactQuestion
from service.http.given import Given, as_moment
from service.http.paging import Paged, found_page, page_of
from service.http.route import Route

router = APIRouter(route_class=Route, tags=["facts"])

_EVERY = 100_000  # decisions about one fact

Day = datetime | date
Id = Annotated[str, Path(pattern=r"^[\w.:-]{1,64}$")]
Name = Annotated[str, Query(max_length=255)]


async def _reading(
    as_of: Day | None = None, as_recorded: Day | None = None, known_to: Name | None = None
) -> FactQuestion:
    return FactQuestion(as_moment(as_of), as_moment(as_recorded), known_to)


async def _question(
    reading: Annotated[FactQuestion, Depends(_reading)],
    history: bool = False,
    topic: Name | None = None,
    predicate: Name | None = None,
) -> FactQuestion:
    return FactQuestion(reading.as_of, reading.as_recorded, reading.known_to, history, topic, predicate)


Reading = Annotated[FactQuestion, Depends(_reading)]
Question = Annotated[FactQuestion, Depends(_question)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", populate_by_name=True)
    by: str | None = None


class NewFact(_Body):
    person: str
    predicate: str
    object: str
    valid_from: Day | None = Field(None, alias="from")
    valid_to: Day | None = Field(None, alias="to")
    object_kind: Literal["person", "place", "organisation", "thing", "text"] | None = None
    strict: bool = False
    new: bool = False


class Correction(_Body):
    object: str


class End(_Body):
    on: Day | None = None


@router.get("/v1/people/{name}/facts")
def facts_of_person(app: Given, name: str, question: Question, page: Paged) -> dict[str, Any]:
    """Facts about a person: current, as of a date, as recorded then, all that ever held, as known to somebody."""
    return page_of("facts", fact_entrance.of_person(app.services, name, question), page, "id")


@router.get("/v1/facts")
def facts(app: Given, question: Question, page: Paged) -> dict[str, Any]:
    """Everybody's facts, a page at a time; `next` is the `after` of the following page."""
    return fact_entrance.of_everybody(app.services, question, limit=page.limit, after=page.after)


@router.post("/v1/facts", status_code=201)
def add_fact(app: Given, said: NewFact) -> dict[str, Any]:
    """State a fact by hand."""
    from memory.statements import Statement

    statement = Statement(
        person=said.person,
        predicate=said.predicate,
        object=said.object,
        valid_from=as_moment(said.valid_from),
        valid_to=as_moment(said.valid_to),
        object_kind=said.object_kind,
        is_strict=said.strict,
        is_new=said.new,
    )
    return fact_entrance.state(app.services, statement, said.by)


@router.get("/v1/facts/{fact_id}")
def fact(app: Given, fact_id: Id, reading: Reading) -> dict[str, Any]:
    """One fact with its messages, its decisions, what it superseded and what superseded it."""
    return fact_entrance.story(app.services, fact_id, reading)


@router.post("/v1/facts/{fact_id}/correct", status_code=201)
def correct_fact(app: Given, fact_id: Id, said: Correction) -> dict[str, Any]:
    """The fact was never true; another value was, over the same time."""
    return fact_entrance.correct(app.services, fact_id, said.object, said.by)


@router.post("/v1/facts/{fact_id}/end", status_code=201)
def end_fact(app: Given, fact_id: Id, said: End | None = None) -> dict[str, Any]:
    """The fact held until that day, or until today."""
    given = said or End()
    return fact_entrance.end(app.services, fact_id, as_moment(given.on), given.by)


@router.post("/v1/facts/{fact_id}/retract", status_code=201)
def retract_fact(app: Given, fact_id: Id, said: _Body | None = None) -> dict[str, Any]:
    """The fact was never true, and nothing takes its place."""
    return fact_entrance.retract(app.services, fact_id, said.by if said else None)


@router.get("/v1/decisions")
def decisions(
    app: Given,
    page: Paged,
    fact: Annotated[str | None, Query(max_length=64)] = None,
) -> dict[str, Any]:
    """The decisions about facts, or those about one; the newest first."""
    if fact is not None:
        about = fact_entrance.decisions(app.services, fact, _EVERY)
        return page_of("decisions", about[::-1], page, "id")
    found = fact_entrance.newest_decisions(app.services, page.limit + 1, page.after)
    return found_page("decisions", found, page, "id")


@router.post("/v1/decisions/{decision_id}/undo")
def undo_decision(app: Given, decision_id: Id) -> dict[str, Any]:
    """Undo a decision; what it superseded comes back with its interval."""
    return fact_entrance.undo(app.services, decision_id)


@router.get("/v1/predicates")
def predicates(app: Given) -> Sequence[dict[str, Any]]:
    """The registry of predicates."""
    return fact_entrance.predicates(app.services.registry)
