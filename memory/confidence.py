"""How likely an answer is right: two logistic models and the thresholds under which nothing is answered.

`bench.calibrate` fits weights and thresholds on development chats, each chat judged by a model of the others; the
figures are in docs/adr/0015-calibrated-answers.md. Every weight belongs to a feature that `explain` shows.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

FACT_WEIGHTS: Mapping[str, float] = {
    "bias": -6.32,
    "asked": 14.922,
    "rivalled": 13.397,
    "said": 6.13,
    "shared": 7.198,
    "fitting": 8.335,
    "named": 5.088,
    "unsaid": 13.228,
    "passed": -0.579,
    "beside": -11.703,
    "foreign": 9.454,
    "ahead": 3.178,
    "reverse": -1.489,
    "anybody": 1.241,
    "strangers": 0.212,
}
PASSAGE_WEIGHTS: Mapping[str, float] = {
    "bias": -2.214,
    "covered": 0.407,
    "n_covered": -0.184,
    "lead": 0.354,
    "dense": 0.788,
    "question": 0.0,
    "unnamed": -1.092,
}


@dataclass(frozen=True, slots=True)
class Thresholds:
    """The least probability at which a fact, or a quoted message, is given as the answer."""

    fact: float = 0.7
    passage: float = 0.675


CALIBRATED = Thresholds()


def probability(weights: Mapping[str, float], features: Mapping[str, float]) -> float:
    """Of a logistic model; features that it has no weight for are passed over."""
    logit = weights["bias"] + sum(weights.get(name, 0.0) * value for name, value in features.items())
    return round(1 / (1 + math.exp(-max(min(logit, 30.0), -30.0))), 4)
