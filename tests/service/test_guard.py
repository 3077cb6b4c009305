"""The guard: foreign pages and names, limits, and the headers of every answer."""

from __future__ import annotations

import asyncio
import itertools
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI, Request
from starlette.testclient import TestClient

from db.engine import make_engine
from service.access import tokens
from service.access.guard import Gate
from service.access.limits import Buckets
from service.access.tokens import Wanted
from service.http.application import create_app
from service.settings import ImportSettings, LimitSettings, ServeSettings, Settings
from service.spaces import Spaces

OWN = "http://127.0.0.1:7777"
ELSEWHERE = "http://memory.example:7777"
JSON = {"Content-Type": "application/json"}


@pytest.fixture
def home(tmp_path: Path, migrated: Path) -> Path:
    shutil.copy(migrated, tmp_path / "graph.db")
    return tmp_path


def opened(home: Path, limits: LimitSettings | None = None, **serve: Any) -> Spaces:
    own = ServeSettings(limits=limits or LimitSettings(), **serve)
    return Spaces(Settings(home=home, serve=own, imports=ImportSettings(max_upload_mb=1)))


@pytest.fixture
def spaces(home: Path) -> Iterator[Spaces]:
    spaces = opened(home)
    yield spaces
    spaces.close()


@pytest.fixture
def client(spaces: Spaces) -> TestClient:
    return TestClient(create_app(spaces), base_url=OWN)


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://page.example"},
        {"Origin": "http://127.0.0.1:3000"},  # another program of this machine serves that page
        {"Origin": "null"},
        {"Origin": "chrome-extension://abcdef"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"},
        {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "cors"},
        {"Host": "rebound.example:7777"},
        {"Host": "127.0.0.1.rebound.example"},
        {"Host": ""},
        {"Host": "[::1"},
    ],
)
def test_a_foreign_page_or_name_reaches_nothing(client: TestClient, headers: dict[str, str]) -> None:
    assert client.get("/v1/people", headers=headers).status_code == 403


def test_a_link_to_the_page_may_be_followed_from_anywhere(client: TestClient) -> None:
    headers = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    assert client.get("/", headers=headers).status_code == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": OWN, "Content-Type": "text/plain"}, 403),
        ({"Origin": OWN, "Content-Type": "application/x-www-form-urlencoded"}, 403),
        ({"Origin": OWN, "Content-Type": "multipart/form-data; boundary=x"}, 403),
        ({"Sec-Fetch-Site": "same-origin"}, 403),
        ({"Cookie": "slowwave_login=x", "Content-Type": "text/plain"}, 403),
        ({"Origin": OWN, **JSON}, 201),
        ({"Origin": OWN, "Content-Type": "application/json; charset=utf-8"}, 201),
        ({**JSON}, 201),
    ],
)
def test_a_form_changes_nothing(client: TestClient, headers: dict[str, str], status: int) -> None:
    answer = client.post("/v1/spaces", content=b'{"name": "x"}', headers=headers)
    assert answer.status_code == status


def test_a_header_of_our_own_is_as_good_as_json(client: TestClient) -> None:
    headers = {"Origin": OWN, "Slowwave-Request": "1"}
    assert client.post("/v1/logout", headers=headers).status_code == 204


@pytest.mark.parametrize("name", ["Forwarded", "X-Forwarded-For", "X-Real-IP", "Via"])
def test_what_a_proxy_passes_on_is_not_taken_for_this_machine(client: TestClient, name: str) -> None:
    assert client.get("/v1/people", headers={name: "203.0.113.9"}).status_code == 401


def test_a_listed_name_is_served_to_who_has_a_token_alone(home: Path) -> None:
    spaces = opened(home, hosts="memory.example")
    client = TestClient(create_app(spaces), base_url=ELSEWHERE)
    assert client.get("/v1/people").status_code == 401
    _, secret = tokens.add(spaces.database, Wanted("phone"))
    headers = {"Authorization": f"Bearer {secret}"}
    assert client.get("/v1/people", headers=headers).status_code == 200
    assert client.get("/v1/people", headers={**headers, "Host": "other.example"}).status_code == 403
    spaces.close()


