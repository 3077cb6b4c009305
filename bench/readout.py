"""How well directions read concepts: `python -m bench.readout --train FILE --test FILE [--method lda] [--positives 200]`.

Directions are made from a sample of the training file (layers chosen by its folds) and read the whole test file. A file
has a text, its labels and whatever else in each line, separated by tabs (`bench.readout_texts`).

macro_auroc: mean over the concepts of the AUROC of the readout (the mean over its layers of standardised projections).
caa_auroc: of plain differences of means at the same layers, which is what steers.
logistic_auroc, encoder_auroc: of logistic regressions on all features of the same layers, and on the sentence encoder's.
cross_talk: mean absolute cosine of two concepts' directions over pairs and layers, and the closest pairs.
speedup_vs_plain_loop: seconds a text of a loop over single texts with a hook per layer, whole model, same type, all cores,
    over ours for the same layers, in turns (`bench.readout_speed`).
plain_loop_difference: largest distance of our mean residual from the loop's, over the residual's length.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from agents.runtime.lm import LanguageModel
from agents.runtime.spec import ModelSpec
from agents.runtime.token_rules import LAST, MEAN
from bench.logistic import aurocs, fit_best, mean_of
from bench.readout_speed import speed
from bench.readout_texts import Sample, Texts, draw, read_texts
from bench.report import now_and_then, print_result
from consolidation.readout import activations, layers_to_try
from consolidation.readout_settings import LDA, METHODS
from consolidation.readouts import (
    N_LAYERS_KEPT,
    Activations,
    Provenance,
    Readout,
    as_rows,
    build,
    standardise,
)
from memory.embedders.minilm import MiniLM
from memory.ports import FloatMatrix

CLOSEST = 5


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that decides the numbers but the data and the model."""

    n_positive: int
    n_others: int
    min_examples: int
    method: str
    layers: tuple[int, ...]  # none: chosen
    n_layers: int
    token_rule: str
    seed: int


def main(argv: Sequence[str] | None = None) -> int:
    args = _arguments(argv)
    started = time.perf_counter()
    train, test = (read_texts(path, args.labels) for path in (args.train, args.test))
    plan = Plan(
        args.positives,
        args.others,
        args.min_examples,
        args.method,
        tuple(int(layer) for layer in args.layers.split(",") if layer),
        args.n_layers,
        LAST if args.last else MEAN,
        args.seed,
    )
    with tempfile.TemporaryDirectory() as folder:
        model = LanguageModel.load(ModelSpec(args.cache or Path(folder), args.model))
        numbers = measure(model, train, test, plan)
    print_result(numbers, seed=args.seed, started=started)
    return 0


def measure(model: LanguageModel, train: Texts, test: Texts, plan: Plan) -> dict[str, Any]:
    sample = draw(
        train,
        n_positive=plan.n_positive,
        n_others=plan.n_others,
        min_examples=plan.min_examples,
        seed=plan.seed,
    )
    concepts = tuple(sample.contrasts)
    tried = layers_to_try(plan.layers, model.n_layers)
    seen = _read(model, sample.texts, tried, plan, "training texts")
    readout = _directions(model, seen, sample, plan)
    layers = readout.manifest.layers
    ours = _read(model, test, layers, plan, "test texts")
    kept = [tried.index(layer) for layer in layers]
    targets = test.targets(concepts)
    read = aurocs(_scores(readout, ours), targets)
    plain = aurocs(_scores(by_difference(readout, seen, sample), ours), targets)
    print(f"readout: {mean_of(read):.4f}, differences: {mean_of(plain):.4f}", file=sys.stderr, flush=True)
    features, unseen = _flat(seen.acts_NLD[:, kept]), _flat(ours.acts_NLD)
    regression = _regressed(features, unseen, sample, test, plan.seed)
    encoder = MiniLM.load()
    encoded = _regressed(
        encoder.encode(sample.texts.texts), encoder.encode(test.texts), sample, test, plan.seed
    )
    return {
        "macro_auroc": _rounded(mean_of(read)),
        "caa_auroc": _rounded(mean_of(plain)),
        "logistic_auroc": _rounded(mean_of(regression)),
        "encoder_auroc": _rounded(mean_of(encoded)),
        "per_concept": {
            concept: {
                "auroc": _rounded(read[k]),
                "caa": _rounded(plain[k]),
                "logistic": _rounded(regression[k]),
                "encoder": _rounded(encoded[k]),
                "train": len(sample.contrasts[concept].positive),
                "test": int(targets[:, k].sum()),
            }
            for k, concept in enumerate(concepts)
        },
        "layers": list(layers),
        "held_out_auroc": _rounded(float(np.mean(readout.manifest.auroc))),
        "method": plan.method,
        "token_rule": plan.token_rule,
        "cross_talk": cross_talk(readout),
        "left_out": sample.left_out,
        "train_texts": len(sample.texts.texts),
        "test_texts": len(test.texts),
        **speed(model, sample.texts.texts, tried),
    }


