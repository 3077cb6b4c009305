"""When it is for the persona: the part of the day, and how long ago the conversation was left."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo

MAX_GAP_S = 120 * 60  # a longer pause begins a new conversation
_PARTS = ((5, "night"), (12, "morning"), (18, "afternoon"), (22, "evening"), (24, "night"))
_UNITS = (("year", 365 * 86400), ("month", 30 * 86400), ("week", 7 * 86400), ("day", 86400), ("hour", 3600))


def moment_note(now: datetime, last: datetime | None, zone: tzinfo = UTC) -> str:
    """One sentence or two; `last`: when the conversation's last turn was, None where there was none."""
    local = now.astimezone(zone)
    part = next(name for until, name in _PARTS if local.hour < until)
    note = f"It is {local:%A} {part}."
    if last is None or (now - last).total_seconds() <= MAX_GAP_S:
        return note
    return f"{note} You last talked {_ago((now - last).total_seconds())} ago."


def _ago(seconds: float) -> str:
    unit, size = next((unit, size) for unit, size in _UNITS if seconds >= size)
    n = int(seconds // size)
    return f"{n} {unit}{'s' if n > 1 else ''}" if n > 1 else f"{'an' if unit == 'hour' else 'a'} {unit}"