def test_a_wrong_token_is_refused_on_loopback_too(client: TestClient) -> None:
    refused = client.get("/v1/people", headers={"Authorization": "Bearer slw_wrong"})
    assert refused.status_code == 401
    assert refused.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("path", ["/", "/healthz", "/v1/people", "/v1/nothing", "/v1/people/Nobody"])
def test_every_answer_carries_the_headers_that_protect_it(client: TestClient, path: str) -> None:
    headers = client.get(path).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cross-origin-opener-policy"] == headers["cross-origin-resource-policy"] == "same-origin"
    assert "access-control-allow-origin" not in headers
    kept = (
        "private, no-cache" if "etag" in headers else "no-store"
    )  # one's own, and asked for again each time
    assert path in ("/", "/healthz") or headers["cache-control"] == kept


def test_in_a_file_that_is_shown_nothing_runs(spaces: Spaces) -> None:
    app = create_app(spaces)

    @app.get("/v1/shown")
    def shown() -> Any:
        from fastapi.responses import HTMLResponse

        return HTMLResponse("<style>p{color:red}</style><p>report")

    policy = TestClient(app, base_url=OWN).get("/v1/shown").headers["content-security-policy"]
    assert "script-src" not in policy
    assert policy.startswith("default-src 'none'")
    assert policy.endswith("sandbox")


def test_a_web_socket_is_closed(client: TestClient) -> None:
    from starlette.websockets import WebSocketDisconnect

    with pytest.raises(WebSocketDisconnect), client.websocket_connect("/v1/people"):
        pass


def test_a_route_that_no_table_knows_asks_for_admin(spaces: Spaces) -> None:
    app = create_app(spaces)
    app.add_api_route("/v1/forgotten", lambda: "words")
    client = TestClient(app, base_url=OWN)
    _, secret = tokens.add(spaces.database, Wanted("phone", scopes=("read", "write", "chat", "night")))
    headers = {"Authorization": f"Bearer {secret}"}
    assert client.get("/v1/forgotten", headers=headers).status_code == 403


# Limits


def test_a_bucket_lets_a_burst_pass_and_then_its_rate() -> None:
    now = itertools.count().__next__  # a second passes with each look
    buckets = Buckets(rate=0.5, burst=2, monotonic=now)
    assert [buckets.take("a") for _ in range(5)] == [0.0, 0.0, 0.0, 1.0, 0.0]


def test_buckets_are_forgotten_before_they_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.access.limits.MAX_KEYS", 3)
    buckets = Buckets(rate=1, burst=1)
    for number in range(10):
        buckets.take(str(number))
    assert len(buckets._levels) == 3


def test_a_token_that_asks_too_much_is_told_when_to_come_again(home: Path) -> None:
    spaces = opened(home, LimitSettings(requests_per_s=0.01, burst=2))
    client = TestClient(create_app(spaces), base_url=OWN)
    secrets = [tokens.add(spaces.database, Wanted(name))[1] for name in ("a", "b")]
    a, b = ({"Authorization": f"Bearer {secret}"} for secret in secrets)
    assert [client.get("/v1/people", headers=a).status_code for _ in range(3)] == [200, 200, 429]
    refused = client.get("/v1/people", headers=a)
    assert 90 <= int(refused.headers["retry-after"]) <= 100
    assert refused.headers["content-type"] == "application/problem+json"
    assert client.get("/v1/people", headers=b).status_code == 200
    assert [client.get("/v1/people").status_code for _ in range(5)] == [
        200
    ] * 5  # this machine's own programs
    spaces.close()


def test_guessing_tokens_is_slowed_down_and_a_right_one_still_opens(home: Path) -> None:
    spaces = opened(home, LimitSettings(failures_per_minute=3), host="0.0.0.0")
    client = TestClient(create_app(spaces), base_url=ELSEWHERE)
    wrong = {"Authorization": "Bearer slw_wrong"}
    assert [client.get("/v1/people", headers=wrong).status_code for _ in range(4)] == [401, 401, 401, 429]
    assert client.post("/v1/login", json={"token": "slw_wrong"}).status_code == 429
    _, secret = tokens.add(spaces.database, Wanted("phone"))
    assert client.get("/v1/people", headers={"Authorization": f"Bearer {secret}"}).status_code == 200
    spaces.close()


