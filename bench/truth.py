"""Truth probes within a set and across sets: `python -m bench.truth --data DIR [--limit 400] [--together 600] [--model embedded] [--layers 12,15]`.

DIR holds CSV files `statement,label,...`. A probe of each set is tested on every set: within its own on held-out thirds, on others on
the whole. Statements about the same thing (same value in the first column after the label, else the same quoted word, else
the same first two words) are never parted between training and held out. The layer is chosen by folds of the training statements,
in each third anew. Of a set larger than `--limit`, that many statements are drawn with the seed.

`matrix`: mass-mean, train -> test -> accuracy; `corrected_matrix` with the covariance, `logistic_matrix` the logistic one, `centred_matrix`
mass-mean with every set about its own mean, as in the paper: what it shows takes a batch of statements and no single one. `two_d_matrix`:
truth and polarity, trained on sets that hold affirmed and negated statements together (a file and its `neg_` file, and all files
but those of one topic; `--together` statements at most), and `joined_matrix` the plain mass-mean on the same sets: what the second dimension brings. Beside each
are its `_layers`, `_at_least` bounds and `_auroc`. `usable`: those probes that clear the commoner label, with the margin of a shipped
probe, on their own held-out statements and on every other set; `reasons` say why the others do not.
"""

from __future__ import annotations

import argparse
import csv
import re
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from agents.runtime.lm import LanguageModel
from agents.runtime.spec import ModelSpec
from agents.runtime.token_rules import LAST
from bench.report import now_and_then, print_result
from consolidation.errors import BadProbe
from consolidation.probe_fits import CORRECTED, LOGISTIC, MASS_MEAN, TWO_D
from consolidation.probe_sets import LabelledSet, read_set
from consolidation.probe_training import (
    Readings,
    Trained,
    accuracy_on,
    joined,
    layers_to_try,
    readings_of,
    train,
)
from consolidation.probes import TRUTH, Accuracy, verdict

LIMIT = 400
MOST_TOGETHER = 600  # statements that one probe is trained on, of all its sets
_NEGATED = "neg_"
CENTRED = "centred_matrix"  # the one that no single statement can be read by
_QUOTED = re.compile(r"['‘\"“]([^'’\"”]+)['’\"”]")

Row = dict[str, Accuracy]  # test set -> how often right


@dataclass(frozen=True, slots=True)
class Trial:
    """One probe: its layer, and what it does on each set."""

    layer: int
    row: Row
    own: tuple[str, ...]  # the sets it was trained on; there the statements were held out

    @property
    def verdict(self) -> tuple[bool, str]:
        inside = [self.row[name] for name in self.own]
        others = tuple(found for name, found in self.row.items() if name not in self.own)
        worst = min(inside, key=lambda one: one.at_least - one.majority)
        return verdict(TRUTH, worst, None, others)


def read_sets(folder: Path, limit: int, seed: int) -> list[LabelledSet]:
    """The sets of the folder by name, each with groups, and drawn from where it is large. Raises BadProbe."""
    found = []
    for path in sorted(folder.glob("*.csv")):
        given = read_set(path)
        groups = groups_of(path)
        texts = tuple(replace(one, group=groups.get(one.text, one.group)) for one in given.texts)
        drawn = np.random.default_rng(seed).permutation(len(texts))[:limit]
        found.append(replace(given, texts=texts).only(drawn.tolist()))
    return found


def groups_of(path: Path) -> dict[str, str]:
    """Statement -> what it is about, as the module says."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        extra = [name for name in reader.fieldnames or () if name not in ("statement", "label")]
        return {row["statement"].strip(): _group(row, extra) for row in reader}


def _group(row: Mapping[str, str], extra: Sequence[str]) -> str:
    if extra and row[extra[0]]:
        return row[extra[0]]
    quoted = _QUOTED.search(row["statement"])
    return quoted[1] if quoted else " ".join(row["statement"].split()[:2])


def alone(readings: Mapping[str, Readings], method: str, seed: int) -> dict[str, Trial]:
    """A probe of each set by itself, tested on all."""
    return {name: trial([one], readings, method, seed) for name, one in readings.items()}


def together(readings: Mapping[str, Readings], method: str, most: int, seed: int) -> dict[str, Trial]:
    """A probe of each topic that has both polarities, and one of all other topics for each; those that cannot be are left out."""
    topics = topics_of(readings)
    wanted = {"+".join(names): names for names in topics.values() if len(names) > 1}
    for topic, names in topics.items():
        wanted[f"all but {topic}"] = [name for name in readings if name not in names]
    found = {}
    for title, names in wanted.items():
        own = [_drawn(readings[name], most // len(names), seed) for name in names]
        try:
            found[title] = trial(own, readings, method, seed)
        except BadProbe:
            continue
    return found


def centred_on_itself(one: Readings) -> Readings:
    """About the set's own mean at each layer, which takes a batch of statements to know."""
    return replace(one, acts_NLD=one.acts_NLD - one.acts_NLD.mean(axis=0))


def _drawn(one: Readings, most: int, seed: int) -> Readings:
    rows = np.zeros(len(one.texts), dtype=bool)
    rows[np.random.default_rng(seed).permutation(len(rows))[:most]] = True
    return one.at(rows)


def topics_of(names: Sequence[str] | Mapping[str, Any]) -> dict[str, list[str]]:
    """Topic -> its sets: a file, and the file of its negations where there is one."""
    topics: dict[str, list[str]] = {}
    for name in names:
        topics.setdefault(name.removeprefix(_NEGATED), []).append(name)
    return {topic: sorted(sets) for topic, sets in topics.items()}


