"""Trying again when a server is busy or away: longer pauses each time, drawn at random, or as long as the server asks.

The libraries of both servers could do this themselves, but neither tells a used-up quota from a busy moment, and one
ignores `Retry-After`; so both are told not to, and this is the one behaviour (docs/adr/0023).
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TypeVar

from agents.errors import BackendUnreachable

_T = TypeVar("_T")
_log = logging.getLogger(__name__)


class Busy(Exception):
    """One try failed in a way that may pass. `after_s`: how long the server asks to wait, None where it does not."""

    def __init__(self, why: str, after_s: float | None = None) -> None:
        super().__init__(why)
        self.after_s = after_s


@dataclass(frozen=True, slots=True)
class Retries:
    """`n` further tries. The k-th pause is drawn from the upper half of [0, first * 2^k], at most `longest_delay_s`."""

    n: int = 4
    first_delay_s: float = 0.5
    longest_delay_s: float = 60.0

    def pause_s(self, k: int, after_s: float | None) -> float | None:
        """How long to wait before further try k (from 0); None where the server asks for longer than anybody waits."""
        if after_s is not None:
            return after_s if after_s <= self.longest_delay_s else None
        ceiling: float = min(self.first_delay_s * 2**k, self.longest_delay_s)
        return ceiling * (0.5 + 0.5 * random.random())


def retried(name: str, call: Callable[[], _T], retries: Retries) -> _T:
    """What `call` gives, called again while it raises Busy. Raises BackendUnreachable after the last try."""
    for k in range(retries.n + 1):
        try:
            return call()
        except Busy as busy:
            pause = retries.pause_s(k, busy.after_s)
            if k == retries.n or pause is None:
                raise BackendUnreachable(name, str(busy)) from busy
            _log.info("%s: try %d of %d in %.1f s (%s)", name, k + 2, retries.n + 1, pause, busy)
        time.sleep(pause)
    raise AssertionError("unreachable: the last try returns or raises")


@contextmanager
def not_retried(name: str) -> Iterator[None]:
    """Around what cannot be called again, such as half a stream: Busy becomes BackendUnreachable."""
    try:
        yield
    except Busy as busy:
        raise BackendUnreachable(name, str(busy)) from busy


def seconds_asked(header: str | None, now: Callable[[], float] = time.time) -> float | None:
    """The value of a `Retry-After` header in seconds: a number, or a date (RFC 9110, 10.2.3). None for anything else."""
    if not header:
        return None
    try:
        return max(0.0, float(header))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(header).timestamp() - now())
    except (TypeError, ValueError):
        return None
