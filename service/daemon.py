"""`slowwave serve`: HTTP, the scheduler and the nights in one process, and an orderly end.

SIGTERM and Ctrl-C end it alike: a night stops at its next step and can be resumed, streams end, the store is closed,
exit code 0. Nothing of FastAPI or APScheduler is imported before the daemon is asked for.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
from contextlib import closing
from dataclasses import replace
from types import FrameType
from typing import TYPE_CHECKING

from service.errors import MissingExtra, NotLoopback, PortTaken
from service.settings import Settings

if TYPE_CHECKING:
    from fastapi import FastAPI

    from service.nights import Nights

GRACE_S = 5  # how long open connections may finish

log = logging.getLogger(__name__)


def run_daemon(settings: Settings, *, host: str | None = None, port: int | None = None) -> None:
    """Serve until SIGTERM or Ctrl-C. Raises NotLoopback for another address without a token, MissingExtra."""
    serve = replace(
        settings.serve, host=host or settings.serve.host, port=settings.serve.port if port is None else port
    )
    settings = replace(settings, serve=serve)
    try:
        from service import guard, scheduling
        from service.http import create_app
        from service.nights import Nights
    except ModuleNotFoundError as error:
        raise MissingExtra("serve", error.name or "fastapi") from error
    from service.wiring import Services

    token = os.environ.get(serve.token_env, "")
    if not token and not guard.is_loopback(serve.host):
        raise NotLoopback(serve.host)
    _log_to_stderr()
    with closing(_listen(serve.host, serve.port)) as listener, Services(settings) as services:
        nights = Nights(services)
        app = create_app(services, nights=nights, token=token)
        scheduler = scheduling.start_scheduler(services, nights)
        try:
            _serve(app, listener, nights)
        finally:
            scheduler.shutdown(wait=False)
            nights.ask_to_stop()
            nights.wait(GRACE_S)


def _listen(host: str, port: int) -> socket.socket:
    """The listening socket, bound before anything else is opened. Port 0 takes a free one."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listener = socket.create_server((host, port), family=family)
    except OSError as error:
        raise PortTaken(host, port, error.strerror or type(error).__name__) from error
    shown = f"[{host}]" if ":" in host else host
    log.info("listening on http://%s:%d", shown, listener.getsockname()[1])
    return listener


def _serve(app: FastAPI, listener: socket.socket, nights: Nights) -> None:
    import uvicorn

    class Server(uvicorn.Server):
        def handle_exit(self, sig: int, frame: FrameType | None) -> None:
            nights.ask_to_stop()  # at once, not only when the last connection has ended
            super().handle_exit(sig, frame)

    config = uvicorn.Config(
        app, access_log=False, log_config=None, log_level="warning", timeout_graceful_shutdown=GRACE_S
    )
    # uvicorn raises the signal again once it has ended; by then there is nothing left to interrupt
    before = {kind: signal.signal(kind, _pass) for kind in (signal.SIGTERM, signal.SIGINT)}
    try:
        Server(config).run(sockets=[listener])
    finally:
        for kind, handler in before.items():
            signal.signal(kind, handler)


def _pass(_signal: int, _frame: FrameType | None) -> None:
    """The signal has been heeded."""


def _log_to_stderr() -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("apscheduler").setLevel(logging.WARNING)
