"""How often an erasure's test of the weights is wrong, and how much of a trace it finds.

    python -m bench.certificate --home HOME             # nights that `bench.forget --home` left, their weights and facts
    python -m bench.certificate --random 200            # random weights on the tiny random model, no nights

Facts are made up that no night saw: of strangers, and of people whom the nights know by other facts (`acquaintances`). Each has
its controls from what the home holds, as in an erasure. Weights are what served after some of the nights and after all.
`false_alarm[kind]["sets"][k]`: of sets of `k` such facts drawn at random, over those weights, the share that one of the two
tests calls told (`told`), and that fails, by the bound too (`fails`: what an erasure would refuse). `power[dose]`: the same of
facts that the nights did teach, with their vectors at that share of their strength. `gain` is how far the facts rose towards
the first place, on the average.

With `--random` weights are rank-16 factors of a training's size, new for each draw, and so are the facts.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from statistics import fmean
from typing import Any

from agents.runtime.lm import LanguageModel
from agents.runtime.spec import ModelSpec
from bench.lessons import Lesson, invent_lessons
from bench.merge import random_adapter
from bench.report import now_and_then, print_result
from bench.tiny_model import write_tiny_model
from consolidation import recipe as recipes
from consolidation.erased_weights import untaught
from consolidation.recipe import Recipe
from consolidation.recipe_serving import Place, check
from consolidation.weights_certificate import FloatArray, Probe, compare, probes_of, score
from db.engine import open_database, sqlite_url
from memory.facts import ALL_STATUSES, list_facts
from memory.ports import utc_now
from memory.registry import Registry
from memory.spaces import ensure_space
from memory.types import Fact
from memory.wordings import Wordings

SIZES = (1, 2, 5, 10, 20)
DOSES = (0.1, 0.25, 0.5, 1.0)
VALUES: Mapping[str, Sequence[str]] = tomllib.loads(
    Path(__file__).with_name("lessons.toml").read_text(encoding="utf-8")
)["values"]
_TOLD_AT = datetime(2026, 1, 1, tzinfo=UTC)
_NEVER_TOLD = 7_000  # invented people of seeds from here on are none of any night's


@dataclass(frozen=True)
class Judged:
    """One set of weights against the base, over the same probes; the first place of each row is the true value's."""

    base_NK: FloatArray
    after_NK: FloatArray

    def told(self, chosen: Sequence[int]) -> tuple[bool, bool]:
        """Whether the tests tell those facts from controls, and whether the certificate would refuse the weights."""
        places = list(chosen)
        test = compare(self.base_NK[places], self.base_NK[places], self.after_NK[places])
        return test.after.is_told, not test.is_passed

    def gain(self) -> float:
        return compare(self.base_NK, self.base_NK, self.after_NK).after.gain


def rates(judged: Sequence[Judged], draws: int, dice: random.Random) -> dict[int, dict[str, float | int]]:
    """By the size of a set: the shares over `draws` random sets, each of one of the weights."""
    n = min(len(one.base_NK) for one in judged)
    return {
        size: shares([dice.choice(judged).told(dice.sample(range(n), size)) for _ in range(draws)])
        for size in SIZES
        if size <= n
    }


def stated(lesson: Lesson) -> Fact:
    """The lesson as a store would hold it."""
    return Fact(
        id=f"made-{lesson.id}-{lesson.subject}",
        subject_id=f"made-{lesson.subject}",
        subject=lesson.subject,
        predicate=lesson.predicate,
        object=lesson.object,
        object_id=None,
        valid_from=None,
        valid_to=None,
        recorded_at=_TOLD_AT,
        retracted_at=None,
        state="stored",
        status="current",
        confidence=0.9,
        origin="observed",
        rule="bench",
        asserted_by=None,
        evidence=(),
    )


def probes_each(facts: Iterable[Fact], known: Sequence[Fact], registry: Registry) -> list[Probe]:
    """Each as if it alone were erased from what is known."""
    return [probe for fact in facts for probe in probes_of([fact], [*known, fact], registry)]


def strangers(n: int, registry: Registry, seed: int) -> list[Fact]:
    """Facts of people of whom nothing is known."""
    return [stated(one) for one in invent_lessons(n, _NEVER_TOLD + seed, Wordings.load(), registry)]


def acquaintances(n: int, known: Sequence[Fact], seed: int) -> list[Fact]:
    """Facts that nobody told about people of whom others are known: of predicates that they have nothing in."""
    dice = random.Random(f"acquaintances {seed}")
    taken = {(fact.subject_id, fact.predicate) for fact in known}
    people = {fact.subject_id: fact for fact in known}
    open_slots = [
        (fact, predicate)
        for fact in people.values()
        for predicate in sorted(VALUES)
        if (fact.subject_id, predicate) not in taken
    ]
    chosen = dice.sample(open_slots, min(n, len(open_slots)))
    return [
        replace(fact, id=f"made-{place}", predicate=predicate, object=dice.choice(VALUES[predicate]))
        for place, (fact, predicate) in enumerate(chosen)
    ]


# ---- the weights of nights


