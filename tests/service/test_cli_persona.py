"""`persona train` on the command line: who is refused, and a style from its training to the recipe and back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.service.conftest import write_chat


@pytest.fixture
def program(slowwave: Any, tiny_nights: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """A home in which Ada has answered Bo on forty days."""
    for name, value in {"MIN_MESSAGES": "60", "KL_PER_STEP": "0", "LR": "0.02"}.items():
        monkeypatch.setenv(f"SLOWWAVE_NIGHT__STYLE__{name}", value)
    said = [
        (f"2025-{8 + day // 28:02}-{day % 28 + 1:02}T10:0{minute}:00", speaker, text)
        for day in range(40)
        for minute, speaker, text in (
            (0, "Bo Rask", f"and number {day}"),
            (1, "Ada Lund", "oh really"),
            (2, "Ada Lund", "well well"),
        )
    ]
    assert slowwave("import", write_chat(tmp_path / "days.jsonl", tuple(said))).code == 0
    return slowwave


def test_a_style_needs_consent_and_enough_messages(program: Any) -> None:
    assert "slowwave consent" in program("persona", "train", "Ada Lund").refusal
    assert program("consent", "Bo Rask", "--by", "Bo Rask").code == 0
    refusal = program("persona", "train", "Bo Rask").refusal
    assert "60 are the least" in refusal
    assert "speaks from the prompt alone" in refusal


def test_a_style_from_training_to_the_recipe_and_back(program: Any) -> None:
    assert program("consent", "Ada Lund", "--by", "Ada Lund").code == 0
    found = program("persona", "train", "Ada Lund", "--json").json
    assert (found["person"], found["serves"], found["why"]) == ("Ada Lund", True, None)
    assert found["effect"]["after"]["bits_per_char"] < found["effect"]["before"]["bits_per_char"]
    assert next(one["said"] for one in found["samples"]) == ["hey, are you there?"]
    assert not list((program.home / "behaviours").rglob("job.json"))
    (entry,) = program("recipe", "show", "--json").json["entries"]
    assert (entry["vector"], entry["person"], entry["label"]) == (found["vector"], "Ada Lund", "style")
    assert "added style of Ada Lund" in program("recipe", "log").out
    assert "style of Ada Lund" in program("recipe", "show").out
    assert program("recipe", "scale", "style of Ada Lund", 0.5).code == 0
    (change,) = program("recipe", "diff", "serving^", "serving", "--json").json["changes"]
    assert (change["change"], change["person"], change["after"]) == ("scaled", "Ada Lund", 0.5)
    assert program("recipe", "revert", "style of Ada Lund").code == 0
    assert program("recipe", "show", "--json").json["entries"] == []
