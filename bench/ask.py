"""Answers to a chat's question set, by kind, with abstention and perspective.

    python -m bench.ask --chat DIR [--facts gold|extracted]

`gold` loads the folder's facts.json as candidates, so that extraction is not measured; `extracted` imports the export
and reads it with the rule extractor, as `slowwave import` does. An answer is right when it is no abstention and says
the gold answer or one of its aliases; on an unanswerable question, when it abstains, or says no where the gold does.
A leak is an answer, seen from a person at a date, with a message that the person could not have known.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np

from bench.chats import open_chat
from bench.gold import as_moment, load_gold, read_list
from bench.report import print_result
from db.engine import Database, open_database, sqlite_url
from memory import names
from memory.ask import ask
from memory.confidence import CALIBRATED, Thresholds
from memory.embedders.minilm import MiniLM
from memory.episodes import list_episodes
from memory.errors import UnknownPerson
from memory.importing import import_export
from memory.index import Index
from memory.people import find_person
from memory.perspective import visible_episode_ids
from memory.ports import Embedder
from memory.registry import Registry
from memory.spaces import ensure_space
from memory.types import Answer

UNANSWERABLE = "unanswerable"


class NoFeelings:
    """A tagger that finds nothing: no question of the set asks for emotions."""

    name = "none"

    def tag(self, texts: Sequence[str]) -> list[dict[str, float]]:
        return [{} for _ in texts]


def load_extracted(database: Database, space_id: str, registry: Registry, embedder: Embedder) -> None:
    """What is read without a language model, as on import."""
    from agents.extractors.local import local_extractor
    from memory.reading import read_episodes

    read_episodes(database, space_id, local_extractor(embedder, registry), NoFeelings(), registry)


def is_right(question: dict[str, Any], answer: Answer) -> bool:
    """Whether the answer says what the gold says."""
    gold = question.get("answer")
    forms = [*(gold if isinstance(gold, list) else [gold]), *(question.get("answer_aliases") or ())]
    accepted = [str(form) for form in forms if form is not None] or [""]
    if question.get("kind") == UNANSWERABLE:
        return answer.abstained or (_is_no(accepted[0]) and _is_no(answer.text))
    if answer.abstained:
        return False
    said = f" {_plain(answer.text)} "
    return any(f" {_plain(form)} " in said for form in accepted if _plain(form))


def _is_no(text: str) -> bool:
    return _plain(text).split()[:1] == ["no"]


def _plain(text: str) -> str:
    """Letters and digits of the text, case and accents aside; phone numbers lose their gaps."""
    joined = re.sub(r"(?<=\d)[\s-]+(?=\d)", "", names.key(text))
    return " ".join(re.findall(r"[^\W_]+", joined))


class Bench:
    """One chat loaded into a store of its own under `home`; collects a row per question that it is asked."""

    def __init__(self, folder: Path, home: Path, facts: str, embedder: Embedder) -> None:
        self.questions = read_list(folder / "questions.json")
        self.database = open_database(sqlite_url(home / "graph.db"))
        self.space_id, self.registry = ensure_space(self.database), Registry.load()
        import_export(self.database, self.space_id, open_chat(folder))
        if facts == "gold":
            load_gold(self.database, self.space_id, read_list(folder / "facts.json"), self.registry)
        else:
            load_extracted(self.database, self.space_id, self.registry, embedder)
        self.index = Index.open(self.database, self.space_id, home, embedder)
        self.index.refresh()
        last = max(episode.time for episode in list_episodes(self.database, self.space_id))
        self.now = last + timedelta(minutes=1)
        self.rows: list[dict[str, Any]] = []

    def close(self) -> None:
        self.index.close()
        self.database.close()

    def run(self, question: dict[str, Any], thresholds: Thresholds = CALIBRATED) -> Answer:
        """Ask, judge and time one question. A viewer whom the graph has never heard of knows nothing."""
        as_of = as_moment(question.get("as_of"), is_end=True)
        begun = time.perf_counter()
        known_to = None
        try:
            if question.get("persona_view"):
                known_to = find_person(self.database, self.space_id, str(question["persona_view"])).id
            answer = ask(
                self.database,
                self.space_id,
                self.index,
                self.registry,
                str(question["question"]),
                known_to=known_to,
                as_of=as_of,
                clock=lambda: self.now,
                thresholds=thresholds,
            )
        except UnknownPerson as error:
            answer = Answer(str(error), True, 0.0, (), ())
        seconds = time.perf_counter() - begun
        leaks = 0
        if known_to:
            visible = visible_episode_ids(self.database, self.space_id, known_to, as_of)
            cited = {e.id for e in answer.evidence} | {i for fact in answer.facts for i in fact.evidence}
            leaks = int(bool(cited - visible))
        self.rows.append(
            {
                "kind": str(question.get("kind", "other")),
                "right": is_right(question, answer),
                "abstained": answer.abstained,
                "confidence": answer.confidence,
                "leak": leaks,
                "ms": seconds * 1000,
            }
        )
        return answer

    def result(self) -> dict[str, Any]:
        by_kind: dict[str, list[bool]] = defaultdict(list)
        for row in self.rows:
            by_kind[row["kind"]].append(row["right"])
        unanswerable = [row["abstained"] for row in self.rows if row["kind"] == UNANSWERABLE]
        times = [row["ms"] for row in self.rows]
        return {
            "accuracy": share([row["right"] for row in self.rows]),
            "by_kind": {kind: share(rows) for kind, rows in sorted(by_kind.items())},
            "n_by_kind": {kind: len(rows) for kind, rows in sorted(by_kind.items())},
            "abstained_unanswerable": share(unanswerable),
            "abstained_answerable": share(
                [row["abstained"] for row in self.rows if row["kind"] != UNANSWERABLE]
            ),
            "perspective_leaks": sum(row["leak"] for row in self.rows),
            "ms": {f"p{q}": round(float(np.percentile(times, q)), 1) for q in (50, 95)},
        }


def share(rows: Sequence[bool]) -> float | None:
    return round(sum(rows) / len(rows), 4) if rows else None


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--chat", type=Path, required=True, help="a chat folder with questions.json")
    parser.add_argument("--facts", choices=("gold", "extracted"), default="gold")
    parser.add_argument("--wrong", action="store_true", help="list wrong answers on standard error")
    options = parser.parse_args()
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as home:
        bench = Bench(options.chat, Path(home), options.facts, MiniLM.load())
        for question in bench.questions:
            answer = bench.run(question)
            if options.wrong and not bench.rows[-1]["right"]:
                print(
                    f"{bench.rows[-1]['kind']}: {question['question']}\n  wanted {question.get('answer')}",
                    f"  got {answer.text}\n  {json.dumps(answer.explain)[:600]}",
                    sep="\n",
                    file=sys.stderr,
                )
        result = bench.result()
        bench.close()
    print_result({**result, "facts": options.facts}, seed=0, started=started)


if __name__ == "__main__":
    main()
