from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from sqlalchemy import text

from db.engine import open_database, sqlite_url
from db.turns import Turns


def test_who_takes_it_again_and_again_lets_the_others_in() -> None:
    turns, order = Turns(), []
    waits = threading.Event()

    def other() -> None:
        waits.set()
        with turns.held():
            order.append("other")

    with ThreadPoolExecutor() as threads:
        with turns.held():
            done = threads.submit(other)
            assert waits.wait(10)
            while not turns._next.locked():
                pass
        with turns.held():
            order.append("again")
        done.result(10)
    assert order == ["other", "again"]


def test_who_has_no_patience_goes_in_and_leaves_the_lock_to_its_holder() -> None:
    turns = Turns(patience_s=0.01)
    with turns.held():
        with turns.held():
            pass
        assert turns._held.locked()
    assert not turns._held.locked()


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