def trial(own: Sequence[Readings], readings: Mapping[str, Readings], method: str, seed: int) -> Trial:
    whole = joined(own)
    trained = train(whole, method, seed=seed)
    names = tuple(one.name for one in own)
    row = {
        name: _held_out(trained, own, name)
        if name in names
        else accuracy_on(trained.linear, trained.layer, one)
        for name, one in readings.items()
    }
    return Trial(trained.layer, row, names)


def _held_out(trained: Trained, own: Sequence[Readings], name: str) -> Accuracy:
    """The part of the held-out logits that is of one of the sets trained on."""
    start = 0
    for one in own:
        end = start + len(one.texts)
        if one.name == name:
            return Accuracy.of(name, trained.held_out_logits_N[start:end], one.is_yes)
        start = end
    raise KeyError(name)


def numbers_of(trials: Mapping[str, Mapping[str, Trial]], key: str) -> dict[str, Any]:
    """Matrix, bounds and layers of one method under the names that the module promises."""
    found = trials[key]
    return {
        key: {train: {test: one.accuracy for test, one in row.row.items()} for train, row in found.items()},
        f"{key}_auroc": {
            train: {test: one.auroc for test, one in row.row.items()} for train, row in found.items()
        },
        f"{key}_at_least": {
            train: {test: one.at_least for test, one in row.row.items()} for train, row in found.items()
        },
        f"{key}_layers": {train: row.layer for train, row in found.items()},
    }


def summary(found: Mapping[str, Trial]) -> dict[str, float | None]:
    """Means over all cells: within a set, and across; and how many cells across surely beat the commoner label."""
    inside = [row.row[name].accuracy for row in found.values() for name in row.own]
    across = [one for row in found.values() for name, one in row.row.items() if name not in row.own]
    return {
        "in_set": round(float(np.mean(inside)), 4),
        "cross_set": round(float(np.mean([one.accuracy for one in across])), 4) if across else None,
        "cross_cells": len(across),
        "cross_cells_above_chance": sum(one.at_least > one.majority for one in across),
        "cross_cells_turned_round": sum(one.accuracy < 0.4 for one in across),
    }


def run(readings: Mapping[str, Readings], seed: int, most_together: int = MOST_TOGETHER) -> dict[str, Any]:
    told = now_and_then("probes")
    centred = {name: centred_on_itself(one) for name, one in readings.items()}
    kinds: dict[str, Callable[[], dict[str, Trial]]] = {
        "matrix": lambda: alone(readings, MASS_MEAN, seed),
        CENTRED: lambda: alone(centred, MASS_MEAN, seed),
        "corrected_matrix": lambda: alone(readings, CORRECTED, seed),
        "logistic_matrix": lambda: alone(readings, LOGISTIC, seed),
        "two_d_matrix": lambda: together(readings, TWO_D, most_together, seed),
        "joined_matrix": lambda: together(readings, MASS_MEAN, most_together, seed),
    }
    trials: dict[str, dict[str, Trial]] = {}
    for place, (key, made) in enumerate(kinds.items()):
        told(place, len(kinds), key)
        trials[key] = made()
    told(len(kinds), len(kinds))
    numbers: dict[str, Any] = {}
    for key in trials:
        numbers |= numbers_of(trials, key)
    single = {key: found for key, found in trials.items() if key != CENTRED}
    verdicts = {f"{key}/{name}": one.verdict for key, found in single.items() for name, one in found.items()}
    some = next(iter(trials["matrix"].values()))
    return {
        **numbers,
        "means": {key: summary(found) for key, found in trials.items() if found},
        "usable": sorted(name for name, (is_usable, _) in verdicts.items() if is_usable),
        "reasons": {name: why for name, (is_usable, why) in verdicts.items() if not is_usable},
        "statements": {name: len(one.texts) for name, one in readings.items()},
        "majority": {name: one.majority for name, one in some.row.items()},
    }


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m bench.truth",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--data", type=Path, required=True, help="a folder of CSV files with statements")
    parser.add_argument("--limit", type=int, default=LIMIT, help="statements of a set at most")
    parser.add_argument(
        "--together", type=int, default=MOST_TOGETHER, help="statements of several sets that train one probe"
    )
    parser.add_argument("--model", default="embedded", help="a folder, a GGUF file or a hub id")
    parser.add_argument("--cache", type=Path, help="folder that keeps the dequantised model between runs")
    parser.add_argument("--layers", default="", help="to try, by number; some eight without it")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(argv)
    started = time.perf_counter()
    try:
        sets = read_sets(args.data, args.limit, args.seed)
        if not sets:
            parser.error(f"{args.data} holds no CSV file")
        with tempfile.TemporaryDirectory() as made:
            model = LanguageModel.load(ModelSpec(args.cache or Path(made), args.model))
        layers = layers_to_try([int(one) for one in args.layers.split(",") if one], model.n_layers)
        readings = {one.name: readings_of(model, one, layers, LAST, _told(one)) for one in sets}
        facts = {
            "model": model.base_hash[:12],
            "layers_tried": list(layers),
            "token_rule": LAST,
            "extraction_s": round(time.perf_counter() - started, 1),
        }
        numbers = run(readings, args.seed, args.together)
    except BadProbe as error:
        parser.error(str(error))
    print_result({**numbers, **facts}, seed=args.seed, started=started)
    return 0


def _told(one: LabelledSet) -> Any:
    return now_and_then(f"reading {one.name}")


if __name__ == "__main__":
    raise SystemExit(main())
