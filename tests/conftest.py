"""Shared fixtures: a store in memory, a store on disk, a fixed clock. Networks other than loopback are refused."""

from __future__ import annotations

import shutil
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from db.engine import Database, make_engine, open_database, sqlite_url

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


@pytest.fixture
def now() -> datetime:
    return datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty store at the newest revision, to copy: migrating anew for each test takes a tenth of a second."""
    path = tmp_path_factory.mktemp("migrated") / "graph.db"
    open_database(sqlite_url(path)).close()
    return path


@pytest.fixture(params=["memory", "disk"])
def database(request: pytest.FixtureRequest, tmp_path: Path, migrated: Path) -> Iterator[Database]:
    if request.param == "memory":
        opened = Database(make_engine("sqlite://"))
        with closing(sqlite3.connect(migrated)) as template, opened.engine.connect() as connection:
            template.backup(connection.connection.driver_connection)  # type: ignore[arg-type]
    else:
        shutil.copy(migrated, tmp_path / "graph.db")
        opened = open_database(sqlite_url(tmp_path / "graph.db"))
    yield opened
    opened.close()


@pytest.fixture
def harbor() -> Path:
    return HARBOR / "WhatsApp Chat with Ines Carvalho.txt"
