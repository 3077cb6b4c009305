"""How long readings of facts take: of one person, for a viewer, as recorded, a page, and of everybody.

    python -m bench.facts --facts 100000

Invents people with a hundred statements each over ten predicates, decides about the facts of a few of them, and times
each reading in processor seconds (the median of three; everybody is read once). Nothing is read from elsewhere.
"""

from __future__ import annotations

import argparse
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import insert

from bench.report import print_result
from db import tables
from db.engine import Database, open_database, sqlite_url
from memory import values
from memory.facts import ALL_STATUSES, decide, list_facts, page_facts
from memory.registry import Registry
from memory.spaces import ensure_space

EACH = 100  # statements about a person
DECIDED = 3  # people about whom decisions are made
START = datetime(2020, 1, 1, tzinfo=UTC)
PREDICATES = ("lives_in", "job", "workplace", "likes", "likes", "likes", "friend", "hobby", "visits", "plans")
WORDS = ["amber", "birch", "cedar", "delta", "ember", "flint", "grove", "heron", "iris", "juniper"]


def invent(database: Database, space_id: str, n_facts: int, rnd: random.Random) -> None:
    """People who each tell things to the next one."""
    people = range(n_facts // EACH)
    named = [
        {"id": f"p{i}", "space_id": space_id, "name": f"Person {i}", "name_key": f"person {i}"}
        for i in people
    ]
    heard = [(i, (i + side) % len(people)) for i in people for side in (0, 1)]
    told = [_statement(space_id, number, rnd) for number in range(len(people) * EACH)]
    rows: list[tuple[Any, list[dict[str, Any]]]] = [
        (
            tables.Source,
            [
                {
                    "id": "s",
                    "space_id": space_id,
                    "kind": "chat",
                    "name": "s",
                    "sha256": "s",
                    "created_at": START,
                }
            ],
        ),
        (tables.Conversation, [{"id": f"c{i}", "space_id": space_id, "name": f"c{i}"} for i in people]),
        (tables.Node, [row | {"kind": "person", "is_speaker": True, "created_at": START} for row in named]),
        (
            tables.Participant,
            [
                {"conversation_id": f"c{i}", "node_id": f"p{j}", "space_id": space_id}
                for i, j in dict.fromkeys(heard)
            ],
        ),
        (tables.Episode, [episode for episode, _ in told]),
        (tables.Fact, [fact for _, fact in told]),
        (
            tables.Evidence,
            [
                {"fact_id": fact["id"], "episode_id": episode["id"], "space_id": space_id}
                for episode, fact in told
            ],
        ),
    ]
    with database.transaction() as session:
        for table, batch in rows:
            session.execute(insert(table), batch)


def _statement(space_id: str, number: int, rnd: random.Random) -> tuple[dict[str, Any], dict[str, Any]]:
    who, said = number // EACH, START + timedelta(days=rnd.randrange(1500), minutes=rnd.randrange(1400))
    value = f"{rnd.choice(WORDS)} {rnd.choice(WORDS)} {rnd.randrange(300)}"
    episode = {
        "id": f"e{number}",
        "space_id": space_id,
        "source_id": "s",
        "conversation_id": f"c{who}",
        "position": number,
        "speaker_id": f"p{who}",
        "time": said,
        "text": value,
        "key": f"k{number}",
    }
    fact = {
        "id": f"f{number}",
        "space_id": space_id,
        "subject_id": f"p{who}",
        "predicate": rnd.choice(PREDICATES),
        "object": value,
        "object_key": values.normal(value),
        "valid_from": said.replace(hour=0, minute=0),
        "recorded_at": said,
        "state": "candidate" if who < DECIDED else "stored",
        "change": rnd.choice(("state", "update")),
        "confidence": 0.9,
        "rule": "bench",
        "asserted_by": f"p{who}",
    }
    return episode, fact


def timed(reading: Callable[[], Sequence[object]], times: int = 3) -> tuple[float, int]:
    """Median processor seconds, and how many facts were found."""
    taken, found = [], 0
    for _ in range(times):
        begun = time.process_time()
        found = len(reading())
        taken.append(time.process_time() - begun)
    return round(statistics.median(taken), 4), found


def run(folder: Path, n_facts: int, seed: int) -> dict[str, Any]:
    database, registry = open_database(sqlite_url(folder / "graph.db")), Registry.load()
    space_id = ensure_space(database)
    invent(database, space_id, n_facts, random.Random(seed))
    begun = time.process_time()
    with database.transaction() as session:
        for number in range(DECIDED * EACH):
            decide(session, space_id, f"f{number}", "STORE", [], registry, run_id=None)
    per_decision = (time.process_time() - begun) / (DECIDED * EACH)
    where, person = (database, space_id, registry), "p1"
    readings: dict[str, Callable[[], Sequence[object]]] = {
        "person": lambda: list_facts(*where, person_id=person),
        "person_known_to": lambda: list_facts(*where, person_id=person, known_to="p2"),
        "person_as_recorded": lambda: list_facts(
            *where, person_id=person, recorded_as_of=START + timedelta(days=900)
        ),
        "page": lambda: page_facts(*where, limit=100).facts,
    }
    numbers: dict[str, Any] = {"facts": n_facts, "decide_s": round(per_decision, 5)}
    for name, reading in readings.items():
        numbers[f"{name}_s"], numbers[f"{name}_found"] = timed(reading)
    everybody = timed(lambda: list_facts(*where, statuses=ALL_STATUSES), times=1)
    numbers["everybody_s"], numbers["everybody_found"] = everybody
    database.close()
    return numbers


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--facts", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args()
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        numbers = run(Path(folder), options.facts, options.seed)
    print_result(numbers, seed=options.seed, started=started)


if __name__ == "__main__":
    main()
