from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from db import tables
from memory.errors import UnknownFact, UnreadableTime
from memory.fact_story import tell
from memory.facts import ALL_STATUSES, candidates, fact_json, get_fact, get_facts, page_facts, sentence, undo


def test_a_candidate_holds_from_the_day_it_was_first_said(world) -> None:
    world.claim("Porto", 4)
    (fact,) = world.facts()
    assert fact_json(fact)["valid_from"] == "2025-03-05"
    assert fact.status == "candidate"


def test_the_day_of_a_fact_is_the_day_where_the_space_is(world) -> None:
    with world.database.transaction() as session:
        session.get_one(tables.Space, world.space_id).timezone = "Pacific/Auckland"
    world.claim("Porto", 4, episode_ids=(late_evening(world),))
    assert fact_json(world.facts()[0])["valid_from"] == "2025-03-06"


def late_evening(world) -> str:
    episode_id = world.say("Ana Reis", 4)
    with world.database.transaction() as session:
        session.get_one(tables.Episode, episode_id).time = world.day(4) + timedelta(hours=20)
    return episode_id


def test_adding_a_candidate_changes_no_stored_fact(world) -> None:
    stored = world.store("Porto", 1)
    before = columns(world, stored)
    world.claim("Lisbon", 9, change="update")
    assert columns(world, stored) == before


def columns(world, fact_id: str) -> dict[str, object]:
    with world.database.transaction() as session:
        fact = session.get_one(tables.Fact, fact_id)
        return {column.key: getattr(fact, column.key) for column in tables.Fact.__table__.columns}


def test_the_view_ends_a_stored_fact_where_a_candidate_follows(world) -> None:
    world.store("Porto", 1)
    world.claim("Lisbon", 9, change="update")
    assert [(fact.object, fact.status) for fact in world.facts(statuses=ALL_STATUSES)] == [
        ("Porto", "past"),
        ("Lisbon", "candidate"),
    ]


def test_as_of_asks_what_held_then(world) -> None:
    world.store("Porto", 1)
    world.store("Lisbon", 9, change="update")
    assert world.held(as_of=world.day(5)) == ["Porto"]
    assert world.held(as_of=world.day(9)) == ["Lisbon"]
    assert world.held(as_of=world.day(-5)) == []


def test_during_an_interlude_only_the_interlude_holds(world) -> None:
    world.claim("Porto", 1)
    world.claim("Faro", 30, valid_from=world.day(10), valid_to=world.day(20))
    assert world.held(as_of=world.day(15)) == ["Faro"]
    assert world.held(as_of=world.day(25)) == ["Porto"]


def test_what_begins_later_is_future_until_then(world) -> None:
    world.claim("Porto", 1)
    world.claim("Lisbon", 9, change="update", valid_from=world.day(20))
    assert world.held(as_of=world.day(10)) == ["Porto"]
    statuses = {fact.object: fact.status for fact in world.facts(as_of=world.day(10), statuses=ALL_STATUSES)}
    assert statuses["Lisbon"] == "future"


def test_known_to_leaves_out_what_was_told_elsewhere(world) -> None:
    world.store("Porto", 1, to="Ben Ode")
    world.store("Lisbon", 9, change="update", to="Cleo Ray")
    assert world.held(known_to=world.person("Ben Ode")) == ["Porto"]
    assert world.held(known_to=world.person("Cleo Ray")) == ["Lisbon"]
    assert world.held(known_to=world.person("Ana Reis")) == ["Lisbon"]


def test_known_to_leaves_out_a_correction_told_elsewhere(world) -> None:
    world.store("Porto", 1, to="Ben Ode")
    world.store("Braga", 2, change="correct", corrects="Porto", to="Cleo Ray")
    assert world.held(known_to=world.person("Ben Ode")) == ["Porto"]
    assert world.held() == ["Braga"]


