"""How well contradiction is told: `python -m bench.contradiction --train FILE --test FILE [--chat DIR]`.

Macro F1 of entailment, neutral and contradiction over the pairs of the test file (dialogue, hypothesis, label, with
tabs between), of the shipped head; with `--retrain` of a head trained on the training file anew. Beside it, fitted on
the training file: naming its commonest label always (`majority_f1`); the neighbours' rule (`cosine_band_f1`), which is
contradiction where the cosine of the two texts lies in a band, with what lies above and below it called entailment or
neutral, whichever fits best; and a linear model that sees the hypothesis alone (`hypothesis_only_f1`), which tells what
the wording of the claims gives away.

Contradictions made of a chat's gold facts (bench/contradiction_pairs.py; the shipped example without `--chat`) are to
be told from restatements and from statements that have nothing to do with each other: `chat.rules_and_head` is what a
checker that asks structured rules first would do, `chat.head` asks the head alone, `chat.cosine_band` the band alone.
Each has the precision where 90 % of the contradictions are found. `chat.pairs_per_s` is the head's speed on them.
"""

from __future__ import annotations

import argparse
import logging
import random
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.special import softmax

from agents.entailment import CONTRADICTION, ENTAILMENT, LABELS, NEUTRAL, EntailmentHead, as_premise
from agents.entailment_pairs import Pair
from agents.entailment_training import TrainingSettings, measure, read_pairs, scores, train_head
from bench.contradiction_pairs import FactPair, fact_pairs, rule_says
from bench.gold import read_list
from bench.report import ROOT, print_result
from memory.embedders.minilm import MiniLM
from memory.ports import FloatMatrix
from memory.registry import Registry

EXAMPLE = ROOT / "examples" / "harbor"
RECALL = 0.90  # at which precision is told
FIT_ROWS = 3000  # of the training file that the band is fitted on
STEPS = 41  # candidates for each end of the band
SHRINKAGE = 1e-4  # of the linear model's squared weights
_OUTSIDE = ((NEUTRAL, ENTAILMENT), (ENTAILMENT, NEUTRAL), (NEUTRAL, NEUTRAL), (ENTAILMENT, ENTAILMENT))


@dataclass(frozen=True, slots=True)
class Band:
    """`below`, contradiction from `low` to `high`, and `above`: labels by cosine."""

    low: float
    high: float
    below: int
    above: int

    def label(self, cosines: FloatMatrix) -> npt.NDArray[np.int64]:
        inside = np.where(cosines < self.high, CONTRADICTION, self.above)
        labels: npt.NDArray[np.int64] = np.where(cosines < self.low, self.below, inside)
        return labels

    def nearness(self, cosines: FloatMatrix) -> FloatMatrix:
        """How far inside the band, negative outside: an order for precision and recall."""
        depths: FloatMatrix = np.minimum(cosines - np.float32(self.low), np.float32(self.high) - cosines)
        return depths


def fit_band(cosines: FloatMatrix, labels: npt.NDArray[np.int64]) -> Band:
    """The band of the best macro F1 among quantiles of the cosines."""
    ends = np.quantile(cosines, np.linspace(0, 1, STEPS))
    best = (-1.0, Band(0.0, 0.0, NEUTRAL, NEUTRAL))
    for i, low in enumerate(ends):
        for high in ends[i + 1 :]:
            for below, above in _OUTSIDE:
                band = Band(float(low), float(high), below, above)
                best = max(
                    best, (scores(band.label(cosines), labels)["macro_f1"], band), key=lambda item: item[0]
                )
    return best[1]


def cosines_of(encoder: MiniLM, premises: Sequence[str], hypotheses: Sequence[str]) -> FloatMatrix:
    both = encoder.encode([as_premise(text) for text in premises]), encoder.encode(hypotheses)
    cosines: FloatMatrix = np.einsum("nd,nd->n", *both)
    return cosines


