"""What readings cost while a model speaks: `python -m bench.reading [--rows 1,8] [--tokens 64] [--rounds 20]`.

The same prompts are continued with and without the readout manager, in turns, so that both meet the same machine. For
each number of rows: `overhead` is the median over rounds of read / plain - 1 in processor time (`overhead_wall` by the
clock, `quartiles` of either), and `hook_share` is the time spent inside the hooks over that of the whole, which no other
work on the machine moves. `alike` says that both gave the same ids. Directions are random: the arithmetic is the same.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from agents.runtime.decoding import complete
from agents.runtime.lm import LanguageModel
from agents.runtime.readout_hooks import Projections, ReadoutManager
from agents.runtime.spec import ModelSpec
from bench.report import now_and_then, print_result

NEUTRAL = Path(__file__).parent.parent / "consolidation" / "neutral.txt"
PROMPT_TOKENS = 96
DEPTHS = (0.5, 0.6, 0.7)  # of the hooked layers, where there are three


def projections_for(model: LanguageModel, n_layers: int, n_concepts: int, seed: int) -> Projections:
    random = np.random.default_rng(seed)
    depths = np.linspace(DEPTHS[0], DEPTHS[-1], n_layers)
    vectors = {}
    for layer in sorted({int(depth * model.n_layers) for depth in depths}):
        rows_KD = random.normal(size=(n_concepts, model.hidden_size)).astype(np.float32)
        vectors[layer] = rows_KD / np.linalg.norm(rows_KD, axis=1, keepdims=True)
    names = tuple(f"concept {k}" for k in range(n_concepts))
    zeros = np.zeros((len(vectors), n_concepts), np.float32)
    return Projections(names, vectors, zeros, zeros + 1)


class Timed:
    """A hook that adds up the seconds spent in it."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def around(self, hook: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*arguments: Any) -> Any:
            began = time.perf_counter()
            try:
                return hook(*arguments)
            finally:
                self.seconds += time.perf_counter() - began

        return timed

    def on(self, model: torch.nn.Module, known: set[int]) -> None:
        """Wrap every hook that was added since."""
        for module in model.modules():
            for hooks in (module._forward_hooks, module._forward_pre_hooks):
                for key, hook in hooks.items():
                    if key not in known:
                        hooks[key] = self.around(hook)


def hook_ids(model: torch.nn.Module) -> set[int]:
    return {
        key
        for module in model.modules()
        for hooks in (module._forward_hooks, module._forward_pre_hooks)
        for key in hooks
    }


def measured(
    model: LanguageModel,
    projections: Projections,
    prompts: Sequence[Sequence[int]],
    n_tokens: int,
    rounds: int,
) -> dict[str, Any]:
    """Rounds of plain and read generation in turns, then one with a clock in every hook."""
    names = tuple(map(str, range(len(prompts))))

    def speak(selected: Callable[[Sequence[int]], None] | None = None) -> list[list[int]]:
        return complete(
            model.model,
            prompts,
            max_new_tokens=n_tokens,
            stop_ids=frozenset(),
            pad_id=0,
            selected=selected,
        )

    def read() -> list[list[int]]:
        with ReadoutManager(model.model, projections) as manager, manager.collect(names) as found:
            return speak(found.select)

    show = now_and_then(f"{len(prompts)} rows")
    plain_ids, read_ids = speak(), read()  # warm
    ratios_cpu, ratios_wall, plain_s = [], [], []
    for done in range(rounds):
        show(done, rounds)
        order = (speak, read) if done % 2 else (read, speak)
        cost = {}
        for work in order:
            cpu, wall = time.process_time(), time.perf_counter()
            work()
            cost[work] = (time.process_time() - cpu, time.perf_counter() - wall)
        ratios_cpu.append(cost[read][0] / cost[speak][0] - 1)
        ratios_wall.append(cost[read][1] / cost[speak][1] - 1)
        plain_s.append(cost[speak][1])
    show(rounds, rounds)
    return {
        "overhead": _median(ratios_cpu),
        "quartiles": _quartiles(ratios_cpu),
        "overhead_wall": _median(ratios_wall),
        "quartiles_wall": _quartiles(ratios_wall),
        "hook_share": round(hook_share(model, projections, names, speak), 5),
        "plain_tokens_per_s": round(len(prompts) * n_tokens / float(np.median(plain_s)), 1),
        "alike": plain_ids == read_ids,
    }


def hook_share(
    model: LanguageModel,
    projections: Projections,
    names: Sequence[str],
    speak: Callable[..., list[list[int]]],
) -> float:
    before = hook_ids(model.model)
    with ReadoutManager(model.model, projections) as manager:
        timed = Timed()
        timed.on(model.model, before)
        began = time.perf_counter()
        with manager.collect(names) as found:
            speak(found.select)
        return timed.seconds / (time.perf_counter() - began)


def _median(values: Sequence[float]) -> float:
    return round(float(np.median(values)), 5)


def _quartiles(values: Sequence[float]) -> list[float]:
    return [round(float(value), 5) for value in np.quantile(values, (0.25, 0.75))]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", default="1,8", help="rows of a batch, each measured")
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--layers", type=int, default=3)
    parser.add_argument("--concepts", type=int, default=24)
    parser.add_argument("--model", default="embedded")
    parser.add_argument("--cache", type=Path, required=True, help="where converted weights are kept")
    parser.add_argument("--threads", type=int, help="of torch (default: its own choice)")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args(arguments)
    began = time.perf_counter()
    if given.threads:
        torch.set_num_threads(given.threads)
    model = LanguageModel.load(ModelSpec(given.cache, given.model))
    projections = projections_for(model, given.layers, given.concepts, given.seed)
    ids = model.template.encode(NEUTRAL.read_text(encoding="utf-8"))
    found = {}
    for n_rows in map(int, given.rows.split(",")):
        prompts = [ids[PROMPT_TOKENS * i : PROMPT_TOKENS * (i + 1)] for i in range(n_rows)]
        found[str(n_rows)] = measured(model, projections, prompts, given.tokens, given.rounds)
    numbers = {
        "rows": found,
        "layers": sorted(projections.vectors),
        "concepts": given.concepts,
        "prompt_tokens": PROMPT_TOKENS,
        "new_tokens": given.tokens,
        "rounds": given.rounds,
        "threads": torch.get_num_threads(),
        "dtype": str(model.dtype).removeprefix("torch."),
    }
    print_result(numbers, seed=given.seed, started=began)


if __name__ == "__main__":
    main()
