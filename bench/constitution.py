"""Constitutions against those that people wrote of a chat.

    python -m bench.constitution --chat DIR [--show]

Every speaker named in the folder's constitution.json is described by the writer that needs no model and by the facts
that the rules read, from the export alone, revised as one night does. A line of ours and one of the gold say the same where their sentences are near in
meaning (cosine of the shipped encoder of NEAR or more), or where they are less near (TOUCHING) and a message of one
stands at most BESIDE messages from one of the other. `covered` is the share of gold lines that some line of ours says,
`supported` the share of our lines that some gold line says; gold names ten lines or so, thus a true line of ours can
miss all of them. `control` is `covered` with the lines of the other speakers of the chat in place of the person's own:
what so loose a measure gives to anybody. `evidenced` is the share of our lines all of whose messages are the person's.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from agents.constitutions import HabitWriter
from agents.extractors.local import local_extractor
from agents.held import held
from agents.withholding import Withholding
from bench.ask import NoFeelings
from bench.chats import open_chat
from bench.report import print_result
from db.engine import open_database, sqlite_url
from memory.embedders.minilm import MiniLM
from memory.episodes import list_episodes
from memory.facts import list_facts
from memory.importing import import_export
from memory.names import first, key
from memory.people import list_people
from memory.ports import Embedder
from memory.reading import read_episodes
from memory.registry import Registry
from memory.revision import Found, Standing, revise
from memory.spaces import ensure_space
from memory.types import Episode, Fact, Principle

NEAR, TOUCHING = 0.5, 0.3
BESIDE = 3


@dataclass(frozen=True, slots=True)
class Described:
    """One line with the places of its messages in the export."""

    text: str
    places: tuple[int, ...]


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.constitution", description=__doc__)
    parser.add_argument("--chat", type=Path, required=True)
    parser.add_argument("--show", action="store_true", help="print our lines, matched ones with a plus")
    parser.add_argument("--seed", type=int, default=0, help="nothing here is drawn by lot")
    args = parser.parse_args(argv)
    started = time.perf_counter()
    gold = {
        name: [Described(row["text"], tuple(map(int, row.get("evidence", ())))) for row in rows]
        for name, rows in json.loads((args.chat / "constitution.json").read_text(encoding="utf-8")).items()
    }
    with tempfile.TemporaryDirectory() as home:
        ours, evidenced = describe(args.chat, Path(home), list(gold))
    numbers = compare(gold, ours, MiniLM.load(), show=args.show)
    print_result({**numbers, "evidenced": evidenced}, seed=args.seed, started=started)
    return 0


def describe(folder: Path, home: Path, names: Sequence[str]) -> tuple[dict[str, list[Described]], float]:
    """Our lines of each of them, and the share of lines that rest on nothing but their own messages."""
    database = open_database(sqlite_url(home / "graph.db"))
    space_id = ensure_space(database)
    import_export(database, space_id, open_chat(folder))
    every = list_episodes(database, space_id, kinds=("text", "media", "deleted"))
    said = {episode.id: episode for episode in every}
    registry = Registry.load()
    extractor = local_extractor(MiniLM.load(), registry)
    read_episodes(database, space_id, extractor, NoFeelings(), registry, withhold=Withholding())
    facts: dict[str, list[Fact]] = {}
    for fact in list_facts(database, space_id, registry):
        facts.setdefault(key(fact.subject), []).append(fact)
    people = list_people(database, space_id)
    database.close()
    texts = [episode for episode in every if episode.kind == "text"]
    found: dict[str, list[Described]] = {}
    n_own = n_lines = 0
    for name in names:
        speaker = _speaker(name, texts)
        lines = [*HabitWriter().write(speaker, texts, people), *held(facts.get(key(speaker), ()))]
        kept = revise(Standing(0, (), {}), Found(lines, n_messages=len(texts))).lines
        principles = [line.principle for line in kept]
        n_lines += len(principles)
        n_own += sum(all(said[item].speaker == speaker for item in line.evidence) for line in principles)
        found[name] = [_described(line, said) for line in principles]
    return found, round(n_own / max(n_lines, 1), 4)


def _speaker(name: str, episodes: Sequence[Episode]) -> str:
    """Who of the export is meant: by the whole name, else by the first."""
    speakers = sorted({episode.speaker for episode in episodes})
    same = [one for one in speakers if key(one) == key(name)]
    near = [one for one in speakers if first(one) == first(name)]
    return (same or near or [name])[0]


def _described(line: Principle, said: dict[str, Episode]) -> Described:
    return Described(line.text, tuple(said[item].position for item in line.evidence))


def compare(
    gold: dict[str, list[Described]],
    ours: dict[str, list[Described]],
    embedder: Embedder,
    *,
    show: bool = False,
) -> dict[str, Any]:
    """The shares over all people of the chat."""
    covered = supported = control = n_gold = n_ours = 0.0
    for name, lines in gold.items():
        says = same(lines, ours[name], embedder)
        covered, n_gold = covered + says.any(axis=1).sum(), n_gold + len(lines)
        supported, n_ours = supported + says.any(axis=0).sum(), n_ours + len(ours[name])
        others = [ours[other] for other in gold if other != name]
        control += np.mean([same(lines, other, embedder).any(axis=1).sum() for other in others] or [0.0])
        if show:
            _show(name, lines, ours[name], says)
    return {
        "people": len(gold),
        "gold": int(n_gold),
        "lines": int(n_ours),
        "covered": round(covered / max(n_gold, 1), 4),
        "supported": round(supported / max(n_ours, 1), 4),
        "control": round(control / max(n_gold, 1), 4),
    }


def same(
    gold: Sequence[Described], ours: Sequence[Described], embedder: Embedder
) -> npt.NDArray[np.bool_]:  # (G, N)
    """Which gold line is said by which of ours."""
    if not gold or not ours:
        return np.zeros((len(gold), len(ours)), dtype=bool)
    vectors = embedder.encode([line.text for line in (*gold, *ours)])
    likeness = vectors[: len(gold)] @ vectors[len(gold) :].T
    beside = np.array(
        [[any(abs(a - b) <= BESIDE for a in g.places for b in o.places) for o in ours] for g in gold]
    )
    found: npt.NDArray[np.bool_] = (likeness >= NEAR) | ((likeness >= TOUCHING) & beside)
    return found


def _show(
    name: str, gold: Sequence[Described], ours: Sequence[Described], says: npt.NDArray[np.bool_]
) -> None:
    print(name)
    for line, is_said in zip(gold, map(any, says), strict=True):
        print(f"  gold {'+' if is_said else ' '} {line.text}")
    for line, is_gold in zip(ours, map(any, says.T), strict=True):
        print(f"  ours {'+' if is_gold else ' '} {line.text}")


if __name__ == "__main__":
    sys.exit(main())
