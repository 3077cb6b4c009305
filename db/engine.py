"""Open a database: engine, migrations to head, sessions.

One writer at a time, on every kind of store: SQLite by BEGIN IMMEDIATE, Postgres by an advisory lock that ends with
the transaction. So what a transaction read is still true when it writes. Readers see a snapshot and wait for nobody.
SQLite gets WAL, foreign keys and a busy time-out on every connection. `open_database` migrates forward and refuses a
database that is newer than the code.
"""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, StaticPool, create_engine, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import (
    ArgumentError,
    DataError,
    DBAPIError,
    IntegrityError,
    InterfaceError,
    OperationalError,
    ProgrammingError,
)
from sqlalchemy.orm import Session, sessionmaker

from db.errors import BadDatabaseUrl, SchemaTooNew, StoreFull, StoreUnusable


class Database:
    """An engine at the newest revision, and short transactions on it."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._sessions = sessionmaker(engine, expire_on_commit=False)
        self._readers = sessionmaker(engine.execution_options(**_reading(engine)), expire_on_commit=False)

    @property
    def url(self) -> str:
        return self.engine.url.render_as_string(hide_password=False)

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """One transaction that may write, alone among writers: commits at the end, rolls back on any error.

        Keep it short; call no model inside.
        """
        with _named_errors(self.engine), self._sessions() as session, session.begin():
            if self.engine.dialect.name == "postgresql":
                session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": WRITERS})
            yield session

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """One transaction that only reads, from a snapshot: blocks no writer and is blocked by none.

        The store refuses any write in it.
        """
        with _named_errors(self.engine), self._readers() as session, session.begin():
            yield session

    def close(self) -> None:
        self.engine.dispose()


WRITERS = 0x51077A7E  # the advisory lock before which writers of a Postgres store queue


def _reading(engine: Engine) -> dict[str, Any]:
    if engine.dialect.name == "postgresql":
        return {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
    return {"slowwave_reading": True}


@contextmanager
def _named_errors(engine: Engine) -> Iterator[None]:
    """A full disk becomes StoreFull, any other trouble with the store itself StoreUnusable."""
    where = engine.url.database or engine.url.render_as_string()
    try:
        yield
    except (DBAPIError, OSError) as error:
        if is_disk_full(error):
            raise StoreFull(where) from error
        if isinstance(error, DBAPIError) and not isinstance(error, _MISTAKES):
            raise StoreUnusable(where, str(error.orig)) from error
        raise


_MISTAKES = (IntegrityError, ProgrammingError, DataError, InterfaceError)  # of the code, not of the store


def is_disk_full(error: BaseException) -> bool:
    """Whether the error, or what caused it, is a disk without room or a quota that is used up."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, OSError) and seen.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        if type(seen).__name__ == "SafetensorError" and f"os error {errno.ENOSPC}" in str(seen):
            return True  # its writer is not Python's and raises no OSError
        said = seen.orig if isinstance(seen, OperationalError) else seen
        if isinstance(said, sqlite3.OperationalError) and "disk is full" in str(said):
            return True
        seen = seen.__cause__ or seen.__context__
    return False


def sqlite_url(path: Path) -> str:
    return f"sqlite:///{path}"


def make_engine(url: str) -> Engine:
    try:
        parsed = make_url(url)
        if parsed.get_backend_name() != "sqlite":
            return create_engine(url, pool_pre_ping=True)
    except ArgumentError as error:  # its message may quote the password
        raise BadDatabaseUrl("it is no address of a database that SQLAlchemy knows") from error
    except ImportError as error:
        raise BadDatabaseUrl(f"the Python package {error.name} is not installed") from error
    options: dict[str, Any] = {"connect_args": {"check_same_thread": False, "timeout": 30}}
    if parsed.database in (None, "", ":memory:"):
        options["poolclass"] = StaticPool
    engine = create_engine(url, **options)
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _begin_sqlite(connection: Connection) -> None:
    is_reading = bool(connection.get_execution_options().get("slowwave_reading"))
    connection.exec_driver_sql(f"PRAGMA query_only={'ON' if is_reading else 'OFF'}")
    connection.exec_driver_sql("BEGIN" if is_reading else "BEGIN IMMEDIATE")


def _prepare_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None  # SQLAlchemy's "begin" event above opens transactions
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "foreign_keys=ON", "busy_timeout=30000", "synchronous=NORMAL"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def alembic_config(engine: Engine | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    if engine is not None:
        config.attributes["engine"] = engine
    return config


def open_database(url: str) -> Database:
    """Migrate to the newest revision and open. Raises SchemaTooNew before anything is written, and
    BadDatabaseUrl, StoreFull or StoreUnusable."""
    engine = make_engine(url)
    config = alembic_config(engine)
    script = ScriptDirectory.from_config(config)
    try:
        with _named_errors(engine):
            with engine.connect() as connection:
                revision = MigrationContext.configure(connection).get_current_revision()
            known = {item.revision for item in script.walk_revisions()}
            if revision is not None and revision not in known:
                raise SchemaTooNew(revision)
            if revision != script.get_current_head():
                command.upgrade(config, "head")
    except BaseException:
        engine.dispose()
        raise
    return Database(engine)