@dataclass
class Nights:
    """What a benchmark's nights left, and a model that wears what is asked."""

    place: Place
    spec: ModelSpec
    registry: Registry

    def __post_init__(self) -> None:
        self.model = LanguageModel.load(self.spec)
        self.recipe = self.place.history().recipe("serving", self.model.base_hash)
        self.facts = list_facts(
            self.place.database, self.place.space_id, self.registry, statuses=ALL_STATUSES, clock=utc_now
        )

    def scores(self, recipe: Recipe, probes: Sequence[Probe], note: str) -> FloatArray:
        self.model.apply(check(self.place, recipe, self.spec))
        return score(self.model, probes, now_and_then(note))

    def served(self) -> list[Recipe]:
        """After a third of the nights, after two thirds, and after all."""
        taught = [entry for entry in self.recipe.entries if entry.run_id is not None]
        counts = sorted({-(-len(taught) * third // 3) for third in (1, 2, 3)})
        return [recipes.without(self.recipe, {e.adapter_sha256 for e in taught[n:]}) for n in counts]

    def at(self, dose: float) -> Recipe:
        entries = self.recipe.entries
        weaker = (e if e.run_id is None else replace(e, coefficient=dose * e.coefficient) for e in entries)
        return replace(self.recipe, entries=tuple(weaker))


def of_nights(nights: Nights, n_facts: int, draws: int, seed: int) -> dict[str, Any]:
    dice = random.Random(f"certificate {seed}")
    known, registry = nights.facts, nights.registry
    never = {
        "strangers": probes_each(strangers(n_facts, registry, seed), known, registry),
        "acquaintances": probes_each(acquaintances(n_facts, known, seed), known, registry),
    }
    taught = probes_each(dice.sample(known, min(n_facts, len(known))), known, registry)
    plain = untaught(nights.place, nights.recipe)
    false_alarm: dict[str, Any] = {}
    for kind, probes in never.items():
        base = nights.scores(plain, probes, f"{kind}, base")
        weights = [
            Judged(base, nights.scores(recipe, probes, f"{kind}, {len(recipe.entries)} vectors"))
            for recipe in nights.served()
        ]
        false_alarm[kind] = {
            "sets": rates(weights, draws, dice),
            "facts": len(probes),
            "gain": [round(one.gain(), 4) for one in weights],
        }
    base = nights.scores(plain, taught, "taught, base")
    power: dict[str, Any] = {}
    for dose in DOSES:
        judged = Judged(base, nights.scores(nights.at(dose), taught, f"taught, at {dose}"))
        power[str(dose)] = {
            "sets": rates([judged], draws, dice),
            "facts": len(taught),
            "gain": round(judged.gain(), 4),
        }
    vectors = [len(recipe.entries) - len(plain.entries) for recipe in nights.served()]
    return {"weights_of_nights": vectors, "false_alarm": false_alarm, "power": power}


# ---- random weights


def of_random(spec: ModelSpec, n_weights: int, registry: Registry, seed: int) -> dict[str, Any]:
    """Every draw has weights and facts of its own, which are dealt into sets of each size."""
    model = LanguageModel.load(spec)
    shapes = {name: linear.weight.shape for name, linear in linears(model)}
    progress = now_and_then("random weights")
    said: dict[int, list[tuple[bool, bool]]] = {size: [] for size in SIZES}
    for number in range(seed, seed + n_weights):
        progress(number - seed, n_weights)
        probes = probes_each(strangers(max(SIZES), registry, number), (), registry)
        model.reset()
        base = score(model, probes)
        adapter = random_adapter({name: (n_out, n_in) for name, (n_out, n_in) in shapes.items()}, number)
        model.apply([(replace(adapter, base_hash=model.base_hash), 1.0)])
        judged = Judged(base, score(model, probes))
        for size, pairs in said.items():
            pairs += [judged.told(range(n, n + size)) for n in range(0, len(probes) - size + 1, size)]
    found = {size: shares(pairs) for size, pairs in said.items() if pairs}
    return {"weights": n_weights, "false_alarm": {"random": found}}


def linears(model: LanguageModel) -> Iterator[tuple[str, Any]]:
    """Of the blocks, by name."""
    for name, module in model.model.named_modules():
        if name.startswith("model.layers.") and hasattr(module, "in_features"):
            yield name, module


def shares(said: Sequence[tuple[bool, bool]]) -> dict[str, float | int]:
    told, fails = (fmean(column) for column in zip(*said, strict=True))
    return {"told": round(told, 4), "fails": round(fails, 4), "draws": len(said)}


def main() -> None:
    options = _options()
    started = time.perf_counter()
    registry = Registry.load()
    with tempfile.TemporaryDirectory() as temporary:
        cache = options.cache or Path(temporary) / "cache"
        if options.random:
            tiny = write_tiny_model(Path(temporary) / "tiny")
            spec = ModelSpec(cache, str(tiny) if options.base == "tiny" else options.base)
            numbers = of_random(spec, options.random, registry, options.seed)
        else:
            database = open_database(sqlite_url(options.home / "graph.db"))
            place = Place(database, ensure_space(database), options.home)
            nights = Nights(place, ModelSpec(cache, options.base), registry)
            numbers = of_nights(nights, options.facts, options.draws, options.seed)
            database.close()
    print_result({**numbers, "base": options.base}, seed=options.seed, started=started)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--home", type=Path, help="a home that nights left")
    parser.add_argument("--random", type=int, default=0, help="so many random weights instead of nights")
    parser.add_argument("--base", help="default: embedded, with --random the tiny random model")
    parser.add_argument("--facts", type=int, default=60, help="of each kind")
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cache", type=Path, help="folder that keeps the dequantised model between runs")
    options = parser.parse_args()
    if bool(options.random) == bool(options.home):
        parser.error("give either --home or --random")
    options.base = options.base or ("tiny" if options.random else "embedded")
    return options


if __name__ == "__main__":
    main()
