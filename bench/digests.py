"""Whether the lines of a digest are what people ask about later, beside plain ways to choose as many messages.

    python -m bench.digests --locomo FILE

Each dialogue is imported, and each of its old months gets a digest as a night makes it, but that no fact was found
and no emotion tagged: salience comes from the messages' own words. `asked` is the share of lines that are evidence of a
question, `reached` the share of questions with evidence among the lines. Beside it, of as many messages of each month:
the longest, every n-th, the most central, the most salient and the fullest of words alone, and what chance would give.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bench.locomo import Dialogue, read_locomo
from bench.report import print_result
from consolidation import digests as night
from db.engine import Database, open_database, sqlite_url
from memory.digests import Stretch, due
from memory.embedders.minilm import MiniLM
from memory.importing import import_file
from memory.ports import Embedder
from memory.spaces import ensure_space

Choice = Callable[[night.Read, int], list[int]]  # a month and how many lines -> places of the chosen messages


def _ours(month: night.Read, n_lines: int) -> list[int]:
    return night.most_telling(month, n_lines)


def _longest(month: night.Read, n_lines: int) -> list[int]:
    return sorted(month.able, key=lambda place: -len(month.said[place].text))[:n_lines]


def _evenly(month: night.Read, n_lines: int) -> list[int]:
    return [month.able[place] for place in np.linspace(0, len(month.able) - 1, n_lines).round().astype(int)]


def _central(month: night.Read, n_lines: int) -> list[int]:
    near = month.vectors @ month.vectors.mean(axis=0)
    return sorted(month.able, key=lambda place: -near[place])[:n_lines]


def _salient(month: night.Read, n_lines: int) -> list[int]:
    return sorted(month.able, key=lambda place: -month.salience[place])[:n_lines]


def _wordy(month: night.Read, n_lines: int) -> list[int]:
    return sorted(month.able, key=lambda place: -month.n_words[place])[:n_lines]


CHOICES: dict[str, Choice] = {
    "ours": _ours,
    "longest": _longest,
    "every_nth": _evenly,
    "central": _central,
    "salient": _salient,
    "wordy": _wordy,
}


def measure(dialogues: Sequence[Dialogue], embedder: Embedder) -> dict[str, Any]:
    """The shares of each way to choose."""
    lines: dict[str, list[bool]] = defaultdict(list)
    reached: dict[str, list[bool]] = defaultdict(list)
    n_months = 0
    for number, dialogue in enumerate(dialogues, 1):
        print(f"dialogue {number} of {len(dialogues)}: {len(dialogue.turns)} turns", file=sys.stderr)
        asked = frozenset[int]().union(*(question.evidence for question in dialogue.questions))
        chosen: dict[str, set[int]] = defaultdict(set)
        told: set[int] = set()
        for month in _months(dialogue, embedder):
            n_months += 1
            n_lines = min(night.lines_of(len(month.said)), len(month.able))
            told.update(episode.position for episode in month.said)
            for name, choose in CHOICES.items():
                chosen[name].update(month.said[place].position for place in choose(month, n_lines))
            lines["chance"] += [month.said[place].position in asked for place in month.able]
        for name in CHOICES:
            lines[name] += [position in asked for position in sorted(chosen[name])]
            reached[name] += [
                not question.evidence.isdisjoint(chosen[name])
                for question in dialogue.questions
                if question.evidence & told
            ]
    return {
        "months": n_months,
        "lines": len(lines["ours"]),
        "asked": {name: _share(found) for name, found in lines.items()},
        "questions": len(reached["ours"]),
        "reached": {name: _share(found) for name, found in reached.items()},
    }


def _share(found: Sequence[bool]) -> float:
    return round(float(np.mean(found)), 4) if found else 0.0


def _months(dialogue: Dialogue, embedder: Embedder) -> Iterable[night.Read]:
    """What a night reads of each old month of the dialogue."""
    with tempfile.TemporaryDirectory() as folder:
        export = Path(folder) / "dialogue.jsonl"
        rows = ({"time": t.time.isoformat(), "speaker": t.speaker, "text": t.text} for t in dialogue.turns)
        export.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
        database = open_database(sqlite_url(Path(folder) / "graph.db"))
        space_id = ensure_space(database)
        import_file(database, space_id, export)
        yield from _read_all(database, space_id, embedder, due(database, space_id).stretches)
        database.close()


def _read_all(
    database: Database, space_id: str, embedder: Embedder, stretches: Iterable[Stretch]
) -> Iterable[night.Read]:
    for stretch in stretches:
        yield night.read(database, space_id, embedder, stretch)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--locomo", type=Path, required=True, metavar="FILE")
    given = parser.parse_args()
    started = time.perf_counter()
    print_result(measure(read_locomo(given.locomo), MiniLM.load()), seed=0, started=started)


if __name__ == "__main__":
    main()
