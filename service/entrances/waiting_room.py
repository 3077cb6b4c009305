"""Where requests wait for a persona: a few threads of their own, and before them a bounded number that take none.

One persona of a space speaks at a time, for seconds on a small machine. Who waits for it in a thread of those that answer
would keep reading from everybody else.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar

from service.errors import PersonasBusy

if TYPE_CHECKING:
    from anyio import CapacityLimiter

THREADS = 4  # of a space: one speaks, and a company lets others in between its turns
MOST = 64  # requests of a space that wait or are answered
RETRY_AFTER_S = 5

T = TypeVar("T")


class WaitingRoom:
    """Of one space; for the event loop's thread alone."""

    def __init__(self, most: int = MOST) -> None:
        self._most, self._n = most, 0

    @cached_property
    def _limiter(self) -> CapacityLimiter:
        from anyio import CapacityLimiter

        return CapacityLimiter(THREADS)

    async def run(self, work: Callable[[], T]) -> T:
        """What the work comes to, in the order of asking. Raises PersonasBusy at once where too many wait."""
        from anyio.to_thread import run_sync

        if self._n >= self._most:
            raise PersonasBusy(RETRY_AFTER_S)
        self._n += 1
        try:
            return await run_sync(work, limiter=self._limiter)
        finally:
            self._n -= 1
