"""`slowwave serve`: HTTP, the scheduler and the nights of every space, and an orderly end.

SIGTERM and Ctrl-C end it alike: a night stops at its next step and can be resumed, streams end, the store is closed,
exit code 0. Nothing of FastAPI or APScheduler is imported before the daemon is asked for.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from types import FrameType
from typing import TYPE_CHECKING

from memory.ports import utc_now
from service.access import tokens
from service.components import Shared
from service.daemon import notify
from service.daemon.logs import log_to_stderr
from service.daemon.running import RunningDaemon, alone, on_record
from service.errors import MissingExtra, NotLoopback, PortTaken
from service.settings import Settings

if TYPE_CHECKING:
    from fastapi import FastAPI

    from service.spaces import Spaces

GRACE_S = 5  # how long open connections may finish
KEEP_ALIVE_S = 75  # longer than clients do, so that none is closed with a request on its way
WARMED = 8  # spaces that are opened before anybody asks

log = logging.getLogger(__name__)


def run_daemon(settings: Settings, *, host: str | None = None, port: int | None = None) -> None:
    """Serve until SIGTERM or Ctrl-C.

    Raises AlreadyServed where another daemon has the home, NotLoopback for another address without a token, PortTaken,
    MissingExtra.
    """
    serve = replace(
        settings.serve, host=host or settings.serve.host, port=settings.serve.port if port is None else port
    )
    settings = replace(settings, serve=serve)
    try:
        from service.access import origins
        from service.daemon.scheduling import Scheduler
        from service.http.application import create_app
        from service.spaces import Spaces
    except ModuleNotFoundError as error:
        raise MissingExtra("serve", error.name or "fastapi") from error

    token = os.environ.get(serve.token_env, "")
    if not token and not origins.is_loopback(serve.host):
        _check_tokens(settings)
    log_to_stderr(serve.log_format)
    with (
        _ended_by_signals() as ending,
        alone(settings.home),
        closing(_listen(serve.host, serve.port)) as listener,
        closing(Spaces(settings)) as spaces,
        one_thread_of_blas(),
    ):
        ending.heed()
        scheduler = Scheduler(spaces)
        app = create_app(spaces, token=token)
        app.state.scheduler = scheduler
        here = RunningDaemon(os.getpid(), _url(listener), utc_now().isoformat(timespec="seconds"))
        with on_record(settings.home, here), spaces.use() as own:  # the settings' own is open from the start
            ending.heed()
            try:
                scheduler.start()
                threading.Thread(target=_warm, args=(spaces,), name="warm", daemon=True).start()
                _serve(app, listener, spaces, ending)
            finally:
                notify.tell(notify.STOPPING)
                scheduler.shut_down()
                spaces.ask_to_stop()
                own.nights.wait(GRACE_S)


def _check_tokens(settings: Settings) -> None:
    """Raises NotLoopback where nobody could be let in."""
    with closing(Shared(settings)) as shared:
        if not tokens.is_any_valid(shared.database, utc_now()):
            raise NotLoopback(settings.serve.host)


def _warm(spaces: Spaces) -> None:
    """Open the indexes while nobody waits for them: the first question after a start is no slower than others."""
    from memory.matching import warm

    for space in spaces.all()[:WARMED]:
        try:
            with spaces.use(space.name) as app:
                app.services.index.refresh()
                if app.services.index.units["fact"]:
                    warm(app.services.index)
        except Exception as error:  # whoever asks is told
            log.warning("a space could not be opened ahead: %s", type(error).__name__)


def _listen(host: str, port: int) -> socket.socket:
    """The listening socket, bound before anything else is opened. Port 0 takes a free one."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listener = socket.create_server((host, port), family=family, backlog=1024)
    except OSError as error:
        raise PortTaken(host, port, error.strerror or type(error).__name__) from error
    log.info("listening on %s", _url(listener))
    return listener


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _serve(app: FastAPI, listener: socket.socket, spaces: Spaces, ending: _Ending) -> None:
    import uvicorn

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            if ending.is_asked:  # before uvicorn listened to signals
                self.should_exit = True
                return
            await super().startup(sockets)
            if self.started and not self.should_exit:
                notify.tell(notify.READY)

        def handle_exit(self, sig: int, frame: FrameType | None) -> None:
            spaces.ask_to_stop()  # at once, not only when the last connection has ended
            super().handle_exit(sig, frame)

    config = uvicorn.Config(
        app,
        access_log=False,
        log_config=None,
        log_level="warning",
        timeout_graceful_shutdown=GRACE_S,
        timeout_keep_alive=KEEP_ALIVE_S,
    )
    with _handled(ending.take_note):  # uvicorn raises a signal again once it has ended
        Server(config).run(sockets=[listener])


@contextmanager
def one_thread_of_blas() -> Iterator[None]:
    """Many requests at once keep every core busy, and threads of BLAS wait for each other by spinning."""
    import numpy  # noqa: F401  (only what is loaded can be limited)
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1, user_api="blas"):
        yield


class _Ending:
    """Whether the end was asked for.

    The first signal is only taken note of, and heeded between two steps of the start: an exception that breaks in
    anywhere could leave a thread behind that keeps the process, or be swallowed by a callback from C.
    """

    is_asked = False

    def take_note(self, _signal: int, _frame: FrameType | None) -> None:
        self.is_asked = True

    def at_once_if_again(self, signal_: int, frame: FrameType | None) -> None:
        """Whoever asks twice does not want to wait for the step."""
        if self.is_asked:
            raise SystemExit(0)
        self.take_note(signal_, frame)

    def heed(self) -> None:
        """Raises SystemExit where the end was asked for."""
        if self.is_asked:
            raise SystemExit(0)


@contextmanager
def _ended_by_signals() -> Iterator[_Ending]:
    """Before there is a server to stop, and while it stops: one signal is taken note of, a second one ends with all that is held."""
    ending = _Ending()
    with _handled(ending.at_once_if_again):
        yield ending


@contextmanager
def _handled(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    before = {kind: signal.signal(kind, handler) for kind in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for kind, former in before.items():
            signal.signal(kind, former)