def test_known_to_as_of_a_day_leaves_out_what_was_told_later(world) -> None:
    world.store("Porto", 9)
    assert world.held(known_to=world.person("Ben Ode"), as_of=world.day(9)) == []
    assert world.held(known_to=world.person("Ben Ode"), as_of=world.day(10)) == ["Porto"]


def test_recorded_as_of_takes_later_decisions_back(world) -> None:
    world.store("Porto", 1)
    before = world.now + timedelta(hours=1)
    world.now += timedelta(hours=2)
    world.store("Lisbon", 9, change="update")
    assert world.held() == ["Lisbon"]
    assert world.held(recorded_as_of=before) == ["Porto"]


def test_recorded_as_of_gives_merged_evidence_back(world) -> None:
    world.store("Porto", 1)
    second = world.claim("Porto", 3)
    before = world.now + timedelta(hours=1)
    world.now += timedelta(hours=2)
    world.decide(second)
    assert len(world.facts()[0].evidence) == 2
    states = [fact.state for fact in world.facts(recorded_as_of=before, statuses=ALL_STATUSES)]
    assert states == ["stored"]
    (then,) = world.facts(recorded_as_of=before)
    assert len(then.evidence) == 2  # the candidate was there to be folded in


def test_recorded_as_of_knows_what_was_undone_since(world) -> None:
    world.store("Porto", 1)
    decision = world.decide(world.claim("Lisbon", 9, change="update"))
    before = world.now + timedelta(hours=1)
    world.now += timedelta(hours=2)
    undo(world.database, world.space_id, decision, world.registry, clock=world.clock)
    (then,) = world.facts(recorded_as_of=before)
    assert (then.object, then.status) == ("Lisbon", "current")


def test_facts_of_one_person_leave_others_out(world) -> None:
    world.claim("Porto", 1)
    world.claim("Faro", 1, about="Ben Ode")
    assert world.held(person_id=world.person("Ben Ode")) == ["Faro"]


def test_evidence_comes_oldest_first(world) -> None:
    late, early = world.say("Ana Reis", 9), world.say("Ana Reis", 2)
    world.claim("Porto", 9, episode_ids=(late, early))
    assert world.facts()[0].evidence == (early, late)


def test_what_a_model_wrote_supports_no_fact(world) -> None:
    said = world.say("Ana Reis", 1)
    simulated = world.say("Ana Reis", 2, origin="simulated")
    assert world.add(world.candidate("Porto", 2, episode_ids=(said, simulated))) == []
    assert world.facts() == []


def test_trust_is_the_least_of_the_evidence(world) -> None:
    ids = (world.say("Ana Reis", 1), world.say("Ana Reis", 2, origin="inferred"))
    world.claim("Porto", 1, episode_ids=ids)
    assert world.facts()[0].origin == "inferred"


def test_a_candidate_without_known_messages_is_refused(world) -> None:
    good = world.candidate("Porto", 1)
    bad = [
        replace(good, episode_ids=()),
        replace(good, episode_ids=("nobody",)),
        replace(good, object=" \x00 "),
        replace(good, subject=" "),
        replace(good, predicate="?"),
        replace(good, valid_from=world.day(5), valid_to=world.day(4)),
    ]
    assert world.add(*bad) == []


def test_the_same_candidate_from_the_same_messages_is_added_once(world) -> None:
    candidate = world.candidate("Porto", 1)
    (fact_id,) = world.add(candidate)
    assert world.add(candidate) == []
    world.decide(fact_id, "REJECT")
    assert world.add(candidate) == []


def test_a_merged_candidate_is_not_added_again(world) -> None:
    world.store("Porto", 1)
    again = world.candidate("porto", 3)
    world.decide(*world.add(again))
    assert world.add(again) == []


def test_candidates_come_in_the_order_of_saying(world) -> None:
    world.claim("Lisbon", 9)
    world.claim("Porto", 1)
    waiting = candidates(world.database, world.space_id)
    assert [fact.object for fact in waiting] == ["Porto", "Lisbon"]


