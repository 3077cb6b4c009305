"""Steps to an equal loss: APOLLO whose first moments are what demonstrations in the context do, against moments of zero.

`python -m bench.warmstart [--seeds 5] [--task capitals|past|opposites|FILE] [--parameters lora|full] [--optimizer apollo|mini|adam]`.

A seed decides which pairs are trained and which are only looked at, their batches, LoRA's first factors, the projections and the
demonstrations. Arms of a seed see the same batches and differ in their moments before the first step:

- `cold`: zero;
- `warm`: the gradient of KL(model with demonstrations || model without) at the starting weights (`trainer.warm_start`);
- `own`: the gradient of the training loss itself, over as many batches: what looking first is worth without any context;
- `signs`: those of `warm` with a random sign for each entry of the first moment: their sizes without their direction.

Each arm has the learning rate that does best for itself on a seed that is not counted. The target is nine tenths of the way from
the first loss there to the least that `cold` comes to; a seed's count is the first step after which the loss over the pairs that are
never trained is at most that, null where no step is. `by_share` has the same for a half and three quarters of the way. Priming is
not among the steps: `priming_steps` is what it costs, in the processor time of steps, the teacher's own pass left out.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import sys
import tempfile
import time
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import torch

from agents.runtime.hardware import n_cores
from agents.runtime.lm import LanguageModel
from agents.runtime.spec import ModelSpec
from bench.report import print_result
from consolidation.stage import TrainSettings
from consolidation.trainer.apollo import MINI, Apollo, ApolloSettings, Matrices, factor_matrices
from consolidation.trainer.backends import make_engine
from consolidation.trainer.engine import Text
from consolidation.trainer.full import FullEngine
from consolidation.trainer.job import Row
from consolidation.trainer.optimizer import Adam
from consolidation.trainer.texts import make_texts
from consolidation.trainer.warm_start import WarmStart, in_context_texts, prime

ARMS = ("cold", "warm", "own", "signs")
TASKS = Path(__file__).with_name("warmstart_tasks.toml")
TUNING_SEED = 1_000_003  # never counted
SHARES = (0.5, 0.75, 0.9)  # of the way to the least loss; the last one is the target
BATCH = 8
N_TRAINED, N_HELD_OUT = 40, 16
FIRST_LAYER = 0.7  # trained from this share of the depth on: half the cost of a night's 0.4
RATES: Mapping[str, tuple[float, ...]] = {  # to choose from, by what is trained
    "lora": (1e-3, 2e-3, 4e-3, 8e-3),
    "full": (1e-4, 2e-4, 4e-4, 8e-4),
}


class Adams:
    """The trainer's Adam on each matrix, to compare with: its first moment is the direction of the step."""

    def __init__(self, weights: Matrices) -> None:
        self._weights = dict(weights)
        self.moments = {name: Adam.zeros_like(weight) for name, weight in weights.items()}

    def prime(self, gradients: Matrices) -> None:
        self.update(gradients, 0.0)

    def update(self, gradients: Matrices, lr: float) -> float:
        with torch.no_grad():
            norms = [
                adam.update(self._weights[name], gradients[name], lr) for name, adam in self.moments.items()
            ]
        return math.hypot(*norms)


Optimizer = Apollo | Adams


@dataclass
class Bed:
    """What is trained, and how its gradient is had. `weights` and `gradients` are the same tensors throughout."""

    engine: Any
    weights: Matrices
    gradients: Matrices
    template: Any
    begin: Callable[[int], None]  # puts the weights at a seed's start


@dataclass(frozen=True)
class Task:
    """One seed's texts: batches in the order of training, held-out pairs, batches with a teacher in context."""

    batches: list[list[Text]]
    held_out: list[Text]
    in_context: list[list[Text]]
    own: list[list[Text]]


@dataclass(frozen=True)
class Run:
    """`losses[i]`: of the held-out pairs after i steps. Processor time of steps and of priming, looks apart."""

    losses: list[float]
    step_s: float
    priming_s: float

    def steps_to(self, target: float) -> int | None:
        return next((step for step, loss in enumerate(self.losses) if loss <= target), None)


