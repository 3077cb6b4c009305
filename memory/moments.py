"""Times that come from outside: which of them a store can hold."""

from __future__ import annotations

from datetime import UTC, datetime

from memory.errors import UnreadableTime

LAST_YEAR = 9998  # some write 9999 for "open"; an open end is left out instead


def checked(moment: datetime) -> datetime:
    """The moment in UTC. Raises UnreadableTime where it names no zone, or has no place in the calendar in UTC."""
    if moment.tzinfo is None:
        raise UnreadableTime(moment.isoformat(), "it names no time zone")
    try:
        moment = moment.astimezone(UTC)
    except OverflowError as error:
        raise UnreadableTime(moment.isoformat(), "it is outside the years 1 to 9998") from error
    if moment.year > LAST_YEAR:
        raise UnreadableTime(moment.isoformat(), "the year is past 9998; leave out what is open")
    return moment
