"""The routes about facts, on a real store."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import func, select

from db.tables import Episode, Fact
from service.http.application import create_app
from service.settings import Settings
from service.wiring import Services

PORTO = {"person": "Mara Quist", "predicate": "lives_in", "object": "Porto", "from": "2024-01-01"}


@pytest.fixture
def services(tmp_path: Path) -> Iterator[Services]:
    with Services(Settings(home=tmp_path)) as opened:
        yield opened


@pytest.fixture
def app(services: Services) -> FastAPI:
    return create_app(services)


def call(app: FastAPI, method: str, path: str, **options: Any) -> httpx.Response:
    async def go() -> httpx.Response:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:7777") as client:
            return await client.request(method, path, **options)

    return asyncio.run(go())


def add(app: FastAPI, **changed: Any) -> dict[str, Any]:
    answer = call(app, "POST", "/v1/facts", json=PORTO | changed)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


def test_a_fact_goes_through_its_life(app: FastAPI) -> None:
    porto = add(app)
    lisbon = add(app, object="Lisbon", **{"from": "2025-01-01"})
    path = f"/v1/facts/{lisbon['fact']['id']}"
    right = call(app, "POST", f"{path}/correct", json={"object": "Leiria"}).json()
    ended = call(app, "POST", f"/v1/facts/{right['fact']['id']}/end", json={"on": "2025-06-01"}).json()
    assert (ended["fact"]["valid_from"], ended["fact"]["valid_to"]) == ("2025-01-01", "2025-06-01")
    told = call(app, "GET", path).json()
    assert (told["status"], told["superseded_by"]["object"]) == ("retracted", "Leiria")
    decisions = call(app, "GET", "/v1/decisions").json()["decisions"]
    assert len(decisions) == 4
    for decision in (lisbon["decision"], right["decision"]):
        assert call(app, "POST", f"/v1/decisions/{decision}/undo").json()["undone"] is True
    retracted = call(app, "POST", f"/v1/facts/{porto['fact']['id']}/retract").json()
    assert retracted["fact"]["status"] == "retracted"
    assert call(app, "GET", "/v1/people/mara quist/facts").json()["facts"] == []


def test_every_reading_has_the_same_parameters(app: FastAPI) -> None:
    add(app)
    add(app, object="tea", predicate="likes", by="Mara Quist", **{"from": "2025-01-01"})
    person, everybody = "/v1/people/Mara/facts", "/v1/facts"
    for query, expected in (
        ({}, ["tea", "Porto"]),
        ({"topic": "home"}, ["Porto"]),
        ({"predicate": "likes"}, ["tea"]),
        ({"as_of": "2024-06-01"}, ["Porto"]),
        ({"known_to": "Mara"}, ["tea"]),
        ({"as_recorded": "2020-01-01", "history": True}, []),
    ):
        listed = call(app, "GET", person, params=query).json()["facts"]
        paged = call(app, "GET", everybody, params=query).json()
        assert sorted(fact["object"] for fact in listed) == sorted(expected)
        assert (paged["facts"], paged["next"]) == (listed, None)
    first = call(app, "GET", everybody, params={"limit": 1}).json()
    second = call(app, "GET", everybody, params={"limit": 1, "after": first["next"]}).json()
    assert second["next"] is None
    assert [*first["facts"], *second["facts"]] == call(app, "GET", everybody).json()["facts"]


def test_a_viewer_gets_404_for_what_they_did_not_hear(app: FastAPI) -> None:
    secret = add(app)["fact"]["id"]
    answer = call(app, "GET", f"/v1/facts/{secret}", params={"known_to": "Mara"})
    assert answer.status_code == 404
    assert "Porto" not in answer.text


def test_predicates_are_listed(app: FastAPI) -> None:
    found = {row["name"]: row for row in call(app, "GET", "/v1/predicates").json()}
    assert found["lives_in"]["cardinality"] == "one"


def test_bad_input_is_problem_json_and_writes_nothing(app: FastAPI, services: Services) -> None:
    porto = add(app)["fact"]["id"]

    def rows() -> list[int | None]:
        with services.database.reading() as session:
            return [session.scalar(select(func.count()).select_from(table)) for table in (Fact, Episode)]

    before = rows()
    for path, body, status, said in (
        ("", PORTO | {"object": " "}, 400, "the object is empty"),
        ("", PORTO | {"object": "x" * 10_000_000}, 413, "send less"),
        ("", PORTO | {"object": "x" * 100_000}, 400, "no value but a text"),
        ("", PORTO | {"object": "Por\x00to"}, 400, "NUL"),
        ("", PORTO | {"person": "A" * 100_000}, 400, "at most 255"),
        ("", PORTO | {"predicate": "lives_inn", "strict": True}, 404, "did you mean lives_in"),
        ("", PORTO | {"to": "2023-01-01"}, 400, "cannot end on"),
        ("", PORTO | {"to": "9999-12-31T23:00:00-05:00"}, 400, "cannot be used as a time"),
        ("", PORTO | {"from": "0000-01-01"}, 422, "from"),
        ("", PORTO | {"person": "Mara Quest"}, 404, "did you mean Mara Quist"),
        ("", PORTO | {"colour": "red"}, 422, "colour"),
        ("", PORTO | {"by": "Nobody"}, 404, "nobody called Nobody"),
        (f"/{porto}/correct", {"object": "porto"}, 400, "says already"),
        (f"/{porto}/end", {"on": "2020-01-01"}, 400, "cannot end on"),
        ("/nothing/retract", {}, 404, "no fact has the id"),
        ("/a%00b/retract", {}, 422, "fact_id"),
    ):
        answer = call(app, "POST", f"/v1/facts{path}", json=body)
        problem = answer.json()
        assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), (
            problem
        )
        assert said in problem["detail"]
        assert len(problem["detail"]) < 400
    assert call(app, "GET", "/v1/facts", params={"as_of": "9999-12-31"}).status_code == 400
    assert call(app, "GET", "/v1/facts", params={"after": "nothing"}).status_code == 404
    assert call(app, "POST", "/v1/decisions/nothing/undo").status_code == 404
    assert rows() == before


def test_undoing_twice_is_a_conflict(app: FastAPI) -> None:
    decision = add(app)["decision"]
    assert call(app, "POST", f"/v1/decisions/{decision}/undo").status_code == 200
    assert call(app, "POST", f"/v1/decisions/{decision}/undo").status_code == 409
