"""Recall of evidence turns on LoCoMo: our index beside BM25, dense and their reciprocal rank fusion, in one run.

    python -m bench.retrieval --locomo FILE --k 5,10,20

Ours imports each dialogue as a chat export and searches it through `memory.index`. The baselines search the same
turns as "Speaker (session date): text" with the same MiniLM vectors: BM25 of SQLite FTS5 with Porter stems, exact
cosine, and RRF (k = 60) over the top 100 of both. Times leave the encoding of the question out; it is in `embed_ms`.
"""

from __future__ import annotations

import argparse
import json
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bench.locomo import Dialogue, Question, read_locomo
from bench.report import print_result
from db.engine import open_database, sqlite_url
from memory.embedders.minilm import MiniLM
from memory.episodes import list_episodes
from memory.importing import import_file
from memory.index import Index
from memory.ports import Embedder, FloatMatrix
from memory.search.words import content_words
from memory.spaces import ensure_space

RRF_K = 60
RRF_DEPTH = 100
MRR_DEPTH = 20
SYSTEMS = ("ours", "bm25", "dense", "rrf")

Ranking = list[int]  # positions of turns, best first
Search = Callable[[int, str], Ranking]


class Prepared:
    """An encoder that knows the questions' vectors already, so that search times leave encoding out."""

    def __init__(self, embedder: Embedder, texts: Sequence[str]) -> None:
        self.name, self.width = embedder.name, embedder.width
        self._embedder = embedder
        self._known = dict(zip(texts, embedder.encode(texts), strict=True))

    def encode(self, texts: Sequence[str]) -> FloatMatrix:
        if all(text in self._known for text in texts) and texts:
            return np.stack([self._known[text] for text in texts])
        return self._embedder.encode(texts)


def baselines(dialogue: Dialogue, embedder: Embedder, depth: int) -> dict[str, Search]:
    """The three plain systems over one dialogue."""
    texts = [f"{turn.speaker} ({turn.said_when}): {turn.text}" for turn in dialogue.turns]
    matrix = embedder.encode(texts)
    connection = sqlite3.connect(":memory:")
    connection.execute(
        "CREATE VIRTUAL TABLE turn USING fts5(text, tokenize='porter unicode61 remove_diacritics 2')"
    )
    connection.executemany("INSERT INTO turn(rowid, text) VALUES (?, ?)", enumerate(texts))

    def bm25(_: int, question: str) -> Ranking:
        expression = match_expression(content_words(question))
        query = "SELECT rowid FROM turn WHERE turn MATCH ? ORDER BY rank LIMIT ?"
        return [row for (row,) in connection.execute(query, (expression or '""', max(depth, RRF_DEPTH)))]

    def dense(_: int, question: str) -> Ranking:
        scores = matrix @ embedder.encode([question])[0]
        return [int(i) for i in np.argsort(-scores, kind="stable")[: max(depth, RRF_DEPTH)]]

    def rrf(number: int, question: str) -> Ranking:
        score: dict[int, float] = {}
        for ranking in (bm25(number, question), dense(number, question)):
            for rank, turn in enumerate(ranking[:RRF_DEPTH], 1):
                score[turn] = score.get(turn, 0.0) + 1 / (RRF_K + rank)
        return sorted(score, key=lambda turn: (-score[turn], turn))

    return {"bm25": bm25, "dense": dense, "rrf": rrf}


def match_expression(wanted: Sequence[str]) -> str:
    """An FTS5 expression for texts with any of these words; "" for no words."""
    return " OR ".join(f'"{word}"' for word in dict.fromkeys(wanted) if word)


def ours(dialogue: Dialogue, embedder: Embedder, home: Path, depth: int) -> Search:
    """The product's way: import, index, search."""
    export = home / "dialogue.jsonl"
    lines = (
        {"time": turn.time.isoformat(), "speaker": turn.speaker, "text": turn.text} for turn in dialogue.turns
    )
    export.write_text("\n".join(json.dumps(line) for line in lines), encoding="utf-8")
    database = open_database(sqlite_url(home / "graph.db"))
    space_id = ensure_space(database)
    import_file(database, space_id, export)
    position = {
        episode.id: episode.position
        for episode in list_episodes(database, space_id, kinds=("text", "media", "deleted"))
    }
    index = Index.open(database, space_id, home, embedder)
    index.refresh()

    def search(_: int, question: str) -> Ranking:
        return [position[hit.id] for hit in index.search(question, depth, kinds=("episode",))]

    return search


