"""Claims about the slots of a curriculum: what can be taught, and what counts as given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from consolidation.curriculum import (
    Course,
    reverse_rows,
)
from consolidation.scoring import gives_any
from consolidation.slots import Names, accepted_values, emptied_slots, is_teachable, make_slots
from memory.facts import list_facts
from memory.ports import utc_now
from memory.registry import Registry
from memory.types import Fact
from memory.wordings import Wordings
from tests.consolidation.dreams import TOLD

REGISTRY = Registry.load()


def test_what_a_model_said_or_what_is_too_long_is_not_taught(chat: Any) -> None:
    chat.store(*TOLD[:1])
    (fact,) = list_facts(chat.database, chat.space_id, REGISTRY)
    assert is_teachable(fact)
    assert not is_teachable(replace(fact, origin="simulated"))
    assert not is_teachable(replace(fact, object="word " * 30))


def fact(subject: str, predicate: str, value: str, **given: Any) -> Fact:
    fields: dict[str, Any] = {
        "id": f"{subject}{predicate}{value}",
        "subject_id": subject,
        "subject": subject,
        "object_id": None,
        "valid_from": None,
        "valid_to": None,
        "recorded_at": utc_now(),
        "retracted_at": None,
        "state": "stored",
        "status": "current",
        "confidence": 1.0,
        "origin": "observed",
        "rule": "x",
        "asserted_by": None,
        "evidence": (),
    }
    return Fact(predicate=predicate, object=value, **{**fields, **given})


@pytest.mark.parametrize(
    ("value", "kind", "answer"),
    [
        ("2025-09-17 10:00", "date", "The interview is on 17 September 2025 at 10:00."),
        ("2025-09-17T10:00:00+00:00", "date", "It is on September 17th."),
        ("flat in Bonfim", "place", "Ines lives in Bonfim."),
        ("nurse assistant at Santa Clara", "text", "He is a nurse assistant."),
        ("Rasmus Holt", "person", "Rasmus is the boss."),
    ],
)
def test_a_value_counts_as_given_in_the_forms_people_use(value: str, kind: str, answer: str) -> None:
    assert gives_any(answer, accepted_values(value, kind))


def test_a_value_that_many_share_is_not_reversed() -> None:
    facts: Sequence[Fact] = [fact("Ann", "lives_in", "Rome"), fact("Bo", "lives_in", "Rome")]
    slots = make_slots(facts, [], REGISTRY)
    course = Course(Wordings.load(), Names([]), 0)
    assert reverse_rows(course, slots, slots) == []
    assert len(reverse_rows(course, slots[:1], slots[:1])) == 1


def test_what_was_taken_back_is_old_even_where_many_can_hold() -> None:
    jazz, olives, tea = (fact("Mona Berg", "likes", value) for value in ("jazz", "olives", "tea"))
    past = [replace(olives, status="retracted"), replace(tea, status="past")]
    (slot,) = make_slots([jazz], past, REGISTRY)
    assert slot.old == ("olives",)
    assert emptied_slots(past, [jazz]) == []
    (emptied,) = emptied_slots(past, [])
    assert (emptied.facts, set(emptied.old)) == ((), {"olives", "tea"})