def test_get_fact_shows_the_fact_in_its_timeline(world) -> None:
    porto = world.claim("Porto", 1)
    world.claim("Lisbon", 9, change="update")
    fact = get_fact(world.database, world.space_id, porto, world.registry, clock=world.clock)
    assert fact.status == "past"
    assert fact.valid_to == world.day(9)


def test_get_fact_of_a_restatement_names_what_it_restates(world) -> None:
    first, second = world.claim("Porto", 1), world.claim("porto", 3)
    assert get_fact(world.database, world.space_id, second).superseded_by == first


def test_get_fact_refuses_an_unknown_id(world) -> None:
    with pytest.raises(UnknownFact, match="no fact has the id nothing"):
        get_fact(world.database, world.space_id, "nothing")


def test_several_facts_are_read_at_once_as_each_alone_without_those_that_are_not_there(world) -> None:
    ids = [
        world.store("Porto", 1),
        world.claim("Lisbon", 9, change="update"),
        world.claim("blue", 3, predicate="likes"),
    ]
    where = (world.database, world.space_id)
    found = get_facts(*where, [ids[2], "nothing", ids[0], ids[1]], world.registry, clock=world.clock)
    assert found == [
        get_fact(*where, one, world.registry, clock=world.clock) for one in (ids[2], ids[0], ids[1])
    ]


def test_fact_json_has_the_documented_keys(world) -> None:
    moment = world.day(2) + timedelta(hours=15, minutes=40)
    world.claim("Porto", 4, valid_from=moment)
    (fact,) = world.facts()
    assert json.loads(json.dumps(fact_json(fact))) == {
        "id": fact.id,
        "subject": "Ana Reis",
        "predicate": "lives_in",
        "object": "Porto",
        "valid_from": "2025-03-03T15:40:00+00:00",
        "valid_to": None,
        "confidence": 0.8,
        "evidence": list(fact.evidence),
        "status": "candidate",
        "stale": False,
        "kind": "slow",
        "sensitive": [],
    }


def test_a_fact_is_said_as_a_sentence(world) -> None:
    world.claim("Porto", 4)
    assert sentence(world.facts()[0]) == "Ana Reis lives in Porto."


def test_a_viewer_sees_no_date_that_only_others_were_told(world) -> None:
    world.store("Porto", 9, to="Ben Ode")
    world.store("Porto", 12, to="Cleo Ray", valid_from=world.day(-700), valid_to=world.day(20))
    world.store("Porto", 13, by="Cleo Ray", to="Dan Ito", confidence=0.5)
    (fact,) = world.facts(known_to=world.person("Ben Ode"), statuses=ALL_STATUSES)
    assert (fact.valid_from, fact.valid_to, fact.confidence) == (world.day(9), None, 0.8)
    assert (len(fact.evidence), fact.asserted_by, fact.salience) == (1, "Ana Reis", None)
    (whole,) = world.facts(statuses=ALL_STATUSES)
    assert (whole.valid_from, whole.valid_to, len(whole.evidence)) == (world.day(-700), world.day(20), 3)


def test_a_statement_of_two_messages_begins_for_a_viewer_when_they_heard_it(world) -> None:
    ids = (world.say("Ana Reis", 1, to="Ben Ode"), world.say("Ana Reis", 6, to="Cleo Ray"))
    world.decide(world.claim("Porto", 1, episode_ids=ids))
    (fact,) = world.facts(known_to=world.person("Cleo Ray"))
    assert (fact.valid_from, fact.evidence) == (world.day(6), ids[1:])


