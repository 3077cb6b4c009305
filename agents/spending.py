"""What back-ends cost: tokens and money by day and by run, kept in the home, and the limits on them.

A request is let through only if the most that it can cost still fits; what it did cost is counted from the server's
own figures when it has answered. So a limit is kept, but for an estimate of the prompt that was too low and for what
other processes have on the way. Days are UTC. The file holds names of models and numbers, never anybody's words.
"""

from __future__ import annotations

import math
import secrets
import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from agents.errors import BudgetSpent
from memory.ports import Clock, utc_now

FILE = "spending.db"
_MILLION = 1_000_000
_BYTES_PER_TOKEN = 1.8  # of UTF-8; measured on chats as JSON: 1.9 to 2.1 with SmolLM2's vocabulary
_PER_MESSAGE = 8  # tokens of a message's frame
_PATIENCE_S = 30.0

_SCHEMA = """
CREATE TABLE IF NOT EXISTS spent (
  day TEXT NOT NULL, run TEXT NOT NULL, backend TEXT NOT NULL,
  requests INTEGER NOT NULL, tokens_in INTEGER NOT NULL, tokens_out INTEGER NOT NULL,
  estimated INTEGER NOT NULL, cost REAL NOT NULL,
  PRIMARY KEY (day, run, backend))
"""
_ADD = """
INSERT INTO spent VALUES (?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (day, run, backend) DO UPDATE SET
  requests = requests + excluded.requests, tokens_in = tokens_in + excluded.tokens_in,
  tokens_out = tokens_out + excluded.tokens_out, estimated = estimated + excluded.estimated,
  cost = cost + excluded.cost
"""
_SUMS = "COALESCE(SUM(requests), 0), COALESCE(SUM(tokens_in), 0), COALESCE(SUM(tokens_out), 0), COALESCE(SUM(estimated), 0), COALESCE(SUM(cost), 0.0)"


@dataclass(frozen=True, slots=True)
class Prices:
    """Per million tokens, in whatever currency; costs are in the same. Zero: nothing is reckoned."""

    million_in: float = 0.0
    million_out: float = 0.0

    def of(self, tokens_in: int, tokens_out: int) -> float:
        return (tokens_in * self.million_in + tokens_out * self.million_out) / _MILLION


@dataclass(frozen=True, slots=True)
class Limits:
    """The most that may be spent in a day and in a run (a night, an import); 0 is no limit."""

    tokens_per_day: int = 0
    cost_per_day: float = 0.0
    tokens_per_run: int = 0
    cost_per_run: float = 0.0


@dataclass(frozen=True, slots=True)
class Spent:
    """Sums. `n_estimated` requests came back without the server's figures and are counted by length."""

    n_requests: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    n_estimated: int = 0
    cost: float = 0.0

    @property
    def tokens(self) -> int:
        return self.tokens_in + self.tokens_out


class Spending:
    """The file of the home that remembers; safe for threads and processes. Made at the first entry."""

    def __init__(self, home: Path) -> None:
        self.path = home / FILE

    def add(self, day: str, run: str, backend: str, spent: Spent) -> None:
        row = (spent.n_requests, spent.tokens_in, spent.tokens_out, spent.n_estimated, spent.cost)
        with self._open() as store, store:
            store.execute(_ADD, (day, run, backend, *row))

    def of_day(self, day: str) -> Spent:
        return self._sum("day = ?", (day,))

    def of_run(self, run: str) -> Spent:
        return self._sum("run = ?", (run,))

    def by_day(self, n_days: int = 30) -> list[tuple[str, str, Spent]]:
        """(day, back-end, spent), the newest day first."""
        if not self.path.exists():
            return []
        query = (
            f"SELECT day, backend, {_SUMS} FROM spent WHERE day IN "
            "(SELECT DISTINCT day FROM spent ORDER BY day DESC LIMIT ?) GROUP BY day, backend ORDER BY day DESC, backend"
        )
        with self._open() as store:
            rows = store.execute(query, (n_days,)).fetchall()
        return [(day, backend, Spent(*sums)) for day, backend, *sums in rows]

    def _sum(self, condition: str, values: Sequence[str]) -> Spent:
        if not self.path.exists():
            return Spent()
        with self._open() as store:
            return Spent(*store.execute(f"SELECT {_SUMS} FROM spent WHERE {condition}", values).fetchone())

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(self.path, timeout=_PATIENCE_S)) as store:
            store.execute(_SCHEMA)
            yield store


