"""What a person settled, what was pinned and what was quarantined, in the nights that follow."""

from __future__ import annotations

from typing import Any

from sqlalchemy import update

from consolidation import check, decide, dream, score
from consolidation.stage import NightContext, NightSettings, no_progress
from db.tables import Fact
from memory import pins, review
from memory.facts import ALL_STATUSES, list_decisions, list_facts
from memory.people import find_person
from memory.registry import Registry
from memory.types import Verdict

REGISTRY = Registry.load()


class AbsentJudge:
    """A judge that nobody reaches."""

    name = "absent"

    def supports(self, statement: str, episodes: Any, evidence: Any = ()) -> Verdict:
        raise ConnectionError


def night(chat: Any, **given: Any) -> NightContext:
    context: NightContext = chat.context(**given)
    for stage in (score, check, decide):
        stage.run(context, no_progress)
    return context


def statuses(chat: Any) -> dict[str, str]:
    found = list_facts(chat.database, chat.space_id, REGISTRY, statuses=ALL_STATUSES)
    return {fact.object: fact.status for fact in found}


def settle(chat: Any, fact_id: str, verdict: Any, value: str | None = None) -> None:
    by = find_person(chat.database, chat.space_id, "Karl Aas")
    review.settle(chat.database, chat.space_id, REGISTRY, fact_id, verdict, value, by=by)


def away(chat: Any) -> NightContext:
    return night(chat, tools={"judge": AbsentJudge()})


def test_what_was_quarantined_is_stored_when_another_person_says_it_too(chat: Any) -> None:
    chat.propose(("Mona Berg", "lives_in", "Bergen", 0), confidence=0.3)
    night(chat)
    assert statuses(chat) == {"Bergen": "quarantined"}
    night(chat)
    assert statuses(chat) == {"Bergen": "quarantined"}
    chat.propose(
        ("Mona Berg", "lives_in", "Bergen", 6), ("Mona Berg", "lives_in", "Bergen", 1), confidence=0.3
    )
    night(chat)
    assert statuses(chat) == {"Bergen": "current"}


def test_what_was_quarantined_while_the_judge_was_away_is_stored_when_it_is_back(chat: Any) -> None:
    chat.propose(("Mona Berg", "lives_in", "Bergen", 0))
    away(chat)
    assert statuses(chat) == {"Bergen": "quarantined"}
    night(chat)
    assert statuses(chat) == {"Bergen": "current"}


def test_later_nights_do_not_reopen_what_a_person_settled(chat: Any) -> None:
    rejected, accepted, wrong = chat.propose(
        ("Mona Berg", "lives_in", "Bergen", 0),
        ("Karl Aas", "lives_in", "Oslo", 1),
        ("Mona Berg", "job", "cook", 4),
    )
    away(chat)
    settle(chat, rejected, "reject")
    settle(chat, accepted, "accept")
    settle(chat, wrong, "correct", "nurse")
    settled = {"Bergen": "rejected", "Oslo": "current", "cook": "rejected", "nurse": "current"}
    assert statuses(chat) == settled
    context = night(chat)
    assert statuses(chat) == settled
    assert list_decisions(chat.database, chat.space_id, run_id=context.run_id) == []


def test_settling_changes_no_threshold(chat: Any) -> None:
    """Two alike: that a person accepted one tells a night nothing about the other."""
    first, _ = chat.propose(
        ("Mona Berg", "likes", "boats", 0), ("Mona Berg", "likes", "trams", 0), confidence=0.3
    )
    night(chat)
    settle(chat, first, "accept")
    night(chat)
    assert statuses(chat) == {"boats": "current", "trams": "quarantined"}


def test_a_pinned_fact_is_trained_first_however_little_it_weighs(chat: Any) -> None:
    home, tea, job = chat.propose(
        ("Mona Berg", "lives_in", "Bergen", 0), ("Vera", "likes", "tea", 2), ("Mona Berg", "job", "nurse", 4)
    )
    night(chat)
    with chat.database.transaction() as session:
        for fact_id, salience in ((home, 0.9), (tea, 0.01), (job, 0.1)):
            session.execute(update(Fact).where(Fact.id == fact_id).values(salience=salience))
    by = find_person(chat.database, chat.space_id, "Karl Aas")
    pins.pin(chat.database, chat.space_id, REGISTRY, tea, by=by)
    graph, _ = dream.read_graph(chat.context(settings=NightSettings(min_salience=0.2, max_facts=1)))
    assert [slot.said for slot in graph.tonight] == ["tea"]
    graph, _ = dream.read_graph(chat.context(settings=NightSettings(min_salience=0.2)))
    assert [slot.said for slot in graph.tonight] == ["tea", "Bergen"]