def _read(model: LanguageModel, data: Texts, layers: Sequence[int], plan: Plan, what: str) -> Activations:
    acts_NLD, norms_L = activations(model, data.texts, layers, now_and_then(what), token_rule=plan.token_rule)
    return Activations(acts_NLD, norms_L, tuple(layers))


def _directions(model: LanguageModel, seen: Activations, sample: Sample, plan: Plan) -> Readout:
    origin = Provenance(
        model.base_hash, model.template.sha256, None, sample.left_out, plan.seed, plan.token_rule
    )
    n_layers = len(plan.layers) or plan.n_layers
    return build(seen, sample.contrasts, sample.neutral, origin, n_layers=n_layers, method=plan.method)


def by_difference(readout: Readout, seen: Activations, sample: Sample) -> Readout:
    """The readout that reads by what it steers with, at its own layers."""
    kept = [seen.layers.index(layer) for layer in readout.manifest.layers]
    rows = list(sample.neutral) or sorted({i for one in sample.contrasts.values() for i in one.negative})
    vectors = readout.to_steer()
    stacked_LKD = np.stack([vectors[layer] for layer in readout.manifest.layers])
    mean_LK, std_LK = standardise(seen.acts_NLD[rows][:, kept], stacked_LKD)
    manifest = replace(readout.manifest, neutral_mean=as_rows(mean_LK), neutral_std=as_rows(std_LK))
    return Readout(manifest, vectors)


def _scores(readout: Readout, seen: Activations) -> FloatMatrix:
    """Readings (N, K)."""
    rows = readout.read(seen.acts_NLD)
    return np.array([list(row.values()) for row in rows], dtype=np.float32)


def _flat(acts_NLD: FloatMatrix) -> FloatMatrix:
    return acts_NLD.reshape(len(acts_NLD), -1)


def _regressed(
    features_ND: FloatMatrix, unseen_ND: FloatMatrix, sample: Sample, test: Texts, seed: int
) -> list[float | None]:
    """AUROC per concept on the test texts of logistic regressions on the sample."""
    concepts = tuple(sample.contrasts)
    found, _ = fit_best(features_ND, sample.texts.targets(concepts), seed)
    return aurocs(found.scores(unseen_ND), test.targets(concepts))


def cross_talk(readout: Readout) -> dict[str, Any]:
    """Over pairs of concepts, the mean over the layers; closest first. Of what reads, and of what steers."""
    concepts = readout.manifest.concepts
    above = np.triu_indices(len(concepts), k=1)
    found: dict[str, Any] = {}
    for name, vectors in (("reading", readout.vectors), ("steering", readout.to_steer())):
        cosines = np.mean([vectors[layer] @ vectors[layer].T for layer in vectors], axis=0)[above]
        order = np.argsort(-np.abs(cosines))[:CLOSEST]
        found[name] = {
            "mean_absolute": _rounded(float(np.abs(cosines).mean())) if len(cosines) else None,
            "closest": [
                [concepts[above[0][i]], concepts[above[1][i]], round(float(cosines[i]), 3)] for i in order
            ],
        }
    return found


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench.readout", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--train", type=Path, required=True)
    parser.add_argument("--test", type=Path, required=True)
    parser.add_argument("--labels", type=Path, help="default: labels.txt beside each file")
    parser.add_argument("--model", default="embedded", help="a folder, a .gguf file or a hub id")
    parser.add_argument("--cache", type=Path, help="where converted weights are kept (default: nowhere)")
    parser.add_argument("--positives", type=int, default=200, help="per concept (%(default)s)")
    parser.add_argument("--others", type=int, default=2000, help="texts drawn as they come (%(default)s)")
    parser.add_argument("--min-examples", type=int, default=12, help="of a concept (%(default)s)")
    parser.add_argument("--method", choices=METHODS, default=LDA)
    parser.add_argument("--layers", default="", help="numbers, with commas (default: chosen on folds)")
    parser.add_argument(
        "--n-layers", type=int, default=N_LAYERS_KEPT, help="how many are chosen (%(default)s)"
    )
    parser.add_argument("--last", action="store_true", help="read the last token instead of the mean of all")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args(argv)


if __name__ == "__main__":
    raise SystemExit(main())