@dataclass(slots=True)
class Bill:
    """One request: what it may cost at most, and what it did cost once the server has said so."""

    most_in: int
    most_out: int
    spent: Spent | None = None

    def settle(self, tokens_in: int | None, tokens_out: int | None, *, answer: str = "") -> None:
        """Take the server's figures; where it gives none, `answer` is counted by its length. May be called again."""
        is_estimated = tokens_in is None or tokens_out is None
        self.spent = Spent(
            n_requests=1,
            tokens_in=self.most_in if tokens_in is None else tokens_in,
            tokens_out=tokens_of(answer) if tokens_out is None else tokens_out,
            n_estimated=int(is_estimated),
        )


@dataclass
class Budget:
    """Lets requests through while their cost fits the limits, and counts what they cost. Safe for threads."""

    spending: Spending
    limits: Limits = field(default_factory=Limits)
    prices: Prices = field(default_factory=Prices)
    clock: Clock = utc_now

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._on_the_way: list[Bill] = []
        self._is_running = False
        self._named: Callable[[], str] = _a_run
        self._run: str | None = None

    @contextmanager
    def run(self, named: Callable[[], str]) -> Iterator[None]:
        """Within, requests belong to the run that `named` names when the first of them is made. Within another run
        they belong to that one."""
        with self._lock:
            is_outer = not self._is_running
            if is_outer:
                self._is_running, self._named, self._run = True, named, None
        try:
            yield
        finally:
            if is_outer:
                with self._lock:
                    self._is_running, self._named, self._run = False, _a_run, None

    @contextmanager
    def request(self, backend: str, messages: Sequence[Mapping[str, str]], max_tokens: int) -> Iterator[Bill]:
        """One request; the caller settles the bill. Raises BudgetSpent before anything is sent.

        What ends in an error before it was settled costs nothing: no answer, no figures.
        """
        bill = Bill(sum(tokens_of(m["content"]) + _PER_MESSAGE for m in messages), max_tokens)
        with self._lock:
            run = self._run = self._named() if self._run is None else self._run
            self._check(backend, run, bill)
            self._on_the_way.append(bill)
        try:
            yield bill
        finally:
            with self._lock:
                self._on_the_way.remove(bill)
                if bill.spent is not None:
                    self._count(backend, run, bill.spent)

    def today(self) -> Spent:
        return self.spending.of_day(_day(self.clock()))

    def _count(self, backend: str, run: str, spent: Spent) -> None:
        cost = self.prices.of(spent.tokens_in, spent.tokens_out)
        counted = Spent(1, spent.tokens_in, spent.tokens_out, spent.n_estimated, cost)
        self.spending.add(_day(self.clock()), run, backend, counted)

    def _check(self, backend: str, run: str, bill: Bill) -> None:
        waiting = [bill, *self._on_the_way]
        tokens = sum(item.most_in + item.most_out for item in waiting)
        cost = sum(self.prices.of(item.most_in, item.most_out) for item in waiting)
        limits = self.limits
        if limits.tokens_per_day or limits.cost_per_day:
            day = self.today()
            _refuse(backend, "backend.max_tokens_per_day", limits.tokens_per_day, day.tokens, tokens)
            _refuse(backend, "backend.max_cost_per_day", limits.cost_per_day, day.cost, cost)
        if limits.tokens_per_run or limits.cost_per_run:
            so_far = self.spending.of_run(run)
            _refuse(backend, "backend.max_tokens_per_run", limits.tokens_per_run, so_far.tokens, tokens)
            _refuse(backend, "backend.max_cost_per_run", limits.cost_per_run, so_far.cost, cost)


def _refuse(backend: str, setting: str, limit: float, spent: float, wanted: float) -> None:
    if limit and spent + wanted > limit:
        raise BudgetSpent(backend, f"{setting} = {limit:g}", f"{spent:g}", f"{wanted:g}")


def tokens_of(text: str) -> int:
    """How many tokens a text may be, on the high side."""
    return math.ceil(len(text.encode("utf-8", "surrogatepass")) / _BYTES_PER_TOKEN)


def _a_run() -> str:
    """The name of a run that nobody named."""
    return f"run {secrets.token_hex(4)}"


def _day(moment: datetime) -> str:
    return moment.date().isoformat()
