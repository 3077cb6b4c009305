from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from agents.errors import BudgetSpent
from agents.sampling import Sampling
from service.errors import BadSettings
from service.persona_engine import server_of
from service.settings import BackendSettings, PersonaSettings, PrivacySettings, Settings, load_settings
from tests.model_server import ModelServer, delta, events

ASK = [{"role": "user", "content": "[TOMAS] my number is +47 911 22 333\n[INES]"}]
SAMPLING = Sampling(max_new_tokens=5)


def clock() -> datetime:
    return datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def server() -> Iterator[ModelServer]:
    running = ModelServer()
    running.reply = lambda n, body: events(delta("hey", "stop"))
    yield running
    running.close()


def settings(home: Path, **persona: object) -> Settings:
    return Settings(home=home, persona=PersonaSettings(**persona))  # type: ignore[arg-type]


def test_personas_speak_in_this_process_unless_a_server_is_named(tmp_path: Path) -> None:
    assert server_of(load_settings(tmp_path, {}), clock) is None
    named = {"SLOWWAVE_BACKEND__KIND": "openai", "SLOWWAVE_BACKEND__BASE_URL": "http://127.0.0.1:9/v1"}
    assert server_of(load_settings(tmp_path, named), clock) is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"engine": "vllm"},
        {"engine": "openai", "model": "m"},
        {"engine": "openai", "base_url": "http://127.0.0.1:9/v1"},
        {"writes_in": "int3"},
        {"timeout_s": 0.0},
        {"retries": -1},
    ],
)
def test_settings_that_nobody_can_speak_with_are_refused(tmp_path: Path, wrong: dict[str, object]) -> None:
    with pytest.raises(BadSettings, match="persona"):
        server_of(settings(tmp_path, **wrong), clock)


def test_the_named_server_is_asked_within_budget_and_without_what_is_left_out(
    tmp_path: Path, server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PERSONA_KEY", "k")
    named = settings(
        tmp_path, engine="openai", model="m", base_url=f"{server.url}/v1", api_key_env="PERSONA_KEY"
    )
    named = replace(
        named, privacy=PrivacySettings(("phone",)), backend=BackendSettings(max_tokens_per_day=60)
    )
    connect = server_of(named, clock)
    assert connect is not None
    engine = connect()
    assert [piece.text for piece in engine.stream(ASK, SAMPLING)] == ["hey"]
    _, headers, body = server.requests[0]
    assert headers["authorization"] == "Bearer k"
    assert "911" not in body["messages"][0]["content"]
    with pytest.raises(BudgetSpent):
        [list(engine.stream(ASK, SAMPLING)) for _ in range(10)]
    engine.close()
