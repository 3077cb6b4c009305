"""Fit when to answer: weights and thresholds of memory/confidence.py, each chat judged by a model of the others.

    python -m bench.calibrate --chats DIR [DIR ...] [--held-out DIR ...]

For every question of the chats the best fact and the best message are taken, whatever their score, and judged against
the gold. Two logistic regressions learn which are right. The thresholds are those with the highest accuracy at which
`--abstained` of the unanswerable questions are left unanswered. Leave-one-chat-out figures and a risk-coverage table
tell what to expect elsewhere; with the last line's weights the shipped constants are made again.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.ask import UNANSWERABLE, Bench, is_right
from bench.report import print_result
from memory.confidence import Thresholds, probability
from memory.embedders.minilm import MiniLM
from memory.passages import is_quotable

FACT_FEATURES = (
    "asked",
    "rivalled",
    "said",
    "shared",
    "fitting",
    "named",
    "unsaid",
    "passed",
    "beside",
    "foreign",
    "ahead",
    "reverse",
    "anybody",
    "strangers",
)
PASSAGE_FEATURES = ("covered", "n_covered", "lead", "dense", "question", "unnamed")
L2 = 0.1  # per unit of standardised weight
GRID = tuple(round(0.2 + 0.025 * i, 3) for i in range(29))
ALWAYS, NEVER = 0.0, 1.1

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Row:
    """One question: what the facts and the messages would answer, and whether that is right."""

    chat: str
    is_unanswerable: bool
    fact: Mapping[str, float] | None
    is_fact_right: bool
    passage: Mapping[str, float] | None
    is_passage_right: bool
    is_decided: bool  # by a rule without a threshold; then `is_fact_right` stands


def collect(folder: Path, embedder: MiniLM) -> list[Row]:
    """A row per question of the chat."""
    with tempfile.TemporaryDirectory() as home:
        bench = Bench(folder, Path(home), "gold", embedder)
        rows = [_row(folder.name, bench, question) for question in bench.questions]
        bench.close()
    return rows


def _row(chat: str, bench: Bench, question: dict[str, Any]) -> Row:
    by_fact = bench.run(question, Thresholds(fact=ALWAYS, passage=NEVER))
    by_passage = bench.run(question, Thresholds(fact=NEVER, passage=ALWAYS))
    features = by_fact.explain.get("features")
    return Row(
        chat=chat,
        is_unanswerable=question.get("kind") == UNANSWERABLE,
        fact=features if not by_fact.abstained else None,
        is_fact_right=not by_fact.abstained and is_right(question, by_fact),
        passage=by_passage.explain["passage"]["features"] if "passage" in by_passage.explain else None,
        is_passage_right=not by_passage.abstained and is_right(question, by_passage),
        is_decided=not by_fact.abstained and features is None,
    )


def fit(names: Sequence[str], rows: Sequence[Mapping[str, float]], right: Sequence[bool]) -> dict[str, float]:
    """Logistic regression by Newton's method on standardised features, its weights in raw units."""
    x = np.array([[row[name] for name in names] for row in rows], np.float64)
    mean, spread = x.mean(axis=0), np.maximum(x.std(axis=0), 1e-6)
    design = np.hstack([np.ones((len(x), 1)), (x - mean) / spread])
    y, weights = np.array(right, np.float64), np.zeros(len(names) + 1)
    penalty = np.full(len(weights), L2 * len(x) / 10)
    penalty[0] = 1e-6
    for _ in range(50):
        p = 1 / (1 + np.exp(-design @ weights))
        gradient = design.T @ (p - y) + penalty * weights
        hessian = (design * (p * (1 - p))[:, None]).T @ design + np.diag(penalty)
        step = np.linalg.solve(hessian, gradient)
        weights -= step
        if np.abs(step).max() < 1e-8:
            break
    raw = weights[1:] / spread
    bias = float(weights[0] - raw @ mean)
    return {"bias": round(bias, 3), **{n: round(float(w), 3) for n, w in zip(names, raw, strict=True)}}


@dataclass(frozen=True, slots=True)
class Model:
    facts: Mapping[str, float]
    passages: Mapping[str, float]

    @classmethod
    def of(cls, rows: Sequence[Row]) -> Model:
        facts = [row for row in rows if row.fact is not None and not row.is_decided]
        quotes = [row for row in rows if row.passage is not None and is_quotable(row.passage)]
        return cls(
            fit(FACT_FEATURES, [row.fact or {} for row in facts], [row.is_fact_right for row in facts]),
            fit(PASSAGE_FEATURES, [r.passage or {} for r in quotes], [r.is_passage_right for r in quotes]),
        )

    def judged(self, row: Row) -> tuple[float, float]:
        fact = 0.0 if row.fact is None else probability(self.facts, row.fact)
        if row.passage is None or not is_quotable(row.passage):
            return fact, 0.0
        return fact, probability(self.passages, row.passage)


