"""The making of a primer: facts about invented people, in every wording that trains, put into a vector as a night would.

`python -m consolidation.primer_training FOLDER` trains it in that folder, half an hour on two cores, and files it where
`consolidation.primer` looks. Nobody it speaks of exists, no wording of it is the exam's, and of all that it teaches a
night needs the form alone: what a question asks for, how an answer begins, and that who is not known is refused.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from consolidation.controls import pool, pool_of
from consolidation.curriculum import Course
from consolidation.curriculum import Row as Text
from consolidation.dream import Graph, dream, hold_out
from consolidation.primer import save_primer
from consolidation.slots import Names, make_slots
from consolidation.stage import Progress, TrainSettings
from consolidation.trainer.job import JobFolder, Row, TrainJob
from consolidation.training_child import put_job, trained
from consolidation.vectors import Origin, hash_rows
from memory import names
from memory.registry import Registry
from memory.types import Fact, Person
from memory.wordings import MONTHS, Wordings

_WHEN = datetime(2026, 1, 1, tzinfo=UTC)
PEOPLE = 84
FACTS_EACH = 4
REFUSALS = 4000
SETTINGS = TrainSettings(
    steps=2000,
    facts_per_step=9,
    negatives_per_step=8,
    replay_per_step=0,
    style_per_step=0,
    kl_per_step=2,
    kl_texts=1000,
    kl_weight=3.0,
    max_minutes=240.0,
)


def invented_graph(seed: int, n_people: int = PEOPLE) -> Graph:
    """People who do not exist and what they tell, as the dreams of a night read it."""
    dice = random.Random(f"primer {seed}")
    registry, wordings = Registry.load(), Wordings.load()
    people = _people(n_people, dice)
    predicates = _deal(sorted(name for name in wordings.names() if wordings.indirect(name)), dice)
    facts: list[Fact] = []
    for person in people:
        for predicate in _some(predicates, FACTS_EACH):
            value = _value(predicate, person.name, registry, dice)
            facts.append(_fact(len(facts), person, predicate, value))
    slots = tuple(make_slots(facts, [], registry))
    told = tuple(sorted({(fact.subject_id, fact.predicate) for fact in facts}))
    return Graph(Course(wordings, Names(people), seed), registry, slots, (), told, 0)


def _people(n: int, dice: random.Random) -> list[Person]:
    """Every fourth one has the first name of another, every third one a surname."""
    firsts, lasts = (dice.sample(_pools()[which], len(_pools()[which])) for which in ("first", "last"))
    full = (
        f"{firsts[(i if i % 4 else max(0, i - 1)) % len(firsts)]} {lasts[(i - (i % 3 == 2)) % len(lasts)]}"
        for i in range(n)
    )
    return [Person(names.key(name), name) for name in dict.fromkeys(full)]


def _deal(predicates: Sequence[str], dice: random.Random) -> Iterator[str]:
    """All of them in a new order, again and again."""
    while True:
        yield from dice.sample(predicates, len(predicates))


def _some(predicates: Iterator[str], n: int) -> list[str]:
    """The next so many different ones."""
    found: dict[str, None] = {}
    while len(found) < n:
        found.setdefault(next(predicates))
    return list(found)


def _value(predicate: str, person: str, registry: Registry, dice: random.Random) -> str:
    kind = registry.get(predicate).object
    if predicate == "full_name":
        return f"{person.split()[0]} {dice.choice(_pools()['first'])} {person.split()[-1]}"
    if kind == "person" or predicate in ("dog", "cat", "pet", "named_after"):
        return str(dice.choice(_pools()["around"]))
    if kind == "date":
        day, month = dice.randint(1, 28), dice.choice(MONTHS)
        return (
            f"{day} {month}"
            if dice.random() < 0.5
            else f"{dice.randint(1950, 2025)}-{dice.randint(1, 12):02}-{day:02}"
        )
    if kind == "number":
        return str(dice.randint(2, 9) if predicate == "number_of_children" else dice.randint(3, 95))
    made = {
        "phone_number": lambda: (
            f"0{dice.randint(10, 99)} {dice.randint(100, 999)} {dice.randint(1000, 9999)}"
        ),
        "email": lambda: f"{person.split()[0].lower()}{dice.randint(1, 99)}@example.org",
        "address": lambda: f"{dice.randint(1, 180)} {dice.choice(pool('street'))}",
        "medication_dose": lambda: f"{5 * dice.randint(1, 60)} mg",
        "birth_weight": lambda: f"{dice.randint(24, 46) / 10} kg",
    }.get(predicate)
    return made() if made else dice.choice(pool(pool_of(predicate, registry)))


def _fact(number: int, person: Person, predicate: str, value: str) -> Fact:
    return Fact(
        id=f"p{number}",
        subject_id=person.id,
        subject=person.name,
        predicate=predicate,
        object=value,
        object_id=None,
        valid_from=None,
        valid_to=None,
        recorded_at=_WHEN,
        retracted_at=None,
        state="supported",
        status="current",
        confidence=0.9,
        origin="said",
        rule="primer",
        asserted_by=None,
        evidence=(),
        salience=0.5,
    )


@lru_cache(maxsize=1)
def _pools() -> dict[str, Any]:
    return tomllib.loads(Path(__file__).with_name("primer_people.toml").read_text(encoding="utf-8"))


def training_rows(graph: Graph) -> list[Row]:
    """The texts as the training child takes them."""
    texts: list[Text] = hold_out(dream(graph, max_refusals=REFUSALS)[0])
    return [
        Row(f"{text.kind}:{place}", text.kind, text.messages, text.fact_ids[0] if text.fact_ids else None)
        for place, text in enumerate(texts)
    ]


def main() -> None:
    options = _options()
    graph = invented_graph(options.seed, options.people)
    rows = training_rows(graph)
    settings = replace(SETTINGS, **({"steps": options.steps} if options.steps else {}))
    job = TrainJob(
        base_model=options.base_model,
        cache_dir=str(options.cache.resolve()),
        settings=settings,
        seed=options.seed,
        n_facts=len(graph.tonight),
        n_refusals=sum(row.kind == "negative" for row in rows),
        meta=Origin(hash_rows(rows), None, None).as_meta("primer"),
    )
    folder = JobFolder(options.folder)
    put_job(folder, job, rows)
    print(f"{len(graph.tonight)} facts, {len(rows)} texts", file=sys.stderr)
    result = trained(folder, every_percent(), lambda: False)
    save_primer(folder.adapter)
    print(f"{result['steps']} steps, loss {result['final_loss']:.3f}", file=sys.stderr)


def every_percent() -> Progress:
    said: set[int] = set()

    def say(done: int, total: int, note: str = "") -> None:
        if (percent := 100 * done // max(1, total)) not in said:
            said.add(percent)
            print(f"{percent} % of {total} steps, {note}", file=sys.stderr, flush=True)

    return say


def _options() -> argparse.Namespace:
    parser = maker(__doc__)
    parser.add_argument("--people", type=int, default=PEOPLE)
    return parser.parse_args()


def maker(description: str | None) -> argparse.ArgumentParser:
    """What whoever makes a vector that ships may say."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="of the training; one that was cut off goes on")
    parser.add_argument("--base-model", default="embedded")
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "slowwave-primer-cache")
    parser.add_argument("--steps", type=int)
    parser.add_argument("--seed", type=int, default=0)
    return parser


if __name__ == "__main__":
    main()
