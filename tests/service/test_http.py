"""The routes over ASGI, on a real store."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from consolidation import runs
from consolidation.lease import lease_name, this_process
from consolidation.stage import NightSettings, StageResult
from db import leases
from memory.importing import import_file
from memory.ports import utc_now
from service.http.application import create_app, routers
from service.settings import Settings
from service.wiring import Services

ROOT = Path(__file__).parents[2]
LINES = ROOT / "tests" / "memory" / "fixtures" / "lines.jsonl"


@pytest.fixture
def services(tmp_path: Path) -> Iterator[Services]:
    with Services(Settings(home=tmp_path)) as opened:
        import_file(opened.database, opened.space_id, LINES)
        yield opened


@pytest.fixture
def app(services: Services) -> FastAPI:
    return create_app(services)


def call(
    app: FastAPI, method: str, path: str, base: str = "http://127.0.0.1:7777", **options: Any
) -> httpx.Response:
    async def go() -> httpx.Response:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url=base) as client:
            return await client.request(method, path, **options)

    return asyncio.run(go())


def record_run(services: Services, report: str | None = None) -> str:
    run_id, clock = runs.new_run_id(), utc_now
    runs.begin(services.database, services.space_id, run_id, NightSettings(), is_resumed=False, clock=clock)
    output = {"report": report} if report else {}
    runs.begin_stage(services.database, services.space_id, run_id, "report", "0", clock=clock)
    runs.end_stage(services.database, run_id, "report", StageResult({"pages": 1}, output), 0.5)
    runs.finish(services.database, run_id, "done", None, clock=clock)
    return run_id


def test_health_and_people(app: FastAPI) -> None:
    assert call(app, "GET", "/healthz").json() == {"status": "ok", "night_running": False}
    people = call(app, "GET", "/v1/people").json()["people"]
    assert [(person["name"], person["speaks"]) for person in people] == [("Ada", True), ("Bo", True)]


def test_facts_of_somebody_of_whom_nothing_is_known_are_an_empty_list(app: FastAPI) -> None:
    answer = call(app, "GET", "/v1/people/ada/facts", params={"as_of": "2025-04-01", "known_to": "Bo"})
    assert (answer.status_code, answer.json()) == (200, {"facts": [], "next": None})


def test_an_unknown_person_is_a_problem_with_the_nearest_names(app: FastAPI) -> None:
    answer = call(app, "GET", "/v1/people/Adda/facts")
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["type"] == "urn:slowwave:problem:unknown-person"
    assert answer.json()["nearest"] == ["Ada"]
    assert "did you mean Ada?" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/nothing", 404),
        ("PUT", "/v1/people", 405),
        ("POST", "/v1/ask", 422),
        ("GET", "/v1/runs/none", 404),
    ],
)
def test_every_refusal_is_problem_json(app: FastAPI, method: str, path: str, status: int) -> None:
    answer = call(app, method, path)
    assert answer.status_code == answer.json()["status"] == status
    assert answer.headers["content-type"] == "application/problem+json"


def test_no_folder_is_a_model_over_http(app: FastAPI, tmp_path: Path) -> None:
    answer = call(app, "POST", "/v1/sleep", json={"model": str(tmp_path)})
    assert answer.status_code == 400
    assert str(tmp_path) not in answer.text


def test_an_unknown_key_is_refused_not_ignored(app: FastAPI) -> None:
    answer = call(app, "POST", "/v1/sleep", json={"seeed": 1})
    assert answer.status_code == 422
    assert "seeed" in answer.json()["detail"]


def test_a_night_elsewhere_is_a_409_with_its_holder(app: FastAPI, services: Services) -> None:
    holder = f"{this_process()} night 1"
    leases.acquire(services.database, lease_name(services.space_id), holder, now=utc_now(), ttl_s=60)
    answer = call(app, "POST", "/v1/sleep")
    assert (answer.status_code, answer.json()["holder"]) == (409, holder)
    assert runs.list_runs(services.database, services.space_id) == []


def test_runs_and_their_report(app: FastAPI, services: Services) -> None:
    page = services.settings.home / "runs" / "x" / "report.html"
    page.parent.mkdir(parents=True)
    page.write_text("<!doctype html><title>night</title>")
    run_id = record_run(services, "runs/x/report.html")
    assert [run["run"] for run in call(app, "GET", "/v1/runs").json()["runs"]] == [run_id]
    one = call(app, "GET", f"/v1/runs/{run_id}").json()
    assert [(stage["name"], stage["status"]) for stage in one["stages"]] == [("report", "done")]
    answer = call(app, "GET", one["report"])
    assert answer.headers["content-type"].startswith("text/html")
    assert "night" in answer.text


def test_a_run_of_another_space_is_not_found(app: FastAPI, services: Services) -> None:
    run_id = record_run(services, "runs/x/report.html")
    with Services(Settings(home=services.settings.home, space="other")) as others:
        elsewhere = create_app(others)
        for path in (f"/v1/runs/{run_id}", f"/v1/runs/{run_id}/report"):
            assert call(elsewhere, "GET", path).status_code == 404
            told = call(elsewhere, "GET", path).json()
            assert told["detail"].startswith(f"no night has the id {run_id};")


def test_a_run_without_a_report_says_so(app: FastAPI, services: Services) -> None:
    run_id = record_run(services)
    assert call(app, "GET", f"/v1/runs/{run_id}").json()["report"] is None
    assert call(app, "GET", f"/v1/runs/{run_id}/report").status_code == 404


def test_metrics_count_by_route_and_hold_no_names(app: FastAPI) -> None:
    call(app, "GET", "/v1/people/Ada/facts")
    text = call(app, "GET", "/metrics").text
    assert 'slowwave_requests_total{route="/v1/people/{name}/facts",status="200"} 1' in text
    assert "slowwave_episodes 3" in text
    assert "Ada" not in text


@pytest.mark.parametrize(
    ("base", "headers", "status"),
    [
        ("http://127.0.0.1:7777", {}, 200),
        ("http://localhost:7777", {"origin": "http://localhost:7777"}, 200),
        ("http://[::1]:7777", {}, 200),
        ("http://rebound.example:7777", {}, 403),
        ("http://127.0.0.1.example:7777", {}, 403),
        ("http://127.0.0.1:7777", {"origin": "https://page.example"}, 403),
        ("http://127.0.0.1:7777", {"origin": "null"}, 403),
    ],
)
def test_without_a_token_only_loopback_names_are_served(
    app: FastAPI, base: str, headers: dict[str, str], status: int
) -> None:
    assert call(app, "GET", "/v1/people", base, headers=headers).status_code == status


@pytest.mark.parametrize(
    ("given", "status"),
    [(None, 401), ("Bearer wrong", 401), ("secret", 401), ("Bearer sécret", 401), ("Bearer secret", 200)],
)
def test_with_a_token_every_route_asks_for_it(services: Services, given: str | None, status: int) -> None:
    app = create_app(services, token="secret")
    headers = {} if given is None else {"authorization": given.encode()}
    answer = call(app, "GET", "/v1/people", "http://memory.example", headers=headers)
    assert answer.status_code == status
    assert call(app, "GET", "/healthz", "http://memory.example").status_code == 200


def test_an_unexpected_error_is_a_500_without_its_words(
    services: Services, caplog: pytest.LogCaptureFixture
) -> None:
    app = create_app(services)

    said = "x".join("words")

    def breaks() -> None:
        raise RuntimeError(said)

    app.add_api_route("/breaks", breaks)
    answer = call(app, "GET", "/breaks")
    assert (answer.status_code, answer.json()["type"]) == (500, "urn:slowwave:problem:internal")
    assert said not in answer.text + caplog.text
    assert "RuntimeError" in caplog.text


def test_every_route_is_documented() -> None:
    documented = (ROOT / "docs" / "http.md").read_text(encoding="utf-8")
    for route in [route for part in routers() for route in part.routes]:
        for method in getattr(route, "methods", ()):
            assert f"`{method} {getattr(route, 'path', '')}`" in documented


def test_the_description_of_the_routes_is_served(app: FastAPI) -> None:
    described = call(app, "GET", "/v1/openapi.json").json()
    assert "/v1/ask" in described["paths"]
    assert re.match(r"3\.", described["openapi"])
    assert call(app, "GET", "/docs").status_code == 404


def test_a_date_is_its_first_moment_and_utc() -> None:
    from service.http.given import as_moment

    day = datetime(2025, 4, 1, tzinfo=UTC)
    assert as_moment(day.date()) == as_moment(day.replace(tzinfo=None)) == day
