"""`Spaces`: every space of one store as the daemon serves them, each opened on first use and closed when it is idle.

They share the engine and the models that only read; services, nights, talks and lock are each space's own, so that
nothing of one can be reached through another. A space is held open by whoever uses it, by work that was begun in it and
whose listener may have gone, and by a night or a job that runs in it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from memory.ports import Clock, utc_now
from memory.spaces import Space, create_space, find_space, list_spaces
from service.components import Shared
from service.daemon.metrics import Metrics
from service.daemon.nights import Nights, count_night
from service.entrances.talks import Talks
from service.entrances.waiting_room import WaitingRoom
from service.jobs.queue import unfinished_spaces
from service.jobs.worker import JobWorker, drop_left_uploads, sweep_uploads
from service.users import Users
from service.wiring import Services

if TYPE_CHECKING:
    from db.engine import Database
    from service.settings import Settings


@dataclass(frozen=True, slots=True)
class App:
    """One open space: what the routes work with."""

    services: Services
    nights: Nights
    talks: Talks
    jobs: JobWorker
    metrics: Metrics  # of the whole process
    room: WaitingRoom  # for requests that let a persona speak
    lock: threading.RLock  # before the persona
    users: Users  # while there are any it is not closed


@dataclass(slots=True)
class _Open:
    app: App
    is_ours: bool = True  # else who opened the services closes them


class Spaces:
    """Safe for threads. Close it when nothing is served any more: then nights have ended and sessions are on record."""

    def __init__(self, settings: Settings, *, clock: Clock = utc_now, shared: Shared | None = None) -> None:
        self.settings = settings
        self.clock = clock
        self._owns = shared is None
        self.shared = shared or Shared(settings)
        self.metrics = Metrics()
        self._open: dict[str, _Open] = {}
        self._lock = threading.RLock()
        self._is_stopping = False
        self._asked_at = time.monotonic()

    @classmethod
    def around(cls, services: Services) -> Spaces:
        """The spaces of the store in which `services` are open already; who opened those closes them."""
        spaces = cls(services.settings, clock=services.clock, shared=services.shared)
        spaces._open[services.settings.space] = _Open(spaces._app(services), is_ours=False)
        return spaces

    @property
    def default(self) -> str:
        """The space that the settings name."""
        return self.settings.space

    @property
    def database(self) -> Database:
        return self.shared.database

    def all(self) -> list[Space]:
        """Every space of the store, by name, also those that another process made."""
        return list_spaces(self.shared.database)

    def create(self, name: str, timezone: str | None = None) -> Space:
        """A new space. Raises BadSpaceName, SpaceExists, UnknownTimezone."""
        zone = self.settings.timezone if timezone is None else timezone
        return create_space(self.shared.database, name, timezone=zone, clock=self.clock)

    @contextmanager
    def use(self, name: str | None = None) -> Iterator[App]:
        """The space of that name, or the settings' own, held open meanwhile. Raises UnknownSpace."""
        held = self._hold(self.default if name is None else name)
        try:
            yield held.app
        finally:
            held.app.users.leave()

    def is_open(self, name: str) -> bool:
        """Whether using the space waits for nothing."""
        return name in self._open

    def opened(self) -> list[App]:
        """Those that are open now."""
        with self._lock:
            return [held.app for held in self._open.values()]

    @property
    def night_running(self) -> bool:
        """Whether a night runs in any space of this process."""
        return any(app.nights.is_running for app in self.opened())

    def close_idle(self, idle_s: float) -> int:
        """Close the spaces that nobody has used for that long and in which no night and no job runs; how many."""
        with self._lock:
            idle = [name for name, held in self._open.items() if _is_idle(held, idle_s)]
            closing = [self._open.pop(name).app for name in idle]
            for app in closing:
                app.talks.end()
                app.services.close()
        return len(closing)

    def drop_left_uploads(self) -> None:
        """Remove what was uploaded into any space and left for an hour."""
        for space in self.all():
            drop_left_uploads(self.settings.home, space.id)

    def was_asked(self) -> None:
        """Somebody asked the daemon something now."""
        self._asked_at = time.monotonic()

    def quiet_s(self) -> float:
        """For how long nobody has."""
        return time.monotonic() - self._asked_at

    def take_up_jobs(self) -> None:
        """Go on with what waits in the queues of all spaces, and remove uploads that no job wants: for a start."""
        for space in self.all():
            sweep_uploads(self.settings.home, self.shared.database, space.id)
        for name in unfinished_spaces(self.shared.database):
            with self.use(name) as app:
                app.jobs.wake()

    def ask_to_stop(self) -> None:
        """Let every night end at its next step, and begin none. Safe in a signal handler."""
        self._is_stopping = True
        for held in list(self._open.values()):
            held.app.nights.ask_to_stop()
            held.app.jobs.ask_to_stop()

    def end(self, *, talk_timeout_s: float, night_timeout_s: float) -> None:
        """Stop nights and talks, and wait so long for each."""
        self.ask_to_stop()
        for app in self.opened():
            app.talks.end(timeout_s=talk_timeout_s)
        until = time.monotonic() + night_timeout_s
        for app in self.opened():
            app.nights.wait(max(0.0, until - time.monotonic()))
            app.jobs.wait(max(0.0, until - time.monotonic()))

    def close(self) -> None:
        """Close what this object opened."""
        with self._lock:
            for held in self._open.values():
                if held.is_ours:
                    held.app.services.close()
            self._open.clear()
        if self._owns:
            self.shared.close()

    def _hold(self, name: str) -> _Open:
        with self._lock:
            held = self._open.get(name)
            if held is None:
                held = self._open[name] = _Open(self._app(self._services(name)))
            held.app.users.enter()
            return held

    def _services(self, name: str) -> Services:
        settings = self.settings
        if name != self.default:
            settings = replace(settings, space=name, timezone=find_space(self.shared.database, name).timezone)
        return Services(settings, clock=self.clock, shared=self.shared)

    def _app(self, services: Services) -> App:
        lock, users, nights = threading.RLock(), Users(), Nights(services)
        nights.on_end = partial(count_night, self.metrics, services)
        if self._is_stopping:
            nights.ask_to_stop()
        jobs = JobWorker(services)
        if self._is_stopping:
            jobs.ask_to_stop()
        return App(
            services, nights, Talks(services, lock, users), jobs, self.metrics, WaitingRoom(), lock, users
        )


def _is_idle(held: _Open, idle_s: float) -> bool:
    app = held.app
    is_unused = held.is_ours and app.users.have_left_for(idle_s)
    return is_unused and not (app.nights.is_running or app.jobs.is_running)