def outcome(row: Row, sure: tuple[float, float], at: Thresholds) -> tuple[bool, bool]:
    """(right, abstained) under these thresholds."""
    if row.is_decided or sure[0] >= at.fact:
        return row.is_fact_right, False
    if sure[1] >= at.passage:
        return row.is_passage_right, False
    return row.is_unanswerable, True


def measure(rows: Sequence[Row], sure: Sequence[tuple[float, float]], at: Thresholds) -> dict[str, float]:
    outcomes = [outcome(row, one, at) for row, one in zip(rows, sure, strict=True)]
    unanswerable = [o[1] for row, o in zip(rows, outcomes, strict=True) if row.is_unanswerable]
    answered = [o[0] for o in outcomes if not o[1]]
    return {
        "accuracy": _mean([right for right, _ in outcomes]),
        "abstained_unanswerable": _mean(unanswerable),
        "coverage": _mean([not abstained for _, abstained in outcomes]),
        "risk": 1 - _mean(answered),
    }


def _mean(values: Sequence[bool]) -> float:
    return round(sum(values) / len(values), 4) if values else 0.0


def choose(rows: Sequence[Row], sure: Sequence[tuple[float, float]], least: float) -> Thresholds:
    """The most accurate pair of the grid with the wanted abstention; the one that abstains most where none has it."""
    found = {
        Thresholds(fact, passage): measure(rows, sure, Thresholds(fact, passage))
        for fact in GRID
        for passage in GRID
    }
    fitting = [at for at, got in found.items() if got["abstained_unanswerable"] >= least]
    if fitting:
        return max(fitting, key=lambda at: (found[at]["accuracy"], found[at]["abstained_unanswerable"]))
    return max(found, key=lambda at: (found[at]["abstained_unanswerable"], found[at]["accuracy"]))


def left_out(rows: Sequence[Row], least: float) -> tuple[list[tuple[float, float]], dict[str, Any]]:
    """Probabilities of every row by the model of the other chats, and each chat's figures."""
    sure: dict[int, tuple[float, float]] = {}
    by_chat = {}
    for chat in dict.fromkeys(row.chat for row in rows):
        train = [row for row in rows if row.chat != chat]
        model = Model.of(train)
        at = choose(train, [model.judged(row) for row in train], least)
        test = [(i, row) for i, row in enumerate(rows) if row.chat == chat]
        judged = [model.judged(row) for _, row in test]
        sure |= {i: one for (i, _), one in zip(test, judged, strict=True)}
        by_chat[chat] = measure([row for _, row in test], judged, at)
    return [sure[i] for i in range(len(rows))], by_chat


def risk_coverage(rows: Sequence[Row], sure: Sequence[tuple[float, float]]) -> list[dict[str, float]]:
    """Both thresholds moved together."""
    return [
        {"threshold": at, **measure(rows, sure, Thresholds(at, at))}
        for at in (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
    ]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--chats", type=Path, nargs="+", required=True)
    parser.add_argument("--held-out", type=Path, nargs="*", default=[])
    parser.add_argument(
        "--abstained", type=float, default=0.94, help="wanted share on unanswerable questions"
    )
    options = parser.parse_args()
    started = time.perf_counter()
    embedder = MiniLM.load()
    rows = [row for folder in options.chats for row in collect(folder, embedder)]
    model = Model.of(rows)
    sure, by_chat = left_out(rows, options.abstained)
    at = choose(rows, sure, options.abstained)
    result: dict[str, Any] = {
        "facts": dict(model.facts),
        "passages": dict(model.passages),
        "thresholds": {"fact": at.fact, "passage": at.passage},
        "left_out": by_chat,
        "left_out_all": measure(rows, sure, at),
        "risk_coverage": risk_coverage(rows, sure),
    }
    for folder in options.held_out:
        held = collect(folder, embedder)
        result.setdefault("held_out", {})[folder.name] = measure(held, [model.judged(r) for r in held], at)
    print(json.dumps(result, indent=1))
    print_result(result, seed=0, started=started)


if __name__ == "__main__":
    main()
