"""The nightly job, kept by APScheduler in the same database, so that a night missed while the machine slept is made up.

A stored job can name only what a module holds, hence `_NIGHTS`: the daemon's nights by space. The job's state is a pickle
in the owner's own database, as APScheduler 3 writes it; whoever can write there can run code as the daemon.
"""

from __future__ import annotations

import logging
import re

from apscheduler.jobstores.sqlalchemy import SQLAlchemyJobStore
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.cron import CronTrigger

from memory.spaces import zone
from service.errors import BadSettings
from service.nights import Nights, start_quietly
from service.wiring import Services

GRACE_S = 6 * 3600  # a night missed by no more than this begins as soon as the daemon is back

_NIGHTS: dict[str, Nights] = {}

log = logging.getLogger(__name__)


def start_scheduler(services: Services, nights: Nights) -> BackgroundScheduler:
    """Start the scheduler with the space's nightly job as the settings want it. Shut it down when done."""
    trigger = nightly_trigger(services.settings.serve.nightly_at, services.settings.timezone)
    _NIGHTS[services.space_id] = nights
    scheduler = BackgroundScheduler(
        jobstores={"default": SQLAlchemyJobStore(engine=services.database.engine)},
        timezone=zone(services.settings.timezone),
    )
    scheduler.start(paused=True)
    _settle(scheduler, services.space_id, trigger)
    scheduler.resume()
    return scheduler


def nightly_trigger(at: str, timezone: str) -> CronTrigger | None:
    """Every day at HH:MM in that zone, or None for "". Raises BadSettings."""
    if not at:
        return None
    match = re.fullmatch(r"([01]?\d|2[0-3]):([0-5]\d)", at)
    if match is None:
        raise BadSettings(
            f"serve.nightly_at is {at!r}; write it as 03:00, or leave it empty for no nightly job"
        )
    return CronTrigger(hour=int(match[1]), minute=int(match[2]), timezone=zone(timezone))


def _settle(scheduler: BackgroundScheduler, space_id: str, trigger: CronTrigger | None) -> None:
    job_id = f"night:{space_id}"
    known = scheduler.get_job(job_id)
    if trigger is None:
        if known is not None:
            known.remove()
        return
    if known is not None and repr(known.trigger) == repr(trigger):
        return  # left alone it still knows the time that was missed
    scheduler.add_job(
        begin_nightly,
        trigger,
        args=[space_id],
        id=job_id,
        replace_existing=True,
        coalesce=True,
        max_instances=1,
        misfire_grace_time=GRACE_S,
    )


def begin_nightly(space_id: str) -> None:
    """What the stored job calls."""
    nights = _NIGHTS.get(space_id)
    if nights is None:
        log.info("nightly job of a space that this daemon does not serve; skipped")
        return
    start_quietly(nights)
