"""Acts on their way into the audit log: those that come while one is written are written together, in one transaction.

Each is on record before its answer leaves. Who waits for that takes no thread.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from threading import Lock
from weakref import WeakKeyDictionary

from starlette.concurrency import run_in_threadpool

from db.engine import Database
from memory import audit
from memory.audit import Act
from memory.ports import Clock

_Waiting = tuple[datetime, Act, "asyncio.Future[None]"]


@dataclass(slots=True)
class _Queue:
    waiting: list[_Waiting] = field(default_factory=list)
    task: asyncio.Task[None] | None = None


class Recorder:
    """Safe to share between event loops; each has a queue of its own, since what waits in one cannot be woken by another."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database, self._clock = database, clock
        self._queues: WeakKeyDictionary[asyncio.AbstractEventLoop, _Queue] = WeakKeyDictionary()
        self._lock = Lock()

    async def record(self, act: Act) -> None:
        """Returns when the act is on record; raises what kept it from that. A caller who leaves takes no act along."""
        loop = asyncio.get_running_loop()
        with self._lock:
            queue = self._queues.setdefault(loop, _Queue())
        done = loop.create_future()
        queue.waiting.append((self._clock(), act, done))
        if queue.task is None or queue.task.done():
            queue.task = loop.create_task(self._write(queue))
        await done

    async def _write(self, queue: _Queue) -> None:
        while queue.waiting:
            some, queue.waiting = queue.waiting, []
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
