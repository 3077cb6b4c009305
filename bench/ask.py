"""Answers to a chat's question set, by kind, with abstention and perspective.

    python -m bench.ask --chat DIR [--facts extracted|gold]

`extracted` imports the export and reads it with the rule extractor, as `slowwave import` does; `gold` loads the
folder's facts.json as candidates, so that extraction is not measured. An answer is right when it is no abstention
and says the gold answer or one of its aliases; on an unanswerable question, when it abstains, or says no where the
gold does. A leak is an answer, seen from a person at a date, with a message that the person could not have known.
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
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from bench.extraction import GOLD_FILES
from bench.report import print_result
from db.engine import Database, open_database, sqlite_url
from memory import names
from memory.ask import ask
from memory.embedders.minilm import MiniLM
from memory.episodes import list_episodes
from memory.facts import add_candidates
from memory.importing import import_file
from memory.index import Index
from memory.people import find_person
from memory.perspective import visible_episode_ids
from memory.registry import Registry
from memory.spaces import ensure_space
from memory.types import Answer, FactCandidate

UNANSWERABLE = "unanswerable"


def load_gold(database: Database, space_id: str, facts: Sequence[dict[str, Any]], registry: Registry) -> None:
    """The gold facts as candidates; a superseding one is an update, a corrected one a correction."""
    episodes = list_episodes(database, space_id, kinds=("text", "media", "deleted"))
    ids = {episode.position: episode.id for episode in episodes}
    kinds = {names.key(fact["object"]): _kind(fact["predicate"], registry) for fact in facts}
    candidates = [
        FactCandidate(
            subject=fact["subject"],
            predicate=fact["predicate"],
            object=fact["object"],
            episode_ids=tuple(ids[i] for i in fact["evidence"] if i in ids),
            asserted_by=fact["speaker"],
            confidence=1.0,
            rule="gold",
            subject_kind=kinds.get(names.key(fact["subject"])) or "person",
            object_kind=_kind(fact["predicate"], registry),
            valid_from=_day(fact.get("valid_from")),
            valid_to=_day(fact.get("valid_to")),
            change="correct"
            if fact.get("corrected_from")
            else "update"
            if fact.get("supersedes")
            else "state",
            corrects=fact.get("corrected_from"),
        )
        for fact in facts
    ]
    with database.transaction() as session:
        add_candidates(session, space_id, candidates, registry)


def _kind(predicate: str, registry: Registry) -> str | None:
    kind = registry.get(predicate).object
    return kind if kind in ("person", "place", "organisation", "thing") else None


def _day(words: str | None) -> datetime | None:
    return datetime.fromisoformat(words).replace(tzinfo=UTC) if words else None


class NoFeelings:
    """A tagger that finds nothing: no question of the set asks for emotions."""

    name = "none"

    def tag(self, texts: Sequence[str]) -> list[dict[str, float]]:
        return [{} for _ in texts]


def load_extracted(database: Database, space_id: str, registry: Registry) -> None:
    """What the rule extractor reads, as on import."""
    from agents.extractors.rules import RuleExtractor
    from memory.reading import read_episodes

    read_episodes(database, space_id, RuleExtractor(), NoFeelings(), registry)


def export_of(folder: Path) -> Path:
    files = [
        p for p in sorted(folder.iterdir()) if p.name not in GOLD_FILES and p.suffix != ".md" and p.is_file()
    ]
    if len(files) != 1:
        raise SystemExit(f"{folder} must hold one chat export beside the gold files; it holds {len(files)}")
    return files[0]


def is_right(question: dict[str, Any], answer: Answer) -> bool:
    """Whether the answer says what the gold says."""
    accepted = [question["answer"], *question.get("answer_aliases", ())]
    if question["kind"] == UNANSWERABLE:
        return answer.abstained or (_is_no(question["answer"]) and _is_no(answer.text))
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
    def __init__(self, database: Database, space_id: str, index: Index, registry: Registry) -> None:
        self.database, self.space_id, self.index, self.registry = database, space_id, index, registry
        last = max(episode.time for episode in list_episodes(database, space_id))
        self.now = last + timedelta(minutes=1)
        self.rows: list[dict[str, Any]] = []

    def run(self, question: dict[str, Any]) -> Answer:
        viewer = question.get("persona_view")
        known_to = find_person(self.database, self.space_id, viewer).id if viewer else None
        as_of = _day(question.get("as_of"))
        as_of = as_of + timedelta(days=1, seconds=-1) if as_of else None
        begun = time.perf_counter()
        answer = ask(
            self.database,
            self.space_id,
            self.index,
            self.registry,
            question["question"],
            known_to=known_to,
            as_of=as_of,
            clock=lambda: self.now,
        )
        seconds = time.perf_counter() - begun
        leaks = 0
        if known_to:
            visible = visible_episode_ids(self.database, self.space_id, known_to, as_of)
            cited = {e.id for e in answer.evidence} | {i for fact in answer.facts for i in fact.evidence}
            leaks = int(bool(cited - visible))
        self.rows.append(
            {
                "kind": question["kind"],
                "right": is_right(question, answer),
                "abstained": answer.abstained,
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
            "accuracy": _share([row["right"] for row in self.rows]),
            "by_kind": {kind: _share(rows) for kind, rows in sorted(by_kind.items())},
            "n_by_kind": {kind: len(rows) for kind, rows in sorted(by_kind.items())},
            "abstained_unanswerable": _share(unanswerable),
            "abstained_answerable": _share(
                [row["abstained"] for row in self.rows if row["kind"] != UNANSWERABLE]
            ),
            "perspective_leaks": sum(row["leak"] for row in self.rows),
            "ms": {f"p{q}": round(float(np.percentile(times, q)), 1) for q in (50, 95)},
        }


def _share(rows: Sequence[bool]) -> float | None:
    return round(sum(rows) / len(rows), 4) if rows else None


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--chat", type=Path, required=True, help="a chat folder with questions.json")
    parser.add_argument("--facts", choices=("extracted", "gold"), default="extracted")
    parser.add_argument("--wrong", action="store_true", help="list wrong answers on standard error")
    options = parser.parse_args()
    started = time.perf_counter()
    questions = json.loads((options.chat / "questions.json").read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory() as home:
        database = open_database(sqlite_url(Path(home) / "graph.db"))
        space_id, registry = ensure_space(database), Registry.load()
        import_file(database, space_id, export_of(options.chat))
        if options.facts == "gold":
            facts = json.loads((options.chat / "facts.json").read_text(encoding="utf-8"))
            load_gold(database, space_id, facts, registry)
        else:
            load_extracted(database, space_id, registry)
        index = Index.open(database, space_id, Path(home), MiniLM.load())
        index.refresh()
        bench = Bench(database, space_id, index, registry)
        for question in questions:
            answer = bench.run(question)
            if options.wrong and not bench.rows[-1]["right"]:
                print(
                    f"{question['kind']}: {question['question']}\n  wanted {question['answer']}",
                    file=sys.stderr,
                )
                print(f"  got {answer.text}\n  {json.dumps(answer.explain)[:600]}", file=sys.stderr)
        print_result({**bench.result(), "facts": options.facts}, seed=0, started=started)


if __name__ == "__main__":
    main()
