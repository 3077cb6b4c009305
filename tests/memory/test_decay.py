from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from memory.decay import EASE, HALF_LIFE, MOST, Held, decay, half_life
from memory.registry import Predicate, Volatility

SAID = datetime(2025, 3, 1, tzinfo=UTC)
YEARS = [timedelta(days=365 * n) for n in range(1, 30)]


def predicate(volatility: Volatility = "months", topic: str = "tastes") -> Predicate:
    return Predicate("something", volatility=volatility, topic=topic)


def once(volatility: Volatility = "months", topic: str = "tastes") -> Held:
    return Held(predicate(volatility, topic), (SAID,))


@pytest.mark.parametrize("volatility", ["days", "months", "years"])
def test_half_is_left_after_the_half_life_of_the_predicate(volatility: Volatility) -> None:
    half = HALF_LIFE[volatility]
    assert half is not None
    assert decay(once(volatility), SAID) == 1.0
    assert decay(once(volatility), SAID + half) == pytest.approx(0.5)
    assert decay(once(volatility), SAID + 2 * half) == pytest.approx(0.25)


def test_a_birthplace_never_fades() -> None:
    assert all(decay(once("never"), SAID + age) == 1.0 for age in YEARS)


@pytest.mark.parametrize("topic", ["health", "identity", "safety"])
def test_lasting_topics_never_fade_but_for_what_changes_within_days(topic: str) -> None:
    assert decay(once("months", topic), SAID + YEARS[-1]) == 1.0
    assert decay(once("days", topic), SAID + YEARS[0]) < 0.01


def test_a_pin_keeps_everything() -> None:
    pinned = Held(predicate("days"), (SAID,), is_pinned=True)
    assert decay(pinned, SAID + YEARS[-1]) == 1.0


def test_saying_it_again_far_apart_makes_it_last_longer_than_saying_it_again_at_once() -> None:
    last = SAID + timedelta(days=180)
    spaced = Held(predicate(), tuple(SAID + timedelta(days=60 * n) for n in range(4)))
    massed = Held(predicate(), tuple(last - timedelta(minutes=n) for n in range(4)))
    at = last + timedelta(days=200)
    assert decay(spaced, at) > 1.5 * decay(massed, at)
    assert decay(massed, at) == pytest.approx(decay(Held(predicate(), (last,)), at), abs=0.001)


def test_five_hundred_repeats_of_one_evening_count_as_one() -> None:
    repeats = Held(predicate(), tuple(SAID + timedelta(seconds=20 * n) for n in range(500)))
    grown, first = half_life(repeats, SAID + YEARS[0]), HALF_LIFE["months"]
    assert grown is not None
    assert first is not None
    assert grown < 1.01 * first


def test_one_half_life_of_pause_lengthens_the_next_by_half_of_the_ease() -> None:
    first = HALF_LIFE["months"]
    assert first is not None
    twice = Held(predicate(), (SAID, SAID + first))
    assert half_life(twice, SAID + first) == first * (1 + (EASE - 1) / 2)


def test_no_half_life_grows_without_end() -> None:
    often = Held(predicate(), tuple(SAID + age for age in YEARS))
    first = HALF_LIFE["months"]
    assert first is not None
    assert half_life(often, SAID + YEARS[-1]) == MOST * first


def test_what_is_not_said_yet_counts_for_nothing() -> None:
    later = Held(predicate(), (SAID, SAID + timedelta(days=100)))
    at = SAID + timedelta(days=50)
    assert decay(later, at) == decay(once(), at)
    assert decay(later, SAID - timedelta(days=1)) == 0.0
    assert decay(Held(predicate(), ()), SAID) == 0.0


def test_the_order_in_which_it_was_told_makes_no_difference() -> None:
    moments = tuple(SAID + timedelta(days=n * n) for n in range(9))
    at = moments[-1] + timedelta(days=40)
    assert decay(Held(predicate(), moments), at) == decay(Held(predicate(), moments[::-1]), at)


def test_less_is_left_the_later_one_looks() -> None:
    left = [decay(once(), SAID + timedelta(days=n)) for n in range(0, 1000, 10)]
    assert left == sorted(left, reverse=True)
    assert all(0.0 < value <= 1.0 for value in left)
