"""How words are drawn is asked for in the same way by the command line, HTTP, MCP and the client."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from memory.sessions import list_sessions
from service.access.callers import LOOPBACK
from service.http.application import create_app
from service.mcp.writing import TOOLS
from service.settings import load_settings
from service.spaces import Spaces
from service.wiring import Services
from simulator.drawing import KNOBS

ADA, BO = "Ada Lund", "Bo Rask"
ASKED = {
    "temperature": 0.5,
    "top_k": 7,
    "top_p": 0.9,
    "min_p": 0.1,
    "repetition_penalty": 1.2,
    "dry_multiplier": 0.4,
    "max_new_tokens": 1,
}


@pytest.fixture
def program(slowwave: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Ada and Bo agreed to be simulated, and a script speaks."""
    script = tmp_path / "replies.txt"
    script.write_text("Gulls are loud.\nSoup was good.\nNobody came by.\n")
    monkeypatch.setenv("SLOWWAVE_PERSONA__ENGINE", "scripted")
    monkeypatch.setenv("SLOWWAVE_PERSONA__SCRIPT", str(script))
    for name in (ADA, BO):
        assert slowwave("consent", name, "--by", name).code == 0
    return slowwave


@pytest.fixture
def services(program: Any) -> Iterator[Services]:
    with Services(load_settings()) as opened:
        yield opened


def options(asked: dict[str, float]) -> list[str]:
    return [word for name, value in asked.items() for word in (f"--{name.replace('_', '-')}", str(value))]


def recorded(services: Services) -> dict[str, Any]:
    """The knobs of the newest session on record."""
    settings = list_sessions(services.database, services.space_id)[0].settings
    return {name: settings[name] for name in KNOBS}


def test_what_is_asked_for_here_is_every_knob() -> None:
    assert set(ASKED) == set(KNOBS)


def test_by_command(program: Any) -> None:
    said = program("chat", ADA, "--as", BO, "--once", "Good day!", *options(ASKED), "--json").json
    assert said["reply"] == "Gulls"
    talk = program("converse", ADA, BO, "--turns", 1, *options(ASKED), "--json").json
    assert [len(turn["text"].split()) for turn in talk["turns"]] == [1]
    company, chat = program("chats", "list", "--json").json
    for row in (chat, company):
        assert {name: row["settings"][name] for name in KNOBS} == ASKED
    for command in (("chat", ADA, "--as", BO, "--once", "Hi!"), ("converse", ADA, BO)):
        assert "dry_multiplier from 0 to 5" in program(*command, "--dry-multiplier", 9).refusal


def test_over_http(services: Services) -> None:
    client = TestClient(create_app(services), base_url="http://127.0.0.1")
    turn = {"person": ADA, "as": BO, "text": "Good day!"}
    assert client.post("/v1/chat", json={**turn, **ASKED}).json()["reply"] == "Gulls"
    assert recorded(services) == ASKED
    company = {"people": [ADA, BO], "turns": 1}
    (said,) = client.post("/v1/converse", json={**company, **ASKED}).json()["turns"]
    assert len(said["text"].split()) == 1
    assert recorded(services) == ASKED
    for path, body in (("/v1/chat", turn), ("/v1/converse", company)):
        refused = client.post(path, json={**body, "repetition_penalty": 9})
        assert (refused.status_code, "repetition_penalty from 0.5 to 2" in refused.text) == (400, True)


def test_by_mcp(services: Services) -> None:
    chat = next(tool for tool in TOOLS if tool.name == "chat")
    with Spaces.around(services).use() as app:
        said = chat.call(app, LOOPBACK, {"person": ADA, "as": BO, "text": "Good day!", **ASKED})
        assert said.structured_content["stored"]["reply"] == "Gulls"
        assert recorded(services) == ASKED
