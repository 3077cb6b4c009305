from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import pytest
from sqlalchemy import text

from db.engine import Database, open_database, sqlite_url
from memory import audit
from memory.audit import Act
from memory.ports import utc_now
from service.access.recording import Recorder


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Database]:
    opened = open_database(sqlite_url(tmp_path / "graph.db"))
    yield opened
    opened.close()


def acts(store: Database) -> list[str]:
    return [entry.act.what for entry in reversed(audit.entries(store))]


def test_acts_that_wait_for_a_writer_are_written_in_their_order(store: Database) -> None:
    recorder = Recorder(store, utc_now)

    async def many() -> None:
        with store.transaction():
            waiting = [
                asyncio.create_task(recorder.record(Act("token", f"act {i}", "200"))) for i in range(9)
            ]
            await asyncio.sleep(0.05)
            assert not any(task.done() for task in waiting)
        await asyncio.gather(*waiting)

    asyncio.run(many())
    assert acts(store) == [f"act {i}" for i in range(9)]
    assert list(audit.breaks(store)) == []


def test_who_leaves_takes_no_act_along(store: Database) -> None:
    recorder = Recorder(store, utc_now)

    async def leave() -> None:
        with store.transaction():
            gone = asyncio.create_task(recorder.record(Act("token", "of somebody who left", "200")))
            await asyncio.sleep(0.05)
            gone.cancel()
            after = asyncio.create_task(recorder.record(Act("token", "after it", "200")))
            await asyncio.sleep(0)
        await after

    asyncio.run(leave())
    assert acts(store) == ["of somebody who left", "after it"]


def test_each_is_told_what_kept_its_act_off_the_record(store: Database) -> None:
    recorder = Recorder(store, utc_now)
    with store.transaction() as session:
        session.execute(text("ALTER TABLE act RENAME TO elsewhere"))

    async def refused() -> list[BaseException | None]:
        given = (recorder.record(Act("token", f"act {i}", "200")) for i in range(3))
        return await asyncio.gather(*given, return_exceptions=True)

    assert all(isinstance(error, Exception) for error in asyncio.run(refused()))
    with store.transaction() as session:
        session.execute(text("ALTER TABLE elsewhere RENAME TO act"))
    asyncio.run(recorder.record(Act("token", "later", "200")))
    assert acts(store) == ["later"]


def test_acts_of_several_loops_are_all_on_record(store: Database) -> None:
    recorder = Recorder(store, utc_now)

    def one(number: int) -> None:
        asyncio.run(asyncio.wait_for(recorder.record(Act("token", f"act {number}", "200")), 60))

    threads = [Thread(target=one, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(acts(store)) == [f"act {number}" for number in range(8)]
