"""Shared fixtures: a store in memory, on disk and on Postgres, a fixed clock. Networks other than loopback are refused.

Postgres is a real server, started once per session when a test first asks for it (tests/postgres_server.py).
"""

from __future__ import annotations

import shutil
import socket
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from bench.tiny_model import write_talkative_model, write_tiny_model
from db.engine import Database, make_engine, open_database, sqlite_url
from tests.postgres_server import PostgresServer, running_postgres
from tests.read_once import models_read_once

HARBOR = Path(__file__).parent.parent / "examples" / "harbor"


@pytest.fixture(autouse=True)
def _no_network(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.node.get_closest_marker("network"):
        return
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: Any) -> Any:
        if self.family in (socket.AF_INET, socket.AF_INET6) and address[0] not in (
            "127.0.0.1",
            "::1",
            "localhost",
        ):
            raise AssertionError(f"a test tried to reach {address[0]}")
        return connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)


@pytest.fixture(scope="session", autouse=True)
def _models() -> Iterator[None]:
    with models_read_once():
        yield


@pytest.fixture
def now() -> datetime:
    return datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty store at the newest revision, to copy: migrating anew for each test takes a tenth of a second."""
    path = tmp_path_factory.mktemp("migrated") / "graph.db"
    open_database(sqlite_url(path)).close()
    return path


@pytest.fixture(params=["memory", "disk", "postgres"])
def database(request: pytest.FixtureRequest, tmp_path: Path, migrated: Path) -> Iterator[Database]:
    """An empty store of each kind: what holds for one has to hold for all."""
    if request.param == "memory":
        opened = Database(make_engine("sqlite://"))
        with closing(sqlite3.connect(migrated)) as template, opened.engine.connect() as connection:
            template.backup(connection.connection.driver_connection)  # type: ignore[arg-type]
    elif request.param == "disk":
        shutil.copy(migrated, tmp_path / "graph.db")
        opened = open_database(sqlite_url(tmp_path / "graph.db"))
    else:
        opened = open_database(request.getfixturevalue("postgres_url"))
    yield opened
    opened.close()


@pytest.fixture(params=["disk", "postgres"])
def shared_url(request: pytest.FixtureRequest, tmp_path: Path, migrated: Path) -> str:
    """The address of an empty store that several processes can open."""
    if request.param == "disk":
        shutil.copy(migrated, tmp_path / "graph.db")
        return sqlite_url(tmp_path / "graph.db")
    return str(request.getfixturevalue("postgres_url"))


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    with running_postgres() as server:
        yield server


@pytest.fixture(scope="session")
def new_postgres(postgres_server: PostgresServer) -> Iterator[Callable[[str], Any]]:
    """Makes databases, as copies of another: `with new_postgres("migrated") as url`, or "template0" for a bare one."""
    numbers = count()
    admin = make_engine(postgres_server.url("postgres")).execution_options(isolation_level="AUTOCOMMIT")

    def administer(statement: str) -> None:
        with admin.connect() as connection:
            connection.execute(text(statement))

    @contextmanager
    def make(template: str) -> Iterator[str]:
        name = f"test_{next(numbers)}"
        administer(f"CREATE DATABASE {name} TEMPLATE {template}")
        try:
            yield postgres_server.url(name)
        finally:
            administer(f"DROP DATABASE {name} WITH (FORCE)")

    administer("CREATE DATABASE migrated")
    open_database(postgres_server.url("migrated")).close()
    yield make
    admin.dispose()


@pytest.fixture
def postgres_url(new_postgres: Callable[[str], Any]) -> Iterator[str]:
    """The address of an empty Postgres store at the newest revision, this test's own."""
    with new_postgres("migrated") as url:
        yield url


@pytest.fixture
def harbor() -> Path:
    return HARBOR / "WhatsApp Chat with Ines Carvalho.txt"


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a random Llama: `ModelSpec(source=str(tiny_folder))`."""
    return write_tiny_model(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def talkative(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model, which repeats what it read last."""
    return write_talkative_model(tiny_folder, tmp_path_factory.mktemp("talkative") / "model")


@pytest.fixture(scope="session")
def model_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache folder of the whole session: the embedded model is dequantised into it once."""
    return tmp_path_factory.mktemp("model-cache")