def test_get_fact_is_limited_to_what_a_viewer_knows(world) -> None:
    mine = world.store("Porto", 1, to="Ben Ode")
    theirs = world.store("Lisbon", 9, change="update", to="Cleo Ray")
    viewer = world.person("Ben Ode")
    seen = get_fact(world.database, world.space_id, mine, world.registry, known_to=viewer)
    assert (seen.valid_to, seen.superseded_by, seen.status) == (None, None, "current")
    with pytest.raises(UnknownFact):
        get_fact(world.database, world.space_id, theirs, world.registry, known_to=viewer)


def test_known_to_and_as_recorded_hold_together(world) -> None:
    world.store("Porto", 1)
    before = world.now + timedelta(hours=1)
    world.now += timedelta(hours=2)
    world.store("Lisbon", 9, change="update")
    viewer = world.person("Ben Ode")
    assert world.held(known_to=viewer) == ["Lisbon"]
    assert world.held(known_to=viewer, recorded_as_of=before) == ["Porto"]
    assert world.held(known_to=viewer, recorded_as_of=before, as_of=world.day(1)) == []


@pytest.mark.parametrize(
    ("predicate", "fresh_days"), [("plans", 30), ("wants", 365), ("likes", 3650), ("hometown", 30_000)]
)
def test_what_nobody_has_said_for_long_is_stale(world, predicate: str, fresh_days: int) -> None:
    world.store("Porto", 1, predicate=predicate)
    (fact,) = world.facts(as_of=world.day(1 + fresh_days))
    assert (fact.status, fact.is_stale) == ("current", False)
    (fact,) = world.facts(as_of=world.day(3 + fresh_days))
    assert (fact.status, fact.is_stale) == ("current", fresh_days < 30_000)


def test_a_home_for_now_is_a_passing_state_and_soon_stale(world) -> None:
    world.store("Leeds", 1, text="staying with my sister in Leeds for now")
    (fact,) = world.facts(as_of=world.day(40))
    assert (fact_json(fact)["kind"], fact.is_stale) == ("passing", True)


def test_what_an_extractor_judges_of_a_statement_is_kept(world) -> None:
    world.store("Leeds", 1, volatility="never", text="staying in Leeds for now")
    assert [fact_json(fact)["kind"] for fact in world.facts()] == ["fixed"]


def test_what_is_said_again_is_fresh_again(world) -> None:
    world.store("a boat", 1, predicate="plans")
    world.store("a boat", 200, predicate="plans")
    assert [fact.is_stale for fact in world.facts(as_of=world.day(210))] == [False]


def test_a_time_without_a_zone_is_refused(world) -> None:
    with pytest.raises(UnreadableTime):
        world.facts(as_of=world.day(1).replace(tzinfo=None))


def test_pages_hold_what_the_list_holds(world) -> None:
    for number in range(20):
        world.claim(f"place {number}", 1, about=f"Person{number % 11}", predicate="likes")
    where = world.database, world.space_id, world.registry
    found, after = [], None
    while True:
        page = page_facts(*where, limit=3, after=after, clock=world.clock)
        assert len(page.facts) <= 3
        found += page.facts
        if page.next is None:
            break
        after = page.next
    assert found == world.facts()


def test_the_story_of_a_fact_names_its_statements_neighbours_and_decisions(world) -> None:
    porto = world.store("Porto", 1)
    again = world.store("Porto", 2, to="Cleo Ray")
    lisbon = world.store("Lisbon", 9, change="update")
    where = world.database, world.space_id, world.registry
    told = tell(*where, again)
    assert (told.fact.id, told.superseded_by.id) == (porto, lisbon)
    assert [said.id for said in told.statements] == [porto, again]
    assert [row.kind for row in told.decisions] == ["STORE", "MERGE"]
    assert [fact.id for fact in tell(*where, lisbon).supersedes] == [porto]
    seen = tell(*where, again, known_to=world.person("Cleo Ray"))
    assert (seen.fact.id, seen.superseded_by, seen.decisions) == (again, None, ())
    assert [episode.id for episode in seen.evidence] == list(seen.fact.evidence)
    assert len(seen.statements) == 1
