"""The routes of review, on a real store."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from memory.facts import candidates, decide
from service.http.application import create_app
from service.settings import Settings
from service.wiring import Services


@pytest.fixture
def services(tmp_path: Path, imported: Path) -> Iterator[Services]:
    """The chat's candidates are quarantined."""
    shutil.copytree(imported, tmp_path / "home")
    with Services(Settings(home=tmp_path / "home")) as opened:
        found = candidates(opened.database, opened.space_id)
        with opened.database.transaction() as session:
            for fact in found:
                decide(
                    session,
                    opened.space_id,
                    fact.id,
                    "QUARANTINE",
                    ["too little"],
                    opened.registry,
                    run_id=None,
                )
        yield opened


def call(services: Services, method: str, path: str, **options: Any) -> httpx.Response:
    async def go() -> httpx.Response:
        transport = httpx.ASGITransport(app=create_app(services))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:7777") as client:
            return await client.request(method, path, **options)

    return asyncio.run(go())


def test_what_waits_comes_in_pages_and_is_settled(services: Services) -> None:
    first = call(services, "GET", "/v1/review?limit=1").json()
    rest = call(services, "GET", f"/v1/review?after={first['next']}").json()
    assert len(first["items"]) + len(rest["items"]) == first["waiting"]
    path = f"/v1/facts/{first['items'][0]['id']}"
    done = call(services, "POST", f"{path}/settle", json={"verdict": "reject", "by": "Bo"})
    assert (done.status_code, done.json()["fact"]["status"]) == (201, "rejected")
    again = call(services, "POST", f"{path}/settle", json={"verdict": "accept"})
    assert again.status_code == 409
    undone = call(services, "POST", f"/v1/decisions/{done.json()['decisions'][0]}/undo")
    assert undone.status_code == 200
    assert call(services, "GET", "/v1/review").json()["waiting"] == first["waiting"]


def test_a_correction_needs_its_value(services: Services) -> None:
    item = call(services, "GET", "/v1/review?limit=1").json()["items"][0]
    path = f"/v1/facts/{item['id']}/settle"
    assert call(services, "POST", path, json={"verdict": "correct"}).status_code == 400
    assert call(services, "POST", path, json={"verdict": "perhaps"}).status_code == 422
    made = call(services, "POST", path, json={"verdict": "correct", "object": "Ponte de Lima"})
    assert (made.status_code, made.json()["fact"]["object"]) == (201, "Ponte de Lima")


def test_why_and_pins_over_http(services: Services) -> None:
    item = call(services, "GET", "/v1/review?limit=1").json()["items"][0]
    path = f"/v1/facts/{item['id']}"
    pinned = call(services, "PUT", f"{path}/pin", params={"by": "Bo"}).json()
    assert pinned == {"fact": item["id"], "pinned": True, "changed": True}
    told = call(services, "GET", f"{path}/why").json()
    assert (told["pinned"], told["undo"], told["retention"]) == (True, item["decision"], 1.0)
    assert call(services, "DELETE", f"{path}/pin").json()["pinned"] is False
    for method, end in (("GET", "why"), ("PUT", "pin"), ("DELETE", "pin")):
        assert call(services, method, f"/v1/facts/nosuchfact/{end}").status_code == 404


def test_the_ledger_is_read_and_recomputed_over_http(services: Services) -> None:
    newest, *_ = call(services, "GET", "/v1/ledger?limit=3").json()["entries"]
    assert (newest["kind"], newest["payload"]["kind"]) == ("decision", "QUARANTINE")
    told = call(services, "GET", "/v1/ledger/verify").json()
    assert told == {"sound": True, "entries": newest["seq"], "first_broken": None, "problems": []}
