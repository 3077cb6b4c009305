"""Takes up the jobs of one space, one after the other, in a thread of this process; `service.jobs.queue` is their record.

A lease keeps two processes from working on one queue. Whoever gets it first lets what a dead process left running wait
again. While a job writes in one long transaction how far it is can be told by this process alone: `get` and `every` know.
"""

from __future__ import annotations

import logging
import threading
import time
import traceback
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from consolidation.lease import hold, this_process
from db.errors import DatabaseError, LeaseHeld
from service.errors import EXPECTED, one_line
from service.jobs import queue
from service.jobs.queue import Job
from service.jobs.uploads import Spool

if TYPE_CHECKING:
    from db.engine import Database
    from service.wiring import Services

LEASE = "jobs"
_TOLD_EVERY_S = 1.0
_AGAIN_S = 5.0  # until the queue that another process works on is looked at again

log = logging.getLogger(__name__)


class Cancelled(Exception):
    """The job shall not go on; raised in its work."""


class Stopping(Exception):
    """The process ends; the job waits again. Raised in its work."""


class GaveWay(Exception):
    """Another job waits, and this one can go on later; it waits again. Raised in its work."""


class Work:
    """What a job's function works with: its space, what was wanted, and where it says how far it is."""

    def __init__(self, worker: JobWorker, job: Job) -> None:
        self._worker = worker
        self.job = job
        self.services = worker.services
        self.spool = worker.spool
        self._looked_at = 0.0

    @property
    def wanted(self) -> Mapping[str, Any]:
        return self.job.wanted

    def at(self, step: str, done: int, total: int, *, is_recorded: bool = True) -> None:
        """How far it is; recorded at times, and never from within a transaction that writes (`is_recorded`).

        Raises what `check` does.
        """
        changed = step != self.job.step
        self.job = replace(self.job, step=step, done=done, total=total)
        self._worker.doing = self.job
        now = time.monotonic()
        if changed or now - self._looked_at >= _TOLD_EVERY_S:
            self._looked_at = now
            self.check()
            if is_recorded:
                queue.report(self.services.database, self.job.id, step, done, total)

    def step(self, name: str, *, is_recorded: bool = True) -> Callable[..., None]:
        """A progress function for one step."""

        def progress(done: int, total: int, note: str = "") -> None:
            self.at(name, done, total, is_recorded=is_recorded)

        return progress

    def check(self) -> None:
        """Raises Cancelled, Stopping or GaveWay where the job shall end."""
        if self._worker.is_stopping:
            raise Stopping
        if not queue.is_wanted(self.services.database, self.job.id):
            raise Cancelled
        patient = self._worker.patient
        if self.job.kind in patient and queue.is_any_waiting(
            self.services.database, self.services.space_id, but=patient
        ):
            raise GaveWay

    def should_end(self) -> bool:
        """The same as an answer."""
        try:
            self.check()
        except (Cancelled, Stopping, GaveWay):
            return True
        return False

    def then(self, kind: str, wanted: Mapping[str, Any] | None = None) -> Job:
        """Put another job behind this one, in the name of whoever asked for this one."""
        return self._worker.submit(kind, wanted, asked_by=self.job.asked_by)


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of job: what is done, and what is cleared away however it ended. One that is patient goes on where it stopped,
    and lets every other kind go first."""

    run: Callable[[Work], Mapping[str, Any]]
    clear: Callable[[Spool, Job], None] = lambda spool, job: None
    is_patient: bool = False


class JobWorker:
    """The queue of one open space in this process. Its thread lives while something waits."""

    def __init__(self, services: Services, kinds: Mapping[str, Kind] | None = None) -> None:
        self.services = services
        self.spool = Spool(
            services.settings.home,
            services.space_id,
            spool_mb=services.settings.imports.spool_mb,
        )
        self.looking = threading.Lock()  # one look at a time; `spool.turn` keeps looks and the job apart
        self.on_end: Callable[[Job], None] = lambda job: None
        self.doing: Job | None = None
        self.kinds = kinds
        self._lock = threading.Lock()
        self._more = False
        self._stop, self._lost = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def is_running(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    @property
    def is_stopping(self) -> bool:
        return self._stop.is_set() or self._lost.is_set()

    def submit(self, kind: str, wanted: Mapping[str, Any] | None = None, *, asked_by: str) -> Job:
        """Put work into the queue and see to it that it is taken up."""
        services = self.services
        job = queue.submit(
            services.database, services.space_id, kind, wanted, asked_by=asked_by, clock=services.clock
        )
        self.wake()
        return job

    def wake(self) -> None:
        """Look at the queue, as after a start."""
        with self._lock:
            self._more = True
            if not self._stop.is_set() and not self.is_running:
                self._thread = threading.Thread(target=self._work, name="jobs", daemon=True)
                self._thread.start()

    def get(self, job_id: str) -> Job:
        """The job as it is now. Raises UnknownJob."""
        return self._now(queue.get_job(self.services.database, self.services.space_id, job_id))

    def every(
        self,
        *,
        states: Collection[str] = queue.STATES,
        kind: str | None = None,
        limit: int = 50,
        after: str | None = None,
    ) -> list[Job]:
        """The newest first, as they are now."""
        services = self.services
        found = queue.list_jobs(
            services.database, services.space_id, states=states, kind=kind, limit=limit, after=after
        )
        return [self._now(job) for job in found]

    def cancel(self, job_id: str) -> Job:
        """Take it out of the queue, or let it end at its next step. Raises UnknownJob, JobEnded."""
        services = self.services
        job = queue.cancel(services.database, services.space_id, job_id, clock=services.clock)
        if job.is_finished:
            self._clear(job)
        return self._now(job)

    def ask_to_stop(self) -> None:
        """Let the job end at its next step; it waits for the next start. Safe in a signal handler."""
        self._stop.set()

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until nothing is worked on; whether that is so."""
        thread = self._thread
        if thread is not None:
            thread.join(timeout_s)
        return not self.is_running

    def _now(self, job: Job) -> Job:
        doing = self.doing
        if doing is None or doing.id != job.id or job.state != queue.RUNNING:
            return job
        return replace(job, step=doing.step, done=doing.done, total=doing.total)

    def _work(self) -> None:
        while not self._stop.is_set():
            try:
                self._lost.clear()
                with hold(
                    self.services.database, self.services.space_id, this_process(), self._lost, work=LEASE
                ):
                    self._start_anew()
                    self._run_all()
                if self._lost.is_set():
                    continue
                with self._lock:
                    if not self._more:
                        self._thread = None
                        return
            except LeaseHeld as error:
                log.info("the queue waits: %s works on it", error.holder)
                self._stop.wait(_AGAIN_S)
            except DatabaseError as error:
                log.warning("the queue waits: %s", type(error).__name__)
                self._stop.wait(_AGAIN_S)

    def _start_anew(self) -> None:
        services = self.services
        queue.recover(services.database, services.space_id, clock=services.clock)

    def _run_all(self) -> None:
        services = self.services
        while not self.is_stopping:
            with self._lock:
                self._more = False
            job = queue.claim(
                services.database, services.space_id, patient=self.patient, clock=services.clock
            )
            if job is None:
                return
            self._run(job)

    def _run(self, job: Job) -> None:
        started = time.monotonic()
        self.doing = job
        try:
            result = self._kind(job.kind).run(Work(self, job))
            self._finish(job, queue.DONE, None, result)
        except (Stopping, GaveWay):
            queue.put_back(self.services.database, job.id)
            return
        except Cancelled:
            self._finish(job, queue.CANCELLED, "cancelled while it ran", {})
        except Exception as error:  # the queue goes on; the job's record says why
            log.error("job %s (%s) failed: %s", job.id, job.kind, type(error).__name__)
            self._finish(job, queue.FAILED, reason(error), {})
        finally:
            self.doing = None
        log.info("job %s (%s) ended after %.1f s", job.id, job.kind, time.monotonic() - started)

    def _finish(self, job: Job, state: str, why: str | None, result: Mapping[str, Any]) -> None:
        services = self.services
        queue.finish(services.database, job.id, state, why=why, result=result, clock=services.clock)
        ended = queue.get_job(services.database, services.space_id, job.id)
        self._clear(ended)
        self.on_end(ended)

    def _clear(self, job: Job) -> None:
        self._kind(job.kind).clear(self.spool, job)

    @property
    def patient(self) -> list[str]:
        """Kinds that let every other go first."""
        return [name for name, kind in self._every_kind().items() if kind.is_patient]

    def _kind(self, name: str) -> Kind:
        return self._every_kind().get(name, _UNKNOWN)

    def _every_kind(self) -> Mapping[str, Kind]:
        if self.kinds is None:
            from service.jobs.kinds import KINDS

            self.kinds = KINDS
        return self.kinds


def reason(error: Exception) -> str:
    """Why a job failed, in one line that holds nobody's words: an expected error's own, else its class and place."""
    if isinstance(error, EXPECTED):
        return f"{type(error).__name__}: {one_line(error)}"[:500]
    frames = traceback.extract_tb(error.__traceback__)
    place = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "nowhere"
    return f"{type(error).__name__} at {place}"


def _no_kind(work: Work) -> Mapping[str, Any]:
    raise LookupError(work.job.kind)


_UNKNOWN = Kind(_no_kind)


def sweep_uploads(home: Path, database: Database, space_id: str) -> int:
    """Remove uploads that no unfinished job of the space wants, as at the start of the daemon; how many."""
    waiting = queue.list_jobs(database, space_id, states=queue.UNFINISHED, limit=queue.KEPT)
    return Spool(home, space_id, spool_mb=0).keep_only({str(job.wanted.get("upload")) for job in waiting})


def drop_left_uploads(home: Path, space_id: str) -> None:
    """Remove uploads of the space that nobody has confirmed for an hour, also where it is not open."""
    Spool(home, space_id, spool_mb=0).drop_left()
