"""Whether the daemon can do its work: the store, the models, the disk, the leases, the timer. Each check is a word and a bool."""

from __future__ import annotations

import importlib.util
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from agents.runtime.spec import locate
from db.engine import is_at_head
from db.errors import DatabaseError
from db.tables import Lease
from memory.embedders.minilm import PACKAGE
from memory.errors import ModelMissing
from memory.ports import utc_now
from service import machine

if TYPE_CHECKING:
    from service.daemon.scheduling import Scheduler
    from service.spaces import Spaces

ENOUGH_BYTES = 256 << 20
LONGEST_LEASE = timedelta(days=2)  # a lease beyond is one of a clock that went wrong
LATEST_LOOK_S = 300.0


def readiness(spaces: Spaces, scheduler: Scheduler | None) -> dict[str, Any]:
    """`{ready, checks: {name: bool}}`; `ready` where each holds."""
    checks = {
        "store": _store(spaces),
        "models": _models(spaces),
        "disk": (machine.free_bytes(spaces.settings.home) or 0) >= ENOUGH_BYTES,
        "leases": _leases(spaces),
        "timer": _timer(scheduler),
    }
    return {"ready": all(checks.values()), "checks": checks}


def _store(spaces: Spaces) -> bool:
    try:
        return is_at_head(spaces.shared.database.engine)
    except Exception:  # whatever keeps it from answering
        return False


def _models(spaces: Spaces) -> bool:
    try:
        locate(spaces.settings.night.base_model)
    except ModelMissing:
        return False
    return importlib.util.find_spec(PACKAGE) is not None


def _leases(spaces: Spaces) -> bool:
    try:
        with spaces.shared.database.reading() as session:
            far = select(Lease.name).where(Lease.expires_at > utc_now() + LONGEST_LEASE).limit(1)
            return session.scalar(far) is None
    except DatabaseError:
        return False


def _timer(scheduler: Scheduler | None) -> bool:
    if scheduler is None or scheduler.looked_at is None:
        return True  # an application without one, or one that begins
    return time.monotonic() - scheduler.looked_at < LATEST_LOOK_S
