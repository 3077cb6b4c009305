"""Behaviours as task vectors: what each does alone, what is left of it when two are composed, and one turned round.

`python -m bench.behaviours [--names asks-back,shorter] [--negate shorter,short-sentences] [--seeds 0,1,2] [--density 0.5]
[--cache DIR]`. `--names` are composed where there are two or more, `--negate` turned round.

Each seed trains a vector per behaviour on the plain base, as `slowwave behaviour train` does. The effect of a vector is how far
the behaviour's measure on held-out prompts moves from the base. `kept`: the effect of all of them merged by TIES, as a
recipe that a model wears, over that of each alone; `sum` has the same for the plain sum. `negation`: the behaviour at the most
negative coefficient, from -1 on, at which perplexity on neutral text rises by at most 2 % and the gate's divergence holds;
`measure_before` is the base's. A base that hardly ever ends a reply of itself cannot be longer, which is why `shorter` turned
round shows little and sentences are counted as well. Numbers are means over the seeds; `by_seed` has each. `p`: sign test over the prompts.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any

from agents.runtime.adapter import Adapter
from agents.runtime.lm import LanguageModel
from agents.runtime.spec import ModelSpec
from bench.report import now_and_then, print_result
from consolidation import exam
from consolidation import recipe as recipes
from consolidation.behaviour import Behaviour, Effect, shipped, values_of
from consolidation.behaviour_training import job_of, train, training_settings
from consolidation.publish import side_effects
from consolidation.recipe import Recipe
from consolidation.recipe_gate import largest_kept
from consolidation.stage import Gate, TrainSettings, never
from consolidation.trainer.job import JobFolder

NEGATION = -1.0  # where the search for a negation begins
GATE = Gate(max_ppl_change=0.02)

Worn = Sequence[tuple[Adapter, float]]


@dataclass
class Bed:
    """The base, loaded once, and how it is before anything is put on."""

    model: LanguageModel
    home: Path

    def __post_init__(self) -> None:
        self.base = exam.general(self.model)
        self._plain: dict[str, tuple[float, ...]] = {}

    def look(self, worn: Worn, behaviour: Behaviour) -> Effect:
        """What the weights do to the behaviour's measure, against the plain base."""
        yardstick = behaviour.yardstick
        if behaviour.name not in self._plain:
            self.model.reset()
            self._plain[behaviour.name] = values_of(self.model, yardstick)
        self.model.apply(worn)
        return Effect(yardstick, self._plain[behaviour.name], values_of(self.model, yardstick))

    def cost(self, worn: Worn) -> dict[str, float | None]:
        self.model.apply(worn)
        drift = exam.drift_from(self.model, self.base)
        return {"ppl_ratio": 1 + drift.ppl_change, "kl_to_base": drift.kl_to_base}

    def merged(self, vectors: Mapping[str, Adapter], rule: str, density: float | None = None) -> Worn:
        """What a recipe of these vectors puts on."""
        recipe = Recipe(self.model.base_hash)
        for name, vector in vectors.items():
            path = f"adapters/{vector.sha256[:12]}"
            vector.save(self.home / path)
            recipe = recipes.add(recipe, vector, path=path, run_id=None, label=name)
        return recipes.recipe_adapters(self.home, recipes.with_rule(recipe, rule, density))


def negated(bed: Bed, vector: Adapter) -> tuple[float, dict[str, float | None]]:
    """The coefficient that keeps the gate, and what it costs; 0 where none does."""
    costs: dict[float, dict[str, float | None]] = {}

    def keeps(coefficient: float) -> bool:
        costs[coefficient] = bed.cost([(vector, coefficient)])
        numbers = {**costs[coefficient], "ppl_change": (costs[coefficient]["ppl_ratio"] or 0.0) - 1}
        return all(check.is_passed for check in side_effects(GATE, numbers, None))

    found = largest_kept(keeps, NEGATION) or 0.0
    return found, costs[found]


