from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from memory import pins
from memory.embedders.hashing import HashingEmbedder
from memory.index import Index
from memory.people import find_person
from memory.search.fading import FADING
from memory.types import Hit


class Searched:
    """A world whose facts are searched for."""

    def __init__(self, world: Any, home: Path) -> None:
        self.world = world
        self.index = Index.open(world.database, world.space_id, home, HashingEmbedder(64), world.registry)

    def hits(self, k: int = 10, **limits: Any) -> list[Hit]:
        self.index.refresh()
        return self.index.search("What is Ana up to with paint?", k, kinds=("fact",), **limits)

    def pin(self, fact_id: str) -> None:
        by = find_person(self.world.database, self.world.space_id, "Ana Reis")
        pins.pin(self.world.database, self.world.space_id, self.world.registry, fact_id, by=by)


@pytest.fixture
def searched(world: Any, tmp_path: Path) -> Searched:
    return Searched(world, tmp_path)


def fading(hits: list[Hit]) -> dict[str, float]:
    return {hit.id: hit.parts.get("fading", 0.0) for hit in hits}


def test_of_two_facts_that_fit_alike_the_one_that_is_alive_comes_first(
    world: Any, searched: Searched
) -> None:
    old = world.store("paint pots", 0, predicate="likes")
    new = world.store("paint pans", 3000, predicate="likes")
    assert [hit.id for hit in searched.hits()] == [new, old]
    parts = fading(searched.hits())
    assert parts[new] == 0.0
    assert -FADING <= parts[old] < -0.4


def test_parts_still_add_up_to_the_score(world: Any, searched: Searched) -> None:
    world.store("paint pots", 0, predicate="likes")
    world.store("paint pans", 3000, predicate="likes")
    for hit in searched.hits():
        assert sum(hit.parts.values()) == pytest.approx(hit.score, abs=1e-3)


def test_said_again_far_apart_it_fades_less(world: Any, searched: Searched) -> None:
    often, once = (
        world.store("paint pots", 0, predicate="likes"),
        world.store("paint pans", 1800, predicate="likes"),
    )
    for day in (400, 1000, 1800):
        world.store("paint pots", day, predicate="likes")
    world.store("Beja", 3000)
    parts = fading(searched.hits())
    assert parts[often] > parts[once]


def test_what_is_pinned_does_not_fade(world: Any, searched: Searched) -> None:
    old = world.store("paint pots", 0, predicate="likes")
    world.store("Beja", 3000)
    assert fading(searched.hits())[old] < 0
    searched.pin(old)
    assert fading(searched.hits())[old] == 0.0


def test_health_does_not_fade(world: Any, searched: Searched) -> None:
    allergy = world.store("paint", 0, predicate="allergy")
    world.store("Beja", 3000)
    assert fading(searched.hits())[allergy] == 0.0


def test_nothing_fades_before_the_day_that_is_asked_about(world: Any, searched: Searched) -> None:
    old = world.store("paint pots", 0, predicate="likes")
    world.store("Beja", 3000)
    assert fading(searched.hits(as_of=world.day(1)))[old] == pytest.approx(0.0, abs=0.01)


def test_a_viewer_sees_it_fade_by_what_they_heard_and_no_pin(world: Any, searched: Searched) -> None:
    old = world.store("paint pots", 0, predicate="likes")
    world.store("paint pots", 2999, predicate="likes", to="Cleo Park")
    world.store("Beja", 3000)
    searched.pin(old)
    ben, cleo = world.people["Ben Ode"], world.people["Cleo Park"]
    (seen,) = [part for part in fading(searched.hits(known_to=ben)).values() if part]
    assert seen < -0.4
    assert min(fading(searched.hits(known_to=cleo)).values()) > -0.01


def test_the_best_few_are_the_first_of_many(world: Any, searched: Searched) -> None:
    for number in range(26):
        world.claim(f"paint pot {number}", 120 * number, predicate="likes")
    every = [hit.id for hit in searched.hits(26)]
    assert len(every) == 26
    for k in (1, 3, 10):
        assert [hit.id for hit in searched.hits(k)] == every[:k]
