"""A turn as every entrance gives it: of any length, with what is to be known of it, and where it follows real messages."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from service.access.callers import LOOPBACK
from service.http.application import create_app
from service.mcp.writing import TOOLS
from service.settings import load_settings
from service.spaces import Spaces
from service.wiring import Services

ADA, BO = "Ada Lund", "Bo Rask"


def says_too_little(notice: str, name: str) -> bool:
    return bool(re.fullmatch(rf"{name} has written \d+ messages?; a style needs 120; .+", notice))


@pytest.fixture
def program(slowwave: Any, talkative: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Ada and Bo agreed to be simulated, by a tiny model."""
    monkeypatch.setenv("SLOWWAVE_NIGHT__BASE_MODEL", str(talkative))
    for name in (ADA, BO):
        assert slowwave("consent", name, "--by", name).code == 0
    return slowwave


@pytest.fixture
def services(program: Any) -> Iterator[Services]:
    with Services(load_settings()) as opened:
        yield opened


def test_fifty_thousand_characters_are_answered(services: Services) -> None:
    client = TestClient(create_app(services), base_url="http://127.0.0.1")
    long = "The boat went out again. " * 2000
    answer = client.post("/v1/chat", json={"person": ADA, "as": BO, "text": long, "seed": 1})
    assert answer.status_code == 200
    assert answer.json()["reply"]
    endless = client.post("/v1/chat", json={"person": ADA, "as": BO, "text": "a" * 60_001})
    assert endless.status_code == 422
    chat = next(tool for tool in TOOLS if tool.name == "chat")
    with Spaces.around(services).use() as app:
        said = chat.call(app, LOOPBACK, {"person": ADA, "as": BO, "text": long, "max_new_tokens": 4})
        stored = said.structured_content["stored"]
    assert stored["reply"]
    (notice,) = stored["notices"]
    assert says_too_little(notice, ADA)


def test_entropies_are_told_on_request_alone(services: Services) -> None:
    client = TestClient(create_app(services), base_url="http://127.0.0.1")
    turn = {"person": ADA, "as": BO, "text": "Good day!", "seed": 1}
    told = client.post("/v1/chat", json={**turn, "entropies": True}).json()
    assert len(told["entropies"]) > 0
    assert all(one >= 0 and one == round(one, 4) for one in told["entropies"])
    assert "entropies" not in client.post("/v1/chat", json=turn).json()
    streamed = client.post("/v1/chat", json={**turn, "entropies": True, "stream": True}).text
    assert '"entropies":' in streamed


def test_by_command_with_notices_and_entropies(program: Any) -> None:
    once = ("chat", ADA, "--as", BO, "--once", "Good day!", "--json")
    told = program(*once, "--entropies").json
    assert told["entropies"]
    (notice,) = told["notices"]
    assert says_too_little(notice, ADA)
    assert "entropies" not in program(*once).json
    assert program("chat", ADA, "--as", BO, "--once", "Good day!", "--entropies").code == 2
    talk = program("converse", ADA, BO, "--turns", 1, "--json")
    of_ada, of_bo = talk.json["notices"]
    assert says_too_little(of_ada, ADA)
    assert says_too_little(of_bo, BO)
    assert notice in talk.err


def test_who_goes_on_by_themselves_follows_what_was_really_written(services: Services) -> None:
    session = services.open_session(ADA, as_person=BO, seed=1)
    session.reply("I was", autocomplete=True)
    said = [(turn.speaker, turn.text) for turn in session.turns]
    assert said[0] == (ADA, "I live in Porto.")
    assert (ADA, "I moved to Lagos last week.") in said[:-1]
    assert said[-1][1].startswith("I was")
    n_turns = len(said)
    session.reply("And then", autocomplete=True)
    assert len(session.turns) == n_turns + 1
    session.close()
    answering = services.open_session(BO, as_person=ADA, seed=1)
    answering.reply("Good day!")
    assert len(answering.turns) == 2


def test_who_would_write_to_themselves_is_told_whom_to_name(program: Any) -> None:
    refusal = program("chat", ADA, "--as", ADA, "--autocomplete", "--once", "I").refusal
    assert f"with --autocomplete, --as is whom {ADA} writes to" in refusal
