"""How the store and its index behave with many facts: bulk ingest, search, recall, memory, opening.

    python -m bench.scale --facts N [--growth] [--keep FOLDER]

The data is invented (bench/invented.py says how): people with 100 facts each, four of them told in a message, vectors
given. Ingest counts everything until it can be searched: tables, vectors, text, links, graph. Searches are
`Index.search` of questions with prepared vectors, over facts and messages alike, in a fresh process, after 50 others;
`open_s` is that process's time from opening the database to the answer of its first search, imports left out. Exact
search is the product of a question with every searched vector. `hybrid_recall_at_10` compares the whole ranking with
the one that exact dense search gives. `--growth` measures 10,000 and 100,000 facts as well.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from bench.invented import Question, World
from bench.peak import peak_mb
from bench.report import ROOT, print_result
from db.engine import open_database, sqlite_url
from memory.bulk import BulkReport, add_facts
from memory.embedders.minilm import MiniLM
from memory.index import Index
from memory.ports import Embedder, FloatMatrix
from memory.registry import Registry
from memory.search.nearest import Nearest, searched_units
from memory.spaces import ensure_space

N_WARM, N_TIMED, N_EXACT = 50, 500, 200
BLOCK = 50_000  # vectors compared at a time where all are
SMALLER = (10_000, 100_000)


class Given:
    """Stands for the encoder whose vectors were given; to encode anything is a mistake of the benchmark."""

    def __init__(self, embedder: Embedder) -> None:
        self.name, self.width = embedder.name, embedder.width

    def encode(self, texts: Any) -> FloatMatrix:
        raise RuntimeError("every vector was to be given")


def ingest(world: World, home: Path, embedder: Embedder) -> dict[str, Any]:
    """Write and index everything; times by stage."""
    database = open_database(sqlite_url(home / "graph.db"))
    space_id = ensure_space(database)
    report = BulkReport()
    made = _Watched(world)
    begun = time.perf_counter()
    add_facts(database, space_id, made, Registry.load(), source="invented", embedder=embedder, report=report)
    stages = {"tables": time.perf_counter() - begun - made.seconds}
    index = Index.open(database, space_id, home, embedder)
    stages.update(_indexed(index))
    index.close()
    database.close()
    if report.n_refused or report.n_known:
        print(f"{report.n_refused} facts refused, {report.n_known} messages known", file=sys.stderr)
    seconds = sum(stages.values())
    return {
        "facts": report.n_facts,
        "episodes": report.n_episodes,
        "ingest_per_s": round(report.n_facts / seconds, 1),
        "ingest_s": {stage: round(spent, 2) for stage, spent in stages.items()},
        "disk_mb": round(sum(f.stat().st_blocks * 512 for f in home.rglob("*") if f.is_file()) / 1e6, 1),
    }


class _Watched:
    """The rows, and how long it took to invent them, which is not ingest."""

    def __init__(self, world: World) -> None:
        self._rows, self.seconds, self._n = world.told(), 0.0, 0

    def __iter__(self) -> _Watched:
        return self

    def __next__(self) -> Any:
        begun = time.perf_counter()
        try:
            return next(self._rows)
        finally:
            self.seconds += time.perf_counter() - begun
            self._n += 1
            if self._n % 25_000 == 0:
                print(f"{self._n} messages", file=sys.stderr)


def _indexed(index: Index) -> dict[str, float]:
    stages: dict[str, float] = {}
    last = time.perf_counter()

    def watch(done: int, total: int, stage: str) -> None:
        nonlocal last
        now = time.perf_counter()
        stages[f"index_{stage}"] = stages.get(f"index_{stage}", 0.0) + now - last
        last = now

    index.refresh(watch)
    stages["index_end"] = time.perf_counter() - last
    return stages


def probe(home: Path, questions: list[Question], embedder: Embedder) -> dict[str, Any]:
    """What a fresh process measures. Memory is read before anything exact is compared."""
    begun = time.perf_counter()
    database = open_database(sqlite_url(home / "graph.db"))
    index = Index.open(database, ensure_space(database), home, embedder)
    index.refresh()
    index.search(questions[0].text, 10, vector=questions[0].vector)
    opened = time.perf_counter() - begun
    for question in questions[1:N_WARM]:
        index.search(question.text, 10, vector=question.vector)
    times = []
    for question in questions[N_WARM : N_WARM + N_TIMED]:
        begun = time.perf_counter()
        index.search(question.text, 10, vector=question.vector)
        times.append((time.perf_counter() - begun) * 1000)
    rss = peak_mb()
    exact = _compare(index, questions[N_WARM : N_WARM + N_EXACT])
    index.close()
    return {"search_ms": _percentiles(times), "open_s": round(opened, 3), "rss_mb": round(rss, 1), **exact}


def _compare(index: Index, questions: list[Question]) -> dict[str, Any]:
    """Recall against exact search, of the dense side and of the whole ranking; and how long exact search takes."""
    build = index._current()
    numbers = searched_units(build.columns)
    vectors = np.stack([question.vector for question in questions])
    best = _exact(build.nearest, numbers, vectors, 300)
    allowed = build.searched(frozenset({0, 1}))
    found = [set(build.nearest.search(vector, 10, allowed)[0].tolist()) for vector in vectors]
    recall = [len(found[i] & set(best[i][0][:10].tolist())) / 10 for i in range(len(questions))]
    usual = [{hit.id for hit in index.search(q.text, 10, vector=q.vector)} for q in questions]
    build.nearest = _Exact(build.nearest, vectors, best)  # type: ignore[assignment]
    ideal = [{hit.id for hit in index.search(q.text, 10, vector=q.vector)} for q in questions]
    same = [len(a & b) / max(len(b), 1) for a, b in zip(usual, ideal, strict=True)]
    return {
        "recall_at_10_vs_exact": round(float(np.mean(recall)), 4),
        "hybrid_recall_at_10": round(float(np.mean(same)), 4),
        "dense_exact_ms": _exact_times(build.columns.vector[numbers].astype(np.float32), vectors[:30]),
    }


def _exact(nearest: Nearest, numbers: Any, vectors: FloatMatrix, k: int) -> list[tuple[Any, Any]]:
    best: list[tuple[Any, Any]] = [(np.zeros(0, np.int64), np.zeros(0))] * len(vectors)
    for start in range(0, len(numbers), BLOCK):
        part = numbers[start : start + BLOCK]
        scores = vectors @ nearest.columns.vector[part].astype(np.float32).T
        for i, row in enumerate(scores):
            top = np.argpartition(-row, min(k, len(row)) - 1)[:k]
            both = np.concatenate([best[i][0], part[top]]), np.concatenate([best[i][1], row[top]])
            order = np.argsort(-both[1], kind="stable")[:k]
            best[i] = both[0][order], both[1][order].astype(np.float64)
    return best


class _Exact:
    """The dense side with what exact search found."""

    def __init__(self, nearest: Nearest, vectors: FloatMatrix, best: list[tuple[Any, Any]]) -> None:
        self.cosines, self.centre, self.lists = nearest.cosines, nearest.centre, nearest.lists
        self._best = {vector.tobytes(): found for vector, found in zip(vectors, best, strict=True)}

    def search(self, vector: FloatMatrix, wanted: int, allowed: Any) -> tuple[Any, Any]:
        numbers, cosines = self._best[vector.tobytes()]
        return numbers[:wanted], cosines[:wanted]


def _exact_times(matrix: FloatMatrix, vectors: FloatMatrix) -> dict[str, float]:
    times = []
    for vector in vectors:
        begun = time.perf_counter()
        scores = matrix @ vector
        np.argpartition(-scores, 9)[:10]
        times.append((time.perf_counter() - begun) * 1000)
    return _percentiles(times)


def _percentiles(times: list[float]) -> dict[str, float]:
    p50, p99 = (round(float(np.percentile(times, q)), 3) for q in (50, 99))
    return {"p50": p50, "p99": p99}


def measure(n_facts: int, embedder: Embedder, seed: int, home: Path) -> dict[str, Any]:
    """One size: ingest here, everything else in a process of its own."""
    print(f"{n_facts} facts", file=sys.stderr)
    world = World(n_facts, embedder, seed)
    numbers = ingest(world, home, Given(embedder))
    asked = world.questions(N_WARM + N_TIMED)
    np.savez(
        home / "questions.npz",
        text=np.array([question.text for question in asked]),
        vector=np.stack([question.vector for question in asked]),
    )
    command = [sys.executable, "-m", "bench.scale", "--probe", str(home), "--encoder", embedder.name]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    return {**numbers, **json.loads(done.stdout.splitlines()[-1])}


def _probe_main(home: Path, name: str) -> None:
    with np.load(home / "questions.npz") as stored:
        pairs = zip(stored["text"].tolist(), stored["vector"], strict=True)
        questions = [Question(text, vector) for text, vector in pairs]
    given = Given.__new__(Given)
    given.name, given.width = name, len(questions[0].vector)
    print(json.dumps(probe(home, questions, given)))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--facts", type=int, default=100_000)
    parser.add_argument("--growth", action="store_true", help="measure 10,000 and 100,000 facts as well")
    parser.add_argument("--keep", type=Path, help="an empty folder that keeps the store")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--probe", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--encoder", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.probe:
        _probe_main(options.probe, options.encoder)
        return
    started = time.perf_counter()
    embedder = MiniLM.load()
    sizes = [size for size in SMALLER if options.growth and size < options.facts]
    by_size = {}
    for size in [*sizes, options.facts]:
        with tempfile.TemporaryDirectory() as temporary:
            home = options.keep if options.keep and size == options.facts else Path(temporary)
            home.mkdir(parents=True, exist_ok=True)
            by_size[size] = measure(size, embedder, options.seed, home)
        print(json.dumps(by_size[size]), file=sys.stderr)
    result = dict(by_size[options.facts])
    if sizes:
        result["by_size"] = {str(size): by_size[size] for size in sizes}
        smaller = by_size[sizes[-1]]["search_ms"]["p50"]
        result["p50_growth"] = round(result["search_ms"]["p50"] / smaller, 2)
    print_result(result, seed=options.seed, started=started)


if __name__ == "__main__":
    main()