def one_seed(
    bed: Bed, behaviours: Sequence[Behaviour], spec: ModelSpec, args: argparse.Namespace, seed: int
) -> dict[str, Any]:
    """`behaviours` are all that are trained, those that are composed among them."""
    night = replace(TrainSettings(), max_minutes=args.minutes)
    vectors: dict[str, Adapter] = {}
    alone: dict[str, Any] = {}
    effects: dict[str, Effect] = {}
    for behaviour in behaviours:
        settings = training_settings(night, len(behaviour.examples), args.steps)
        folder = JobFolder(bed.home / "training" / f"{behaviour.name}-{seed}")
        progress = now_and_then(f"seed {seed}: {behaviour.name}")
        done = train(behaviour, job_of(behaviour, spec, settings, seed), folder, progress, never)
        vectors[behaviour.name] = done.vector
        effect = effects[behaviour.name] = bed.look([(done.vector, 1.0)], behaviour)
        train_s = {"steps": done.steps, "train_s": round(done.seconds, 1)}
        alone[behaviour.name] = {**effect.as_json(), **bed.cost([(done.vector, 1.0)]), **train_s}
        say(seed, behaviour.name, alone[behaviour.name])
    found: dict[str, Any] = {"seed": seed, "alone": alone}
    composed = [behaviour for behaviour in behaviours if behaviour.name in args.names]
    for rule, density in (("ties", args.density), ("sum", None)) if len(composed) > 1 else ():
        worn = bed.merged({one.name: vectors[one.name] for one in composed}, rule, density)
        together = {behaviour.name: bed.look(worn, behaviour) for behaviour in composed}
        kept = {name: _over(effect.change, effects[name].change) for name, effect in together.items()}
        measures = {name: effect.as_json()["after"] for name, effect in together.items()}
        found[rule] = {"kept": kept, "measure": measures, **bed.cost(worn)}
        say(seed, rule, found[rule])
    found["negation"] = {}
    for behaviour in (one for one in behaviours if one.name in args.negate):
        coefficient, cost = negated(bed, vectors[behaviour.name])
        effect = bed.look([(vectors[behaviour.name], coefficient)], behaviour)
        turned = {"coefficient": coefficient, "n_away": effect.n_away, "n_toward": effect.n_toward}
        measures = effect.as_json()
        found["negation"][behaviour.name] = {
            "measure_before": measures["before"],
            "measure_after": measures["after"],
            **cost,
            **turned,
            "moved_the_other_way": effect.change < 0,
            "p": effect.p_away,
        }
        say(seed, f"-{behaviour.name}", found["negation"][behaviour.name])
    return found


def _over(part: float, whole: float) -> float | None:
    return part / whole if whole else None


def say(seed: int, what: str, numbers: Mapping[str, Any]) -> None:
    print(f"seed {seed}: {what}: {numbers}", file=sys.stderr, flush=True)


def summed_up(runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Means over the seeds, under the keys that are promised."""
    first = runs[0]
    names: Sequence[str] = list(first["ties"]["kept"]) if "ties" in first else []

    def over(*path: str) -> float | None:
        values = []
        for run in runs:
            value: Any = run
            for key in path:
                value = value[key]
            if value is None:
                return None
            values.append(value)
        return fmean(values)

    turned = ("measure_before", "measure_after", "ppl_ratio", "coefficient")
    return {
        "kept": {name: over("ties", "kept", name) for name in names},
        "kept_by_sum": {name: over("sum", "kept", name) for name in names},
        "negation": {
            name: {key: over("negation", name, key) for key in turned} for name in first["negation"]
        },
        "alone": {
            name: {key: over("alone", name, key) for key in ("before", "after", "ppl_ratio", "train_s")}
            for name in first["alone"]
        },
        "ppl_ratio": {rule: over(rule, "ppl_ratio") for rule in ("ties", "sum") if rule in first},
        "by_seed": list(runs),
    }


def _names(text: str) -> list[str]:
    return [name for name in text.split(",") if name]


def main(argv: Sequence[str] | None = None) -> int:
    started = time.perf_counter()
    parser = argparse.ArgumentParser(prog="python -m bench.behaviours", description=__doc__)
    parser.add_argument("--names", default="asks-back,shorter", type=_names, help="what is composed")
    parser.add_argument(
        "--negate", default="shorter,short-sentences", type=_names, help="what is turned round"
    )
    parser.add_argument("--seeds", default="0", help="with commas between them")
    parser.add_argument("--density", type=float, default=0.5, help="the share that TIES keeps")
    parser.add_argument("--steps", type=int, help="default: by the number of examples")
    parser.add_argument("--minutes", type=float, default=4.5, help="cap on each training")
    parser.add_argument("--model", default="embedded")
    parser.add_argument("--cache", type=Path)
    args = parser.parse_args(argv)
    behaviours = [shipped(name) for name in dict.fromkeys((*args.names, *args.negate))]
    seeds = [int(seed) for seed in args.seeds.split(",")]
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        spec = ModelSpec(args.cache or home / "cache", args.model)
        bed = Bed(LanguageModel.load(spec), home)
        runs = [one_seed(bed, behaviours, spec, args, seed) for seed in seeds]
    numbers = summed_up(runs)
    prompts = {behaviour.name: len(behaviour.yardstick.held_out) for behaviour in behaviours}
    print_result({**numbers, "prompts": prompts, "density": args.density}, seed=seeds[0], started=started)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
