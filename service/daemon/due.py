"""When a night of a space is due: at its hour in its own time zone, or in a quiet hour after much that is new.

Pure: no store and no clock. Each local day has one nightly moment, moved by a jitter that the space and the day
decide, so that it is the same after a restart. An hour that summer time leaves out is the one after it; of one that
comes twice it is the first.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo

from service.errors import BadSettings
from service.settings import ServeSettings

_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Plan:
    """What the settings say about nights. `at` None: none by the clock; `idle` None: none in quiet hours."""

    at: time | None
    jitter: timedelta
    catch_up: timedelta  # a night missed by no more than this is made up, once
    idle: timedelta | None
    idle_new: int

    @classmethod
    def of(cls, serve: ServeSettings) -> Plan:
        """Raises BadSettings."""
        return cls(
            at=nightly_time(serve.nightly_at),
            jitter=timedelta(minutes=_length("jitter_minutes", serve.jitter_minutes)),
            catch_up=timedelta(hours=_length("catch_up_hours", serve.catch_up_hours)),
            idle=timedelta(minutes=serve.idle_minutes)
            if _length("idle_minutes", serve.idle_minutes)
            else None,
            idle_new=serve.idle_new,
        )


@dataclass(frozen=True, slots=True)
class Quiet:
    """How long nobody has asked anything, how much has come since the last night, and when a quiet hour was last used."""

    since: timedelta
    n_new: int
    used_at: datetime | None


def nightly_time(at: str) -> time | None:
    """HH:MM, or None for "". Raises BadSettings."""
    if not at:
        return None
    match = re.fullmatch(r"([01]?\d|2[0-3]):([0-5]\d)", at)
    if match is None:
        raise BadSettings(
            f"serve.nightly_at is {at!r}; write it as 03:00, or leave it empty for no nightly job"
        )
    return time(int(match[1]), int(match[2]))


def last_moment(plan: Plan, space_id: str, zone: tzinfo, now: datetime) -> datetime | None:
    """The newest nightly moment that is not after now."""
    if plan.at is None:
        return None
    today = now.astimezone(zone).date()
    moments = (_moment(plan, plan.at, space_id, zone, today + n * _DAY) for n in (0, -1, -2))
    return next((moment for moment in moments if moment <= now), None)


def next_moment(plan: Plan, space_id: str, zone: tzinfo, now: datetime) -> datetime | None:
    """The first nightly moment after now."""
    if plan.at is None:
        return None
    today = now.astimezone(zone).date()
    moments = (_moment(plan, plan.at, space_id, zone, today + n * _DAY) for n in (-1, 0, 1, 2))
    return next((moment for moment in moments if moment > now), None)


def is_quiet_enough(plan: Plan, quiet: Quiet, now: datetime) -> bool:
    """Whether a night may begin although it is not its hour: at most once in a day."""
    return (
        plan.idle is not None
        and quiet.since >= plan.idle
        and quiet.n_new >= max(1, plan.idle_new)
        and (quiet.used_at is None or now - quiet.used_at >= _DAY)
    )


def _moment(plan: Plan, at: time, space_id: str, zone: tzinfo, day: date) -> datetime:
    draw = int.from_bytes(hashlib.sha256(f"{space_id} {day}".encode()).digest()[:4]) / 2**32
    return datetime.combine(day, at, zone).astimezone(UTC) + draw * plan.jitter


def _length(name: str, value: float) -> float:
    if not 0 <= value < 1e6:
        raise BadSettings(f"serve.{name} is {value:g}; it takes a number from 0 on")
    return value
