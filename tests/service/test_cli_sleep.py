"""`sleep report`: a night on record, and its page. The model is the tiny one of `slept`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
import pytest

from consolidation import runs
from memory.ports import utc_now
from service.settings import load_settings
from service.wiring import Services


def test_a_night_on_record_is_told_as_it_was_when_it_ended(slept: Any, kept: Path) -> None:
    night = json.loads((kept / "night.json").read_text())
    told = slept("sleep", "report", night["run"][:5], "--json").json
    assert {**told, "report": None} == {**night, "report": None}
    shown = slept("sleep", "report").out
    for words in (f"night {night['run']}", "recall paraphrase", "done, published", "report.html"):
        assert words in shown


def test_a_page_that_is_gone_is_made_again_and_is_on_record(slept: Any) -> None:
    page = Path(slept("sleep", "report", "--path").out.strip())
    was = page.read_text()
    page.unlink()
    assert slept("sleep", "report", "--path").out.strip() == str(page)
    again = page.read_text()
    for part in ("<h2>Training</h2>", "<h2>Exams so far</h2>", "seconds by stage"):
        assert part in was
        assert part in again
    assert slept("verify").code == 0


def test_the_page_is_opened_where_that_is_asked(slept: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr(click, "launch", opened.append)
    slept("sleep", "report", "--open")
    assert opened == [Path(slept("sleep", "report", "--path").out.strip()).as_uri()]


def test_a_page_that_held_the_erased_is_not_made_again(slept: Any) -> None:
    (fact, *_) = slept("facts", "Ada", "--json").json
    slept("forget", "fact", fact["id"], "--yes", "--json")
    assert "holds what was erased" in slept("sleep", "report", "--path").refusal
    assert slept("sleep", "report", "--json").json["report"] is None
    assert slept("verify").code == 0


def test_without_a_night_there_is_no_report(slowwave: Any) -> None:
    assert "there is no night yet; run `slowwave sleep`" in slowwave("sleep", "report").refusal


def test_a_night_that_runs_has_a_table_and_no_page(slowwave: Any) -> None:
    with Services(load_settings()) as services:
        settings = services.settings.night
        runs.begin(services.database, services.space_id, "now", settings, is_resumed=False, clock=utc_now)
    assert slowwave("sleep", "report", "--json").json["status"] == "running"
    assert "night now is not over" in slowwave("sleep", "report", "--path").refusal
