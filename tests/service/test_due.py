"""When nights are due: hours of their own zone, jitter, summer time, quiet hours."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memory.spaces import zone
from service.daemon.due import Plan, Quiet, is_quiet_enough, last_moment, next_moment
from service.errors import BadSettings
from service.settings import ServeSettings

PLAIN = Plan.of(ServeSettings(jitter_minutes=0))
NIGHTS = Plan.of(ServeSettings())


@pytest.mark.parametrize("at", ["25:00", "3", "03:60", "noon"])
def test_a_nightly_time_that_is_none_is_refused(at: str) -> None:
    with pytest.raises(BadSettings, match="write it as 03:00"):
        Plan.of(ServeSettings(nightly_at=at))


def test_a_length_below_nothing_is_refused() -> None:
    with pytest.raises(BadSettings, match="catch_up_hours"):
        Plan.of(ServeSettings(catch_up_hours=-1))


def test_no_nightly_time_is_no_moment() -> None:
    plan = Plan.of(ServeSettings(nightly_at=""))
    now = datetime(2026, 5, 1, tzinfo=UTC)
    assert last_moment(plan, "s", UTC, now) is None
    assert next_moment(plan, "s", UTC, now) is None


@pytest.mark.parametrize(
    ("name", "now", "expected"),
    [
        ("Europe/Lisbon", datetime(2026, 7, 1, 12, tzinfo=UTC), datetime(2026, 7, 1, 2, tzinfo=UTC)),
        ("Asia/Tokyo", datetime(2026, 7, 1, 12, tzinfo=UTC), datetime(2026, 6, 30, 18, tzinfo=UTC)),
        ("Pacific/Auckland", datetime(2026, 1, 1, 13, tzinfo=UTC), datetime(2025, 12, 31, 14, tzinfo=UTC)),
    ],
)
def test_the_hour_is_that_of_the_spaces_own_zone(name: str, now: datetime, expected: datetime) -> None:
    assert last_moment(PLAIN, "s", zone(name), now) == expected


def test_an_hour_that_summer_time_leaves_out_or_repeats_is_one_moment_a_day() -> None:
    berlin, plan = zone("Europe/Berlin"), Plan.of(ServeSettings(nightly_at="02:30", jitter_minutes=0))
    for start, expected in (
        (datetime(2026, 3, 28, 12, tzinfo=UTC), [datetime(2026, 3, 29, 1, 30, tzinfo=UTC)]),
        (datetime(2026, 10, 24, 12, tzinfo=UTC), [datetime(2026, 10, 25, 0, 30, tzinfo=UTC)]),
    ):
        minutes = (start + timedelta(minutes=n) for n in range(24 * 60))
        found = {last_moment(plan, "s", berlin, minute) for minute in minutes}
        assert sorted(moment for moment in found if moment and moment > start) == expected


@given(
    st.datetimes(datetime(2020, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC)),
    st.sampled_from(["UTC", "America/New_York", "Asia/Kolkata", "Pacific/Apia"]),
    st.text(min_size=1, max_size=8),
)
def test_the_last_moment_and_the_next_are_neighbours(now: datetime, name: str, space_id: str) -> None:
    last, following = (f(NIGHTS, space_id, zone(name), now) for f in (last_moment, next_moment))
    assert last is not None
    assert following is not None
    assert last <= now < following
    assert timedelta(hours=22) < following - last < timedelta(hours=26)
    assert last_moment(NIGHTS, space_id, zone(name), following) == following


def test_jitter_keeps_spaces_apart_and_is_the_same_after_a_restart() -> None:
    now = datetime(2026, 5, 1, 12, tzinfo=UTC)
    found = [last_moment(NIGHTS, f"space {i}", UTC, now) for i in range(50)]
    assert found == [last_moment(NIGHTS, f"space {i}", UTC, now) for i in range(50)]
    assert len(set(found)) == 50
    hour = datetime(2026, 5, 1, 3, tzinfo=UTC)
    assert all(moment and hour <= moment <= hour + timedelta(minutes=10) for moment in found)


def test_a_quiet_hour_needs_quiet_and_news_and_comes_once_a_day() -> None:
    plan, now = Plan.of(ServeSettings(idle_minutes=30, idle_new=10)), datetime(2026, 5, 1, 12, tzinfo=UTC)
    enough = Quiet(timedelta(minutes=30), 10, None)
    assert is_quiet_enough(plan, enough, now)
    assert not is_quiet_enough(plan, replace(enough, since=timedelta(minutes=29)), now)
    assert not is_quiet_enough(plan, replace(enough, n_new=9), now)
    assert not is_quiet_enough(plan, replace(enough, used_at=now - timedelta(hours=23)), now)
    assert is_quiet_enough(plan, replace(enough, used_at=now - timedelta(hours=24)), now)
    assert not is_quiet_enough(NIGHTS, enough, now)