def test_long_addresses_and_many_headers_are_refused(client: TestClient) -> None:
    assert client.get("/v1/search", params={"q": "x" * 9000}).status_code == 414
    assert client.get("/" + "x" * 9000).status_code == 414
    assert client.get("/v1/people", headers={f"X-{n}": "x" for n in range(101)}).status_code == 431
    assert client.get("/v1/people", headers={"X": "x" * 40_000}).status_code == 431


def test_a_body_that_is_announced_too_large_is_refused_unread(client: TestClient) -> None:
    answer = client.post("/v1/ask", content=b"x" * (1025 * 1024), headers=JSON)
    assert answer.status_code == 413
    assert "larger than 1024 kB; send less, or raise serve.limits.body_kb" in answer.json()["detail"]


@pytest.mark.parametrize("path", ["/v1/ask", "/v1/load"])
def test_a_stream_is_counted_as_it_comes(client: TestClient, path: str) -> None:
    sent = 0

    def pieces() -> Iterator[bytes]:
        nonlocal sent
        for _ in range(64):
            sent += 1
            yield b"x" * 65536

    assert client.post(path, content=pieces(), headers=JSON).status_code == 413


def test_a_body_that_comes_too_slowly_is_given_up(home: Path) -> None:
    spaces = opened(home, LimitSettings(body_wait_s=0.1))
    status = asyncio.run(_post_slowly(create_app(spaces)))
    assert status == 408
    spaces.close()


async def _post_slowly(app: FastAPI) -> int:
    """The status that a body of two pieces gets whose second one never comes."""
    pieces = [{"type": "http.request", "body": b"{", "more_body": True}]
    sent: list[Any] = []

    async def receive() -> Any:
        if pieces:
            return pieces.pop()
        return await asyncio.sleep(60)

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": "/v1/ask",
        "raw_path": b"/v1/ask",
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"127.0.0.1:7777"), (b"content-type", b"application/json")],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 7777),
    }
    await app(scope, receive, send)
    return int(sent[0]["status"])


def test_a_body_may_not_trickle_for_ever(home: Path) -> None:
    from service.access.limits import _Body

    body = _Body(LimitSettings(body_wait_s=10, body_kb_per_s=1), 0, "")
    body._begun -= 9
    first = body.patience_s()
    assert first is not None
    assert 0 < first < 1.1
    body.take({"type": "http.request", "body": b"x" * 5120, "more_body": True})
    second = body.patience_s()
    assert second is not None
    assert 5 < second < 6.1


def test_an_act_that_cannot_be_recorded_is_done_all_the_same_and_said_in_the_log(
    spaces: Spaces, caplog: pytest.LogCaptureFixture
) -> None:
    app = create_app(spaces)
    client = TestClient(app, base_url=OWN)
    engine = make_engine(spaces.settings.url)
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE act")
    engine.dispose()
    assert client.post("/v1/spaces", json={"name": "x"}).status_code == 201
    assert "an act is not on record" in caplog.text


def test_who_asks_is_known_to_the_routes(spaces: Spaces) -> None:
    app = create_app(spaces)
    seen: list[Any] = []

    def look(request: Request) -> None:
        seen.append((request.state.caller.via, isinstance(request.state.gate, Gate)))

    app.add_api_route("/v1/look", look)
    TestClient(app, base_url=OWN).get("/v1/look")
    assert seen == [("loopback", True)]


def test_limits_are_read_from_the_settings(home: Path) -> None:
    from service.settings import load_settings

    (home / "config.toml").write_text("[serve.limits]\nburst = 7\n")
    settings = load_settings(home, {"SLOWWAVE_SERVE__LIMITS__BODY_KB": "5"})
    assert settings.serve.limits == replace(LimitSettings(), burst=7, body_kb=5)
