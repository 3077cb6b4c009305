"""How long forgetting and verifying take: `python -m bench.erasure --facts 100000`.

A home of its own is filled with invented messages, one fact in each; then a plan, `verify`, an erasure of one person with
its scan, and `verify` again are timed. The scanner is timed beside Python's `re` with the same needles on the same bytes,
a baseline that anybody would try first. No encoder and no index: what they take is bench.scale's matter.
"""

from __future__ import annotations

import argparse
import random
import re
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from bench.report import print_result
from db.engine import Database, open_database, sqlite_url
from memory import erasure
from memory.bulk import Told, add_facts
from memory.embedders.hashing import HashingEmbedder
from memory.erasure.needles import Scanner, stretches
from memory.erasure.residue import BLOCK
from memory.people import find_person
from memory.registry import Registry
from memory.spaces import ensure_space
from memory.types import FactCandidate
from memory.verify import verify

PREDICATES = ("lives_in", "works_as", "likes", "visited", "has_pet", "owns")
MESSAGES_PER_PERSON = 500
WORDS_PER_MESSAGE = 12
BASELINE_BYTES = 20_000  # what `re` gets to read: it is slow


def invented_words(dice: random.Random, n: int = 20_000) -> list[str]:
    letters = "abcdefghijklmnopqrstuvwxyz"
    return ["".join(dice.choices(letters, k=dice.randint(2, 9))) for _ in range(n)]


def told(n_facts: int, words: list[str], dice: random.Random) -> Iterator[Told]:
    """A message a minute, by as many people as make MESSAGES_PER_PERSON each."""
    people = [
        f"{word.title()} {dice.choice(words).title()}" for word in words[: n_facts // MESSAGES_PER_PERSON + 2]
    ]
    for i in range(n_facts):
        who = people[i % len(people)]
        fact = FactCandidate(who, dice.choice(PREDICATES), dice.choice(words), (), who, 0.8, "bench")
        said = " ".join(dice.choices(words, k=WORDS_PER_MESSAGE))
        time_ = datetime(2020, 1, 1, tzinfo=UTC) + timedelta(minutes=i)
        yield Told(who, f"chat {i % 200}", time_, said, (fact,))


def timed(do: Any) -> tuple[Any, float]:
    started = time.perf_counter()
    return do(), round(time.perf_counter() - started, 3)


def measure(database: Database, home: Path, n_facts: int, seed: int) -> dict[str, Any]:
    dice, registry, space_id = random.Random(seed), Registry.load(), ensure_space(database)
    words = invented_words(dice)
    rows = list(told(n_facts, words, dice))
    add_facts(database, space_id, rows, registry, source="bench", embedder=HashingEmbedder(8))
    person = find_person(database, space_id, rows[0].speaker)
    target = erasure.Target("person", person.id)
    before, verify_s = timed(lambda: verify(database, space_id, home, registry))
    _, plan_s = timed(lambda: erasure.make_plan(database, space_id, home, target))
    outcome, erase_s = timed(lambda: erasure.erase(database, space_id, home, target, registry))
    after, again_s = timed(lambda: verify(database, space_id, home, registry))
    return {
        "facts": n_facts,
        "verify_s": verify_s,
        "plan_s": plan_s,
        "erase_s": erase_s,
        "verify_after_s": again_s,
        "problems": len(before.problems) + len(after.problems),
        "residue": len(outcome.scan.found),
        "store_bytes": (home / "graph.db").stat().st_size,
        **scanning(
            home / "graph.db", [" ".join(dice.choices(words, k=WORDS_PER_MESSAGE)) for _ in range(10_000)]
        ),
    }


def scanning(path: Path, texts: list[str]) -> dict[str, Any]:
    """MB/s of the scanner and of one alternation, for the stretches of texts that are not there, as after an erasure."""
    needles = stretches(texts)
    held = path.read_bytes()
    scanner, blocks = Scanner(needles), [held[i : i + BLOCK] for i in range(0, len(held), BLOCK)]
    _, ours_s = timed(lambda: sum(1 for block in blocks for _ in scanner.find(block)))
    sample = held[-BASELINE_BYTES:]
    pattern = re.compile(b"|".join(re.escape(needle.text.encode()) for needle in needles))
    _, plain_s = timed(lambda: sum(1 for _ in pattern.finditer(sample)))
    return {
        "needles": len(needles),
        "scan_mb_per_s": round(len(held) / 1e6 / ours_s, 1),
        "re_mb_per_s": round(len(sample) / 1e6 / plain_s, 4),
    }


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--facts", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args(arguments)
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        database = open_database(sqlite_url(home / "graph.db"))
        try:
            numbers = measure(database, home, given.facts, given.seed)
        finally:
            database.close()
    print_result(numbers, seed=given.seed, started=started)


if __name__ == "__main__":
    main(sys.argv[1:])
