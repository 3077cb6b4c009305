"""Nights in the background: each in a child process (`service.daemon.night_child`), watched by one thread of the daemon.

A child keeps the daemon's answers quick - nothing of a night competes with requests for Python's lock, and the system
gives it what requests leave - and hands all its memory back. The lease in the store decides who may run; one night at
a time works on a machine, whichever space it is of. What a night is doing is a small file in its folder, which
`slowwave status` reads as well.
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from consolidation.lease import at_work_here, free_if_dead, hold, lease_name, this_machine, this_process
from consolidation.runs import list_runs, running, stage_records
from consolidation.stage import NightSettings
from db.errors import LeaseHeld
from service.daemon import schedule
from service.encryption import handed
from service.errors import NightNotBegun
from service.night_progress import Doing as Doing
from service.night_progress import doing

if TYPE_CHECKING:
    from service.daemon.metrics import Metrics
    from service.wiring import Services

_ROOT = Path(__file__).parents[2]

log = logging.getLogger(__name__)


class Nights:
    """The nights of one space in this process, at most one at a time."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self.on_end: Callable[[str], None] = lambda status: None
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._child: subprocess.Popen[str] | None = None

    @property
    def is_running(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    @property
    def doing(self) -> Doing | None:
        """Where the night of this process stands."""
        if not self.is_running:
            return None
        run_id = running(self._services.database, self._services.space_id)
        return doing(self._services.settings.home, run_id) if run_id else None

    def start(self, settings: NightSettings | None = None, *, resume: bool = True) -> str | None:
        """Begin a night, or go on with one that was stopped; returns its run id once it is recorded.

        None where it waits in the queue because a night of another space works on this machine. Raises LeaseHeld with
        the holder where one of this space runs, and whatever keeps the night from beginning.
        """
        services = self._services
        night = settings or services.settings.night
        run_id = self.begin(night, resume=resume)
        if run_id is None:
            wanted = {
                "seed": night.seed,
                "minutes": night.train.max_minutes,
                "model": night.base_model,
                "fresh": not resume,
            }
            schedule.wait_in_line(services.database, services.space_id, "hand", wanted, services.clock())
        return run_id

    def begin(self, settings: NightSettings, *, resume: bool = True) -> str | None:
        """As `start`, but a night whose turn it is not is left alone."""
        services = self._services
        with self._lock:
            if self._stop.is_set():
                raise LeaseHeld(lease_name(services.space_id), "a daemon that is shutting down")
            holder = free_if_dead(services.database, services.space_id)
            if holder is not None:
                raise LeaseHeld(lease_name(services.space_id), holder)
            if at_work_here(services.database) is not None:
                return None
            services.check_night(settings)
            begun = _Begun()
            self._thread = threading.Thread(
                target=self._run, args=(settings, resume, begun), name="night", daemon=True
            )
            self._thread.start()
            try:
                return begun.wait()
            except LeaseHeld as error:
                if error.name == lease_name(this_machine()):
                    return None
                raise

    def ask_to_stop(self) -> None:
        """Let the night end at its next step, resumable; no further one begins. Safe in a signal handler."""
        self._stop.set()
        if self._child is not None:
            self._child.terminate()

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait for the night to end; whether it has."""
        if self._thread is not None:
            self._thread.join(timeout_s)
        return not self.is_running

    def _run(self, settings: NightSettings, resume: bool, begun: _Begun) -> None:
        services = self._services
        holder = f"{this_process()} for a night of {services.space_id}"
        status = "failed"
        try:
            with hold(services.database, this_machine(), holder, lost=threading.Event()):
                status = self._attend(settings, resume, begun)
        except Exception as error:
            if not begun.fail(error):
                log.error("the night broke off: %s", type(error).__name__, exc_info=error)
        finally:
            begun.fail(NightNotBegun("its process ended without a word"))
            if begun.run_id is not None:
                log.info("night %s ended: %s", begun.run_id, status)
                self.on_end(status)

    def _attend(self, settings: NightSettings, resume: bool, begun: _Begun) -> str:
        """Run the child and hear it out; how the night ended."""
        status = "interrupted" if resume else "failed"
        with _child() as child:
            assert child.stdin is not None
            assert child.stdout is not None
            self._child = child
            if self._stop.is_set():
                child.terminate()
            try:
                child.stdin.write(_job(replace(self._services.settings, night=settings), resume))
                child.stdin.flush()
                for line in child.stdout:
                    told = json.loads(line)
                    status = told.get("ended", status)
                    _pass_on(told, begun)
            finally:
                self._child = None
        return status


def _child() -> subprocess.Popen[str]:
    search_path = os.pathsep.join(filter(None, (str(_ROOT), os.environ.get("PYTHONPATH"))))
    return subprocess.Popen(
        [sys.executable, "-m", "service.daemon.night_child"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,  # Ctrl-C is the daemon's, which asks the child to stop
        env={**os.environ, "PYTHONPATH": search_path},
    )


def _job(settings: Any, resume: bool) -> str:
    return json.dumps({**handed(settings), "resume": resume}) + "\n"


def _pass_on(told: dict[str, Any], begun: _Begun) -> None:
    if "run" in told:
        begun.set(told["run"])
    elif told.get("held") is not None:
        begun.fail(LeaseHeld(told["name"], told["held"]))
    elif "failed" in told:
        begun.fail(NightNotBegun(told["failed"]))


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
        if is_awaited:
            self._error = error
            self._event.set()
        return is_awaited

    def wait(self) -> str:
        self._event.wait()
        if self._error is not None:
            raise self._error
        return self.run_id or ""


def count_night(metrics: Metrics, services: Services, status: str) -> None:
    """A night of this process is over: count it, its length and that of its stages, and what it trained on."""
    metrics.count("slowwave_nights_total", status=status)
    run = next(iter(list_runs(services.database, services.space_id, 1)), None)
    if run is None or run.finished_at is None:
        return
    seconds = (run.finished_at - run.started_at).total_seconds()
    metrics.observe("slowwave_night_seconds", seconds, status=run.status)
    for stage in stage_records(services.database, run.id).values():
        metrics.observe("slowwave_night_stage_seconds", stage.seconds, stage=stage.name)
        if stage.name == "train":
            metrics.count("slowwave_training_tokens_total", stage.output.get("n_tokens", 0))
            metrics.count("slowwave_training_seconds_total", stage.output.get("seconds", 0.0))


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
