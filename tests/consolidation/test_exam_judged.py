"""Claims about how two marks of the same answers are compared."""

from __future__ import annotations

from consolidation.exam_judged import Marked, compared


def test_agreement_counts_what_was_graded_alone() -> None:
    pairs = [(True, True), (True, False), (False, True), (False, True), (False, False), (True, None)]
    found = compared([Marked("recall_paraphrase", matched, judged) for matched, judged in pairs])
    assert found == {
        "n": 5,
        "not_graded": 1,
        "matching": 0.4,
        "judge": 0.6,
        "agreement": 0.4,
        "only_matching": 1,
        "only_judge": 2,
    }


def test_where_nothing_was_graded_there_are_no_shares() -> None:
    found = compared([Marked("recall_trained", True, None)])
    assert (found["n"], found["judge"], found["agreement"]) == (0, None, None)
