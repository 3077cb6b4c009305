from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.service.conftest import write_chat

ADA = ("no idea", "fine by me", "maybe later then", "ok", "the boat is old", "not today")
BO = ("WONDERFUL!!! 😍", "Tell me everything!", "Really?! I love it", "How is the boat?!", "See you soon!!")


@pytest.fixture
def talked(empty: Any, tiny_nights: None, tmp_path: Path) -> Any:
    """A home with sixty messages of two people, one of whom agreed."""
    said = tuple(
        (
            f"2025-03-{1 + i // 12:02}T10:{i % 12:02}:00",
            *(("Ada Lund", ADA[i % 6]), ("Bo Rask", BO[i % 5]))[i % 2],
        )
        for i in range(60)
    )
    assert empty("import", write_chat(tmp_path / "chat.jsonl", said)).code == 0
    assert empty("consent", "Ada Lund", "--by", "Ada Lund").code == 0
    return empty


def test_a_persona_is_reported_and_judged(talked: Any, tmp_path: Path) -> None:
    """Without weights, which the page says; then a judge who always finds the real reply."""
    out = tmp_path / "report"
    told = talked("persona", "report", "Ada Lund", "--out", out)
    assert told.code == 0, told.err
    assert "6 of 6 held-out replies" in told.out
    assert "prompt only" in told.out
    assert "an erasure does not reach them" in told.out
    found = json.loads((out / "report.json").read_text(encoding="utf-8"))
    assert found["person"] == "Ada Lund"
    assert found["bits_per_char"].keys() == {"base", "prompt"}
    assert found["made_of"]["weights"] == "none serve"
    written = sorted(path.name for path in out.iterdir())
    assert written == ["report.html", "report.json", "sheet.html", "sheet.key.json"]
    assert "base" in (out / "report.html").read_text(encoding="utf-8")
    key = json.loads((out / "sheet.key.json").read_text(encoding="utf-8"))
    choices = {
        pair: next(side for side, name in sides.items() if name == "real")
        for pair, sides in key["sides"].items()
    }
    assert choices
    saved = tmp_path / "choices.json"
    saved.write_text(json.dumps({"format": key["format"], "sheet": key["sheet"], "choices": choices}))
    (rate,) = talked("persona", "judge", out / "sheet.key.json", saved, "--json").json
    assert (rate["condition"], rate["other"], rate["rate"]) == ("real", "prompt", 1.0)
    assert "real over prompt" in talked("persona", "judge", out / "sheet.key.json", saved).out


def test_nobody_is_reported_without_consent(talked: Any) -> None:
    assert "--by WHO" in talked("persona", "report", "Bo Rask").refusal


def test_who_said_too_little_is_refused(slowwave: Any) -> None:
    slowwave("consent", "Ada Lund", "--by", "Ada Lund")
    refusal = slowwave("persona", "report", "Ada Lund").refusal
    assert "replies that their weights have not seen" in refusal
    assert "import more" in refusal


def test_choices_of_something_else_are_refused(empty: Any, tmp_path: Path) -> None:
    path = tmp_path / "choices.json"
    path.write_text("{}")
    assert ".key.json" in empty("persona", "judge", path, path).refusal
