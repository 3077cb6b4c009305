"""What waits for a model, at both entrances, with a real server that is busy, odd, away, or out of quota."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from agents.extractors.model import STRETCH
from service.errors import BadSettings
from service.http.application import create_app
from service.settings import load_settings
from service.wiring import Services
from tests.model_server import ModelServer, Reply, chat, refusal

NOTHING = json.dumps({"facts": []})
FOUND = {
    "subject": "Bo Rask",
    "subject_kind": "person",
    "predicate": "hobby",
    "object": "pressing wild flowers",
    "object_kind": None,
    "messages": [1],
    "confidence": 0.9,
    "change": "state",
    "corrects": None,
    "valid_from": None,
    "valid_to": None,
}


@pytest.fixture
def said(imported: Path) -> Path:
    """The small chat's file; the tests' `chat` is a server's answer."""
    return imported / "chat.jsonl"


@pytest.fixture
def server() -> Iterator[ModelServer]:
    made = ModelServer()
    made.reply = lambda n, body: chat(NOTHING, usage=(1000, 100))
    yield made
    made.close()


@pytest.fixture
def long(tmp_path: Path) -> Path:
    """A chat of 130 messages, in which nothing is to be learnt."""
    rows = [
        {"time": f"2025-07-01T{i // 60:02}:{i % 60:02}:00", "speaker": "Bo Rask", "text": f"well, number {i}"}
        for i in range(130)
    ]
    path = tmp_path / "long.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return path


def configure(home: Path, server: ModelServer, **settings: Any) -> None:
    """Let the home ask that server."""
    home.mkdir(exist_ok=True)
    chosen = {"kind": "openai", "model": "m", "base_url": f"{server.url}/v1", "retries": 0, **settings}
    lines = [f"{name} = {json.dumps(value).replace('NaN', 'nan')}" for name, value in chosen.items()]
    (home / "config.toml").write_text("\n".join(["[backend]", *lines]), encoding="utf-8")


def reasons(outcome: Any) -> dict[str, int]:
    return {item["reason"]: item["n"] for item in outcome.json["waiting"]}


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (refusal(503, "down"), "away"),
        (refusal(429, "check your plan", code="insufficient_quota"), "quota"),
        (chat("I would rather talk about boats."), "nonsense"),
    ],
)
def test_an_import_keeps_its_messages_and_what_rules_read_and_says_what_waits(
    empty: Any, server: ModelServer, said: Path, reply: Reply, reason: str
) -> None:
    configure(empty.home, server)
    server.reply = lambda n, body: reply
    report = empty("import", said, "--json").json
    assert (report["new"], report["pending"]) == (5, 5)
    assert report["candidates"] > 0
    waiting = empty("pending", "--json")
    assert reasons(waiting) == {reason: 5}
    assert waiting.json["waiting"][0]["since"]
    told = empty("pending").out.split()
    assert told[told.index("message") + 1 :][:2] == ["5", reason.partition("_")[0]]


def test_draining_reads_what_waits_and_nothing_twice(empty: Any, server: ModelServer, said: Path) -> None:
    configure(empty.home, server)
    server.reply = lambda n, body: refusal(503, "down")
    empty("import", said)
    left = empty("pending", "--drain", "--json").json
    assert (left["read"], left["n"]) == (0, 5)
    server.reply = lambda n, body: chat(json.dumps({"facts": [FOUND]}))
    drained = empty("pending", "--drain", "--json").json
    assert (drained["read"], drained["candidates"], drained["n"]) == (5, 1, 0)
    assert "pressing wild flowers" in empty("facts", "Bo Rask").out
    assert empty("pending").out.strip() == "nothing waits"
    asked = len(server.requests)
    assert empty("pending", "--drain", "--json").json["read"] == 0
    assert len(server.requests) == asked


