"""Examinations in conversation of a home that has slept: `python -m bench.conversations --home DIR [--run RUN] [--seed S]`.

What the night RUN (by default the newest that was published) trained is asked of the base model and of the weights that serve:
single questions, six turns with the model's own answers in the context, corrections of a value that somebody states, and
a hundred turns without a repeated question (`consolidation.conversations`). Held-out wordings, greedy answers, any-of
matching. `base` and `weights` hold the numbers of docs/json.md; nothing is written to the home.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from agents.runtime.spec import ModelSpec
from bench.report import now_and_then, print_result
from consolidation.conversation_exam import ask_conversations
from consolidation.errors import NightError
from consolidation.recipe import Recipe, current_recipe
from consolidation.runs import find_run, list_runs
from service.settings import load_settings
from service.wiring import Services


def measure(services: Services, run: str | None, seed: int) -> dict[str, Any]:
    """Raises UnknownRun, NoExam and what loading the model raises."""
    run_id = find_run(services.database, services.space_id, run).id if run else _newest(services)
    recipe = current_recipe(services.database, services.space_id, services.settings.home)
    spec = services.model_spec()
    return {
        "run": run_id,
        "recipe": recipe.sha256 if recipe else None,
        "base": _numbers(services, run_id, None, spec, seed, "base"),
        "weights": _numbers(services, run_id, recipe, spec, seed, "weights") if recipe else None,
    }


def _newest(services: Services) -> str:
    published = [run for run in list_runs(services.database, services.space_id) if run.is_published]
    return published[0].id if published else find_run(services.database, services.space_id, None).id


def _numbers(
    services: Services, run_id: str, recipe: Recipe | None, spec: ModelSpec, seed: int, whose: str
) -> dict[str, Any]:
    started = time.perf_counter()
    found = ask_conversations(
        services.database,
        services.space_id,
        services.settings.home,
        run_id,
        recipe,
        spec,
        services.registry,
        seed=seed,
        clock=services.clock,
        progress=now_and_then(whose),
    )
    return {**found["conversations"], "seconds": round(time.perf_counter() - started, 1)}


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m bench.conversations",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--home", type=Path, required=True, help="the home folder")
    parser.add_argument("--run", help="the night whose facts are asked")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(argv)
    started = time.perf_counter()
    if not args.home.is_dir():
        parser.error(f"{args.home} is no folder")
    try:
        with Services(load_settings(str(args.home))) as services:
            numbers = measure(services, args.run, args.seed)
    except NightError as error:
        parser.error(str(error))
    print_result(numbers, seed=args.seed, started=started)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
