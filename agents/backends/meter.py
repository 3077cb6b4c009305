"""What every request to a back-end passes: never more than so many at once, and none beyond the budget."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext

from agents.spending import Bill, Budget


class Meter:
    """Safe for threads. `at_once` requests at most are on their way; 0 sets no limit. Without a budget all may go."""

    def __init__(self, at_once: int = 0, budget: Budget | None = None) -> None:
        self.at_once = at_once
        self.budget = budget
        self._places = threading.BoundedSemaphore(at_once) if at_once else nullcontext()

    @contextmanager
    def request(self, backend: str, messages: Sequence[Mapping[str, str]], max_tokens: int) -> Iterator[Bill]:
        """One request with its retries; waits for a place. Raises BudgetSpent before anything is sent."""
        with self._places:
            if self.budget is None:
                yield Bill(0, max_tokens)
                return
            with self.budget.request(backend, messages, max_tokens) as bill:
                yield bill