def test_a_long_chat_is_read_as_far_as_the_quota_goes(empty: Any, server: ModelServer, long: Path) -> None:
    configure(empty.home, server, at_once=1)
    spent = refusal(429, "check your plan", code="insufficient_quota")
    server.reply = lambda n, body: chat(NOTHING) if n < 2 else spent
    outcome = empty("import", long)
    assert outcome.code == 0
    assert "`slowwave pending --drain` tries again" in outcome.out
    left = reasons(empty("pending", "--json"))
    assert left.keys() == {"quota"}
    assert 130 - left["quota"] == pytest.approx(2 * STRETCH, abs=STRETCH // 2)


def test_a_limit_on_cost_stops_asking_and_says_what_was_spent(
    empty: Any, server: ModelServer, long: Path
) -> None:
    configure(
        empty.home,
        server,
        at_once=1,
        max_cost_per_day=0.052,
        price_per_million_in=2.0,
        price_per_million_out=10.0,
    )
    empty("import", long)
    spent = empty("budget", "--json").json
    assert spent["limits"]["max_cost_per_day"] == 0.052
    assert spent["today"]["requests"] == len(server.requests)
    assert 0.003 * len(server.requests) == pytest.approx(spent["today"]["cost"])
    assert 0 < spent["today"]["cost"] <= 0.052
    assert reasons(empty("pending", "--json")).keys() == {"budget"}
    told = empty("budget").out
    assert "openai:m" in told
    assert "backend.max_cost_per_day = 0.052" in told


def test_answers_are_remembered_and_an_erasure_leaves_none(
    empty: Any, server: ModelServer, said: Path
) -> None:
    configure(empty.home, server)
    server.reply = lambda n, body: chat(json.dumps({"facts": [FOUND]}))
    empty("import", said)
    kept = empty.home / "answers" / "answers.db"
    assert empty("budget", "--json").json["remembered"]["answers"] == 1
    assert b"pressing wild flowers" in kept.read_bytes()
    shown = empty("forget", "person", "Bo Rask", "--json").json
    assert any("answers" in line["ids"] for line in shown["lines"] if line["kind"] == "path")
    outcome = empty("forget", "person", "Bo Rask", "--yes", "--json").json
    assert outcome["scan"]["clean"]
    assert not kept.exists()


def test_without_the_cache_no_answer_is_kept(empty: Any, server: ModelServer, said: Path) -> None:
    configure(empty.home, server, cache=False)
    empty("import", said)
    assert server.requests
    assert not (empty.home / "answers").exists()


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"extractor": "tarot"}, "extractor"),
        ({"max_cost_per_day": 1.0}, "price"),
        ({"at_once": 0}, "at_once"),
        ({"max_tokens_per_day": -1}, "max_tokens_per_day"),
        ({"max_cost_per_run": float("nan"), "price_per_million_in": 1.0}, "max_cost_per_run"),
        ({"kind": "none", "extractor": "model"}, "kind"),
    ],
)
def test_settings_that_cannot_work_are_named(
    tmp_path: Path, server: ModelServer, settings: dict[str, Any], named: str
) -> None:
    configure(tmp_path / "home", server, **settings)
    with Services(load_settings(tmp_path / "home", {})) as services, pytest.raises(BadSettings, match=named):
        _ = services.extractor, services.chat_model


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({}, "rules-1+spans-1+model/openai:m"),
        ({"extractor": "both"}, "rules-1+spans-1+model/openai:m"),
        ({"extractor": "model"}, "model/openai:m"),
        ({"extractor": "rules"}, "rules-1+spans-1"),
        ({"kind": "none"}, "rules-1+spans-1"),
        ({"kind": "local", "model": ""}, "rules-1+spans-1"),
        ({"kind": "local", "model": "embedded", "extractor": "model"}, "model/local:embedded"),
    ],
)
def test_the_settings_choose_who_reads(
    tmp_path: Path, server: ModelServer, settings: dict[str, Any], name: str
) -> None:
    configure(tmp_path / "home", server, **settings)
    with Services(load_settings(tmp_path / "home", {})) as services:
        assert services.extractor.name == name


def test_a_script_reads_until_it_ends(empty: Any, server: ModelServer, said: Path, tmp_path: Path) -> None:
    script = tmp_path / "script.json"
    script.write_text(json.dumps([json.dumps({"facts": [FOUND]})]))
    configure(empty.home, server, kind="scripted", model=str(script), extractor="model")
    assert empty("import", said, "--json").json["candidates"] == 1
    assert server.requests == []


@pytest.mark.parametrize("script", ["", "{", "{}", "[1]"])
def test_what_is_no_script_is_refused(empty: Any, said: Path, server: ModelServer, script: str) -> None:
    configure(empty.home, server, kind="scripted", model=str(empty.home / "script.json"))
    if script:
        (empty.home / "script.json").write_text(script)
    assert "script" in empty("import", said).refusal


def test_the_routes_tell_the_same_and_drain(tmp_path: Path, server: ModelServer, said: Path) -> None:
    configure(tmp_path / "home", server)
    server.reply = lambda n, body: refusal(503, "down") if n == 0 else chat(NOTHING, usage=(1000, 100))

    async def talk(services: Services) -> list[Any]:
        transport = httpx.ASGITransport(app=create_app(services))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:7777") as client:
            asked = [
                await client.get("/v1/pending"),
                await client.post("/v1/pending/drain"),
                await client.get("/v1/pending"),
                await client.get("/v1/budget"),
            ]
        return [response.json() for response in asked]

    with Services(load_settings(tmp_path / "home", {})) as services:
        services.import_file(said)
        before, drained, after, budget = asyncio.run(talk(services))
    assert [item["reason"] for item in before["waiting"]] == ["away"]
    assert (drained["read"], drained["n"], after["n"]) == (5, 0, 0)
    assert budget["today"] == {
        "requests": 1,
        "tokens_in": 1000,
        "tokens_out": 100,
        "estimated": 0,
        "cost": 0.0,
    }
