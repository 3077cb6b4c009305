"""How far directions steer what a model writes: `python -m bench.steering [--train FILE] [--concepts 20] [--seed 0]`.

Directions are differences of means of the embedded model's activations over labelled texts (`consolidation.readouts`), applied
at the layers they were taken from. The judge is the shipped emotion head's probability of the label: another network
(a sentence encoder), which has seen neither directions nor steered texts, though its labels come from the same file.
One dose for all concepts, the strongest that keeps the texts of every third of them fluent, is found on openings of messages
of their own; it, two thirds and one third of it are then measured on other openings, and so are random directions as long.

effective_share: concepts whose judged mean at that dose is above that of unsteered texts and above that of the controls,
at a perplexity ratio (both texts under the unsteered model) under 1.3.
monotone_share: concepts whose judged mean falls at no step of the doses 0, 1/3, 2/3, 1.
random_control_share: the same test as `effective_share`, passed by a control instead, against the other controls.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from statistics import fmean, median
from typing import Any

import numpy as np

from agents.emotion_head import Head, Reader
from agents.emotion_training import read_labelled, read_labels
from agents.emotions import HEAD_PATH
from agents.runtime.lm import LanguageModel
from agents.runtime.spec import ModelSpec
from bench.report import ROOT, now_and_then, print_result
from consolidation.readout import activations
from consolidation.readouts import Activations, Contrast, Provenance, Readout, build
from memory.embedders.minilm import MiniLM
from simulator.dosing import MAX_PPL_RATIO, Bed, Plan, openings
from simulator.steering import Direction, of_readout

DATA = ROOT.parent / "shared" / "data" / "goemotions" / "train.tsv"  # beside the checkout, where it is there
OPENINGS = Path(__file__).parent / "steering_openings.toml"
NEUTRAL = "neutral"
LAYERS = (10, 12, 14)
DOSES = (0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5)
SEARCHED_EVERY = 3  # concepts
MARGIN = (
    1.15  # median perplexity ratio up to which a dose is taken; each concept is held against MAX_PPL_RATIO
)
BATCH = 48
SHARES = (1 / 3, 2 / 3, 1.0)
CHARS = (15, 200)
NEGATIVES = 3  # texts without the label for each with it
N_NEUTRAL = 200


@dataclass(frozen=True, slots=True)
class Texts:
    """`rows`: label -> places of the texts that have it and no other."""

    texts: list[str]
    rows: dict[str, list[int]]


@dataclass(frozen=True, slots=True)
class Seen:
    """One run of texts: what every label's judge says of them, and what they cost."""

    judged: Mapping[str, float]
    ppl_ratio: float
    repetition: float
    kl: float


