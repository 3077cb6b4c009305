from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import update

from db import tables
from memory import ledger, review
from memory.decisions import list_decisions, undo
from memory.errors import BadStatement, CannotDecide, UnknownFact
from memory.fact_story import tell
from memory.facts import ALL_STATUSES, candidates
from memory.people import find_person
from memory.review import Page, Settled
from memory.verify import standing


def quarantine(world, value: str, day: int, *, salience: float | None = None, **rest: Any) -> str:
    fact_id: str = world.claim(value, day, **rest)
    world.decide(fact_id, "QUARANTINE")
    with world.database.transaction() as session:
        session.execute(update(tables.Fact).where(tables.Fact.id == fact_id).values(salience=salience))
    return fact_id


def page(world, **asked: Any) -> Page:
    return review.waiting(world.database, world.space_id, world.registry, clock=world.clock, **asked)


def waiting(world, **asked: Any) -> list[str]:
    return [item.story.fact.object for item in page(world, **asked).items]


def settle(world, fact_id: str, verdict: Any, value: str | None = None) -> Settled:
    world.person("Cleo Park")
    by = find_person(world.database, world.space_id, "Cleo Park")
    where = world.database, world.space_id, world.registry
    return review.settle(*where, fact_id, verdict, value, by=by, clock=world.clock)


def take_back(world, settled: Settled) -> None:
    for decision_id in reversed(settled.decisions):
        undo(world.database, world.space_id, decision_id, world.registry, clock=world.clock)


def statuses(world) -> dict[str, str]:
    return {fact.object: fact.status for fact in world.facts(statuses=ALL_STATUSES)}


def contested(world) -> tuple[str, str]:
    """Two people who each name another home on one day."""
    porto = world.store("Porto", 1, valid_from=world.day(0))
    faro = world.store("Faro", 1, by="Ben Ode", valid_from=world.day(0))
    assert set(statuses(world).values()) == {"contested"}
    return porto, faro


def test_the_most_salient_waits_first_with_its_reasons_and_messages(world) -> None:
    for value, salience in (("Porto", 0.2), ("Faro", 0.9), ("Beja", None), ("Lagos", 0.5)):
        quarantine(world, value, 1, predicate="likes", salience=salience, text=f"about {value}")
    assert waiting(world) == ["Faro", "Lagos", "Porto", "Beja"]
    first = page(world).items[0]
    assert first.reasons == ("for a test",)
    assert [episode.text for episode in first.story.evidence] == ["about Faro"]
    assert first.story.fact.asserted_by == "Ana Reis"


def test_what_was_said_just_before_is_shown_with_it(world) -> None:
    world.say("Ben Ode", 1, to="Ana Reis", text="and your sister, what is she called?")
    world.say("Ana Reis", 1, to="Cleo Park", text="somebody else is told this")
    quarantine(world, "Vera", 1, predicate="sister", text="Vera")
    (item,) = page(world).items
    assert [episode.text for episode in item.before] == ["and your sister, what is she called?"]


def test_pages_follow_each_other(world) -> None:
    for number in range(5):
        quarantine(world, f"place {number}", 1, predicate="likes", salience=number / 10)
    first = page(world, limit=2)
    assert first.n_waiting == 5
    assert waiting(world, limit=2, after=first.next) == ["place 2", "place 1"]
    assert page(world, limit=5).next is None
    with pytest.raises(UnknownFact):
        page(world, after="nosuchfact")


def test_an_accepted_fact_is_stored_by_a_decision_that_names_who_and_can_be_undone(world) -> None:
    porto = quarantine(world, "Porto", 1)
    done = settle(world, porto, "accept")
    assert (done.fact_id, done.kind) == (porto, "STORE")
    assert statuses(world) == {"Porto": "current"}
    made = list_decisions(world.database, world.space_id, fact_id=porto)[-1]
    assert (made.id, made.run_id, made.reasons) == (done.decisions[0], None, ("accepted by Cleo Park",))
    entry = ledger.entries(world.database, world.space_id)[0]
    assert (entry.payload["decision"], entry.payload["by"]) == (made.id, world.people["Cleo Park"])
    assert waiting(world) == []
    take_back(world, done)
    assert waiting(world) == ["Porto"]


def test_accepting_what_the_graph_holds_already_merges_it(world) -> None:
    porto = world.store("Porto", 1)
    again = quarantine(world, "Porto", 5, by="Ben Ode")
    done = settle(world, again, "accept")
    assert (done.kind, done.fact_id) == ("MERGE", porto)


def test_accepting_a_later_value_supersedes_and_undoing_brings_the_old_one_back(world) -> None:
    world.store("Porto", 1)
    done = settle(world, quarantine(world, "Lagos", 9, change="update"), "accept")
    assert done.kind == "CORRECT"
    assert statuses(world) == {"Porto": "past", "Lagos": "current"}
    take_back(world, done)
    assert statuses(world) == {"Porto": "current", "Lagos": "quarantined"}


