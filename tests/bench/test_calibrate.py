"""Claims about the fit of confidences."""

from __future__ import annotations

import random

import pytest

from bench.calibrate import GRID, Row, choose, fit, measure
from memory.confidence import Thresholds, probability


def rows() -> list[Row]:
    """A fact is right with the probability that its score says; every third question is unanswerable."""
    dice = random.Random(3)
    made = []
    for i in range(600):
        score = dice.random()
        is_unanswerable = i % 3 == 0
        made.append(
            Row(
                chat="ab"[i % 2],
                is_unanswerable=is_unanswerable,
                fact={"score": score, "noise": dice.random()},
                is_fact_right=not is_unanswerable and dice.random() < score,
                passage=None,
                is_passage_right=False,
                is_decided=False,
            )
        )
    return made


def test_a_fit_finds_what_matters_and_leaves_out_what_does_not() -> None:
    given = [row for row in rows() if not row.is_unanswerable]
    weights = fit(("score", "noise"), [row.fact or {} for row in given], [row.is_fact_right for row in given])
    assert weights["score"] > 3 * abs(weights["noise"])
    assert probability(weights, {"score": 0.9, "noise": 0.5}) > probability(
        weights, {"score": 0.2, "noise": 0.5}
    )


def test_thresholds_leave_the_wanted_share_unanswered() -> None:
    given = rows()
    sure = [((row.fact or {})["score"], 0.0) for row in given]
    at = choose(given, sure, 0.7)
    assert at.fact in GRID
    assert measure(given, sure, at)["abstained_unanswerable"] >= 0.7
    loose = measure(given, sure, Thresholds(0.2, 1.0))
    tight = measure(given, sure, Thresholds(0.8, 1.0))
    assert loose["coverage"] > tight["coverage"]
    assert loose["risk"] > tight["risk"]


@pytest.mark.parametrize("logit", [-1000.0, 0.0, 1000.0])
def test_a_probability_stays_one(logit: float) -> None:
    assert 0 <= probability({"bias": logit}, {}) <= 1
