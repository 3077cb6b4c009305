"""Open a database: engine, migrations to head, sessions.

SQLite gets WAL, foreign keys and a busy time-out on every connection. Any other SQLAlchemy URL is taken as
it is. `open_database` migrates forward and refuses a database that is newer than the code.
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
from sqlalchemy import Engine, StaticPool, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session, sessionmaker

from db.errors import SchemaTooNew, StoreFull


class Database:
    """An engine at the newest revision, and short transactions on it."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._sessions = sessionmaker(engine, expire_on_commit=False)

    @property
    def url(self) -> str:
        return self.engine.url.render_as_string(hide_password=False)

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """One transaction: commits at the end, rolls back on any error. Keep it short; call no model inside."""
        try:
            with self._sessions() as session, session.begin():
                yield session
        except (OperationalError, OSError) as error:
            if is_disk_full(error):
                raise StoreFull(self.engine.url.database or self.engine.url.render_as_string()) from error
            raise

    def close(self) -> None:
        self.engine.dispose()


def is_disk_full(error: BaseException) -> bool:
    """Whether the error, or what caused it, is a disk without room."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, OSError) and seen.errno == errno.ENOSPC:
            return True
        if isinstance(seen, OperationalError) and "database or disk is full" in str(seen.orig):
            return True
        seen = seen.__cause__ or seen.__context__
    return False


def sqlite_url(path: Path) -> str:
    return f"sqlite:///{path}"


def make_engine(url: str) -> Engine:
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite":
        return create_engine(url, pool_pre_ping=True)
    options: dict[str, Any] = {"connect_args": {"check_same_thread": False, "timeout": 30}}
    if parsed.database in (None, "", ":memory:"):
        options["poolclass"] = StaticPool
    engine = create_engine(url, **options)
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
    return engine


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
    """Migrate to the newest revision and open. Raises SchemaTooNew before anything is written."""
    engine = make_engine(url)
    config = alembic_config(engine)
    script = ScriptDirectory.from_config(config)
    with engine.connect() as connection:
        revision = MigrationContext.configure(connection).get_current_revision()
    known = {item.revision for item in script.walk_revisions()}
    if revision is not None and revision not in known:
        engine.dispose()
        raise SchemaTooNew(revision)
    if revision != script.get_current_head():
        command.upgrade(config, "head")
    return Database(engine)
