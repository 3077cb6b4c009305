"""The routes that answer and find: `POST /v1/ask` and `GET /v1/search`."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from service.http.given import Given, as_moment
from service.http.route import Route

router = APIRouter(route_class=Route, tags=["answers"])


class Question(BaseModel):
    model_config = ConfigDict(extra="forbid")
    question: str = Field(min_length=1, max_length=2000)
    known_to: str | None = None
    asked_by: str | None = None
    as_of: datetime | date | None = None
    explain: bool = False


@router.post("/v1/ask")
def ask(app: Given, asked: Question) -> dict[str, Any]:
    """Answer a question from the graph, with facts and messages, or abstain."""
    from memory.ask import answer_json, explain_json

    answer = app.services.ask(
        asked.question, known_to=asked.known_to, asked_by=asked.asked_by, as_of=as_moment(asked.as_of)
    )
    app.metrics.count("slowwave_questions_total", abstained=str(answer.abstained).lower())
    return answer_json(answer) | ({"explain": explain_json(answer)} if asked.explain else {})


@router.get("/v1/search")
def search(
    app: Given,
    q: Annotated[str, Query(min_length=1, max_length=2000)],
    k: Annotated[int, Query(ge=1, le=1000)] = 10,
    kind: Annotated[list[Literal["episode", "fact", "session", "digest"]] | None, Query()] = None,
    known_to: str | None = None,
    as_of: datetime | date | None = None,
) -> list[dict[str, Any]]:
    """The messages, facts, sessions and digests nearest to a query, best first, each with the parts of its score."""
    return app.services.search(
        q, k, kinds=tuple(kind or ("episode", "fact")), known_to=known_to, as_of=as_moment(as_of)
    )
