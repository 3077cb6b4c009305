"""Truth of a kind: what cannot change, what changes slowly, what is a passing state."""

import pytest

from memory.permanence import of_name, permanence, volatility_of
from memory.registry import Registry

REGISTRY = Registry.load()


def kind(predicate: str, value: str, *messages: str) -> str:
    return permanence(volatility_of(REGISTRY.get(predicate), value, messages))


@pytest.mark.parametrize(
    ("predicate", "value", "message", "expected"),
    [
        ("birthday", "3 May", "my birthday is the 3rd of May", "fixed"),
        ("hometown", "Brno", "she grew up in Brno", "fixed"),
        ("lives_in", "Leeds", "I live in Leeds", "slow"),
        ("lives_in", "Leeds", "staying with my sister in Leeds for now", "passing"),
        ("lives_in", "Leeds", "I live in Leeds. Tonight we are eating out", "slow"),
        ("workplace", "the library", "filling in at the library this week", "passing"),
        ("workplace", "the library", "I work at the library", "slow"),
        ("diet", "vegetarian", "vegetarian since birth, my parents are too", "fixed"),
        ("diet", "vegetarian", "I'm vegetarian", "slow"),
        ("health_condition", "asthma", "he has had asthma all his life", "fixed"),
    ],
)
def test_the_words_of_a_statement_decide_its_kind(
    predicate: str, value: str, message: str, expected: str
) -> None:
    assert kind(predicate, value, message) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("thesis_submitted_on", "fixed"),
        ("birth_place", "fixed"),
        ("blood_type", "fixed"),
        ("mood", "passing"),
        ("weekend_plan", "passing"),
        ("favourite_tea", "slow"),
        ("bowling_average", "slow"),
    ],
)
def test_an_unknown_predicate_is_judged_by_its_name(name: str, expected: str) -> None:
    assert not REGISTRY.get(name).is_known
    assert permanence(of_name(name)) == expected


def test_words_cannot_make_a_birthday_pass() -> None:
    assert kind("birthday", "today", "it is my birthday today only, for now") == "fixed"


def test_no_message_leaves_the_predicate_its_own_kind() -> None:
    assert kind("lives_in", "Leeds") == "slow"
