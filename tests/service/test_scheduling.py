"""What the scheduler begins as time goes by, on SQLite and on Postgres. Nights here are those of an empty space: short."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from consolidation import runs
from consolidation.lease import hold, lease_name, this_machine, this_process
from consolidation.stage import NightSettings
from db import leases
from memory.importing import import_file
from memory.ports import utc_now
from service.daemon import schedule
from service.daemon.scheduling import Scheduler
from service.settings import ServeSettings, Settings
from service.spaces import Spaces

LINES = Path(__file__).parents[1] / "memory" / "fixtures" / "lines.jsonl"
NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
MISSING = NightSettings(base_model="/nowhere/model")  # keeps each night from beginning, and says so


class Time:
    def __init__(self, now: datetime) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def time() -> Time:
    return Time(NOON)


@pytest.fixture
def spaces(shared_url: str, tmp_path: Path, time: Time) -> Iterator[Spaces]:
    settings = Settings(
        home=tmp_path / "home",
        database_url=shared_url,
        serve=ServeSettings(jitter_minutes=0, catch_up_hours=24),
        night=MISSING,
    )
    opened = Spaces(settings, clock=time)
    with opened.use():
        yield opened
    opened.close()


def state(spaces: Spaces, name: str = "default") -> schedule.Schedule:
    space_id = next(space.id for space in spaces.all() if space.name == name)
    return schedule.ensure(spaces.shared.database, space_id, spaces.clock())


def look(spaces: Spaces) -> schedule.Schedule:  # as the timer does
    Scheduler(spaces).look()
    return state(spaces)


def test_a_new_store_owes_no_night_for_the_time_before(spaces: Spaces) -> None:
    assert look(spaces).tried_at is None


def test_the_hour_asks_once_and_again_the_next_day(spaces: Spaces, time: Time) -> None:
    look(spaces)
    tried = set()
    for minute in range(0, 48 * 60, 31):
        time.now = NOON + timedelta(minutes=minute)
        found = look(spaces)
        tried.add((found.tried_at, found.asked_by, found.error))
    asked = sorted(found for found in tried if found[0])
    assert [(moment.date().day, moment.hour) for moment, _, _ in asked if moment] == [(2, 3), (3, 3)]
    assert {error for _, _, error in asked} == {"ModelMissing"}


def test_after_three_days_away_one_night_is_made_up(spaces: Spaces, time: Time) -> None:
    look(spaces)
    time.now = NOON + 3 * DAY
    found = look(spaces)
    assert (found.asked_by, found.outcome, found.tried_at) == ("missed", "failed", time.now)
    for later in range(1, 15):
        time.now = NOON + 3 * DAY + later * HOUR
        assert look(spaces).tried_at == NOON + 3 * DAY  # until the next hour has come


def test_a_night_that_was_missed_by_too_much_is_left_out(spaces: Spaces, time: Time) -> None:
    look(spaces)
    spaces.settings = replace(spaces.settings, serve=ServeSettings(jitter_minutes=0, catch_up_hours=6))
    time.now = NOON + DAY  # nine hours after
    assert look(spaces).tried_at is None


def test_the_daemon_settles_the_hour_and_takes_the_place_in_one_transaction(
    spaces: Spaces, time: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    look(spaces)
    time.now = NOON + DAY
    written = []
    settle = schedule.settle

    def killed(*where: Any, **values: Any) -> None:
        settle(*where, **values)
        written.append(set(values))
        raise KeyboardInterrupt

    monkeypatch.setattr(schedule, "settle", killed)
    with pytest.raises(KeyboardInterrupt):
        look(spaces)
    monkeypatch.undo()
    assert state(spaces).waits_for == "missed"
    assert look(spaces).tried_at == time.now


def test_a_night_begun_by_hand_since_is_the_night(spaces: Spaces, time: Time) -> None:
    look(spaces)
    time.now = NOON + timedelta(hours=15, minutes=10)  # ten past three
    space_id = state(spaces).space_id
    runs.begin(spaces.shared.database, space_id, "r", NightSettings(), is_resumed=False, clock=time)
    runs.finish(spaces.shared.database, "r", "done", None, clock=time)
    time.now += HOUR
    assert look(spaces).tried_at is None


def test_a_night_that_was_cut_off_is_taken_up_once(spaces: Spaces, time: Time) -> None:
    space_id = look(spaces).space_id
    database = spaces.shared.database
    runs.begin(database, space_id, "r", NightSettings(), is_resumed=False, clock=time)
    schedule.settle(database, space_id, run_id="r", asked_by="nightly", outcome="begun")
    assert look(spaces).asked_by == "resumed"
    schedule.settle(database, space_id, run_id="r", tried_at=None)
    assert look(spaces).tried_at is None


def test_a_quiet_hour_begins_a_night_once_a_day(spaces: Spaces, time: Time) -> None:
    space_id = look(spaces).space_id
    serve = ServeSettings(nightly_at="", idle_minutes=0.000001, idle_new=1)
    spaces.settings = replace(spaces.settings, serve=serve)
    assert look(spaces).asked_by is None  # nothing is new
    import_file(spaces.shared.database, space_id, LINES)
    assert (look(spaces).asked_by, state(spaces).idle_at) == ("idle", NOON)
    time.now = NOON + 23 * HOUR
    assert look(spaces).tried_at == NOON
    time.now = NOON + 24 * HOUR
    assert look(spaces).tried_at == time.now


def test_nights_of_several_spaces_wait_for_each_other(spaces: Spaces, time: Time) -> None:
    spaces.create("other", "Asia/Tokyo")
    look(spaces)
    state(spaces, "other")
    database = spaces.shared.database
    holder = f"{this_process()} somebody's night"
    leases.acquire(database, lease_name("elsewhere"), holder, now=utc_now(), ttl_s=60)
    time.now = NOON + DAY
    look(spaces)
    assert [waiting.waits_for for waiting in schedule.queue(database)] == ["missed", "missed"]
    time.now += HOUR
    look(spaces)
    assert {waiting.waits_since for waiting in schedule.queue(database)} == {NOON + DAY}
    leases.release(database, lease_name("elsewhere"), holder)
    look(spaces)
    assert schedule.queue(database) == []
    assert {state(spaces, name).outcome for name in ("default", "other")} == {"failed"}


def test_a_night_by_hand_waits_where_another_space_sleeps(spaces: Spaces) -> None:
    database = spaces.shared.database
    with hold(database, this_machine(), f"{this_process()} other", lost=threading.Event()):
        with spaces.use() as app:
            assert app.nights.start(resume=False) is None
        (waiting,) = schedule.queue(database)
    assert waiting.waits_for == "hand"
    assert waiting.wanted == {"seed": 0, "minutes": 4.5, "model": "/nowhere/model", "fresh": True}
    assert (look(spaces).outcome, state(spaces).error) == ("failed", "ModelMissing")
