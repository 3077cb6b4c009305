"""`slowwave converse` on a home with a small chat and a tiny random model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def pair(slowwave: Any, talkative: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Ada and Bo, who agreed to be simulated."""
    monkeypatch.setenv("SLOWWAVE_NIGHT__BASE_MODEL", str(talkative))
    for name in ("Ada Lund", "Bo Rask"):
        assert slowwave("consent", name, "--by", name).code == 0
    return slowwave


def test_nobody_is_simulated_in_company_without_consent(slowwave: Any) -> None:
    assert "slowwave consent" in slowwave("converse", "Ada Lund", "Bo Rask").refusal


def test_two_personas_talk_and_go_on_where_they_were(pair: Any) -> None:
    first = pair("converse", "Ada Lund", "Bo Rask", "--turns", 3, "--seed", 1, "--json").json
    assert first["conversation"] == "simulated: Ada Lund and Bo Rask"
    assert [turn["number"] for turn in first["turns"]] == [0, 1, 2]
    assert {turn["speaker"] for turn in first["turns"]} == {"Ada Lund", "Bo Rask"}
    assert (first["kept"], first["ended"]) == (3, "turns")
    again = pair("converse", "Bo Rask", "Ada Lund", "--turns", 1)
    assert again.code == 0
    assert "4 turns kept; turns" in again.err
    assert "loops found:" in again.err
    speaker = again.out.split(":")[0]
    assert speaker in ("Ada Lund (simulated)", "Bo Rask (simulated)")
    assert speaker != first["turns"][-1]["speaker"]


def test_one_name_is_a_wrong_use_and_the_same_name_twice_is_refused(pair: Any) -> None:
    assert pair("converse", "Ada Lund").code == 2
    assert "cannot talk with themselves" in pair("converse", "Ada Lund", "Ada Lund").refusal
