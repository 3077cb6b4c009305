"""Tokens: what one opens, when it does not any more, and where its secret is never found."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from db.engine import Database
from memory import audit
from memory.spaces import create_space
from service.access import tokens
from service.access.tokens import Wanted
from service.errors import BadToken, TokenExists, UnknownToken
from service.http.application import create_app
from service.settings import ServeSettings, Settings
from service.spaces import Spaces

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
ELSEWHERE = "http://memory.example:7777"


@pytest.fixture
def spaces(tmp_path: Path, migrated: Path) -> Iterator[Spaces]:
    """Two spaces of a daemon on an address that others reach."""
    shutil.copy(migrated, tmp_path / "graph.db")
    opened = Spaces(Settings(home=tmp_path, serve=ServeSettings(host="0.0.0.0")))
    create_space(opened.database, "default")
    create_space(opened.database, "other")
    with closing(opened):
        yield opened


@pytest.fixture
def client(spaces: Spaces) -> TestClient:
    return TestClient(create_app(spaces), base_url=ELSEWHERE)


def bearer(spaces: Spaces, name: str = "phone", **wanted: Any) -> dict[str, str]:
    _, secret = tokens.add(spaces.database, Wanted(name, **wanted))
    return {"Authorization": f"Bearer {secret}"}


def test_a_token_opens_until_it_ends_or_is_revoked(database: Database) -> None:
    made, secret = tokens.add(database, Wanted("phone", lasts=timedelta(days=1)), clock=lambda: NOW)
    sha256 = tokens.sha256_of(secret)
    assert tokens.find(database, sha256, NOW) is not None
    assert tokens.find(database, sha256, NOW + timedelta(days=1)) is None
    assert tokens.revoke(database, "phone", clock=lambda: NOW).id == made.id
    assert tokens.find(database, sha256, NOW) is None
    assert not tokens.is_any_valid(database, NOW)


def test_the_store_has_a_hash_and_never_the_secret(database: Database) -> None:
    _, secret = tokens.add(database, Wanted("phone"))
    with database.reading() as session:
        rows = session.connection().exec_driver_sql("SELECT * FROM token").all()
    assert secret not in repr(rows)
    assert hashlib.sha256(secret.encode()).hexdigest() in repr(rows)
    assert len(secret) == len("slw_") + 43


@pytest.mark.parametrize(
    ("wanted", "why"),
    [
        (Wanted("x", scopes=()), "opens nothing"),
        (Wanted("x", scopes=("root",)), "no scope"),
        (Wanted(" "), "needs a name"),
        (Wanted("x" * 65), "needs a name"),
        (Wanted("x\n"), "needs a name"),
        (Wanted("x", lasts=timedelta(0)), "more than no time"),
        (Wanted("x", space="default", scopes=("metrics",)), "all spaces"),
    ],
)
def test_a_token_that_cannot_be_is_refused(spaces: Spaces, wanted: Wanted, why: str) -> None:
    with pytest.raises(BadToken, match=why):
        tokens.add(spaces.database, wanted)


def test_a_name_is_given_again_only_when_its_token_opens_nothing(database: Database) -> None:
    tokens.add(database, Wanted("phone"))
    with pytest.raises(TokenExists):
        tokens.add(database, Wanted("phone"))
    tokens.revoke(database, "phone")
    tokens.add(database, Wanted("phone"))
    with pytest.raises(UnknownToken):
        tokens.revoke(database, "tablet")


def test_a_token_opens_its_scopes_and_no_other(client: TestClient, spaces: Spaces) -> None:
    headers = bearer(spaces, scopes=("read",))
    assert client.get("/v1/people", headers=headers).status_code == 200
    refused = client.post("/v1/facts/0000000000000000/end", headers=headers)
    assert refused.status_code == 403
    assert refused.json()["detail"] == "this needs a token with the scope write; the one given has read"


def test_admin_opens_everything(client: TestClient, spaces: Spaces) -> None:
    headers = bearer(spaces, scopes=("admin",))
    for path in ("/v1/people", "/v1/tokens", "/v1/audit", "/metrics"):
        assert client.get(path, headers=headers).status_code == 200


def test_a_token_of_one_space_opens_that_one_alone(client: TestClient, spaces: Spaces) -> None:
    headers = bearer(spaces, space="other", scopes=("admin",))
    assert [space["name"] for space in client.get("/v1/spaces", headers=headers).json()] == ["other"]
    for name in ("default", "nowhere"):
        refused = client.get("/v1/people", params={"space": name}, headers=headers)
        assert refused.status_code == 403
        assert "this token opens the space 'other' alone" in refused.json()["detail"]
    assert client.get("/metrics", headers=headers).status_code == 403
    assert client.post("/v1/spaces", json={"name": "third"}, headers=headers).status_code == 403


def test_a_token_of_one_space_makes_and_sees_no_others(client: TestClient, spaces: Spaces) -> None:
    every, _ = tokens.add(spaces.database, Wanted("every", scopes=("admin",)))
    headers = bearer(spaces, space="other", scopes=("admin",))
    assert (
        client.post("/v1/tokens", json={"name": "x", "space": "default"}, headers=headers).status_code == 403
    )
    made = client.post("/v1/tokens", json={"name": "mine"}, headers=headers).json()
    assert made["space"] == "other"
    assert [token["name"] for token in client.get("/v1/tokens", headers=headers).json()] == ["phone", "mine"]
    assert client.delete(f"/v1/tokens/{every.id}", headers=headers).status_code == 404
    assert client.delete(f"/v1/tokens/{made['id']}", headers=headers).json()["revoked"] is not None


def test_a_revoked_token_opens_nothing_from_the_next_request_on(client: TestClient, spaces: Spaces) -> None:
    headers = bearer(spaces)
    assert client.get("/v1/people", headers=headers).status_code == 200
    tokens.revoke(spaces.database, "phone")
    assert client.get("/v1/people", headers=headers).status_code == 401


def test_without_a_token_only_what_holds_no_words_is_open(client: TestClient) -> None:
    assert client.get("/healthz").status_code == 200
    assert client.get("/").status_code == 200
    for path in ("/v1/people", "/v1/session", "/v1/openapi.json", "/metrics", "/nothing"):
        assert client.get(path).status_code == 401


def test_a_browser_logs_in_with_a_token_and_out(client: TestClient, spaces: Spaces) -> None:
    secret = bearer(spaces, space="other")["Authorization"].removeprefix("Bearer ")
    assert client.post("/v1/login", json={"token": "slw_wrong"}).status_code == 401
    answer = client.post("/v1/login", json={"token": secret})
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert secret not in cookie
    assert client.get("/v1/session").json() == {
        "via": "cookie",
        "name": "phone",
        "space": "other",
        "scopes": ["read"],
    }
    assert client.post("/v1/logout", headers={"Slowwave-Request": "1"}).status_code == 204
    assert client.get("/v1/session").status_code == 401


def test_a_cookie_ends_with_its_token(client: TestClient, spaces: Spaces) -> None:
    secret = bearer(spaces)["Authorization"].removeprefix("Bearer ")
    client.post("/v1/login", json={"token": secret})
    assert client.get("/v1/people").status_code == 200
    tokens.revoke(spaces.database, "phone")
    assert client.get("/v1/people").status_code == 401


def test_a_cookie_is_secure_where_it_was_asked_for_by_tls(spaces: Spaces) -> None:
    client = TestClient(create_app(spaces), base_url="https://memory.example")
    secret = bearer(spaces)["Authorization"].removeprefix("Bearer ")
    assert "Secure" in client.post("/v1/login", json={"token": secret}).headers["set-cookie"]


def test_a_token_in_the_address_opens_nothing(client: TestClient, spaces: Spaces) -> None:
    secret = bearer(spaces)["Authorization"].removeprefix("Bearer ")
    assert client.get("/v1/people", params={"token": secret, "access_token": secret}).status_code == 401


def test_no_secret_is_in_the_log_an_answer_or_the_audit_log(
    client: TestClient, spaces: Spaces, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(0)
    secret = bearer(spaces, scopes=("admin",))["Authorization"].removeprefix("Bearer ")
    client.post("/v1/login", json={"token": secret})
    wrong = {"Authorization": "Bearer slw_wrongwrong"}
    said = [client.get("/v1/people", headers=wrong).text, client.post("/v1/login", json={"token": ""}).text]
    said += [client.post("/v1/login", json={"token": "slw_wrongwrong", "x": secret}).text]
    said += [client.get("/v1/audit").text, client.get("/v1/tokens").text]
    for text in (caplog.text, *said):
        assert secret not in text
        assert "slw_wrongwrong" not in text


def test_when_a_token_was_used_is_kept(spaces: Spaces) -> None:
    headers = bearer(spaces)
    with TestClient(create_app(spaces), base_url=ELSEWHERE) as client:
        client.get("/v1/people", headers=headers)
    assert tokens.list_tokens(spaces.database)[0].used_at is not None


def test_every_change_is_on_record_with_who_and_how_it_ended(client: TestClient, spaces: Spaces) -> None:
    headers = bearer(spaces, scopes=("admin",))
    client.get("/v1/people", headers=headers)
    client.post("/v1/facts/0123456789abcdef/end", headers=headers)
    client.post("/v1/facts/somebody/end", headers=headers)
    client.get("/v1/export", headers=headers)
    client.post("/v1/spaces", json={"name": "Ana"}, headers=headers)
    page = client.get("/v1/audit", headers=headers).json()
    assert [(one["what"], one["ids"], one["outcome"]) for one in reversed(page["entries"])] == [
        ("POST /v1/facts/{fact_id}/end", {"fact_id": "0123456789abcdef"}, "404"),
        ("POST /v1/facts/{fact_id}/end", {}, "404"),
        ("GET /v1/export", {}, "200"),
        ("POST /v1/spaces", {}, "201"),
    ]
    assert {(one["via"], one["token_name"]) for one in page["entries"]} == {("token", "phone")}
    assert page["entries"][1]["space"] == "default"
    assert audit.breaks(spaces.database) == []


def test_no_name_is_taken_for_an_id(client: TestClient, spaces: Spaces) -> None:
    headers = bearer(spaces, scopes=("admin",))
    client.put("/v1/people/15551234567/name", json={"name": "Ada"}, headers=headers)
    client.delete("/v1/people/15551234567/aliases/00491701234567890", headers=headers)
    client.delete("/v1/tokens/15551234567", headers=headers)
    page = client.get("/v1/audit", headers=headers)
    assert [one["ids"] for one in page.json()["entries"]] == [{}, {}, {}]
    assert "1555" not in page.text


def test_a_changed_or_missing_entry_of_the_audit_log_shows(database: Database) -> None:
    for outcome in ("200", "404", "200"):
        audit.record(database, audit.Act("loopback", "POST /v1/facts", outcome))
    assert audit.breaks(database) == []
    with database.transaction() as session:
        session.connection().exec_driver_sql("UPDATE act SET outcome = '200' WHERE seq = 2")
    assert audit.breaks(database) == ["audit entry 2 was changed after it was written"]
    with database.transaction() as session:
        session.connection().exec_driver_sql("DELETE FROM act WHERE seq = 2")
    assert "audit entry 2 is missing" in audit.breaks(database)


def test_a_token_of_one_space_sees_the_acts_of_that_one(client: TestClient, spaces: Spaces) -> None:
    every = bearer(spaces, "every", scopes=("admin",))
    client.post("/v1/facts/0123456789abcdef/end", headers=every)
    own = bearer(spaces, "own", space="other", scopes=("admin",))
    assert client.get("/v1/audit", headers=own).json() == {"entries": [], "next": None}


def test_whoever_keeps_a_space_sees_what_became_of_its_tokens(client: TestClient, spaces: Spaces) -> None:
    every = bearer(spaces, "every", scopes=("admin",))
    own = bearer(spaces, "own", space="other", scopes=("admin",))
    made = client.post("/v1/tokens", json={"name": "x", "space": "other"}, headers=every).json()
    client.post("/v1/tokens", json={"name": "y", "space": "default"}, headers=every)
    client.post("/v1/login", json={"token": made["secret"]})
    client.delete(f"/v1/tokens/{made['id']}", headers=every)
    seen = client.get("/v1/audit", headers=own).json()["entries"]
    assert [one["what"] for one in seen] == [
        "DELETE /v1/tokens/{token_id}",
        "POST /v1/login",
        "POST /v1/tokens",
    ]


def test_a_space_without_a_name_is_not_every_space(client: TestClient, spaces: Spaces) -> None:
    every = bearer(spaces, scopes=("admin",))
    refused = client.post("/v1/tokens", json={"name": "x", "space": ""}, headers=every)
    assert (refused.status_code, len(tokens.list_tokens(spaces.database))) == (404, 1)


def test_the_audit_log_goes_on_before_no_number_that_cannot_be(client: TestClient, spaces: Spaces) -> None:
    headers = bearer(spaces, scopes=("admin",))
    for before, status in ((2**63 - 1, 200), (10**20, 422)):
        assert client.get("/v1/audit", params={"before": before}, headers=headers).status_code == status


def test_on_a_machine_with_other_users_loopback_asks_for_a_token_too(spaces: Spaces) -> None:
    careful = replace(spaces.settings, serve=ServeSettings(token_required=True))
    own = Spaces(careful, shared=spaces.shared)
    client = TestClient(create_app(own), base_url="http://127.0.0.1:7777")
    assert client.get("/v1/people").status_code == 401
