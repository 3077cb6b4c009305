"""One night at a time: the lease of a space's night, kept alive by a thread while the night works.

The lease counts real seconds, whatever clock the night records with. A holder of this machine whose process is
gone loses the lease at once; a holder of another machine when it has not renewed for LEASE_TTL_S seconds.
"""

from __future__ import annotations

import logging
import os
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import StaticPool, select
from sqlalchemy.exc import SQLAlchemyError

from db import leases
from db.engine import Database
from db.errors import DatabaseError, LeaseHeld
from db.tables import Lease
from memory.ports import utc_now

LEASE_TTL_S = 60.0
RENEW_EVERY_S = 15.0
HOLDER = re.compile(r"^(?P<pid>\d+)@(?P<host>\S+)")

log = logging.getLogger(__name__)


def lease_name(space_id: str, work: str = "sleep") -> str:
    return f"{work}:{space_id}"


def this_machine() -> str:
    """In place of a space's id: the lease of whoever lets one night at a time work on this machine."""
    return f"on {socket.gethostname()}"


def at_work_here(database: Database) -> str | None:
    """Who works at a night, of any space, on this machine; None where nobody does."""
    query = select(Lease.name, Lease.holder).where(
        Lease.name.startswith("sleep:"), Lease.expires_at > utc_now()
    )
    with database.reading() as session:
        rows = session.execute(query.order_by(Lease.acquired_at)).all()
    for name, holder in rows:
        match = HOLDER.match(holder)
        if match is not None and match["host"] == socket.gethostname():
            still = free_if_dead(database, name.removeprefix("sleep:"))
            if still is not None:
                return still
    return None


def this_process() -> str:
    """The name this process holds leases under: pid@host."""
    return f"{os.getpid()}@{socket.gethostname()}"


def free_if_dead(database: Database, space_id: str, work: str = "sleep") -> str | None:
    """Release the lease of a process of this machine that is gone. Returns who still holds it, or None."""
    holder = leases.holder_of(database, lease_name(space_id, work), now=utc_now())
    if holder is not None and _is_dead(holder):
        leases.release(database, lease_name(space_id, work), holder)
        return None
    return holder


def _is_dead(holder: str) -> bool:
    match = HOLDER.match(holder)
    if match is None or match["host"] != socket.gethostname():
        return False
    try:
        os.kill(int(match["pid"]), 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False


@contextmanager
def hold(
    database: Database, space_id: str, holder: str, lost: threading.Event, *, work: str = "sleep"
) -> Iterator[None]:
    """Hold the space's night, or other `work` of it that one does at a time, for as long as the block runs.

    Raises LeaseHeld; sets `lost` if it is taken away.
    """
    name = lease_name(space_id, work)
    free_if_dead(database, space_id, work)
    if isinstance(database.engine.pool, StaticPool):  # a store in memory: one connection, no other process
        leases.acquire(database, name, holder, now=utc_now(), ttl_s=86_400)
        try:
            yield
        finally:
            leases.release(database, name, holder)
        return
    leases.acquire(database, name, holder, now=utc_now(), ttl_s=LEASE_TTL_S)
    done = threading.Event()
    keeper = threading.Thread(target=_renew, args=(database, name, holder, done, lost), daemon=True)
    keeper.start()
    try:
        yield
    finally:
        done.set()
        keeper.join()
        leases.release(database, name, holder)


def _renew(database: Database, name: str, holder: str, done: threading.Event, lost: threading.Event) -> None:
    while not done.wait(RENEW_EVERY_S):
        try:
            leases.acquire(database, name, holder, now=utc_now(), ttl_s=LEASE_TTL_S)
        except LeaseHeld as error:
            log.error("the lease of %s went to %s; the work stops", name.partition(":")[0], error.holder)
            lost.set()
            return
        except (SQLAlchemyError, DatabaseError) as error:  # a busy or full store: the next beat tries again
            log.warning("the lease could not be renewed: %s", type(error).__name__)
