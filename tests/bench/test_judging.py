"""Claims about agreement with scored answers: what is paired, how agreement is counted, what is missing is said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from agents.backends.scripted import ScriptedChat
from bench.judging import Mark, Scored, agreement, main, read_scored, run

SIX = ("What did Vigdis win?", ["regatta", "cup"], "Vigdis won the regatta.", 1.0, 0.5)
WRONG_DATE = ("Was Vigdis born in 1903?", "1903", "1961", "No, Vigdis was born on 2 May 1961.", 1.0, 0.0)
KNOWN = ("Vigdis was born in 1867?", ["1961", "no", "incorrect"], "I know that, in November.", 0.0, 0.7)


def files(folder: Path, *, with_answers: bool = True) -> Path:
    """One run of three answers, under the names and shapes of SleepTrain."""
    rescored = {
        "original_file": "C:\\runs\\full_experiment_1.json",
        "rescored_with": "gemini",
        "conversation_6turn": {"turns": [row(SIX[0], SIX[3], SIX[4])]},
        "correction_test": {"questions": [row(WRONG_DATE[0], WRONG_DATE[4], WRONG_DATE[5])]},
        "extended_test": {"sample_turns": [row(KNOWN[0], KNOWN[3], KNOWN[4])]},
    }
    original = {
        "conversation_6turn": {
            "turns": [{"question": SIX[0], "expected_keywords": SIX[1], "response": SIX[2]}]
        },
        "correction_test": {
            "questions": [
                {
                    "question": WRONG_DATE[0],
                    "wrong_date": WRONG_DATE[1],
                    "correct_date": WRONG_DATE[2],
                    "response": WRONG_DATE[3],
                }
            ]
        },
        "extended_test": {
            "turns": [
                {"type": "correction", "question": KNOWN[0], "expected": KNOWN[1], "response": KNOWN[2]},
                {"type": "real", "question": "Which was never scored?", "expected": [], "response": ""},
            ]
        },
    }
    (folder / "rescored").mkdir()
    (folder / "rescored" / "full_experiment_1_gemini_rescored.json").write_text(json.dumps(rescored))
    if with_answers:
        (folder / "full_experiment_1.json").write_text(json.dumps({"tests": original}))
    return folder


def row(question: str, marks: float, keyword_marks: float) -> dict[str, Any]:
    return {"question": question, "new_score": marks, "original_score": keyword_marks, "reasoning": "so"}


def test_answers_are_paired_with_their_marks_across_folders(tmp_path: Path) -> None:
    six, correction, extended = read_scored(files(tmp_path))
    assert (six.test, six.marks, six.keyword_marks, six.answer) == ("six_turns", 1.0, 0.5, SIX[2])
    assert correction.ask is not None
    assert (correction.ask.accepted, correction.ask.forbidden) == (("1961",), ("1903",))
    assert extended.ask is not None
    assert (extended.ask.accepted, extended.ask.forbidden) == (("1961",), ("1867",))


def test_matching_sees_what_keywords_do_not(tmp_path: Path) -> None:
    numbers = run(read_scored(files(tmp_path)))
    assert numbers["any_of"]["agreement"] == numbers["any_of"]["kappa"] == 1.0  # "know" holds no "no"
    assert numbers["keywords"]["confusion"] == {
        "both_right": 1,
        "only_grader": 1,
        "only_gemini": 1,
        "both_wrong": 0,
    }
    assert numbers["disagreements"] == {}
    assert numbers["any_of"]["by_test"]["correction"]["n"] == 1


def test_without_the_answers_only_the_keywords_are_compared_and_it_is_said(tmp_path: Path) -> None:
    numbers = run(read_scored(files(tmp_path, with_answers=False)), ScriptedChat([]))
    assert numbers["keywords"]["n"] == 3
    for grader in ("any_of", "model"):
        assert numbers[grader]["n"] == 0
        assert "full_experiment_*.json" in numbers[grader]["why"]


def test_a_model_that_fails_leaves_answers_ungraded(tmp_path: Path) -> None:
    right = json.dumps({"reasoning": "x", "label": "right", "confidence": 1})
    numbers = run(read_scored(files(tmp_path)), ScriptedChat([right, "nonsense", "nonsense again"]))
    assert numbers["model"]["n"] == 1
    assert numbers["model"]["not_graded"] == 2
    assert numbers["model"]["grader"] == "model/scripted"


@pytest.mark.parametrize(
    ("pairs", "share", "kappa"),
    [
        ([(True, 1.0)] * 4 + [(False, 0.0)] * 4, 1.0, 1.0),
        ([(True, 1.0), (True, 0.0), (False, 1.0), (False, 0.0)], 0.5, 0.0),
        ([(True, 1.0)] * 5, 1.0, None),  # by chance alone
        ([(True, 1.0)] * 20 + [(False, 1.0)] * 5 + [(True, 0.0)] * 10 + [(False, 0.0)] * 15, 0.7, 0.4),
        ([(None, 1.0)], None, None),
        ([], None, None),
    ],
)
def test_kappa_is_agreement_beyond_chance(
    pairs: list[tuple[bool | None, float]], share: float | None, kappa: float | None
) -> None:
    found = agreement([Mark(Scored("six_turns", "?", marks, 0.0), right) for right, marks in pairs])
    assert (found["agreement"], found["kappa"]) == (share, kappa)
    assert found["n"] + found["not_graded"] == len(pairs)


def test_the_last_line_is_the_result(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--data", str(files(tmp_path))]) == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert {"answers", "with_text", "any_of", "keywords", "commit", "machine"} <= result.keys()


def test_a_folder_without_scores_and_a_damaged_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SystemExit):
        main(["--data", str(tmp_path)])
    (tmp_path / "x.json").write_text('{"rescored_with": "gemini", "original_file": "a.json"}')
    with pytest.raises(ValueError, match=r"x\.json is no result file"):
        read_scored(tmp_path)