def read_pairs(task: str) -> list[tuple[str, str]]:
    """A shipped task's pairs, or those of a JSON file."""
    shipped = tomllib.loads(TASKS.read_text(encoding="utf-8"))
    rows = shipped[task] if task in shipped else json.loads(Path(task).read_text(encoding="utf-8-sig"))
    return [(str(question), str(answer)) for question, answer in rows]


def row(question: str, answer: str) -> Row:
    messages = ({"role": "user", "content": question}, {"role": "assistant", "content": answer})
    return Row(f"{question} {answer}", "fact", messages)


def lora_bed(language_model: LanguageModel) -> Bed:
    """LoRA as a night has it, on its own engine, in the upper blocks."""
    engine = make_engine(language_model, TrainSettings(first_layer=FIRST_LAYER))
    factors = engine.factors

    def begin(seed: int) -> None:
        factors.flat.zero_()
        factors.initialise(seed)

    weights, gradients = factor_matrices(factors, factors.flat), factor_matrices(factors, engine.gradient)
    return Bed(engine, weights, gradients, language_model.template, begin)


def full_bed(language_model: LanguageModel) -> Bed:
    """Every matrix of the upper blocks."""
    engine = FullEngine(language_model, FIRST_LAYER)
    start = {name: weight.detach().clone() for name, weight in engine.weights.items()}

    def begin(seed: int) -> None:
        with torch.no_grad():
            for name, weight in engine.weights.items():
                weight.copy_(start[name])

    return Bed(engine, engine.weights, engine.gradients, language_model.template, begin)