def test_a_rejected_fact_does_not_come_back(world) -> None:
    rejected = quarantine(world, "Porto", 1)
    done = settle(world, rejected, "reject")
    assert done.kind == "REJECT"
    assert waiting(world) == []
    evidence = world.facts(statuses=("rejected",))[0].evidence
    assert world.add(world.candidate("Porto", 1, episode_ids=evidence)) == []
    assert candidates(world.database, world.space_id) == []


def test_a_corrected_fact_is_one_decision_that_puts_both_back(world) -> None:
    world.store("Beja", 1)
    wrong = quarantine(world, "Porto", 5, change="update")
    done = settle(world, wrong, "correct", "Ponte de Lima")
    assert len(done.decisions) == 1
    assert statuses(world) == {"Beja": "past", "Porto": "rejected", "Ponte de Lima": "current"}
    with world.database.reading() as session:
        assert list(standing.decided(session, world.space_id)) == []
        assert list(standing.settled(session, world.space_id, world.registry)) == []
        assert list(standing.recorded(session, world.space_id)) == []
    take_back(world, done)
    assert statuses(world) == {"Beja": "current", "Porto": "quarantined", "Ponte de Lima": "rejected"}


def test_a_corrected_fact_keeps_when_it_held(world) -> None:
    wrong = quarantine(world, "Porto", 5, valid_from=world.day(2), valid_to=world.day(30))
    settle(world, wrong, "correct", "Faro")
    (faro,) = world.facts(as_of=world.day(10))
    assert (faro.object, faro.valid_from, faro.valid_to) == ("Faro", world.day(2), world.day(30))


def test_accepting_one_of_two_contested_facts_takes_the_other_back(world) -> None:
    porto, _ = contested(world)
    assert sorted(waiting(world)) == ["Faro", "Porto"]
    said = {item.story.fact.id: item.reasons for item in page(world).items}
    assert "Ben Ode says" in said[porto][0]
    done = settle(world, porto, "accept")
    assert statuses(world) == {"Porto": "current", "Faro": "retracted"}
    assert waiting(world) == []
    take_back(world, done)
    assert set(statuses(world).values()) == {"contested"}


def test_rejecting_one_of_two_contested_facts_leaves_the_other(world) -> None:
    porto, _ = contested(world)
    settle(world, porto, "reject")
    assert statuses(world) == {"Porto": "retracted", "Faro": "current"}


def test_correcting_a_contested_fact_settles_all_of_them(world) -> None:
    porto, _ = contested(world)
    done = settle(world, porto, "correct", "Beja")
    assert statuses(world) == {"Porto": "retracted", "Faro": "retracted", "Beja": "current"}
    take_back(world, done)
    standing_now = statuses(world)
    assert (standing_now["Porto"], standing_now["Faro"]) == ("contested", "contested")


def test_correcting_a_contested_fact_to_what_the_other_says_accepts_the_other(world) -> None:
    porto, faro = contested(world)
    assert settle(world, porto, "correct", "faro").fact_id == faro
    assert statuses(world) == {"Porto": "retracted", "Faro": "current"}


def test_what_does_not_wait_is_not_settled(world) -> None:
    porto = world.store("Porto", 1)
    for verdict in ("accept", "reject"):
        with pytest.raises(CannotDecide):
            settle(world, porto, verdict)
    with pytest.raises(CannotDecide):
        settle(world, porto, "correct", "Faro")
    with pytest.raises(UnknownFact):
        settle(world, "nosuchfact", "accept")


def test_a_correction_needs_another_value(world) -> None:
    porto = quarantine(world, "Porto", 1)
    with pytest.raises(BadStatement):
        settle(world, porto, "correct")
    with pytest.raises(BadStatement):
        settle(world, porto, "correct", "  ")
    with pytest.raises(BadStatement):
        settle(world, porto, "correct", "porto")
    assert waiting(world) == ["Porto"]


def test_one_by_one_passes_over_what_was_settled_with_another(world) -> None:
    porto, _ = contested(world)
    quarantine(world, "tea", 2, predicate="likes", salience=0.9)
    asked = []
    for item in review.one_by_one(world.database, world.space_id, world.registry, clock=world.clock):
        asked.append(item.story.fact.object)
        if item.story.fact.status == "contested":
            settle(world, item.story.fact.id, "accept")
    assert asked[0] == "tea"
    assert len(asked) == 2
    assert porto not in {item.story.fact.id for item in page(world).items}


def test_what_two_say_of_the_time_to_come_does_not_wait_yet(world) -> None:
    for value, by in (("Porto", "Ana Reis"), ("Faro", "Ben Ode")):
        world.store(value, 1, by=by, valid_from=world.day(4000))
    assert (page(world).items, page(world).n_waiting) == ((), 0)


def test_the_story_of_what_was_corrected_names_the_decision_that_undoes_it(world) -> None:
    wrong = quarantine(world, "Porto", 1)
    done = settle(world, wrong, "correct", "Faro")
    told = tell(world.database, world.space_id, world.registry, wrong, clock=world.clock)
    assert [row.kind for row in told.decisions] == ["QUARANTINE", "STORE"]
    assert told.decisions[-1].id == done.decisions[-1]
    undo(world.database, world.space_id, told.decisions[-1].id, world.registry, clock=world.clock)
    assert waiting(world) == ["Porto"]
