"""Nights and personas on the command line. The model is a tiny one with random weights, behind a gate that lets it pass."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from consolidation import runs
from consolidation.lease import lease_name, this_process
from consolidation.stage import STAGES
from db import leases
from memory.erasure.needles import Needle, Scanner
from memory.erasure.residue import scan
from memory.facts import candidates, decide
from memory.ports import utc_now
from service.settings import load_settings
from service.wiring import Services
from tests.service.conftest import TURN

EXAM = {
    "recall_trained",
    "recall_paraphrase",
    "recall_earlier_nights",
    "neighbour_intact",
    "unknown_refused",
    "stale_answered",
    "ppl_change",
    "kl_to_base",
    "n",
}


def serving(slowwave: Any) -> Any:
    return slowwave.rows()["pointer"], slowwave("recipe", "log", "--json").json


def test_sleep_as_json_holds_the_stages_and_the_exam(slept: Any, kept: Path) -> None:
    night = json.loads((kept / "night.json").read_text())
    named = {"run", "status", "stages", "exam", "published", "reason", "report"}
    assert set(night) == named | {"backend", "backend_reason", "before"}
    assert night["before"] == {}  # there is no earlier night
    assert (night["backend"], night["backend_reason"][:9]) == ("peft", "unsloth: ")
    assert (night["status"], night["published"]) == ("done", True)
    assert [stage["name"] for stage in night["stages"]] == list(STAGES)
    assert all(set(stage) == {"name", "seconds", "counts"} for stage in night["stages"])
    assert list(night["exam"]) == ["base", "retrieval", "weights", "both"]
    assert all(set(numbers) == EXAM for numbers in night["exam"].values())
    assert Path(night["report"]).name == "report.html"
    assert slept("exam", "--json").json == night["exam"]
    assert slept("exam", night["run"], "--json").json == night["exam"]
    assert [(run["run"], run["status"], run["published"]) for run in slept("runs", "--json").json] == [
        (night["run"], "done", True)
    ]


def test_a_turn_as_json_holds_reply_facts_readouts_and_recipe(slept: Any) -> None:
    slept("consent", "Ada", "--by", "Ada Lund")
    n_before = len(slept.rows()["episode"])
    said = ("chat", "Ada", "--as", "Bo", "--once", "Where do you live?", "--seed", "3", "--json")
    turn = slept(*said).json
    assert set(turn) == TURN
    assert isinstance(turn["reply"], str)
    assert "Lagos" in [fact["object"] for fact in turn["facts"]]
    assert all(isinstance(value, float) for value in turn["readouts"].values())
    assert len(turn["recipe"]) == 64
    assert slept(*said[:-1], "--no-weights", "--json").json["recipe"] is None
    assert len(slept.rows()["episode"]) > n_before
    assert "simulated" not in slept("facts", "Ada", "--json").out


def test_a_night_can_be_taken_back(slept: Any) -> None:
    assert len(slept("recipe", "show", "--json").json["entries"]) == 1
    assert slept("roll-back").out == "serving the base model; no night is published\n"
    assert slept("recipe", "log", "--json").json == []
    assert "no night has the id none" in slept("roll-back", "--to", "none").refusal
    run = slept("runs", "--json").json[0]["run"]
    assert slept("roll-back", "--to", run).out == f"serving night {run}\n"
    assert slept("ledger", "verify").out == "the ledger is sound\n"


def test_a_night_with_nothing_to_train_says_so(empty: Any, tiny_nights: None, tmp_path: Path) -> None:
    chat = tmp_path / "chat.txt"
    chat.write_text("12/03/2025, 18:00 - Ada Lund: Good morning!\n13/03/2025, 18:01 - Bo Rask: Hello.\n")
    empty("import", chat)
    night = empty("sleep", "--json").json
    assert (night["status"], night["published"], night["exam"]) == ("done", False, {})
    assert night["reason"].startswith("nothing to train")
    assert [stage["name"] for stage in night["stages"]] == list(STAGES)


def test_a_second_night_names_the_holder_of_the_first(slowwave: Any, tiny_nights: None) -> None:
    holder = f"{this_process()} night 1"
    with Services(load_settings()) as services:
        leases.acquire(services.database, lease_name(services.space_id), holder, now=utc_now(), ttl_s=60)
    rows = slowwave.rows()
    assert f"is held by {holder}; wait for it to end" in slowwave("sleep").refusal
    assert slowwave("sleep", "--json").refusal
    assert slowwave.rows() == rows


def test_a_night_that_the_gate_refuses_is_one_line_and_changes_nothing_that_serves(
    slept: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    hear_more(slept)
    before = serving(slept)
    monkeypatch.setenv("SLOWWAVE_NIGHT__GATE__MIN_RECALL_PARAPHRASE", "1")
    told = slept("sleep")
    assert told.code == 1
    assert told.line.startswith("nothing was published: the gate refused: recall_paraphrase ")
    assert "refused, nothing published" in told.out
    assert serving(slept) == before


def hear_more(slowwave: Any) -> None:
    """Something new for the next night to train."""
    chat = slowwave.home.parent / "more.txt"
    chat.write_text(
        "13/07/2025, 18:00 - Ada Lund: I work at the town library.\n"
        "14/07/2025, 18:01 - Bo Rask: I live in Braga.\n"
    )
    assert slowwave("import", chat, "--json").json["candidates"] == 2


def begin_night(slowwave: Any) -> Path:
    """A night that was cut off before its first stage: its folder, for something to be put in its way."""
    with Services(load_settings()) as services:
        settings = services.settings.night
        runs.begin(
            services.database, services.space_id, "cut", settings, is_resumed=False, clock=services.clock
        )
    folder = Path(slowwave.home / "runs" / "cut" / "train")
    folder.mkdir(parents=True)
    return folder


def assert_failed_for_want_of_room(told: Any, slept: Any, before: Any) -> None:
    assert told.code == 1
    assert told.line.startswith("the night failed: no space left on the disk that holds ")
    assert "run `slowwave sleep` again" in told.line
    assert [run["status"] for run in slept("runs", "--json").json if run["run"] == "cut"] == ["failed"]
    assert serving(slept) == before


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_a_disk_that_is_full_when_training_begins_fails_the_night_and_what_served_goes_on(slept: Any) -> None:
    hear_more(slept)
    before = serving(slept)
    (begin_night(slept) / f".train.jsonl.{os.getpid()}").symlink_to("/dev/full")
    assert_failed_for_want_of_room(slept("sleep"), slept, before)


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[None]:
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], capture_output=True
    )
    if made.returncode != 0:
        pytest.skip("only who may mount can try a disk that is really small")
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.skipif(shutil.which("mount") is None, reason="there is no mount here")
def test_a_disk_that_fills_up_in_training_fails_the_night_and_what_served_goes_on(
    slept: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    hear_more(slept)
    before = serving(slept)
    monkeypatch.setenv("SLOWWAVE_NIGHT__TRAIN__RANK", "256")  # an adapter of more than a megabyte
    with small_disk(begin_night(slept), "400k"):
        assert_failed_for_want_of_room(slept("sleep"), slept, before)


def test_a_training_child_that_fails_is_one_line(slowwave: Any, tiny_nights: None) -> None:
    told = slowwave("sleep", "--json", "--model", broken_model(slowwave.home.parent))
    assert told.code == 1
    assert told.line.startswith("the night failed: train: ")


def broken_model(folder: Path) -> Path:
    model = folder / "model"
    model.mkdir()
    (model / "model.safetensors").write_bytes(b"no weights")
    return model


def test_undo_brings_back_what_was_before(slowwave: Any) -> None:
    before = slowwave("facts", "Ada", "--history", "--json").json
    with Services(load_settings()) as services:
        fact = candidates(services.database, services.space_id)[0]
        with services.database.transaction() as session:
            decision = decide(
                session, services.space_id, fact.id, "REJECT", ["a test"], services.registry, run_id=None
            )
    assert slowwave("facts", "Ada", "--history", "--json").json != before
    listed = slowwave("decisions", "--json").json
    assert [(row["id"], row["decision"], row["reasons"], row["undone"]) for row in listed] == [
        (decision, "REJECT", ["a test"], False)
    ]
    assert slowwave("undo", decision).out == f"undone: {decision}\n"
    assert slowwave("facts", "Ada", "--history", "--json").json == before
    assert f"decision {decision} cannot be undone" in slowwave("undo", decision).refusal
    assert slowwave("ledger", "verify").code == 0


def test_an_erased_person_is_in_no_file_and_no_weights_of_a_night(slept: Any) -> None:
    (slept.home / "chat.jsonl").unlink()
    assert slept("verify").code == 0
    shown = slept("forget", "person", "Ada", "--json").json
    acts = {(line["kind"], line["act"]): line["n"] for line in shown["lines"]}
    assert acts["artifact", "tainted"] >= 3
    done = slept("forget", "person", "Ada", "--yes", "--plan", shown["plan"], "--json")
    assert done.code == 0, done.err
    scanner = Scanner([Needle("Ada Lund", is_name=True), Needle("Ada", is_name=True)])
    with Services(load_settings(slept.home)) as services:
        assert scan(services.database, slept.home, scanner).is_clean
    assert list((slept.home / "adapters").iterdir()) == list((slept.home / "runs").iterdir()) == []
    assert slept("recipe", "log").out.startswith("no recipe serves")
    assert slept("verify").code == 0


@pytest.mark.slow
def test_the_night_after_an_erasure_begins_from_what_is_left(slept: Any) -> None:
    assert slept("forget", "person", "Ada", "--yes").code == 1  # the chat's own file lies in the home
    night = slept("sleep", "--json", "--seed", "2")
    assert night.json["status"] in ("done", "refused")
    assert "Lund" not in (slept.home / "runs" / night.json["run"] / "report.html").read_text()
    assert slept("verify").code == 0


def test_a_night_that_taught_an_erased_fact_serves_no_more(slept: Any) -> None:
    (fact, *_) = slept("facts", "Ada", "--json").json
    assert slept("forget", "fact", fact["id"], "--yes", "--json").code in (0, 1)
    assert slept("recipe", "log").out.startswith("no recipe serves")
    assert slept("verify").code == 0
