"""How long a question takes in a large store, the encoder's time aside.

    python -m bench.ask_scale --facts 100000

An invented world is written and indexed, then asked about; the first questions warm caches and are not counted.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bench.invented import World
from bench.report import print_result
from bench.scale import ingest
from db.engine import open_database, sqlite_url
from memory.ask import ask
from memory.embedders.minilm import MiniLM
from memory.index import Index
from memory.ports import Embedder, FloatMatrix
from memory.registry import Registry
from memory.spaces import ensure_space

WARM = 5  # questions before the clock counts


class Timed:
    """An encoder that adds up the seconds it takes."""

    def __init__(self, encoder: Embedder) -> None:
        self._encoder, self.name, self.width, self.seconds = encoder, encoder.name, encoder.width, 0.0

    def encode(self, texts: Sequence[str]) -> FloatMatrix:
        begun = time.perf_counter()
        rows = self._encoder.encode(texts)
        self.seconds += time.perf_counter() - begun
        return rows


def measure(n_facts: int, n_questions: int, seed: int, home: Path) -> dict[str, Any]:
    """Percentiles of milliseconds per question, without and with the encoder."""
    encoder = MiniLM.load()
    world = World(n_facts, encoder, seed)
    made = ingest(world, home, encoder)
    timed, registry = Timed(encoder), Registry.load()
    database = open_database(sqlite_url(home / "graph.db"))
    space_id = ensure_space(database)
    index = Index.open(database, space_id, home, timed)
    index.refresh()
    whole, without, answered = [], [], 0
    for question in world.questions(WARM + n_questions):
        timed.seconds, begun = 0.0, time.perf_counter()
        answer = ask(database, space_id, index, registry, question.text)
        spent = time.perf_counter() - begun
        answered += not answer.abstained
        whole.append(spent * 1000)
        without.append((spent - timed.seconds) * 1000)
    index.close()
    database.close()
    return {
        "facts": made["facts"],
        "answered": round(answered / len(whole), 3),
        "ms_without_encoder": _percentiles(without[WARM:]),
        "ms": _percentiles(whole[WARM:]),
    }


def _percentiles(times: Sequence[float]) -> dict[str, float]:
    return {f"p{q}": round(float(np.percentile(times, q)), 1) for q in (50, 95)}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--facts", type=int, default=100_000)
    parser.add_argument("--questions", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as home:
        result = measure(options.facts, options.questions, options.seed, Path(home))
    print_result(result, seed=options.seed, started=started)


if __name__ == "__main__":
    main()