def fit_linear(x_ND: FloatMatrix, labels: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Softmax regression with a constant: (D + 1, K)."""
    inputs = _with_constant(x_ND)
    targets = np.eye(len(LABELS))[labels]
    shape = (inputs.shape[1], len(LABELS))

    def loss(flat: npt.NDArray[np.float64]) -> tuple[float, npt.NDArray[np.float64]]:
        weights = flat.reshape(shape)
        shares = softmax(inputs @ weights, axis=1)
        found = -np.log(np.maximum((shares * targets).sum(axis=1), 1e-12)).mean()
        gradient = inputs.T @ (shares - targets) / len(inputs) + 2 * SHRINKAGE * weights
        return float(found + SHRINKAGE * (weights**2).sum()), gradient.ravel()

    fitted = minimize(loss, np.zeros(shape).ravel(), jac=True, method="L-BFGS-B")
    return np.asarray(fitted.x, np.float64).reshape(shape)


def _with_constant(x_ND: FloatMatrix) -> npt.NDArray[np.float64]:
    return np.concatenate([x_ND, np.ones((len(x_ND), 1))], axis=1).astype(np.float64)


def precision_at(
    confidences: npt.NDArray[np.floating], is_true: npt.NDArray[np.bool_], recall: float
) -> dict[str, Any]:
    """Precision where at least that share of the true ones is found; all of equal confidence count together."""
    wanted = int(np.ceil(recall * is_true.sum()))
    if not wanted:
        return {"precision": None, "recall": None, "threshold": None}
    threshold = np.sort(confidences[is_true])[::-1][wanted - 1]
    taken = confidences >= threshold
    right = int((taken & is_true).sum())
    return {
        "precision": round(right / int(taken.sum()), 4),
        "recall": round(right / int(is_true.sum()), 4),
        "threshold": round(float(threshold), 4),
    }


def against_chat(folder: Path, head: EntailmentHead, encoder: MiniLM, band: Band) -> dict[str, Any]:
    registry = Registry.load()
    pairs = fact_pairs(read_list(folder / "facts.json"), registry)
    said, asked = [pair.premise for pair in pairs], [pair.hypothesis for pair in pairs]
    started = time.perf_counter()
    found = head.judge(said, asked)
    seconds = time.perf_counter() - started
    both = np.array([confidence(pair, row, registry) for pair, row in zip(pairs, found, strict=True)])
    is_true = np.array([pair.contradicts for pair in pairs])
    near = band.nearness(cosines_of(encoder, said, asked))
    is_wrong = (both >= 0.5) != is_true
    kinds = Counter(pair.kind for pair in pairs)
    return {
        "pairs": len(pairs),
        "contradictions": int(is_true.sum()),
        "kinds": dict(kinds),
        "rules_and_head": precision_at(both, is_true, RECALL),
        "head": precision_at(found[:, CONTRADICTION], is_true, RECALL),
        "cosine_band": precision_at(near, is_true, RECALL),
        "wrong": {
            kind: round(float(is_wrong[[pair.kind == kind for pair in pairs]].mean()), 4) for kind in kinds
        },
        "pairs_per_s": round(len(pairs) / seconds, 1),
    }


def confidence(pair: FactPair, probabilities_K: FloatMatrix, registry: Registry) -> float:
    """That the pair contradicts: what a rule settles is settled, what it leaves open the head says."""
    verdict = rule_says(pair, registry)
    if verdict is None:
        return float(probabilities_K[CONTRADICTION])
    if not verdict:
        return 0.0
    return 1.0 - 0.5 * float(probabilities_K[ENTAILMENT])  # two spellings of one value pass the rule


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m bench.contradiction",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--train", type=Path, required=True)
    parser.add_argument("--test", type=Path, required=True)
    parser.add_argument("--chat", type=Path, default=EXAMPLE, help="a chat folder with gold facts")
    parser.add_argument(
        "--retrain", action="store_true", help="train a head on --train instead of the shipped one"
    )
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    started = time.perf_counter()
    encoder = MiniLM.load()
    train, test = read_pairs(args.train), read_pairs(args.test)
    head = _head(encoder, train, args.seed, is_new=args.retrain)
    print(f"judging {len(test)} pairs", flush=True)
    numbers = measure(head, test)
    band, baselines = _baselines(encoder, train, test, args.seed)
    numbers |= baselines
    numbers["parameters"] = head.weights.n_parameters
    numbers["head"] = "trained now" if args.retrain else "shipped"
    numbers["chat"] = against_chat(args.chat, head, encoder, band)
    print_result(numbers, seed=args.seed, started=started)
    return 0


def _head(encoder: MiniLM, train: Sequence[Pair], seed: int, *, is_new: bool) -> EntailmentHead:
    if is_new:
        return EntailmentHead(train_head(train, TrainingSettings(seed=seed)), encoder)
    print(
        "using the shipped head; the training file fits the baselines only (--retrain trains anew)",
        flush=True,
    )
    return EntailmentHead.load(encoder)


def _baselines(
    encoder: MiniLM, train: Sequence[Pair], test: Sequence[Pair], seed: int
) -> tuple[Band, dict[str, Any]]:
    """The fitted band, and the figures of all baselines."""
    shown = list(train) if len(train) <= FIT_ROWS else random.Random(seed).sample(list(train), FIT_ROWS)
    print(f"fitting the baselines on {len(shown)} of {len(train)} pairs", flush=True)
    labels, actual = _labels(shown), _labels(test)
    band = fit_band(_cosines(encoder, shown), labels)
    of_band = scores(band.label(_cosines(encoder, test)), actual)
    commonest = Counter(pair.label for pair in train).most_common(1)[0][0]
    weights = fit_linear(_claims(encoder, shown), labels)
    guessed = (_with_constant(_claims(encoder, test)) @ weights).argmax(axis=1)
    return band, {
        "majority_f1": scores(np.full(len(test), commonest), actual)["macro_f1"],
        "hypothesis_only_f1": scores(guessed, actual)["macro_f1"],
        "cosine_band_f1": of_band["macro_f1"],
        "cosine_band": {
            "low": round(band.low, 4),
            "high": round(band.high, 4),
            "below": LABELS[band.below],
            "above": LABELS[band.above],
            "per_label": of_band["per_label"],
        },
    }


def _claims(encoder: MiniLM, pairs: Sequence[Pair]) -> FloatMatrix:
    return encoder.encode([pair.hypothesis for pair in pairs])


def _cosines(encoder: MiniLM, pairs: Sequence[Pair]) -> FloatMatrix:
    return cosines_of(encoder, [pair.premise for pair in pairs], [pair.hypothesis for pair in pairs])


def _labels(pairs: Sequence[Pair]) -> npt.NDArray[np.int64]:
    return np.array([pair.label for pair in pairs], np.int64)


if __name__ == "__main__":
    raise SystemExit(main())
