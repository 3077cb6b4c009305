from __future__ import annotations

from typing import Any

from memory.asked import MAX_LISTED, Asked
from memory.confidence import CALIBRATED
from memory.questions import parse
from memory.types import Fact
from memory.wordings import Wordings


def alive(world: Any, facts: list[Fact]) -> list[str]:
    """Objects of the facts that an answer would name."""
    nothing: Any = None  # the index takes no part
    question = parse("What does Ana like?", (), ())
    given = (world.database, world.space_id, nothing, world.registry, Wordings.load(), question)
    asked = Asked(*given, (), facts, None, None, world.now, CALIBRATED, {})
    return [fact.object for fact in asked.alive(facts)]


def test_an_answer_names_those_of_many_that_time_has_left_most_of(world: Any) -> None:
    for number in range(MAX_LISTED + 2):
        world.store(f"song {number}", 30 * number, predicate="likes")
    world.store("song 0", 299, predicate="likes", by="Ben Ode")
    facts = sorted(world.facts(predicates=("likes",)), key=lambda fact: fact.object)
    wanted = ["song 0", *(f"song {number}" for number in range(3, MAX_LISTED + 2))]
    assert alive(world, facts) == wanted


def test_where_all_can_be_named_all_are(world: Any) -> None:
    for number in range(MAX_LISTED):
        world.store(f"song {number}", 30 * number, predicate="likes")
    facts = world.facts(predicates=("likes",))
    assert len(alive(world, facts)) == MAX_LISTED
