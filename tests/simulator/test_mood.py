"""What a persona feels is carried over turns and fades."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from simulator.mood import HALF_LIFE_S, KEPT, NOTICED, Mood, mood_note, mood_of

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def test_a_mood_halves_in_its_half_life_and_keeps_its_order() -> None:
    mood = Mood({"joy": 2.0, "fear": 1.0}, NOON).now(NOON + timedelta(seconds=HALF_LIFE_S))
    assert mood.felt == pytest.approx({"joy": 1.0, "fear": 0.5})


def test_a_mood_is_gone_the_next_morning() -> None:
    mood = Mood({"joy": 4.0}, NOON).now(NOON + timedelta(hours=19))
    assert mood.strongest() == []
    assert mood_note(mood) == ""


def test_a_moment_before_its_own_changes_nothing() -> None:
    mood = Mood({"joy": 2.0}, NOON)
    assert mood.now(NOON - timedelta(hours=1)) == mood


def test_a_reading_again_and_again_is_reached_and_never_passed() -> None:
    mood = mood_of([(NOON, True, {"joy": 3.0})] * 12)
    assert mood.felt["joy"] == pytest.approx(3.0, abs=3.0 * KEPT**12 + 1e-9)
    assert mood.felt["joy"] < 3.0


def test_the_partners_feeling_is_caught_less_than_ones_own() -> None:
    own = Mood().after({"joy": 3.0}, NOON, is_own=True)
    caught = Mood().after({"joy": 3.0}, NOON, is_own=False)
    assert 0 < caught.felt["joy"] < own.felt["joy"]


def test_without_readings_nothing_is_felt() -> None:
    assert mood_of([(NOON, True, {}), (NOON, False, {})]) == Mood()


def test_the_note_names_the_strongest_feelings_and_no_absent_ones() -> None:
    note = mood_note(Mood({"joy": 2.0, "fear": NOTICED, "anger": -3.0, "love": 0.1}, NOON))
    assert note == "You feel strong joy and fear."
