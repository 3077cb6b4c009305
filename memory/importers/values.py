"""Single values out of JSON exports: times and texts, checked."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_HALF = re.compile("[\ud800-\udfff]")
_FIRST_MS = 1e11  # a number this large counts milliseconds (as seconds it would be the year 5138)


def parse_time(value: Any, zone: tzinfo) -> datetime:
    """An aware time from ISO 8601 or a number since 1970; raises TypeError or ValueError for anything else.

    Seconds with a fraction are kept to the microsecond. Years outside 1970-2200 are refused.
    """
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise TypeError("a time is a string or a number")
    if isinstance(value, str):
        time = datetime.fromisoformat(value.strip())
    else:
        time = _EPOCH + timedelta(seconds=value / 1000 if abs(value) >= _FIRST_MS else value)
    if time.tzinfo is None:
        time = time.replace(tzinfo=zone)
    if not 1970 <= time.year <= 2200:
        raise ValueError(f"the year {time.year} is out of range")
    return time


def whole_text(value: Any) -> str:
    """A string fit for the store: halves of surrogate pairs joined or replaced, no NUL; a number as its digits."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise TypeError("a text is a string")
    text = str(value)
    if _HALF.search(text):
        text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text.replace("\0", "")


def whole(value: Any) -> Any:
    """The same JSON value with every string in it made fit for the store."""
    if isinstance(value, dict):
        return {whole_text(key): whole(item) for key, item in value.items()}
    if isinstance(value, list):
        return [whole(item) for item in value]
    return whole_text(value) if isinstance(value, str) else value