@dataclass
class Ground:
    """The model with the openings of one part; unsteered texts are written once, random ones once for each dose."""

    model: LanguageModel
    plan: Plan
    reader: Reader
    _random: dict[tuple[float, int], Seen] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._texts: list[str] = []
        self._bed = Bed(self.model, self.plan, judge=self._keep)
        self._plain = self._bed.measure(0.0, {}, None)
        self.plain = Seen(self._judged(), 1.0, self._plain.repetition, 0.0)

    def _keep(self, texts: Sequence[str]) -> list[float]:
        self._texts = list(texts)
        return [0.0] * len(texts)

    def _judged(self) -> dict[str, float]:
        labels = self.reader.head.labels
        if not self._texts:  # no reply had a word
            return dict.fromkeys(labels, 0.0)
        mean_K = self.reader.probabilities(self._texts).mean(axis=0)
        return dict(zip(labels, map(float, mean_K), strict=True))

    def look(self, direction: Direction, dose: float) -> Seen:
        self._texts = []
        found = self._bed.measure(dose, direction.added(dose), self._plain)
        return Seen(self._judged(), found.ppl_ratio, found.repetition, found.kl)

    def control(self, direction: Direction, dose: float, seed: int) -> Seen:
        if (dose, seed) not in self._random:
            self._random[dose, seed] = self.look(direction.random(seed), dose)
        return self._random[dose, seed]


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.steering", description=__doc__)
    parser.add_argument("--train", type=Path, default=DATA, help="labelled texts, labels.txt beside them")
    parser.add_argument("--concepts", type=int, default=20, help="the commonest labels")
    parser.add_argument("--per-concept", type=int, default=150, help="texts with each label")
    parser.add_argument("--layers", default=",".join(map(str, LAYERS)))
    parser.add_argument("--texts", type=int, default=3, help="texts for each of 24 openings")
    parser.add_argument("--controls", type=int, default=3, help="random directions")
    parser.add_argument("--dose", type=float, help="instead of the one that is found")
    parser.add_argument("--tokens", type=int, default=24, help="of a text, after its opening")
    parser.add_argument("--temperature", type=float, default=0.7)
    parser.add_argument("--everywhere", action="store_true", help="steer the opening as well")
    parser.add_argument("--model", default="embedded")
    parser.add_argument("--cache", type=Path, help="a folder that keeps the converted model")
    parser.add_argument("--out", type=Path, help="a file for the numbers of each concept and dose")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(argv)
    if not args.train.exists():
        parser.error(f"there is no {args.train.name} beside the checkout; give --train FILE")
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        model = LanguageModel.load(ModelSpec(args.cache or Path(folder), args.model))
    texts = read_texts(args.train, args.concepts, args.per_concept, args.seed)
    layers = tuple(int(layer) for layer in args.layers.split(","))
    readout = directions(model, texts, layers, args.seed)
    numbers = measure(model, readout, args)
    numbers["auroc"] = round(float(np.mean(readout.manifest.auroc)), 4)
    print_result(numbers, seed=args.seed, started=started)
    return 0


def read_texts(path: Path, n_concepts: int, per_concept: int, seed: int) -> Texts:
    """Texts with one label, drawn evenly: of the commonest labels and of neutral ones."""
    labels = read_labels(path, None)
    found = read_labelled(path, len(labels))
    usable = [
        (text, labels[int(targets.argmax())])
        for text, targets in zip(found.texts, found.targets_NK, strict=True)
        if targets.sum() == 1 and CHARS[0] <= len(text) <= CHARS[1]
    ]
    order = np.random.default_rng(seed).permutation(len(usable))
    by_label: dict[str, list[str]] = {label: [] for label in labels}
    for place in order:
        text, label = usable[place]
        by_label[label].append(text)
    commonest = sorted(set(labels) - {NEUTRAL}, key=lambda label: (-len(by_label[label]), label))[:n_concepts]
    texts: list[str] = []
    rows: dict[str, list[int]] = {}
    for label in (*commonest, NEUTRAL):
        drawn = by_label[label][: N_NEUTRAL if label == NEUTRAL else per_concept]
        rows[label] = list(range(len(texts), len(texts) + len(drawn)))
        texts += drawn
    return Texts(texts, rows)


def directions(model: LanguageModel, texts: Texts, layers: tuple[int, ...], seed: int) -> Readout:
    """One direction a label, against texts of the other labels and neutral ones."""
    rng = np.random.default_rng(seed)
    contrasts = {}
    for label, rows in texts.rows.items():
        if label != NEUTRAL:
            others = [row for other, found in texts.rows.items() if other != label for row in found]
            n_others = min(len(others), NEGATIVES * len(rows))
            contrasts[label] = Contrast(tuple(rows), tuple(map(int, rng.permutation(others)[:n_others])))
    acts_NLD, norms_L = activations(model, texts.texts, layers, progress=now_and_then("texts read"))
    where = Provenance(model.base_hash, model.template.sha256, None, {}, seed)
    seen = Activations(acts_NLD, norms_L, layers)
    return build(seen, contrasts, texts.rows[NEUTRAL], where, n_layers=len(layers))


