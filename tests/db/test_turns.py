from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import text

from db.engine import open_database, sqlite_url
from db.turns import Turns


def soon(state: Callable[[], object]) -> None:
    until = time.monotonic() + 10
    while not state():
        assert time.monotonic() < until


def test_who_takes_it_again_and_again_lets_the_others_in() -> None:
    turns, order = Turns(), []

    def other() -> None:
        with turns.held():
            order.append("other")

    with ThreadPoolExecutor() as threads:
        with turns.held():
            done = threads.submit(other)
            soon(lambda: turns._waiting)
        with turns.held():
            order.append("again")
        done.result(10)
    assert order == ["other", "again"]


def test_who_came_first_is_next_and_who_is_urgent_before_them() -> None:
    turns, order = Turns(), []

    def come(name: str, *, is_urgent: bool = False) -> None:
        with turns.held(is_urgent=is_urgent):
            order.append(name)

    with ThreadPoolExecutor(5) as threads:
        with turns.held():
            came = []
            for i, name in enumerate(("first", "second", "third"), 1):
                came.append(threads.submit(come, name))
                soon(lambda i=i: len(turns._waiting) == i)  # type: ignore[misc]
            came.append(threads.submit(come, "urgent", is_urgent=True))
            soon(lambda: turns._urgent)
        for each in came:
            each.result(10)
    assert order == ["urgent", "first", "second", "third"]
    assert not turns._is_held


def test_who_has_no_patience_goes_in_and_leaves_the_lock_to_its_holder() -> None:
    turns = Turns(patience_s=0.01)
    with turns.held():
        with turns.held():
            pass
        assert turns._is_held
        assert not turns._waiting
    assert not turns._is_held


def test_who_is_interrupted_while_waiting_keeps_nobody_out() -> None:
    turns = Turns()

    def interrupt(_signal: int, _frame: object) -> None:
        raise InterruptedError

    before = signal.signal(signal.SIGALRM, interrupt)
    leave = threading.Event()

    def hold() -> None:
        with turns.held():
            assert leave.wait(30)

    try:
        with ThreadPoolExecutor() as threads:
            holder = threads.submit(hold)
            soon(lambda: turns._is_held)
            signal.setitimer(signal.ITIMER_REAL, 0.1)
            with pytest.raises(InterruptedError), turns.held():
                pass
            assert not turns._waiting
            leave.set()
            holder.result(10)
            assert not turns._is_held
    finally:
        signal.signal(signal.SIGALRM, before)


def test_writers_of_a_process_follow_each_other_and_none_is_lost(tmp_path: Path) -> None:
    database = open_database(sqlite_url(tmp_path / "graph.db"))
    with database.transaction() as session:
        session.execute(text("CREATE TABLE counted (n INTEGER)"))
        session.execute(text("INSERT INTO counted VALUES (0)"))

    def write(_: int) -> None:
        for _ in range(5):
            with database.transaction() as session:
                n = session.scalar(text("SELECT n FROM counted"))
                session.execute(text("UPDATE counted SET n = :n"), {"n": n + 1})

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(write, range(4)))
    with database.reading() as session:
        assert session.scalar(text("SELECT n FROM counted")) == 20
    database.close()
