"""`slowwave chat` with two personas at once, on a home with a small chat and a script that speaks."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest

ADA, BO, MARTA = "Ada Lund", "Bo Rask", "Marta"
BOTH = ("chat", ADA, BO, "--as", MARTA)


@pytest.fixture
def spoken(slowwave: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A script speaks; nobody has agreed yet."""
    script = tmp_path / "replies.txt"
    script.write_text("Gulls are loud.\nSoup was good.\nNobody came by.\nThe rope snapped.\n")
    monkeypatch.setenv("SLOWWAVE_PERSONA__ENGINE", "scripted")
    monkeypatch.setenv("SLOWWAVE_PERSONA__SCRIPT", str(script))
    return slowwave


@pytest.fixture
def trio(spoken: Any) -> Any:
    """Ada and Bo agreed; Marta, who speaks for herself, was not asked."""
    for name in (ADA, BO):
        assert spoken("consent", name, "--by", name).code == 0
    return spoken


def test_both_have_to_agree(spoken: Any) -> None:
    assert spoken("consent", ADA, "--by", ADA).code == 0
    assert f"{BO} is simulated only with consent" in spoken(*BOTH, "--once", "Hello!").refusal


def test_lines_of_standard_input_are_answered_until_an_empty_one(
    trio: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("Ada, good day!\nAnd you, Bo?\n\nnever heard\n"))
    told = trio(*BOTH, "-v")
    lines = [line for line in told.out.splitlines() if not line.startswith(" ")]
    first, second = (lines.index(f"{MARTA}: {said}") for said in ("Ada, good day!", "And you, Bo?"))
    assert first == 0
    assert lines[1].startswith(f"{ADA} (simulated): ")
    assert lines[second + 1].startswith(f"{BO} (simulated): ")
    assert "never heard" not in told.out
    assert "    before   Stance: talk." in told.out
    assert "I don't know" not in told.out
    assert "a server speaks" in told.err


def test_as_json_and_going_on_where_it_was(trio: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    first = trio(*BOTH, "--once", "Bo, good day!", "--json").json
    assert (first["as"], first["ended"], first["simulated"]) == (MARTA, "answered", True)
    assert first["turns"][0]["speaker"] == BO
    assert first["kept"] == 1 + len(first["turns"])
    monkeypatch.setattr("sys.stdin", io.StringIO("Ada, well?\nBo, well?\n"))
    again = trio("chat", BO, ADA, "--as", MARTA, "--json").json
    assert again["conversation"] == first["conversation"] == f"simulated: {ADA} and {BO} with {MARTA}"
    assert again["turns"][0]["number"] == first["kept"] + 1
    assert again["kept"] == first["kept"] + 2 + len(again["turns"])
    shown = trio("chats", "show", first["session"]).out.splitlines()
    assert shown[1:3] == [f"{MARTA}: Bo, good day!", f"{BO}: {first['turns'][0]['text']}"]


def test_what_goes_with_one_persona_alone_is_a_wrong_use(trio: Any) -> None:
    for option in ("--think", "--autocomplete", "--force", "--steer=joy=0.1"):
        assert trio(*BOTH, "--once", "Hello!", option).code == 2
    assert trio("chat", ADA, BO, "Lagos", "--as", MARTA).code == 2
    assert "cannot talk with themselves" in trio("chat", ADA, BO, "--as", BO, "--once", "Hi!").refusal
    assert "nothing was said" in trio(*BOTH, "--once", " ").refusal
