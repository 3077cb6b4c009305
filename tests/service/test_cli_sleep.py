"""`sleep report`: a night on record, and its page. The model is the tiny one of `slept`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
import pytest

from consolidation import runs
from memory.facts import candidates, decide
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
    assert f"trained by: peft ({night['backend_reason']})" in " ".join(shown.split())


def test_a_page_that_is_gone_is_made_again_and_is_on_record(slept: Any) -> None:
    page = Path(slept("sleep", "report", "--path").out.strip())
    was = page.read_text()
    page.unlink()
    assert slept("sleep", "report", "--path").out.strip() == str(page)
    again = page.read_text()
    for part in (
        "<h2>Training</h2>",
        "Trained by the back-end peft (unsloth: ",
        "<h2>Exams so far</h2>",
        "seconds by stage",
    ):
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


def test_a_sweep_tells_of_its_recipes_and_publishes_nothing(slept: Any, tmp_path: Path) -> None:
    hear_more(slept, tmp_path)
    file = tmp_path / "grid.json"
    file.write_text(json.dumps([{"name": "no facts", "max_facts": 0}]))
    before = slept.rows()
    told = slept("sleep", "--sweep", file, "--json").json
    assert set(told) == {"sweep", "sort", "criterion", "taken_at", "cells", "report"}
    assert [(cell["name"], cell["status"]) for cell in told["cells"]] == [("no facts", "failed")]
    assert slept.rows() == before
    shown = slept("sleep", "--sweep", file)
    for words in ("no facts", "order: those that pass the gate first", "nothing was published; report: "):
        assert words in shown.out
    assert slept("verify").code == 0


def hear_more(slowwave: Any, folder: Path) -> None:
    chat = folder / "more.txt"
    chat.write_text("13/07/2025, 18:00 - Ada Lund: I work at the town library.\n")
    assert slowwave("import", chat, "--json").json["candidates"] == 1
    with Services(load_settings()) as services:
        (fact,) = candidates(services.database, services.space_id)
        with services.database.transaction() as session:
            decide(session, services.space_id, fact.id, "STORE", [], services.registry, run_id=None)


def test_a_sweep_that_cannot_be_is_one_line(slept: Any, tmp_path: Path) -> None:
    file = tmp_path / "grid.toml"
    file.write_text("[train]\nrnak = [4]\n")
    assert "no setting train.rnak; the nearest is train.rank" in slept("sleep", "--sweep", file).refusal
    file.write_text("[train]\nrank = [4]\n")
    assert "there is nothing to train" in slept("sleep", "--sweep", file).refusal
    assert slept("sleep", "--sweep", file, "--seed", "1").code == 2
    assert slept("sleep", "--sweep", tmp_path / "none.toml").code == 2


def test_an_erasure_takes_the_copy_that_a_sweep_works_on(slept: Any) -> None:
    work = slept.home / "sweeps" / "abc" / "work"
    work.mkdir(parents=True)
    (work / "space.jsonl").write_text('{"text": "Ada Lund lives in Lagos"}\n')
    slept("forget", "person", "Ada", "--yes", "--json")
    assert not work.exists()


def test_a_base_that_changed_under_the_adapters_is_refused_with_both_hashes(
    slept: Any, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept("consent", "Ada", "--by", "Ada Lund")
    base = slept("recipe", "show", "--json").json["base"][:12]
    monkeypatch.setenv("SLOWWAVE_NIGHT__BASE_MODEL", str(tiny_folder))
    rows = slept.rows()
    for command in (("sleep",), ("chat", "Ada", "--as", "Bo", "--once", "Hello?")):
        told = slept(*command).refusal
        assert f"belongs to base {base}, the model is " in told
        assert f"the model is {base}" not in told
    assert slept.rows() == rows