def make_task(bed: Bed, pairs: Sequence[tuple[str, str]], seed: int, n_steps: int) -> Task:
    """Deal the pairs and prepare all texts. The weights are put at their start: teachers are of the base."""
    bed.begin(seed)
    rng = random.Random(seed)
    rows = [row(*pair) for pair in rng.sample(list(pairs), min(len(pairs), N_TRAINED + N_HELD_OUT))]
    n_trained = min(N_TRAINED, len(rows) * 2 // 3)
    trained, held_out = make_texts(rows[:n_trained], bed.template), make_texts(rows[n_trained:], bed.template)
    spec = WarmStart(seed=seed)
    in_context = in_context_texts(rows[:n_trained], bed.template, bed.engine, spec)
    bed.engine.prepare([*trained, *held_out, *(text for batch in in_context for text in batch)])
    batches = [rng.sample(trained, min(BATCH, len(trained))) for _ in range(n_steps)]
    own = [rng.sample(trained, min(spec.batch_size, len(trained))) for _ in in_context]
    return Task(batches, held_out, in_context, own)


def make_optimizer(kind: str, weights: Matrices, seed: int) -> Optimizer:
    if kind == "adam":
        return Adams(weights)
    return Apollo(weights, MINI if kind == "mini" else ApolloSettings(), seed)


def train(bed: Bed, task: Task, arm: str, kind: str, lr: float, seed: int) -> Run:
    """One arm of one seed, at a rate that does not change."""
    bed.begin(seed)
    optimizer = make_optimizer(kind, bed.weights, seed)
    started = time.process_time()
    if arm != "cold":
        prime(optimizer, bed.engine, bed.gradients, task.own if arm == "own" else task.in_context)
    if arm == "signs":
        throw_signs(optimizer, seed)
    priming_s = time.process_time() - started
    losses, step_s = [look(bed, task.held_out)], 0.0
    for batch in task.batches:
        started = time.process_time()
        bed.engine.step(batch, 1.0)
        optimizer.update(bed.gradients, lr)
        step_s += time.process_time() - started
        losses.append(look(bed, task.held_out))
    return Run(losses, step_s, priming_s)


def throw_signs(optimizer: Optimizer, seed: int) -> None:
    """Give each entry of the first moments a random sign."""
    generator = torch.Generator().manual_seed(seed)
    for name in sorted(optimizer.moments):
        moments = optimizer.moments[name]
        signs = torch.randint(0, 2, moments.first.shape, generator=generator) * 2 - 1
        moments.first.mul_(signs.to(moments.first.device))


def look(bed: Bed, texts: Sequence[Text]) -> float:
    """Mean loss per text, nats per answer token."""
    return fmean(bed.engine.step(texts, 0.0).losses)


def context_loss(bed: Bed, head: torch.Tensor, task: Task) -> tuple[float, float]:
    """Loss of the trained pairs with demonstrations and without, nats per answer token: what the context is worth."""
    bed.begin(TUNING_SEED)
    texts = [text for batch in task.in_context for text in batch]
    told = []
    for text in texts:
        assert text.teacher is not None
        words = torch.tensor([text.ids[p + 1] for p in text.positions], device=head.device)
        told.append(float(torch.nn.functional.cross_entropy((text.teacher @ head.t()).float(), words)))
    return fmean(told), look(bed, [_plain(text) for text in texts])


def _plain(text: Text) -> Text:
    return Text(text.id, "answer", text.fact_id, text.ids, text.positions)


def tune(bed: Bed, task: Task, arms: Sequence[str], kind: str, rates: Sequence[float]) -> dict[str, Any]:
    """Per arm the rate with the least mean loss over all steps, which is what few steps to a target come from."""
    runs = {arm: {lr: train(bed, task, arm, kind, lr, TUNING_SEED) for lr in rates} for arm in arms}
    rate = {arm: min(by_rate, key=lambda lr: fmean(by_rate[lr].losses)) for arm, by_rate in runs.items()}
    losses = runs["cold"][rate["cold"]].losses
    targets = {share: losses[0] - share * (losses[0] - min(losses)) for share in SHARES}
    return {"rate": rate, "targets": targets}


def summary(steps: Sequence[int | None], n_steps: int) -> dict[str, Any]:
    """Mean and spread; a seed that never got there counts as one step more than there were, and is counted as `never`."""
    counted = [n_steps + 1 if step is None else step for step in steps]
    return {
        "mean": round(fmean(counted), 2),
        "sd": _rounded(stdev(counted)) if len(counted) > 1 else None,
        "least": min(counted),
        "most": max(counted),
        "never": sum(step is None for step in steps),
    }


def against_cold(runs: Mapping[str, Sequence[Run]], target: float) -> dict[str, Any]:
    """Per arm the difference to `cold`, paired over the seeds: in steps, and in the loss after half and all of them."""

    def count(run: Run) -> float:
        reached = run.steps_to(target)
        return len(run.losses) if reached is None else reached

    def paired(value: Callable[[Run], float], arm: str) -> dict[str, float | None]:
        differences = [value(run) - value(cold) for run, cold in zip(runs[arm], runs["cold"], strict=True)]
        return {"mean": round(fmean(differences), 4), "se": _rounded(_standard_error(differences))}

    return {
        arm: {
            "steps": paired(count, arm),
            "loss_half_way": paired(lambda run: run.losses[len(run.losses) // 2], arm),
            "loss_at_end": paired(lambda run: run.losses[-1], arm),
        }
        for arm in runs
        if arm != "cold"
    }


def curve(runs: Sequence[Run]) -> dict[str, list[float | None]]:
    """Loss of the held-out pairs after 0, 1, ... steps: mean and standard deviation over the seeds."""
    columns = list(zip(*(run.losses for run in runs), strict=True))
    return {
        "mean": [round(fmean(losses), 4) for losses in columns],
        "sd": [round(stdev(losses), 4) if len(losses) > 1 else None for losses in columns],
    }


def report(
    runs: Mapping[str, Sequence[Run]], tuned: Mapping[str, Any], worth: tuple[float, float]
) -> dict[str, Any]:
    """The keys of the benchmark's row, and what they rest on."""
    targets, n_steps = tuned["targets"], len(runs["cold"][0].losses) - 1
    counts = {
        share: {arm: [run.steps_to(target) for run in of_arm] for arm, of_arm in runs.items()}
        for share, target in targets.items()
    }
    steps = counts[SHARES[-1]]
    return {
        "steps_warm": steps["warm"],
        "steps_cold": steps["cold"],
        "steps": {arm: {"by_seed": by_seed, **summary(by_seed, n_steps)} for arm, by_seed in steps.items()},
        "by_share": {
            str(share): {arm: summary(by_seed, n_steps) for arm, by_seed in by_arm.items()}
            for share, by_arm in counts.items()
        },
        "against_cold": against_cold(runs, targets[SHARES[-1]]),
        "priming_steps": round(fmean(run.priming_s / (run.step_s / n_steps) for run in runs["warm"]), 1),
        "target_loss": round(targets[SHARES[-1]], 4),
        "n_steps": n_steps,
        "rates": tuned["rate"],
        "loss_with_demonstrations": round(worth[0], 4),
        "loss_without": round(worth[1], 4),
        "curves": {arm: curve(of_arm) for arm, of_arm in runs.items()},
    }


def _standard_error(values: Sequence[float]) -> float | None:
    return stdev(values) / math.sqrt(len(values)) if len(values) > 1 else None


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def measure(
    bed: Bed, head: torch.Tensor, pairs: Sequence[tuple[str, str]], spec: argparse.Namespace
) -> dict[str, Any]:
    """Tune each arm on the seed that is not counted, then run all seeds."""
    development = make_task(bed, pairs, TUNING_SEED, spec.steps)
    worth = context_loss(bed, head, development)
    tuned = tune(bed, development, spec.arms, spec.optimizer, spec.rates or RATES[spec.parameters])
    target = tuned["targets"][SHARES[-1]]
    say(f"rates {tuned['rate']}, target {target:.3f}, context {worth[0]:.3f} against {worth[1]:.3f}")
    runs: dict[str, list[Run]] = {arm: [] for arm in spec.arms}
    for seed in range(spec.seed, spec.seed + spec.seeds):
        task = make_task(bed, pairs, seed, spec.steps)
        for arm in spec.arms:
            runs[arm].append(train(bed, task, arm, spec.optimizer, tuned["rate"][arm], seed))
        say(
            f"seed {seed}: "
            + ", ".join(f"{arm} {of_arm[-1].steps_to(target)}" for arm, of_arm in runs.items())
        )
    return report(runs, tuned, worth)


def _arms(text: str) -> tuple[str, ...]:
    arms = tuple(text.split(","))
    if not {"cold", "warm"} <= set(arms) <= set(ARMS):
        raise argparse.ArgumentTypeError(f"cold and warm, and others of {', '.join(ARMS)}")
    return arms


def _numbers(text: str) -> tuple[float, ...]:
    return tuple(float(number) for number in text.split(","))


def say(what: str) -> None:
    print(what, file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0, help="the first of them")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument(
        "--task", default="past", help="a shipped task, or a JSON file of [question, answer] pairs"
    )
    parser.add_argument("--parameters", choices=("lora", "full"), default="lora")
    parser.add_argument("--optimizer", choices=("apollo", "mini", "adam"), default="apollo")
    parser.add_argument("--arms", type=_arms, default=ARMS, help="cold, warm and any others, with commas")
    parser.add_argument("--rates", type=_numbers, help="learning rates to choose from, with commas")
    parser.add_argument("--base", default="embedded", help="model folder, .gguf or hub id")
    parser.add_argument("--cache", type=Path, help="folder that keeps the dequantised model between runs")
    arguments = parser.parse_args()
    started = time.perf_counter()
    pairs = read_pairs(arguments.task)
    with tempfile.TemporaryDirectory() as temporary:
        cache_dir = arguments.cache or Path(temporary)
        dtype = "float32" if arguments.parameters == "full" else "auto"
        language_model = LanguageModel.load(ModelSpec(cache_dir, arguments.base, dtype))
        if arguments.parameters == "full":
            torch.set_num_threads(n_cores())  # autograd has no rows to deal to the cores
        bed = (full_bed if arguments.parameters == "full" else lora_bed)(language_model)
        head = language_model.model.get_output_embeddings().weight.detach()
        numbers = measure(bed, head, pairs, arguments)
    kept = {name: getattr(arguments, name) for name in ("task", "parameters", "optimizer")}
    print_result({**numbers, **kept}, seed=arguments.seed, started=started)


if __name__ == "__main__":
    main()
