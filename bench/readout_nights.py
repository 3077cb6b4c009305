"""What the stage `readout` costs and gives on a graph that grows: night after night, against a pass over everything.

    python -m bench.readout_nights --train FILE --test FILE --nights 5 --first 1500 --more 150 --step 0.35

Messages are drawn from the labelled texts (`bench.readout_texts`), two people say them in turn, and labels are tags of
intensity 8. Night n wears the base's primer at a coefficient of n times `--step`, so that the weights under the sums
move as they do in real nights; at 0 they stay. After the last night the same graph is read anew under the same weights.
`auroc`: macro, over the concepts, on texts of the test file. Letters: N text, K concept.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from agents.runtime.lm import LanguageModel
from agents.runtime.spec import resolve
from bench.readout_texts import NEUTRAL, Texts, read_texts
from bench.report import now_and_then, print_result
from consolidation import readout, runs
from consolidation.primer import folder_for
from consolidation.readouts import Readout, auroc, read_readout
from consolidation.recipe import Recipe, changed, recipe_adapters
from consolidation.recipe_serving import record, take_in
from consolidation.stage import NightContext, StageResult
from memory.artifacts import move_pointer
from memory.emotions import add_tags
from memory.episodes import list_episodes
from memory.importing import import_file
from memory.types import EmotionTag
from service.settings import Settings, load_settings
from service.wiring import Services

INTENSITY = 8.0
BEGIN = datetime(2025, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Night:
    """One night as it was measured."""

    seconds: float
    processor_s: float  # of all threads; says more than seconds where others use the machine
    result: StageResult
    recipe: Recipe


def main() -> None:
    started, args = time.perf_counter(), _arguments()
    rows = np.random.default_rng(args.seed)
    train, test = read_texts(args.train), read_texts(args.test)
    order = rows.permutation(len(train.texts)).tolist()
    with tempfile.TemporaryDirectory() as place:
        home = Path(args.home or place)
        with Services(_settings(home, args.cache)) as services:
            nights = _live(services, train, order, args)
            anew = _night(services, args.step * args.nights, publishes=False, is_anew=True)
            numbers = _numbers(
                services, nights, anew, test.take(rows.permutation(len(test.texts))[: args.n_test].tolist())
            )
    print_result(numbers, seed=args.seed, started=started)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--train", type=Path, required=True)
    parser.add_argument("--test", type=Path, required=True)
    parser.add_argument("--nights", type=int, default=5)
    parser.add_argument("--first", type=int, default=1500, help="messages before the first night")
    parser.add_argument("--more", type=int, default=150, help="messages before each further night")
    parser.add_argument("--step", type=float, default=0.35, help="of the primer's coefficient, each night")
    parser.add_argument("--n-test", type=int, default=600)
    parser.add_argument(
        "--home", type=Path, help="an empty folder to keep (default: one that is gone afterwards)"
    )
    parser.add_argument("--cache", type=Path, help="a cache folder with the converted base model")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def _settings(home: Path, cache: Path | None) -> Settings:
    home.mkdir(parents=True, exist_ok=True)
    if cache is not None and not (home / "cache").exists():
        (home / "cache").symlink_to(cache.absolute())
    return load_settings(home, {})


def _live(services: Services, train: Texts, order: Sequence[int], args: argparse.Namespace) -> list[Night]:
    nights: list[Night] = []
    said = 0
    show = now_and_then("nights")
    for number in range(1, args.nights + 1):
        until = args.first + args.more * (number - 1)
        _hear(services, train, order[said:until], said)
        said = until
        nights.append(_night(services, args.step * number))
        show(number, args.nights, f"{nights[-1].seconds:.0f} s")
    return nights


def _hear(services: Services, train: Texts, rows: Sequence[int], n_before: int) -> None:
    """The texts as messages of two people in turn, with their labels as tags."""
    said = [
        {
            "time": (BEGIN + timedelta(minutes=number)).isoformat(),
            "speaker": ("Ann Berg", "Ben Dahl")[number % 2],
            "text": train.texts[row],
        }
        for number, row in enumerate(rows, n_before)
    ]
    path = services.settings.home / f"talk-{n_before}.jsonl"
    path.write_text("\n".join(map(json.dumps, said)), encoding="utf-8")
    import_file(services.database, services.space_id, path)
    labels = {train.texts[row].strip(): train.labels[row] - {NEUTRAL} for row in rows}
    tags = [
        EmotionTag(episode.id, label, INTENSITY, "label")
        for episode in list_episodes(services.database, services.space_id)
        for label in labels.get(episode.text.strip(), ())
    ]
    with services.database.transaction() as session:
        add_tags(session, services.space_id, tags)


def _night(services: Services, coefficient: float, *, publishes: bool = True, is_anew: bool = False) -> Night:
    """The stage alone, in a recipe of the primer at that coefficient."""
    place, spec = services.place(), services.model_spec()
    base_hash = resolve(spec).base_hash
    worn = []
    if coefficient:
        primer = take_in(place, folder_for(base_hash), spec, "primer")
        worn.append(replace(primer, coefficient=coefficient))
    recipe = record(place, changed(Recipe(base_hash), worn)).usable()
    settings = services.settings.night
    run_id = runs.new_run_id()
    runs.begin(services.database, services.space_id, run_id, settings, is_resumed=False, clock=services.clock)
    if is_anew:
        with services.database.transaction() as session:
            move_pointer(session, services.space_id, run_id=None, recipe_id=None, readout_id=None)
    context = NightContext(
        database=services.database,
        space_id=services.space_id,
        run_id=run_id,
        home=services.settings.home,
        run_dir=services.settings.home / "runs" / run_id,
        settings=settings,
        tools=services.night_tools(),
        clock=services.clock,
        output=lambda _: {"recipe": recipe.path},
    )
    before, worked = time.perf_counter(), time.process_time()
    result = readout.run(context, now_and_then("texts"))
    seconds, processor_s = time.perf_counter() - before, time.process_time() - worked
    if publishes:
        with services.database.transaction() as session:
            readout_id = result.output["readout_id"]
            move_pointer(session, services.space_id, run_id=None, recipe_id=None, readout_id=readout_id)
    return Night(seconds, processor_s, result, recipe)


def _numbers(services: Services, nights: list[Night], anew: Night, test: Texts) -> dict[str, Any]:
    home = services.settings.home
    model = LanguageModel.load(services.model_spec(), recipe_adapters(home, anew.recipe))
    summed, whole = (read_readout(home / night.result.output["readout"]) for night in (nights[-1], anew))
    return {
        "messages": len(list_episodes(services.database, services.space_id)),
        "nights": [_told(night) for night in nights],
        "anew": _told(anew),
        "concepts": list(summed.manifest.concepts),
        "cosine_with_anew": _cosine(summed, whole, "vectors"),
        "steering_cosine_with_anew": _cosine(summed, whole, "steering"),
        "auroc": {"summed": _auroc(summed, model, test), "anew": _auroc(whole, model, test)},
        "held_out_auroc": {
            name: round(float(np.mean(one.manifest.auroc)), 4)
            for name, one in (("summed", summed), ("anew", whole))
        },
        "sums_mb": round(_sums_mb(home), 1),
    }


def _told(night: Night) -> dict[str, float]:
    return {
        "seconds": round(night.seconds, 1),
        "processor_s": round(night.processor_s, 1),
        **night.result.counts,
    }


def _cosine(one: Readout, other: Readout, which: str) -> float | None:
    """Mean over the concepts and layers that both have."""
    place = {concept: k for k, concept in enumerate(other.manifest.concepts)}
    found = [
        float(getattr(one, which)[layer][k] @ getattr(other, which)[layer][place[concept]])
        for layer in set(one.manifest.layers) & set(other.manifest.layers)
        for k, concept in enumerate(one.manifest.concepts)
        if concept in place
    ]
    return round(float(np.mean(found)), 4) if found else None


def _auroc(given: Readout, model: LanguageModel, test: Texts) -> float:
    read = given.read(model.mean_residuals(test.texts, given.manifest.layers))
    scores = []
    for concept in given.manifest.concepts:
        has = np.array([concept in labels for labels in test.labels])
        values = np.array([row[concept] for row in read], dtype=np.float32)
        if has.any() and not has.all():
            scores.append(auroc(values[has], values[~has]))
    return round(float(np.mean(scores)), 4)


def _sums_mb(home: Path) -> float:
    return max(path.stat().st_size for path in (home / "readouts").glob("*/sums.safetensors")) / 2**20


if __name__ == "__main__":
    main()
