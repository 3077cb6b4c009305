"""`exam --again`: the questions of one night, asked of what serves now. The model is the tiny one of `slept`."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from consolidation import runs
from consolidation.conversations import TESTS
from consolidation.questions import KINDS
from db.tables import ExamAnswer, Example
from memory.ports import utc_now
from service.cli.exam import CONVERSATIONS
from service.settings import load_settings
from service.wiring import Services


def newest(slowwave: Any) -> str:
    return str(slowwave("runs", "--json").json[0]["run"])


def shares(numbers: dict[str, Any]) -> dict[str, Any]:
    return {kind: (numbers[kind], numbers["n"][kind]) for kind in KINDS}


def test_the_same_weights_answer_the_same_and_nothing_is_written(slept: Any) -> None:
    rows = slept.rows()
    again = slept("exam", newest(slept)[:6], "--again", "--json").json
    assert set(again) == {"run", "recipe", "base", "then", "now", "changed", "conditions"}
    assert again["conditions"] == {"weights": {"then": again["then"], "now": again["now"]}}
    assert again["changed"] == []
    assert again["now"] == again["then"]
    assert shares(again["then"]) == shares(slept("exam", "--json").json["weights"])
    assert len(again["recipe"]) == 64
    assert slept.rows() == rows


def test_every_condition_that_the_night_recorded_can_be_asked_again(slept: Any) -> None:
    rows, then = slept.rows(), slept("exam", "--json").json
    again = slept("exam", "--again", "--conditions", "both,base, weights,retrieval", "--json").json
    assert tuple(again["conditions"]) == tuple(then)
    for name, numbers in again["conditions"].items():
        assert numbers["now"] == numbers["then"]
        assert shares(numbers["then"]) == shares(then[name])
    assert slept.rows() == rows


def test_lost_answers_are_listed_with_their_condition(slept: Any) -> None:
    with Services(load_settings()) as services, services.database.transaction() as session:
        for answer in session.scalars(select(ExamAnswer).where(ExamAnswer.condition == "both")):
            accepted = session.get_one(Example, answer.example_id).accepted
            answer.answer = str(accepted[0]) if accepted else answer.answer
    told = slept("exam", "--again", "--conditions", "both", "--failed").out
    assert "answers lost, 0 gained" in told
    assert "both: 0 answers lost" not in told
    assert "recall_paraphrase" in told
    assert "weights:" not in told


def test_after_a_roll_back_the_base_is_asked_and_the_nights_own_weights_still_can_be(slept: Any) -> None:
    first = slept("exam", "--again", "--json").json
    slept("roll-back")
    plain = slept("exam", "--again", "--failed").out
    assert "the base model, without any night's weights" in plain
    own = slept("exam", "--again", "--as-published", "--json").json
    assert own["now"] == first["now"]
    assert own["recipe"] == first["recipe"]
    assert slept("exam", "--again", "--json").json["now"]["ppl_change"] == 0.0


def test_weights_whose_files_are_gone_are_named_in_one_line(slept: Any) -> None:
    shutil.rmtree(slept.home / "adapters")
    assert "is missing: adapters/" in slept("exam", "--again").refusal
    assert "is missing: adapters/" in slept("exam", "--again", "--as-published").refusal


def test_another_base_is_refused_with_both_hashes(
    slept: Any, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = slept("exam", "--again", "--json").json["base"]
    monkeypatch.setenv("SLOWWAVE_NIGHT__BASE_MODEL", str(tiny_folder))
    told = slept("exam", "--again").refusal
    assert f"belongs to base {base[:12]}, the model is " in told
    assert slept("exam", "--again", "--as-published", "--json").json["base"] == base


def test_a_night_that_taught_the_erased_cannot_be_asked_again(slept: Any) -> None:
    run = newest(slept)
    (fact, *_) = slept("facts", "Ada", "--json").json
    slept("forget", "fact", fact["id"], "--yes", "--json")
    assert "holds what was erased" in slept("exam", run, "--again", "--as-published").refusal
    assert "what it asked has been erased" in slept("exam", run, "--again").refusal


def test_a_night_goes_by_the_beginning_of_its_id(slept: Any) -> None:
    with Services(load_settings()) as services:
        for run_id in ("aa11", "aa12"):
            settings = services.settings.night
            runs.begin(
                services.database, services.space_id, run_id, settings, is_resumed=False, clock=utc_now
            )
    assert "2 nights begin with aa1" in slept("exam", "aa1").refusal
    assert "night aa11 was not examined" in slept("exam", "aa11", "--again").refusal
    assert "no night has the id zz" in slept("exam", "zz", "--again").refusal
    assert json.loads(slept("exam", "--again", "--json").out)["run"] not in ("aa11", "aa12")


def test_what_only_a_second_exam_has_needs_it(slept: Any) -> None:
    assert slept("exam", "--failed").code == 2
    assert slept("exam", "--as-published").code == 2
    assert slept("exam", "--conditions", "both").code == 2
    assert "'bothe' is no condition of the exam" in slept("exam", "--again", "--conditions", "bothe").err


def test_a_language_model_grades_what_was_answered_and_nothing_is_written(
    slept: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = [
        json.dumps({"reasoning": "so it is", "label": label, "confidence": 0.9})
        for label in ("right", "wrong") * 500
    ]
    (tmp_path / "script.json").write_text(json.dumps(["no grade", "none", *said]))
    monkeypatch.setenv("SLOWWAVE_BACKEND__KIND", "scripted")
    monkeypatch.setenv("SLOWWAVE_BACKEND__MODEL", str(tmp_path / "script.json"))
    rows = slept.rows()
    found = slept("exam", newest(slept)[:6], "--judge", "scripted", "--conditions", "weights", "--json").json
    assert (found["run"], found["grader"]) == (newest(slept), "model/scripted")
    numbers = found["conditions"]["weights"]
    exam = slept("exam", "--json").json["weights"]
    asked = sum(exam["n"][name] for name in numbers if name != "all")
    assert set(numbers) == {"all", "recall_trained", "recall_paraphrase"}
    assert (numbers["all"]["n"], numbers["all"]["not_graded"]) == (asked - 1, 1)
    assert numbers["all"]["judge"] == pytest.approx(0.5, abs=0.5 / (asked - 1) + 1e-4)
    assert slept.rows() == rows
    told = slept("exam", "--judge").out
    for words in ("graded by model/scripted", "matching", "agree", "recall paraphrase", "(1 not graded)"):
        assert words in told


def test_no_server_is_asked_to_judge_that_the_settings_do_not_name(slept: Any) -> None:
    assert "a judge is a language model, and none is set" in slept("exam", "--judge").refusal
    refusal = slept("exam", "--judge", "gemini").refusal
    assert "words go to gemini only where the settings name it" in refusal
    assert slept("exam", "--judge", "local", "--again").code == 2


def test_what_a_night_taught_is_asked_in_conversation_and_nothing_is_written(slept: Any) -> None:
    rows = slept.rows()
    found = slept("exam", newest(slept)[:6], "--conversations", "--json").json
    assert set(found) == {"run", "recipe", "base", "conversations"}
    assert found["run"] == newest(slept)
    assert len(found["recipe"]) == len(found["base"]) == 64
    assert tuple(found["conversations"]) == TESTS
    for numbers in found["conversations"].values():
        assert numbers is None or 0 <= numbers["right"] <= 1
    assert found["conversations"]["single"]["n"] >= 1
    assert slept.rows() == rows


def test_after_a_roll_back_the_nights_own_weights_still_converse(slept: Any) -> None:
    slept("roll-back")
    told = slept("exam", "--conversations")
    assert told.code == 0, told.err
    for name in CONVERSATIONS.values():
        assert name in told.out
    assert "% of" in told.out
    assert newest(slept) in told.out
    assert "conversations" in told.err  # the bar


def test_conversations_are_an_exam_apart_from_a_second_one(slept: Any) -> None:
    assert slept("exam", "--again", "--conversations").code == 2
    assert "no night has the id zz" in slept("exam", "zz", "--conversations").refusal
    shutil.rmtree(slept.home / "adapters")
    assert "is missing: adapters/" in slept("exam", "--conversations").refusal


def test_a_night_of_another_space_is_not_found(slept: Any) -> None:
    run = newest(slept)
    for arguments in (("exam",), ("exam", "--again"), ("exam", "--conversations"), ("sleep", "report")):
        assert f"no night has the id {run}" in slept("--space", "other", *arguments, run).refusal
