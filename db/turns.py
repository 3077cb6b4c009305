"""Turns: a lock that whoever takes it again and again cannot keep from the others, and who is urgent goes first."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock


class Turns:
    """Who has waited longest is next, those that are urgent before all others. Safe for threads, and not to be taken twice
    by one."""

    def __init__(self, patience_s: float = -1) -> None:
        """`patience_s`: after waiting so long a caller goes in all the same, where what is guarded has a lock of its own."""
        self._patience_s = patience_s
        self._lock, self._is_held = Lock(), False
        self._urgent, self._waiting = deque[Lock](), deque[Lock]()  # each opens when it is that one's turn

    @contextmanager
    def held(self, *, is_urgent: bool = False) -> Iterator[None]:
        is_ours = self._take(self._urgent if is_urgent else self._waiting)
        try:
            yield
        finally:
            if is_ours:
                self._pass_on()

    def _take(self, queue: deque[Lock]) -> bool:
        with self._lock:
            if not self._is_held:
                self._is_held = True
                return True
            turn = Lock()
            turn.acquire()
            queue.append(turn)
        if turn.acquire(timeout=self._patience_s):
            return True
        with self._lock:
            if turn in queue:
                queue.remove(turn)
                return False
        return True  # it came in the moment that patience ended

    def _pass_on(self) -> None:
        with self._lock:
            queue = self._urgent or self._waiting
            if queue:
                queue.popleft().release()
            else:
                self._is_held = False
