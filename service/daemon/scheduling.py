"""Begins nights when they are due, one at a time over all spaces: what has to wait stands in the table `schedule`.

APScheduler is the timer and no more: it calls `look` every TICK_S seconds and keeps nothing. What was begun, missed or
waits is in the store in plain columns, so a restart knows it, and no pickle is ever read.
"""

from __future__ import annotations

import logging
import time
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from consolidation import runs
from db.errors import LeaseHeld
from memory.audit import Act, record
from memory.spaces import Space, zone
from service.daemon import lasting, schedule
from service.daemon.due import Plan, Quiet, is_quiet_enough, last_moment
from service.daemon.nights import Nights, night_settings
from service.entrances import forgetting
from service.errors import one_line

if TYPE_CHECKING:
    from apscheduler.schedulers.background import BackgroundScheduler

    from service.settings import Settings
    from service.spaces import Spaces

TICK_S = 15.0
BACKUP_TICK_S = 600.0
TIDY_S = 600.0  # between two looks for erasures that were cut off

log = logging.getLogger(__name__)


class Scheduler:
    """The nights of all spaces of one daemon. `start` it, or call `look` whenever time has passed."""

    def __init__(self, spaces: Spaces) -> None:
        """Raises BadSettings."""
        self._spaces = spaces
        self._database = spaces.shared.database
        self._plan = Plan.of(spaces.settings.serve)
        self._timer: BackgroundScheduler | None = None
        self.looked_at: float | None = None  # by time.monotonic, for who asks whether the timer is alive
        self._tidied_at: float | None = None

    def start(self) -> None:
        from apscheduler.schedulers.background import BackgroundScheduler

        self._timer = BackgroundScheduler(timezone="UTC")
        self._timer.add_job(
            self.look_quietly,
            "interval",
            seconds=TICK_S,
            next_run_time=self._spaces.clock() + timedelta(seconds=1),
            coalesce=True,
            max_instances=1,
            misfire_grace_time=None,
        )
        self._timer.add_job(self.back_up_quietly, "interval", seconds=BACKUP_TICK_S, max_instances=1)
        self._timer.start()

    def shut_down(self) -> None:
        if self._timer is not None and self._timer.running:
            self._timer.shutdown(wait=False)

    def back_up_quietly(self) -> None:
        """The backup of the settings, where one is due."""
        try:
            lasting.back_up_if_due(self._database, self._spaces.settings, clock=self._spaces.clock)
        except Exception as error:  # a disk that is not plugged in: the next tick tries again
            log.error("the backup was not made: %s", type(error).__name__)

    def finish_erasures(self) -> None:
        """Finish what was cut off and do again what a restore undid, in every space; before nights, which it would keep out.

        Where somebody else works on a space the next look tries again.
        """
        if self._tidied_at is not None and time.monotonic() - self._tidied_at < TIDY_S:
            return
        self._tidied_at = time.monotonic()
        for name in forgetting.waiting(self._database, self._spaces.settings.home):
            with self._spaces.use(name) as space, space.lock:
                space.talks.end()
                try:
                    outcomes = forgetting.finish(space.services)
                except LeaseHeld as error:
                    log.info("an erasure waits to be finished: %s works on its space", error.holder)
                    self._tidied_at = None
                    continue
                for outcome in outcomes:
                    seq = {"seq": str(outcome.certificate.seq)}
                    act = Act("daemon", "forget resume", "done", space_id=space.services.space_id, ids=seq)
                    record(self._database, act, clock=self._spaces.clock)
                log.warning("%d erasures that were cut off or undone are done", len(outcomes))

    def look_quietly(self) -> None:
        try:
            self.finish_erasures()
        except Exception as error:  # `verify` names it
            log.error("an erasure could not be finished: %s", type(error).__name__)
        try:
            self.look()
        except Exception as error:  # the daemon goes on; the next look may be luckier
            log.error("the schedule could not be looked at: %s", type(error).__name__)
        self.looked_at = time.monotonic()

    def look(self) -> None:
        """Put every space whose night is due into the queue, then begin the first of the queue where none runs."""
        for space in self._spaces.all():
            self._look_at(space)
        names = {space.id: space.name for space in self._spaces.all()}
        for waiting in schedule.queue(self._database):
            if waiting.space_id in names and not self._begin(names[waiting.space_id], waiting):
                return

    def _look_at(self, space: Space) -> None:
        database, now = self._database, self._spaces.clock()
        state = schedule.ensure(database, space.id, now)
        if state.waits_since is not None:
            return
        asked_by = self._due(space, state, now)
        if asked_by is None:
            return
        idle_at = now if asked_by == "idle" else state.idle_at
        schedule.wait_in_line(database, space.id, asked_by, {}, now, settled_until=now, idle_at=idle_at)

    def _due(self, space: Space, state: schedule.Schedule, now: datetime) -> str | None:
        """Who asks for a night: the hour, an hour that was missed, a night that was cut off, a quiet hour; or nobody."""
        database, plan = self._database, self._plan
        if self._was_cut_off(state):
            return "resumed"
        begun = schedule.last_begun(database, space.id)
        moment = last_moment(plan, space.id, zone(space.timezone), now)
        if moment is not None and moment > max(filter(None, (state.settled_until, begun))):
            late = now - moment
            if late <= timedelta(seconds=4 * TICK_S):
                return "nightly"
            if late <= plan.catch_up:
                return "missed"
        if plan.idle is None:
            return None
        quiet = Quiet(
            timedelta(seconds=self._spaces.metrics.quiet_s()),
            schedule.count_new(database, space.id, begun),
            state.idle_at,
        )
        return "idle" if is_quiet_enough(plan, quiet, now) else None

    def _was_cut_off(self, state: schedule.Schedule) -> bool:
        """Whether the night that this schedule began stands unfinished; it is taken up again once."""
        if state.run_id is None or state.asked_by in ("resumed", "hand"):
            return False
        runs.reap(self._database, state.space_id)
        run = runs.resumable(self._database, state.space_id)
        return run is not None and run.id == state.run_id and run.status == "interrupted"

    def _begin(self, name: str, waiting: schedule.Schedule) -> bool:
        """Begin the night that waits. False where another one runs: then it goes on waiting."""
        with self._spaces.use(name) as space:
            outcome = _try(space.nights, waiting, self._spaces.settings)
        if outcome is None:
            return False
        schedule.leave_line(
            self._database,
            waiting.space_id,
            tried_at=self._spaces.clock(),
            asked_by=waiting.waits_for,
            **outcome,
        )
        return True


def _try(nights: Nights, waiting: schedule.Schedule, settings: Settings) -> dict[str, str | None] | None:
    """What became of it; what keeps a night from beginning is logged in one line. None: it is not its turn."""
    wanted = dict(waiting.wanted or {})
    is_fresh = bool(wanted.pop("fresh", False))
    night = night_settings(settings.night, **wanted)
    try:
        run_id = nights.begin(night, resume=not is_fresh)
    except LeaseHeld as error:
        log.info("the %s night is left out: %s holds the night", waiting.waits_for, error.holder)
        return {"outcome": "held", "error": None, "run_id": None}
    except Exception as error:
        log.error("the %s night could not begin: %s", waiting.waits_for, type(error).__name__)
        log.debug("%s", one_line(error))
        return {"outcome": "failed", "error": type(error).__name__, "run_id": None}
    if run_id is None:
        return None
    log.info("the %s night began: %s", waiting.waits_for, run_id)
    return {"outcome": "begun", "error": None, "run_id": run_id}
