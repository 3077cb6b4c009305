"""Digests on the command line and over HTTP."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest

from memory import digests
from service.http.application import create_app
from service.settings import Settings
from service.wiring import Services
from tests.service.conftest import write_chat

BOATS = "On day {} the harbour was full of boats."
TALK = (
    *(
        (f"2023-05-{day:02}T10:00:00", ("Ada Lund", "Bo Rask")[day % 2], BOATS.format(day))
        for day in range(1, 25)
    ),
    ("2024-01-01T10:00:00", "Ada Lund", "A new year."),
)


@pytest.fixture
def digested(empty: Any, tmp_path: Path) -> str:
    """The id of the one digest of a chat."""
    assert empty("import", write_chat(tmp_path / "chat.jsonl", TALK)).code == 0
    with Services(Settings(home=empty.home)) as services:
        (stretch,) = digests.due(services.database, services.space_id).stretches
        with services.database.transaction() as session:
            lines = stretch.episode_ids[:2]
            return digests.write(session, services.space_id, stretch, lines, run_id=None)


def test_digests_are_listed_shown_and_found(empty: Any, digested: str) -> None:
    (listed,) = empty("digest", "list", "--json").json
    assert (listed["id"], listed["messages"], len(listed["lines"])) == (digested, 24, 2)
    assert digested in empty("digest", "list").out
    assert empty("digest", "show", digested, "--json").json == listed
    shown = empty("digest", "show", digested).out
    assert "2 of 24 messages" in shown
    assert "2023-05-01 10:00 Bo Rask: On day 1 the harbour was full of boats." in shown
    (hit,) = empty("search", "boats in the harbour", "--kinds", "digest", "--json").json
    assert (hit["kind"], hit["id"], hit["until"][:10]) == ("digest", digested, "2023-05-24")
    assert "digest" in empty("search", "boats in the harbour", "--kinds", "digest").out


def test_a_digest_that_is_not_there_is_named(empty: Any, digested: str) -> None:
    assert "slowwave digest list" in empty("digest", "show", "nosuchdigest").refusal


def test_without_digests_the_list_says_how_they_come(slowwave: Any) -> None:
    assert "slowwave sleep" in slowwave("digest", "list").out


def test_digests_over_http(empty: Any, digested: str) -> None:
    async def get(services: Services, path: str) -> httpx.Response:
        transport = httpx.ASGITransport(app=create_app(services))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:7777") as client:
            return await client.get(path)

    with Services(Settings(home=empty.home)) as services:
        (listed,) = asyncio.run(get(services, "/v1/digests")).json()["digests"]
        assert asyncio.run(get(services, f"/v1/digests/{digested}")).json() == listed
        assert asyncio.run(get(services, "/v1/digests/nosuchdigest")).status_code == 404
        found = asyncio.run(get(services, "/v1/search?q=boats&kind=digest")).json()
        assert [hit["id"] for hit in found] == [digested]
