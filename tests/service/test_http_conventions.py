"""What every route does alike: tags of answers, requests that are done once, errors with their field, the description."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from inspect import isasyncgenfunction, iscoroutinefunction
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.testclient import TestClient
from sqlalchemy import select
from starlette.concurrency import run_in_threadpool

from db.tables import KeptAnswer
from memory.importing import import_file
from service.entrances import persona
from service.errors import BadKey, KeyInUse
from service.http import events, kept_answers
from service.http.application import create_app, routers
from service.http.given import Given
from service.http.route import Route
from service.settings import Settings
from service.spaces import App, Spaces
from service.streams import Line, streamed
from service.wiring import Services

LINES = Path(__file__).parents[1] / "memory" / "fixtures" / "lines.jsonl"
PORTO = {"person": "Ada", "predicate": "lives_in", "object": "Porto"}


@pytest.fixture
def services(tmp_path: Path) -> Iterator[Services]:
    with Services(Settings(home=tmp_path)) as opened:
        import_file(opened.database, opened.space_id, LINES)
        yield opened


@pytest.fixture
def client(services: Services) -> TestClient:
    return TestClient(create_app(services), base_url="http://127.0.0.1:7777")


def kept(services: Services) -> list[str]:
    with services.database.reading() as session:
        return list(session.scalars(select(KeptAnswer.key)))


def test_what_has_not_changed_is_not_sent_again(client: TestClient) -> None:
    first = client.get("/v1/people")
    again = client.get("/v1/people", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", first.headers["etag"])
    client.put("/v1/people/Bo/name", json={"name": "Bo Rask"})
    changed = client.get("/v1/people", headers={"If-None-Match": first.headers["etag"]})
    assert (changed.status_code, changed.headers["etag"] != first.headers["etag"]) == (200, True)
    assert changed.headers["cache-control"] == "private, no-cache"


def test_what_was_changed_meanwhile_is_not_overwritten(client: TestClient) -> None:
    read = client.get("/v1/people/Ada/persona").headers["etag"]
    for status, heat in ((200, 0.9), (412, 1.1)):
        wanted = {"sampling": {"temperature": heat}}
        assert (
            client.put("/v1/people/Ada/persona", json=wanted, headers={"If-Match": read}).status_code
            == status
        )
    assert client.get("/v1/people/Ada/persona").json()["sampling"]["temperature"] == 0.9
    line = {"add": [{"kind": "value", "text": "keeps promises"}]}
    version = client.get("/v1/people/Ada/constitution").headers["etag"]
    statuses = [
        client.post("/v1/people/Ada/constitution", json=line, headers={"If-Match": version}).status_code
        for _ in range(2)
    ]
    assert statuses == [200, 412]


def test_of_two_changes_at_once_one_is_too_late(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    headers = {"If-Match": client.get("/v1/people/Ada/persona").headers["etag"]}
    store, found = persona.set_sampling, list[int]()

    def slowly(*given: Any, **named: Any) -> Any:
        time.sleep(0.1)
        return store(*given, **named)

    def put(heat: float) -> None:
        wanted = {"sampling": {"temperature": heat}}
        found.append(client.put("/v1/people/Ada/persona", json=wanted, headers=headers).status_code)

    monkeypatch.setattr(persona, "set_sampling", slowly)
    both = [Thread(target=put, args=(heat,)) for heat in (0.9, 1.1)]
    for one in both:
        one.start()
    for one in both:
        one.join()
    assert sorted(found) == [200, 412]


def test_a_repeated_request_is_answered_and_not_done_again(client: TestClient, services: Services) -> None:
    first = client.post("/v1/facts", json=PORTO, headers={"Idempotency-Key": "one"})
    again = client.post("/v1/facts", json=PORTO, headers={"Idempotency-Key": "one"})
    assert (first.status_code, again.status_code, again.json()) == (201, 201, first.json())
    assert again.headers["idempotency-replayed"] == "true"
    assert len(client.get("/v1/facts").json()["facts"]) == 1
    other = client.post("/v1/facts", json={**PORTO, "object": "Faro"}, headers={"Idempotency-Key": "one"})
    assert (other.status_code, other.json()["type"]) == (422, "urn:slowwave:problem:key-of-another")
    assert client.post("/v1/facts", json=PORTO, headers={"Idempotency-Key": " "}).status_code == 400


def test_what_was_refused_keeps_no_key(client: TestClient, services: Services) -> None:
    wrong = {**PORTO, "object": ""}
    assert client.post("/v1/facts", json=wrong, headers={"Idempotency-Key": "two"}).status_code == 400
    assert kept(services) == []
    assert client.post("/v1/facts", json=PORTO, headers={"Idempotency-Key": "two"}).status_code == 201


def test_of_two_at_once_one_is_refused_and_answers_end_after_a_day(
    client: TestClient, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[int] = []

    def send() -> None:
        found.append(client.post("/v1/facts", json=PORTO, headers={"Idempotency-Key": "3"}).status_code)

    end = kept_answers._end

    def slowly(*given: object) -> None:
        second = Thread(target=send)  # while the first is being answered
        second.start()
        second.join()
        monkeypatch.setattr(kept_answers, "_end", end)
        end(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(kept_answers, "_end", slowly)
    send()
    assert found == [409, 201]
    now = services.clock()
    monkeypatch.setattr(services, "clock", lambda: now + timedelta(days=2))
    client.post("/v1/facts", json=PORTO, headers={"Idempotency-Key": "4"})
    assert "3" not in kept(services)


def streaming(services: Services, goes_on: Event, done: list[str]) -> FastAPI:
    """With a route whose work goes on without a listener, and one whose work ends with them."""
    app, router = create_app(services), APIRouter(route_class=Route)

    def work(steps: events.Steps) -> dict[str, Any]:
        steps("one")(1, 2)
        goes_on.wait(90)
        done.append("followed")
        return {"n": len(done)}

    def spoken(line: Line[events.Told]) -> None:
        line.put(("piece", {"text": "a"}))
        goes_on.wait(0.05)
        while True:
            line.put(("piece", {"text": "b"}))
            time.sleep(0.01)

    @router.post("/v1/followed")
    def followed(app: Given, request: Request) -> Response:
        return events.followed(app, request, work)

    @router.post("/v1/spoken")
    def speak(app: Given) -> Response:
        return events.response(events.written(streamed(spoken, "spoken", app.users)))

    def failing(steps: events.Steps) -> dict[str, Any]:
        steps("one")(1, 2)
        raise BadKey

    @router.post("/v1/failing")
    def fail(app: Given, request: Request) -> Response:
        return events.followed(app, request, failing)

    app.include_router(router)
    return app


def left(app: FastAPI, path: str) -> list[dict[str, Any]]:
    """What a client is sent that asks for events under a key, and goes at the first."""
    sent: list[dict[str, Any]] = []
    named = {"host": "127.0.0.1:7777", "accept": "text/event-stream", "idempotency-key": "k"}
    scope = {
        "type": "http",
        "asgi": {"spec_version": "2.3"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [(name.encode(), value.encode()) for name, value in named.items()],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 7777),
    }

    async def ask() -> None:
        gone, asked = asyncio.Event(), iter([{"type": "http.request", "body": b"", "more_body": False}])

        async def receive() -> dict[str, Any]:
            for message in asked:
                return message
            await gone.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            sent.append(message)
            if message.get("body"):
                gone.set()

        await app(scope, receive, send)

    asyncio.run(ask())
    return sent


def test_a_listener_who_goes_leaves_no_key_behind(services: Services) -> None:
    left(streaming(services, Event(), []), "/v1/spoken")
    assert kept(services) == []


def test_a_stream_is_on_record_as_what_it_ended_in(services: Services) -> None:
    app = streaming(services, Event(), [])
    left(app, "/v1/spoken")
    client = TestClient(app, base_url="http://127.0.0.1:7777")
    assert client.post("/v1/failing", headers={"Accept": "text/event-stream"}).status_code == 200
    acts = client.get("/v1/audit").json()["entries"]
    assert [(act["what"], act["outcome"]) for act in reversed(acts)] == [
        ("POST /v1/spoken", "left"),
        ("POST /v1/failing", "400"),
    ]


def test_work_that_goes_on_without_a_listener_is_done_once(services: Services) -> None:
    goes_on, done = Event(), list[str]()
    app = streaming(services, goes_on, done)
    client = TestClient(app, base_url="http://127.0.0.1:7777")
    headers = {"Accept": "text/event-stream", "Idempotency-Key": "k"}
    waiting = Thread(target=left, args=(app, "/v1/followed"))
    waiting.start()
    while not kept(services):
        time.sleep(0.01)
    assert client.post("/v1/followed", headers=headers).status_code == 409
    goes_on.set()
    waiting.join()
    until = time.monotonic() + 90
    while (again := client.post("/v1/followed", headers=headers)).status_code == 409:
        assert time.monotonic() < until
    assert (done, again.headers["idempotency-replayed"]) == (["followed"], "true")
    assert json.loads(again.text.rpartition("data: ")[2]) == {"n": 1}


def test_a_key_is_held_for_as_long_as_its_holder_renews_it(
    client: TestClient, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = services.clock()
    assert kept_answers._begin(services_app(client), "k", "digest") is None
    lasts = kept_answers.LEASE + timedelta(seconds=1)
    monkeypatch.setattr(services, "clock", lambda: start + lasts)
    kept_answers.renew(services.database, services.clock())
    monkeypatch.setattr(kept_answers, "_HOLDER", "another daemon")
    with pytest.raises(KeyInUse):
        kept_answers._begin(services_app(client), "k", "digest")
    monkeypatch.setattr(services, "clock", lambda: start + 2 * lasts)
    assert kept_answers._begin(services_app(client), "k", "digest") is None
    kept_answers._release(services_app(client), "k")
    assert kept(services) == []


def test_answers_of_yesterday_go_without_another_request(client: TestClient, services: Services) -> None:
    client.post("/v1/facts", json=PORTO, headers={"Idempotency-Key": "old"})
    kept_answers.drop_old(services.database, services.clock())
    assert kept(services) == ["old"]
    kept_answers.drop_old(services.database, services.clock() + timedelta(days=2))
    assert kept(services) == []


def services_app(client: TestClient) -> App:
    spaces: Spaces = client.app.state.spaces  # type: ignore[attr-defined]
    with spaces.use() as app:
        return app


def test_an_erasure_takes_every_kept_answer(client: TestClient, services: Services) -> None:
    client.post("/v1/facts", json=PORTO, headers={"Idempotency-Key": "five"})
    assert kept(services) == ["five"]
    wanted = {"kind": "person", "what": "Bo"}
    plan = client.post("/v1/forget", json=wanted).json()["plan"]
    done = client.post("/v1/forget", json={**wanted, "plan": plan}, headers={"Idempotency-Key": "six"})
    assert (done.status_code, kept(services)) == (200, [])


def test_an_invalid_request_names_its_fields_and_not_what_stood_in_them(client: TestClient) -> None:
    told = client.post("/v1/ask", json={"question": "x" * 3000, "secret": "the blue box"}).json()
    assert [one["field"] for one in told["errors"]] == ["body.question", "body.secret"]
    assert "blue box" not in str(told)
    assert "2000 characters" in told["errors"][0]["detail"]
    broken = client.post("/v1/ask", content=b"{", headers={"Content-Type": "application/json"}).json()
    assert [one["field"] for one in broken["errors"]] == ["body"]


def test_a_list_goes_on_behind_no_row_that_is_not_there(client: TestClient) -> None:
    answer = client.get("/v1/people", params={"after": "nothing"})
    assert (answer.status_code, answer.json()["type"]) == (400, "urn:slowwave:problem:unknown-place")
    assert client.get("/v1/people", params={"limit": 0}).status_code == 422


def test_the_description_is_valid_and_whole(client: TestClient) -> None:
    from openapi_spec_validator import validate

    told = client.get("/v1/openapi.json").json()
    validate(told)
    assert told["openapi"].startswith("3.1")
    every = [(path, one) for path, ops in told["paths"].items() for one in ops.values()]
    assert [name for name, n in Counter(one["operationId"] for _, one in every).items() if n > 1] == []
    for path, one in every:
        assert one["tags"], path
        assert one["summary"], path
        assert "application/problem+json" in one["responses"]["default"]["content"], path
    assert told["components"]["securitySchemes"]["token"]["scheme"] == "bearer"
    assert {tag for _, one in every for tag in one["tags"]} <= {tag["name"] for tag in told["tags"]}


def test_every_route_is_in_the_description(client: TestClient) -> None:
    from service.http.application import routers

    told = client.get("/v1/openapi.json").json()["paths"]
    for route in [route for part in routers() for route in part.routes]:
        path = getattr(route, "path", "")
        if path.startswith("/v1/"):
            assert {method.lower() for method in getattr(route, "methods", ())} <= set(told[path]), path


def test_no_dependency_of_a_route_takes_a_thread() -> None:
    def of(dependant: Any) -> Iterator[Any]:
        for one in dependant.dependencies:
            yield one.call
            yield from of(one)

    calls = {call for router in routers() for route in router.routes for call in of(route.dependant)}  # type: ignore[attr-defined]
    assert len(calls) >= 6
    waiting = [call for call in calls if not (iscoroutinefunction(call) or isasyncgenfunction(call))]
    assert waiting == []


def test_who_listens_to_events_takes_none_of_the_threads_that_answer() -> None:
    ends, n_streams = Event(), 60

    def told() -> Iterator[str]:
        ends.wait(60)
        yield "event: end\n\n"

    async def heard() -> tuple[int, list[str]]:
        streams = [asyncio.create_task(anext(aiter(events.listened(told())))) for _ in range(n_streams)]
        await asyncio.sleep(0)
        answers = [await asyncio.wait_for(run_in_threadpool(int, "7"), 30) for _ in range(3)]
        ends.set()
        return sum(answers), await asyncio.gather(*streams)

    answered, last = asyncio.run(heard())
    assert answered == 21
    assert last == ["event: end\n\n"] * n_streams
