from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import pytest

from memory import consent, constitutions
from memory.emotions import add_tags
from memory.profile import Felt, Month, Profile, profile, profile_json, sparklines
from memory.types import EmotionTag, Principle

ANA = "Ana Reis"
ONE_STORE = pytest.mark.parametrize("database", ["memory"], indirect=True)  # no query of its own


def card(world: Any, known_to: str | None = None, as_of: datetime | None = None) -> Profile:
    viewer = world.person(known_to) if known_to else None
    return profile(
        world.database,
        world.space_id,
        world.person(ANA),
        world.registry,
        as_of=as_of,
        known_to=viewer,
        clock=world.clock,
    )


@pytest.fixture
def told(world: Any) -> Any:
    """Ana tells Ben of her flat and her sister, and Cy of her job, of which she is proud."""
    world.store("Porto", 1)
    world.store("Joana Reis", 2, predicate="sister", object_kind="person", text="my sister, Nini to us")
    to_cy = world.say(ANA, 40, to="Cy Duarte")
    world.store("vet", 41, predicate="job", to="Cy Duarte")
    to_ben = world.say(ANA, 3)
    tags = [
        EmotionTag(to_ben, "joy", 4.0, "a"),
        EmotionTag(to_ben, "joy", 8.0, "b"),
        EmotionTag(to_cy, "pride", 7.0, "a"),
    ]
    with world.database.transaction() as session:
        add_tags(session, world.space_id, tags)
        principles = [
            Principle("value", "keeps her word", (to_ben,)),
            Principle("limit", "no lies", (to_ben, to_cy)),
        ]
        constitutions.write(
            session, world.space_id, world.person(ANA), principles, run_id=None, clock=world.clock
        )
    return world


@ONE_STORE
def test_the_card_holds_everything_in_order(told: Any) -> None:
    whole = card(told)
    assert {topic: [fact.object for fact in facts] for topic, facts in whole.topics.items()} == {
        "home": ["Porto"],
        "work": ["vet"],
    }
    assert [(edge.predicate, edge.object.name) for edge in whole.relations] == [("sister", "Joana Reis")]
    assert whole.months == (
        Month("2025-03", (Felt("joy", 1, 6.0),)),
        Month("2025-04", (Felt("pride", 1, 7.0),)),
    )
    assert (whole.constitution_version, len(whole.constitution)) == (1, 2)
    assert whole.messages.n == 5
    assert [n for _, n in whole.messages.conversations] == [3, 2]
    assert whole.has_consent is False


def test_the_card_that_somebody_can_know(told: Any) -> None:
    bens = card(told, known_to="Ben Ode")
    assert list(bens.topics) == ["home"]
    assert [month.month for month in bens.months] == ["2025-03"]
    assert [item.text for item in bens.constitution] == ["keeps her word"]
    assert (bens.messages.n, len(bens.messages.conversations)) == (3, 1)
    assert bens.has_consent is None
    strangers = card(told, known_to="Eva Lind")
    assert (strangers.topics, strangers.relations, strangers.months, strangers.constitution) == (
        {},
        (),
        (),
        (),
    )
    assert strangers.messages.n == 0


def test_an_alias_is_shown_to_who_heard_it(told: Any) -> None:
    from memory.aliases import give_alias

    told.say(ANA, 5, text="they call me ANINHA at home")
    for alias in ("Aninha", "Secret"):
        give_alias(told.database, told.space_id, told.person(ANA), alias)
    assert card(told).person.aliases == ("Aninha", "Secret")
    assert card(told, known_to="Ben Ode").person.aliases == ("Aninha",)
    assert card(told, known_to="Cy Duarte").person.aliases == ()
    assert card(told, known_to=ANA).person.aliases == ("Aninha", "Secret")


def test_the_card_of_an_earlier_day(told: Any) -> None:
    then = card(told, as_of=told.day(10))
    assert list(then.topics) == ["home"]
    assert [month.month for month in then.months] == ["2025-03"]
    assert then.messages.n == 3
    assert [item.text for item in then.constitution] == ["keeps her word"]


@ONE_STORE
def test_what_two_people_dispute_stands_apart(told: Any) -> None:
    told.store("Faro", 1, by="Ben Ode", to=ANA)
    whole = card(told)
    assert sorted(fact.object for fact in whole.contested) == ["Faro", "Porto"]
    assert "home" not in whole.topics


@ONE_STORE
def test_consent_is_part_of_the_card(told: Any) -> None:
    consent.record(told.database, told.space_id, told.person(ANA), agreed_by="self", clock=told.clock)
    assert card(told).has_consent is True
    assert card(told, known_to=ANA).has_consent is True
    assert card(told, known_to="Ben Ode").has_consent is None


@ONE_STORE
def test_the_card_is_plain_json(told: Any) -> None:
    said = json.loads(json.dumps(profile_json(card(told))))
    assert said["emotions"][0] == {
        "month": "2025-03",
        "felt": [{"concept": "joy", "messages": 1, "intensity": 6.0}],
    }
    assert said["relations"][0]["object"] == "Joana Reis"
    assert said["messages"]["count"] == 5


def test_a_sparkline_has_a_bar_for_every_month_between() -> None:
    months = [
        Month("2024-11", (Felt("joy", 2, 5.0),)),
        Month("2025-02", (Felt("joy", 1, 5.0), Felt("fear", 1, 1.0))),
    ]
    joy, fear = sparklines(months)
    assert (joy.line, joy.n, joy.intensity) == ("█  ▄", 3, 5.0)
    assert fear.line == "   █"
    assert sparklines([]) == []
