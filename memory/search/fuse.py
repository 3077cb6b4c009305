"""One score from many signals: a weighted sum whose weights were fitted, and each term kept as an explanation.

The weights are those of a listwise softmax regression on the evidence turns of LoCoMo's development dialogues; how
they were chosen, and what each signal is worth on dialogues left out, is in docs/adr/0007-retrieval.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from memory.search.columns import Floats

WEIGHTS: Mapping[str, float] = {
    "fulltext": 0.75,  # BM25 of the unit over the best of the query
    "window": 2.2,  # the same of the unit with its neighbours
    "session": 1.9,  # the same of its whole session
    "dense": 1.75,  # cosine above the mean of all units, times 4
    "speaker": 2.4,  # said by, or a fact about, a person whom the question names
    "question": -0.55,  # asks itself
    "length": 0.9,  # log of its content words
    "time": 3.8,  # said within the time that the question names
    "graph": 0.4,  # half the log of its personalised PageRank, from 1e-6 up
}


@dataclass(frozen=True, slots=True)
class Signals:
    """Raw values of every candidate, arrays of equal length."""

    fulltext: Floats
    window: Floats
    session: Floats
    dense: Floats
    speaker: Floats
    question: Floats
    length: Floats
    time: Floats
    graph: Floats


def features(raw: Signals, mean_cosine: float) -> dict[str, Floats]:
    """The terms of the sum before weighting, each of the order of one."""
    return {
        "fulltext": _relative(raw.fulltext),
        "window": _relative(raw.window),
        "session": _relative(raw.session),
        "dense": (raw.dense - mean_cosine) * 4,
        "speaker": raw.speaker,
        "question": raw.question,
        "length": np.log1p(raw.length),
        "time": raw.time,
        "graph": np.log1p(raw.graph / 1e-6) / 2,
    }


def fuse(terms: Mapping[str, Floats], weights: Mapping[str, float] = WEIGHTS) -> dict[str, Floats]:
    """Weighted terms; their sum is the score."""
    return {name: weights[name] * values for name, values in terms.items()}


def _relative(values: Floats) -> Floats:
    return values / max(float(values.max(initial=0.0)), 1e-6)