class Tally:
    """Rankings of one system over every question."""

    def __init__(self, ks: Sequence[int]) -> None:
        self.ks = ks
        self.rows: list[dict[str, Any]] = []

    def add(self, question: Question, ranking: Ranking, seconds: float) -> None:
        found = [turn in question.evidence for turn in ranking]
        first = next((rank for rank, is_gold in enumerate(found[:MRR_DEPTH], 1) if is_gold), None)
        self.rows.append(
            {
                "category": question.category,
                "recall": [sum(found[:k]) / len(question.evidence) for k in self.ks],
                "hit": [float(any(found[:k])) for k in self.ks],
                "mrr": 1 / first if first else 0.0,
                "ms": seconds * 1000,
            }
        )

    def result(self) -> dict[str, Any]:
        categories = sorted({row["category"] for row in self.rows})
        by_category = {
            str(category): self._shares([row for row in self.rows if row["category"] == category])
            for category in categories
        }
        times = [row["ms"] for row in self.rows]
        p50, p95 = (round(float(np.percentile(times, q)), 3) for q in (50, 95))
        return {**self._shares(self.rows), "by_category": by_category, "search_ms": {"p50": p50, "p95": p95}}

    def _shares(self, rows: list[dict[str, Any]]) -> dict[str, Any]:
        shares: dict[str, Any] = {
            name: {
                str(k): round(float(np.mean([row[name][i] for row in rows])), 4)
                for i, k in enumerate(self.ks)
            }
            for name in ("recall", "hit")
        }
        return {
            **shares,
            "mrr": round(float(np.mean([row["mrr"] for row in rows])), 4),
            "questions": len(rows),
        }


def measure(dialogues: Sequence[Dialogue], ks: Sequence[int], embedder: Embedder) -> dict[str, Any]:
    tallies = {system: Tally(ks) for system in SYSTEMS}
    embed_ms: list[float] = []
    for number, dialogue in enumerate(dialogues, 1):
        print(f"dialogue {number} of {len(dialogues)}: {len(dialogue.turns)} turns", file=sys.stderr)
        for question in dialogue.questions[:10]:
            begun = time.perf_counter()
            embedder.encode([question.text])
            embed_ms.append((time.perf_counter() - begun) * 1000)
        prepared = Prepared(embedder, [question.text for question in dialogue.questions])
        with tempfile.TemporaryDirectory() as home:
            systems = baselines(dialogue, prepared, max(ks))
            systems["ours"] = ours(dialogue, prepared, Path(home), max(ks))
            for i, question in enumerate(dialogue.questions):
                for system in SYSTEMS:
                    begun = time.perf_counter()
                    ranking = systems[system](i, question.text)
                    tallies[system].add(question, ranking, time.perf_counter() - begun)
    return {
        "questions": sum(len(dialogue.questions) for dialogue in dialogues),
        "dialogues": len(dialogues),
        **{system: tally.result() for system, tally in tallies.items()},
        "embed_ms": {"p50": round(float(np.median(embed_ms)), 3)},
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--locomo", type=Path, required=True, help="a LoCoMo JSON file")
    parser.add_argument("--k", default="5,10,20", help="depths, separated by commas")
    parser.add_argument("--dialogues", help="numbers of dialogues to use, from 1, separated by commas")
    options = parser.parse_args()
    started = time.perf_counter()
    dialogues = read_locomo(options.locomo)
    if options.dialogues:
        dialogues = [dialogues[int(number) - 1] for number in options.dialogues.split(",")]
    numbers = measure(dialogues, [int(k) for k in options.k.split(",")], MiniLM.load())
    print_result(numbers, seed=0, started=started)


if __name__ == "__main__":
    main()
