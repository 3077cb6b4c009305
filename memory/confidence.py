"""How likely an answer is right: two logistic models and the thresholds under which nothing is answered.

`bench.calibrate` fits weights and thresholds on development chats, each chat judged by a model of the others; the
figures are in docs/adr/0015-calibrated-answers.md. Every weight belongs to a feature that `explain` shows.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

FACT_WEIGHTS: Mapping[str, float] = {
    "bias": -6.174,
    "asked": 14.252,
    "rivalled": 13.368,
    "said": 6.433,
    "shared": 7.277,
    "fitting": 9.547,
    "named": 4.889,
    "unsaid": 13.24,
    "passed": -0.478,
    "beside": -11.361,
    "foreign": 9.29,
    "ahead": 3.586,
    "reverse": -1.636,
    "anybody": 0.539,
    "strangers": 0.158,
}
PASSAGE_WEIGHTS: Mapping[str, float] = {
    "bias": -2.239,
    "covered": 0.353,
    "n_covered": -0.184,
    "lead": 0.395,
    "dense": 0.777,
    "question": 0.0,
    "unnamed": -1.012,
}


# of a verdict between yes and no, by its match's score alone: rules have decided that it is one
VERDICT_WEIGHTS: Mapping[str, float] = {"bias": -7.2, "score": 12.0}


@dataclass(frozen=True, slots=True)
class Thresholds:
    """The least probability at which a fact, or a quoted message, is given as the answer."""

    fact: float = 0.7
    passage: float = 0.7


CALIBRATED = Thresholds()


def probability(weights: Mapping[str, float], features: Mapping[str, float]) -> float:
    """Of a logistic model; features that it has no weight for are passed over."""
    logit = weights["bias"] + sum(weights.get(name, 0.0) * value for name, value in features.items())
    return round(1 / (1 + math.exp(-max(min(logit, 30.0), -30.0))), 4)
