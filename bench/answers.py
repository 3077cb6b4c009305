"""`python -m bench.answers`: what an answer costs in processor time, with and without what is kept between readings.

A store as `bench.load` prepares it; the calls that the daemon's routes make, one thread, everything warm, and a fact
stated every so often (`--write-every`). The two ways take turns, so that whatever else the machine does meets both
alike; without means a store that keeps nothing (`memory.kept_facts`). What both answer must be equal.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from bench.load import PLACES, WORDS, people_of, prepare
from bench.report import print_result
from memory.facts import page_facts
from memory.kept_facts import MOST, KeptFacts
from memory.people import list_people
from memory.statements import Statement
from service.components import Shared
from service.entrances.fact import state
from service.settings import load_settings
from service.wiring import Services

Calls = Mapping[str, Callable[[int], Any]]


def calls_of(services: Services) -> Calls:
    """By name; each takes the number of the round."""
    people = people_of(WORDS[0])

    def ask(number: int) -> Any:
        return services.ask(f"Where did {people[number % 6]} live in {2000 + number}?").text

    def page(number: int) -> Any:
        return page_facts(services.database, services.space_id, services.registry, limit=20 + number % 80)

    return {
        "ask": ask,
        "search": lambda number: services.search(f"{people[number % 6]} the sea, {number}", 10),
        "card": lambda number: services.profile(people[number % 6]),
        "facts of a person": lambda number: services.facts(people[number % 6]),
        "page of facts": page,
        "people": lambda number: list_people(services.database, services.space_id),
    }


@contextmanager
def keeping(services: Services, kept: KeptFacts) -> Iterator[None]:
    with services.database.reading() as session:
        session.info["kept"]["facts"] = kept
    yield


def measure(services: Services, n_rounds: int, write_every: int) -> dict[str, Any]:
    """Milliseconds of thread time by call, and how many times cheaper it is with what is kept."""
    ways = {"kept": KeptFacts(MOST), "anew": KeptFacts(0)}
    spent: dict[tuple[str, str], list[float]] = {}
    calls, requests, stated, n_unequal = calls_of(services), count(1), 0, 0
    for number in range(-2, n_rounds):
        for name, call in calls.items():
            if next(requests) % write_every == 0:
                stated += 1
                write(services, stated)
            services.index.refresh()
            said = []
            for way in sorted(ways, reverse=bool(number % 2)):
                with keeping(services, ways[way]):
                    begun = time.thread_time()
                    said.append(call(number))
                    if number >= 0:
                        spent.setdefault((name, way), []).append((time.thread_time() - begun) * 1000)
            n_unequal += said[0] != said[1]
    numbers = {name: _compared(spent[name, "kept"], spent[name, "anew"]) for name in calls}
    return {"ms": numbers, "stated": stated, "unequal": n_unequal, "statements_kept": ways["kept"].size}


def write(services: Services, number: int) -> None:
    """One more fact about one of the six."""
    about = people_of(WORDS[0])[number % 6]
    state(services, Statement(about, "lives_in", f"{PLACES[number % len(PLACES)]} {number}"), None)


def _compared(kept: list[float], anew: list[float]) -> dict[str, float]:
    medians = {"kept": float(np.median(kept)), "anew": float(np.median(anew))}
    p95 = float(np.percentile(kept, 95))
    return {
        **{way: round(value, 2) for way, value in medians.items()},
        "kept_p95": round(p95, 2),
        "times": round(medians["anew"] / medians["kept"], 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--messages", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--write-every", type=int, default=20)
    options = parser.parse_args()
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        prepare(home, options.messages)
        settings = replace(load_settings(home, {}), space=WORDS[0], count_asked=False)
        shared = Shared(settings)
        with Services(settings, shared=shared) as services:
            result = measure(services, options.rounds, options.write_every)
        shared.close()
    print_result({"messages": options.messages, **result}, seed=0, started=started)


if __name__ == "__main__":
    main()
