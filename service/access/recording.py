"""Acts on their way into the audit log: those that come while one is written are written together, in one transaction.

Each is on record before its answer leaves. Who waits for that takes no thread.
"""

from __future__ import annotations

import asyncio
from datetime import datetime
from functools import partial

from starlette.concurrency import run_in_threadpool

from db.engine import Database
from memory import audit
from memory.audit import Act
from memory.ports import Clock

_Waiting = tuple[datetime, Act, "asyncio.Future[None]"]


class Recorder:
    """For the event loop's thread alone."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database, self._clock = database, clock
        self._waiting: list[_Waiting] = []
        self._task: asyncio.Task[None] | None = None

    async def record(self, act: Act) -> None:
        """Returns when the act is on record; raises what kept it from that. A caller who leaves takes no act along."""
        done = asyncio.get_running_loop().create_future()
        self._waiting.append((self._clock(), act, done))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._write())
        await done

    async def _write(self) -> None:
        while self._waiting:
            some, self._waiting = self._waiting, []
            acts = [(at, act) for at, act, _ in some]
            try:
                await run_in_threadpool(partial(audit.record_all, self._database, acts))
            except Exception as error:  # told to each who waits
                for _, _, done in some:
                    if not done.done():
                        done.set_exception(error)
            else:
                for _, _, done in some:
                    if not done.done():
                        done.set_result(None)
