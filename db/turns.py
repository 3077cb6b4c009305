"""Turns: a lock that whoever takes it again and again cannot keep from the others."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock


class Turns:
    """Who has waited is next. Safe for threads, and not to be taken twice by one."""

    def __init__(self, patience_s: float = -1) -> None:
        """`patience_s`: after waiting so long a caller goes in all the same, where what is guarded has a lock of its own."""
        self._patience_s = patience_s
        self._next, self._held = Lock(), Lock()

    @contextmanager
    def held(self) -> Iterator[None]:
        is_ours = self._take()
        try:
            yield
        finally:
            if is_ours:
                self._held.release()

    def _take(self) -> bool:
        if not self._next.acquire(timeout=self._patience_s):
            return False
        try:
            return self._held.acquire(timeout=self._patience_s)
        finally:
            self._next.release()