def measure(model: LanguageModel, readout: Readout, args: argparse.Namespace) -> dict[str, Any]:
    plan = Plan(
        openings(),
        per_opening=1,
        max_new_tokens=args.tokens,
        temperature=args.temperature,
        seed=args.seed,
        batch_size=BATCH,
        positions="all" if args.everywhere else "reply",
    )
    reader = Reader(Head.load(HEAD_PATH), MiniLM.load())
    search = Ground(model, plan, reader)
    figure = Ground(
        model, replace(plan, openings=openings(OPENINGS), per_opening=args.texts, seed=args.seed + 1), reader
    )
    found = [of_readout(readout, concept) for concept in readout.manifest.concepts]
    dose = args.dose or strongest(search, found[::SEARCHED_EVERY])
    rows = []
    for direction in found:
        rows.append(row_of(figure, direction, dose, args.controls))
        print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
    if args.out:
        args.out.write_text(
            json.dumps({"rows": rows, "plain": asdict(figure.plain)}, indent=1), encoding="utf-8"
        )
    return {
        "concepts": len(rows),
        "effective_share": _share(row["effective"] for row in rows),
        "monotone_share": _share(row["monotone"] for row in rows),
        "ppl_ratio_median": round(median(row["ppl_ratio"] for row in rows), 4),
        "random_control_share": round(fmean(row["controls_effective"] for row in rows), 4),
        "dose": dose,
        "layers": list(readout.manifest.layers),
        "positions": plan.positions,
        "texts_per_dose": len(figure.plan.openings) * figure.plan.per_opening,
        "per_concept": {row["concept"]: {k: v for k, v in row.items() if k != "concept"} for row in rows},
    }


def strongest(ground: Ground, found: Sequence[Direction]) -> float:
    """The largest of DOSES at which the median of these directions costs no more than MARGIN, by halving; else the least."""
    kept, broken = 0, len(DOSES)
    while broken - kept > 1:
        middle = (kept + broken) // 2
        ratios = [ground.look(direction, DOSES[middle]).ppl_ratio for direction in found]
        print(f"dose {DOSES[middle]:g}: {[round(one, 3) for one in ratios]}", file=sys.stderr, flush=True)
        kept, broken = (middle, broken) if median(ratios) <= MARGIN else (kept, middle)
    return DOSES[kept]


def row_of(ground: Ground, direction: Direction, dose: float, n_controls: int) -> dict[str, Any]:
    concept = direction.name
    response = [ground.plain, *(ground.look(direction, share * dose) for share in SHARES)]
    controls = [ground.control(direction, dose, seed) for seed in range(1, n_controls + 1)]
    judged = [seen.judged[concept] for seen in response]
    by_chance = [seen.judged[concept] for seen in controls]
    best = response[-1]
    return {
        "concept": concept,
        "judged": [round(value, 4) for value in judged],
        "judged_random": [round(value, 4) for value in by_chance],
        "ppl_ratio": round(best.ppl_ratio, 4),
        "ppl_ratio_random": round(fmean(seen.ppl_ratio for seen in controls), 4),
        "repetition": round(best.repetition, 4),
        "kl": round(best.kl, 4),
        "effective": is_effective(best, concept, judged[0], by_chance),
        "monotone": all(later >= earlier for earlier, later in pairwise(judged)),
        "controls_effective": fmean(
            is_effective(seen, concept, judged[0], by_chance[:k] + by_chance[k + 1 :])
            for k, seen in enumerate(controls)
        ),
    }


def is_effective(seen: Seen, concept: str, plain: float, controls: Sequence[float]) -> bool:
    """Above the unsteered texts and above the mean of the controls, and fluent."""
    value = seen.judged[concept]
    return value > plain and value > fmean(controls or [plain]) and seen.ppl_ratio < MAX_PPL_RATIO


def _share(values: Any) -> float:
    return round(fmean(bool(value) for value in values), 4)


if __name__ == "__main__":
    raise SystemExit(main())
