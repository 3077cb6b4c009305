"""Days named in chat against the time of the message."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from agents.extractors.dates import day_and_month, find_dates

WEDNESDAY = datetime(2025, 3, 12, 18, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "iso"),
    [
        ("we marry on 20 September, a Saturday", "2025-09-20"),
        ("on wednesday", "2025-03-19"),
        ("I start friday the 21st", "2025-03-21"),
        ("in three weeks", "2025-04-02"),
        ("tomorrow", "2025-03-13"),
        ("at the end of august", "2025-08"),
        ("March 4th, 2024", "2024-03-04"),
        ("booked. 6 february", "2025-02-06"),
        ("next friday", "2025-03-21"),
        ("by 2025-12-01", "2025-12-01"),
        ("the 17th, 10 am", "2025-03-17 10:00"),
        ("on monday at 5pm", "2025-03-17 17:00"),
        ("next month", "2025-04"),
        ("next weekend", "2025-03-22"),
    ],
)
def test_a_day_said_looks_forward(text: str, iso: str) -> None:
    assert find_dates(text, WEDNESDAY)[0].iso == iso


@pytest.mark.parametrize(
    ("text", "iso"),
    [
        ("gunnar retired on wednesday", "2025-03-05"),
        ("last night", "2025-03-11"),
        ("since the 1st", "2025-03-01"),
        ("since october", "2024-10"),
        ("two weeks ago", "2025-02-26"),
        ("day 19", "2025-02-21"),
        ("for nine years", "2016-03-12"),
        ("last april", "2024-04"),
        ("in 2011", "2011"),
        ("a month ago", "2025-02-12"),
    ],
)
def test_a_day_gone_by_looks_back(text: str, iso: str) -> None:
    assert find_dates(text, WEDNESDAY, is_past=True)[0].iso == iso


@pytest.mark.parametrize(
    "text", ["he may come", "tuesdays and thursdays", "i will march on", "room 12", "it is 2.5 mg"]
)
def test_what_is_no_day_is_left_alone(text: str) -> None:
    assert find_dates(text, WEDNESDAY) == []


def test_days_are_midnight_utc_and_since_is_marked() -> None:
    found = find_dates("they are in Uppsala since the 1st", WEDNESDAY)[0]
    assert found.day == datetime(2025, 3, 1, tzinfo=UTC)
    assert found.is_since


def test_a_birthday_is_kept_without_its_year() -> None:
    assert day_and_month(WEDNESDAY.date()) == "12 March"
