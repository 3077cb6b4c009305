from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest

from agents.extractors.rules import RuleExtractor
from agents.turns import Turn
from service.settings import Settings
from service.wiring import Services
from simulator.agreement import Agreement, agreement
from simulator.held_out import Exchange


@pytest.fixture
def services(tmp_path: Path) -> Services:
    """Ada told in March that she lives in Porto, and in June that she moved to Lagos."""
    said = (
        '{"time": "2025-03-01T10:00:00", "speaker": "Ada Lund", "text": "I live in Porto."}',
        '{"time": "2025-03-01T10:01:00", "speaker": "Bo Rask", "text": "I work at the harbour office."}',
        '{"time": "2025-06-05T10:00:00", "speaker": "Ada Lund", "text": "I moved to Lagos last week."}',
    )
    path = tmp_path / "chat.jsonl"
    path.write_text("\n".join(said), encoding="utf-8")
    opened = Services(Settings(home=tmp_path))
    opened.import_file(path)
    return opened


def said(services: Services, text: str, day: str) -> Agreement:
    at = datetime.fromisoformat(f"{day}T12:00:00+00:00")
    exchange = Exchange("x", "Ada Lund", ("Bo Rask",), (Turn("Bo Rask", "where do you live?"),), (text,), at)
    person = services.person("Ada Lund")
    return agreement(services.simulator_tools(), person, RuleExtractor(), [exchange], [exchange.lines])


def test_what_is_said_is_held_against_what_was_known_by_then(services: Services) -> None:
    with services:
        assert said(services, "I live in Porto.", "2025-04-01") == Agreement(1, 0, 0, 1)
        assert said(services, "I live in Oslo.", "2025-04-01") == Agreement(0, 1, 0, 1)
        assert said(services, "I live in Lagos.", "2025-07-01").consistent == 1
        assert said(services, "I live in Porto.", "2025-02-01") == Agreement(0, 0, 1, 1)
        assert said(services, "I have a dog called Biscuit.", "2025-04-01").contradicts == 0
        assert said(services, "How are you?", "2025-04-01") == Agreement(0, 0, 0, 1)


def test_nothing_known_is_no_share() -> None:
    assert Agreement(0, 0, 3, 1).consistent is None
    assert Agreement(3, 1, 0, 1).as_json()["consistent"] == 0.75
