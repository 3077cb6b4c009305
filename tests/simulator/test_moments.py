"""The persona knows what time it is where it lives, and how long nobody wrote."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from simulator.moments import moment_note

TUESDAY = datetime(2026, 3, 3, 21, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("zone", "said"),
    [
        ("UTC", "It is Tuesday evening."),
        ("Europe/Berlin", "It is Tuesday night."),
        ("Asia/Tokyo", "It is Wednesday morning."),
        ("America/New_York", "It is Tuesday afternoon."),
    ],
)
def test_the_day_is_the_spaces_own(zone: str, said: str) -> None:
    assert moment_note(TUESDAY, None, ZoneInfo(zone)) == said


@pytest.mark.parametrize(
    ("apart", "said"),
    [
        (timedelta(hours=3), "3 hours"),
        (timedelta(hours=2, minutes=1), "2 hours"),
        (timedelta(days=1, hours=5), "a day"),
        (timedelta(days=20), "2 weeks"),
        (timedelta(days=800), "2 years"),
    ],
)
def test_a_long_silence_is_named(apart: timedelta, said: str) -> None:
    assert moment_note(TUESDAY, TUESDAY - apart).endswith(f"You last talked {said} ago.")


def test_a_short_silence_is_not() -> None:
    assert "last" not in moment_note(TUESDAY, TUESDAY - timedelta(minutes=119))
