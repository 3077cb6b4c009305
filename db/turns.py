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
        try:
            if turn.acquire(timeout=self._patience_s):
                return True
        except BaseException:  # of a signal: nobody may be left waiting for who has gone
            if not self._gave_up(turn, queue):
                self._pass_on()
            raise
        return not self._gave_up(turn, queue)

    def _gave_up(self, turn: Lock, queue: deque[Lock]) -> bool:
        """Whether it no longer waits; else its turn came in this very moment."""
        with self._lock:
            if turn not in queue:
                return False
            queue.remove(turn)
            return True

    def _pass_on(self) -> None:
        with self._lock:
            queue = self._urgent or self._waiting
            if queue:
                queue.popleft().release()
            else:
                self._is_held = False
