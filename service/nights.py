"""Nights in the background: one thread that runs `Services.sleep`, started by HTTP or by the scheduler.

The lease in the store decides who may run; this class only keeps the thread, what it is doing, and the wish to stop.
"""

from __future__ import annotations

import logging
import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from consolidation.lease import free_if_dead, lease_name
from consolidation.runs import list_runs
from consolidation.stage import NightSettings
from db.errors import LeaseHeld
from service.errors import one_line

if TYPE_CHECKING:
    from consolidation.stage import Progress
    from service.wiring import Services

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Doing:
    """Where the night of this process stands: `done` of `total` of one stage."""

    run_id: str
    stage: str
    done: int
    total: int


class Nights:
    """The nights of one space in this process, at most one at a time."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self.on_end: Callable[[str], None] = lambda status: None
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self.doing: Doing | None = None

    @property
    def is_running(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def start(self, settings: NightSettings | None = None, *, resume: bool = True) -> str:
        """Begin a night, or go on with one that was stopped; returns its run id once it is recorded.

        Raises LeaseHeld with the holder where one runs, and whatever keeps the night from beginning.
        """
        services = self._services
        with self._lock:
            if self._stop.is_set():
                raise LeaseHeld(lease_name(services.space_id), "a daemon that is shutting down")
            holder = free_if_dead(services.database, services.space_id)
            if holder is not None:
                raise LeaseHeld(lease_name(services.space_id), holder)
            begun = _Begun()
            self._thread = threading.Thread(
                target=self._run, args=(settings, resume, begun), name="night", daemon=True
            )
            self._thread.start()
            return begun.wait()

    def ask_to_stop(self) -> None:
        """Let the night end at its next step, resumable; no further one begins. Safe in a signal handler."""
        self._stop.set()

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait for the night to end; whether it has."""
        if self._thread is not None:
            self._thread.join(timeout_s)
        return not self.is_running

    def _run(self, settings: NightSettings | None, resume: bool, begun: _Begun) -> None:
        def watch(stage: str) -> Progress:
            if begun.run_id is None:
                runs = list_runs(self._services.database, self._services.space_id)
                begun.set(next(run.id for run in runs if run.status == "running"))
            return self._progress(begun.run_id or "", stage)

        try:
            report = self._services.sleep(settings=settings, watch=watch, resume=resume, stop=self._stop)
            begun.set(report.run_id)
            log.info("night %s ended: %s", report.run_id, report.status)
            self.on_end(report.status)
        except Exception as error:
            if not begun.fail(error):
                frames = "".join(traceback.format_tb(error.__traceback__))
                log.error("the night broke off: %s\n%s", type(error).__name__, frames)
            self.on_end("failed")
        finally:
            self.doing = None

    def _progress(self, run_id: str, stage: str) -> Progress:
        self.doing = Doing(run_id, stage, 0, 1)

        def progress(done: int, total: int, note: str = "") -> None:
            self.doing = Doing(run_id, stage, done, total)

        return progress


class _Begun:
    """Handed from the night's thread to who started it: the run's id, or why there is none."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self.run_id: str | None = None
        self._error: Exception | None = None

    def set(self, run_id: str) -> None:
        self.run_id = run_id
        self._event.set()

    def fail(self, error: Exception) -> bool:
        """Whether somebody still waits and will be told."""
        is_awaited = not self._event.is_set()
        self._error = error
        self._event.set()
        return is_awaited

    def wait(self) -> str:
        self._event.wait()
        if self.run_id is None and self._error is not None:
            raise self._error
        return self.run_id or ""


def night_settings(base: NightSettings, **wanted: Any) -> NightSettings:
    """The settings with what a caller asked for: `seed`, `minutes`, `model`; None leaves the setting."""
    settings = base
    if wanted.get("seed") is not None:
        settings = replace(settings, seed=wanted["seed"])
    if wanted.get("minutes") is not None:
        settings = replace(settings, train=replace(settings.train, max_minutes=wanted["minutes"]))
    if wanted.get("model") is not None:
        settings = replace(settings, base_model=wanted["model"])
    return settings


def start_quietly(nights: Nights) -> None:
    """For the scheduler: begin a night if none runs; what keeps it from beginning is logged in one line."""
    try:
        log.info("nightly job began night %s", nights.start())
    except LeaseHeld as error:
        log.info("nightly job skipped: %s holds the night", error.holder)
    except Exception as error:  # the daemon goes on; the next night may be luckier
        log.error("nightly job could not begin: %s: %s", type(error).__name__, one_line(error))
