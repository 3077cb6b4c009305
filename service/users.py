"""`Users`: how many use something that is open now, so that nobody closes it under them."""

from __future__ import annotations

import threading
import time


class Users:
    """Requests, and work that goes on where nobody listens any more. Safe for threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._n, self._left_at = 0, time.monotonic()

    def enter(self) -> None:
        """One more; each owes a `leave`, which may come from another thread."""
        with self._lock:
            self._n += 1

    def leave(self) -> None:
        with self._lock:
            self._n -= 1
            self._left_at = time.monotonic()

    def have_left_for(self, seconds: float) -> bool:
        """Whether there has been none for that long."""
        with self._lock:
            return self._n == 0 and time.monotonic() - self._left_at > seconds
