"""How long the first half of a night takes with many facts: `python -m bench.check_scale --facts N [--new 1000]`.

The data is invented (bench/invented.py): people with 100 facts each, four of them told in a message. All N facts wait
for one night; then `--new` facts about people who are known wait for another one, on top of what was stored. Timed are
the product's stages score, check and decide with its rule judge and no entailment head, each from the first query to
the last commit; making and importing the data is not counted. `new_per_fact_vs_first` says how much dearer a fact is
in the second night than in the first: 1 where the cost grows with what is new and not with the graph.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from agents.constitutions import HabitWriter
from agents.emotions import EmotionHead
from agents.extractors.rules import RuleExtractor
from agents.judges import RuleJudge
from bench.invented import World
from bench.peak import peak_mb
from bench.report import print_result
from consolidation import check, decide, runs, score
from consolidation.stage import NightContext, NightSettings, NightTools, no_progress
from db.engine import Database, open_database, sqlite_url
from memory.bulk import add_facts
from memory.embedders.minilm import MiniLM
from memory.ports import utc_now
from memory.registry import Registry
from memory.spaces import ensure_space

STAGES = {"score": score.run, "check": check.run, "decide": decide.run}


def measure(n_facts: int, n_new: int, home: Path, embedder: MiniLM, seed: int) -> dict[str, Any]:
    database = open_database(sqlite_url(home / "graph.db"))
    space_id, registry = ensure_space(database), Registry.load()
    tools = NightTools(
        RuleExtractor(),
        EmotionHead.load(embedder),
        embedder,
        RuleJudge(embedder),
        HabitWriter(),
        registry,
    )
    nights = []
    for name, world in (("first", World(n_facts, embedder, seed)), ("new", World(n_new, embedder, seed + 1))):
        report = add_facts(database, space_id, world.told(), registry, source=name, embedder=embedder)
        print(f"{report.n_facts} facts wait", file=sys.stderr)
        nights.append({"facts": report.n_facts} | night(database, space_id, home, tools))
    database.close()
    first, new = nights
    return {
        **first,
        "new": new,
        "new_per_fact_vs_first": round(
            (new["seconds"] / new["facts"]) / (first["seconds"] / first["facts"]), 3
        ),
        "rss_mb": round(peak_mb(), 1),
    }


def night(database: Database, space_id: str, home: Path, tools: NightTools) -> dict[str, Any]:
    """Seconds by stage, and what was decided."""
    run_id = runs.new_run_id()
    runs.begin(database, space_id, run_id, NightSettings(), is_resumed=False, clock=utc_now)
    run_dir = home / "runs" / run_id
    run_dir.mkdir(parents=True)
    context = NightContext(
        database, space_id, run_id, home, run_dir, NightSettings(), tools, utc_now, lambda stage: {}
    )
    seconds: dict[str, float] = {}
    for name, stage in STAGES.items():
        begun = time.perf_counter()
        result = stage(context, no_progress)
        seconds[name] = round(time.perf_counter() - begun, 2)
        print(f"{name} {seconds[name]} s {result.counts}", file=sys.stderr)
    runs.finish(database, run_id, "done", None, clock=utc_now)
    return {"seconds": round(sum(seconds.values()), 2), "by_stage": seconds, "decided": result.counts}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--facts", type=int, default=100_000)
    parser.add_argument("--new", type=int, default=1_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    started, embedder = time.perf_counter(), MiniLM.load()
    with tempfile.TemporaryDirectory() as home:
        numbers = measure(options.facts, options.new, Path(home), embedder, options.seed)
    print_result({"night": numbers}, seed=options.seed, started=started)


if __name__ == "__main__":
    main()
