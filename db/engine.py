"""Open a database: engine, migrations to head, sessions.

One writer at a time, on every kind of store: SQLite by BEGIN IMMEDIATE, Postgres by an advisory lock that ends with
the transaction. So what a transaction read is still true when it writes. Readers see a snapshot and wait for nobody.
SQLite gets WAL and foreign keys on every connection, both a limit to how long a writer waits for another.
`open_database` migrates forward, in one transaction, and refuses a database that is newer than the code.
"""

from __future__ import annotations

import errno
import json
import math
import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import URL, Connection, Engine, Select, StaticPool, create_engine, event, inspect, text
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

from db import sealing
from db.errors import BadDatabaseUrl, SchemaTooNew, StoreFull, StoreUnusable
from db.turns import Turns

if TYPE_CHECKING:
    from alembic.config import Config


class Database:
    """An engine at the newest revision, and short transactions on it."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._writers = Turns(PATIENCE_S)
        self._sessions = sessionmaker(engine, expire_on_commit=False)
        # `kept`: what those above keep of the store from one reading to the next (memory/kept_facts.py)
        self._only_reads = engine.execution_options(**_reading(engine))
        self._readers = sessionmaker(self._only_reads, expire_on_commit=False, info={"kept": {}})

    @property
    def url(self) -> str:
        return self.engine.url.render_as_string(hide_password=False)

    @contextmanager
    def transaction(self, *, is_urgent: bool = False) -> Iterator[Session]:
        """One transaction that may write, alone among writers: commits at the end, rolls back on any error.

        Keep it short; call no model inside. `is_urgent` goes before this process's other writers: for what others wait for.
        """
        with (
            named_errors(self.engine),
            self._writers.held(is_urgent=is_urgent),
            self._sessions() as session,
            session.begin(),
        ):
            _queue_as_writer(session.connection())
            yield session

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """One transaction that only reads, from a snapshot: blocks no writer and is blocked by none.

        The store refuses any write in it.
        """
        with named_errors(self.engine), self._readers() as session, session.begin():
            yield session

    def value(self, query: Select[Any], given: Mapping[str, Any]) -> Any:
        """What a query made beforehand finds, one value or None. Without a session, which costs three times as much."""
        with named_errors(self.engine), self._only_reads.connect() as connection:
            return connection.execute(query, given).scalar()

    def close(self) -> None:
        self.engine.dispose()


WRITERS = 0x51077A7E  # the advisory lock before which writers of a Postgres store queue
CACHE_KIB = 65_536  # of pages that a SQLite connection keeps: ids are random, so each write touches far pages
# A daemon has forty threads that answer. What is opened beyond the kept ones costs 2 ms of processor time each time, and
# begins with an empty cache; of the kept ones the last that was given back is given out first, and the others stay small.
POOL: dict[str, Any] = {"pool_size": 16, "max_overflow": 34, "pool_use_lifo": True}
READS_ONLY = "slowwave_reads_only"  # in a SQLite connection's info: as it was left
PATIENCE_S = 60  # how long a writer waits for the one before it
APPLICATION = "slowwave"  # under which Postgres knows our sessions


def _queue_as_writer(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": WRITERS})


def _reading(engine: Engine) -> dict[str, Any]:
    if engine.dialect.name == "postgresql":
        return {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
    return {"slowwave_reading": True}


@contextmanager
def named_errors(engine: Engine) -> Iterator[None]:
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
        if type(said).__name__ == sqlite3.OperationalError.__name__ and "disk is full" in str(said):
            return True
        seen = seen.__cause__ or seen.__context__
    return False


def without_password(url: str) -> str:
    """The address as it may be shown; raises BadDatabaseUrl."""
    try:
        return make_url(url).render_as_string() if url else ""
    except ArgumentError as error:
        raise BadDatabaseUrl("it is no address of a database that SQLAlchemy knows") from error


def sqlite_url(path: Path) -> str:
    return f"sqlite:///{path}"


def make_engine(url: str) -> Engine:
    try:
        parsed = make_url(url)
        if parsed.drivername in ("postgresql", "postgres"):
            parsed = parsed.set(drivername="postgresql+psycopg")
        if parsed.get_backend_name() != "sqlite":
            return _other_engine(parsed)
    except ArgumentError as error:  # its message may quote the password
        raise BadDatabaseUrl("it is no address of a database that SQLAlchemy knows") from error
    except ImportError as error:
        raise BadDatabaseUrl(_missing_driver(error.name or "its driver")) from error
    options: dict[str, Any] = {"connect_args": {"check_same_thread": False, "timeout": PATIENCE_S}}
    key = sealing.key_of(parsed.database)
    if key is not None:
        place = parsed.database or ""
        arguments = options.pop("connect_args")
        options["creator"] = lambda: sealing.connect_sealed(place, key, **arguments)
        options |= sealing.driver_of(key)
    if parsed.database in (None, "", ":memory:"):
        options["poolclass"] = StaticPool
    else:
        options |= POOL
    engine = create_engine(parsed, json_serializer=_json, **options)
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _other_engine(url: URL) -> Engine:
    engine = create_engine(url, pool_pre_ping=True, json_serializer=_json, **POOL)
    if engine.dialect.name == "postgresql":
        import pgvector.sqlalchemy  # noqa: F401  (its absence is said here, not in the middle of a write)

        event.listen(engine, "connect", _prepare_postgres)
    return engine


def _missing_driver(module: str) -> str:
    if module.partition(".")[0] in ("psycopg", "pgvector"):
        return f"Postgres needs the Python package {module}; run `pip install 'slowwave[postgres]'`"
    return f"the Python package {module} is not installed"


def _json(value: Any) -> str:
    """Strict JSON, which Postgres demands: numbers that are none become null."""
    try:
        return json.dumps(value, allow_nan=False)
    except ValueError:
        return json.dumps(_finite(value), allow_nan=False)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _begin_sqlite(connection: Connection) -> None:
    is_reading = bool(connection.get_execution_options().get("slowwave_reading"))
    if connection.info.get(READS_ONLY) is not is_reading:
        connection.exec_driver_sql(f"PRAGMA query_only={'ON' if is_reading else 'OFF'}")
        connection.info[READS_ONLY] = is_reading
    connection.exec_driver_sql("BEGIN" if is_reading else "BEGIN IMMEDIATE")


def _prepare_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None  # SQLAlchemy's "begin" event above opens transactions
    connection.create_function("lower", 1, _lower, deterministic=True)  # its own knows ASCII alone
    cursor = connection.cursor()
    _to_write_ahead(cursor)
    for pragma in ("foreign_keys=ON", "synchronous=NORMAL", f"cache_size=-{CACHE_KIB}"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _to_write_ahead(cursor: sqlite3.Cursor) -> None:
    """Wait while another process makes the same change to a new store: for this one statement SQLite itself does not."""
    given_up_at = time.monotonic() + PATIENCE_S
    while True:
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
            return
        except Exception as error:  # of whichever driver
            if (
                getattr(error, "sqlite_errorcode", 0) & 0xFF != sqlite3.SQLITE_BUSY
                or time.monotonic() > given_up_at
            ):
                raise
            time.sleep(0.01)


def _lower(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


def _prepare_postgres(connection: Any, _record: object) -> None:
    was_autocommit, connection.autocommit = connection.autocommit, True
    connection.execute(f"SET lock_timeout = '{PATIENCE_S}s'")
    connection.execute(f"SET application_name = '{APPLICATION}'")
    connection.autocommit = was_autocommit


MIGRATIONS = Path(__file__).parent / "migrations"


def alembic_config(engine: Engine | None = None, connection: Connection | None = None) -> Config:
    """For Alembic's commands: on the engine, in a transaction of their own, or within the connection's."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    if engine is not None:
        config.attributes["engine"] = engine
    if connection is not None:
        config.attributes["connection"] = connection
    return config


def open_database(url: str) -> Database:
    """Migrate to the newest revision and open. Raises SchemaTooNew before anything is written, and
    BadDatabaseUrl, VectorMissing, StoreFull or StoreUnusable. Two processes that open a new store migrate it once."""
    engine = make_engine(url)
    try:
        with named_errors(engine):
            if not is_at_head(engine):
                with engine.begin() as connection:
                    migrate(connection)
    except BaseException:
        engine.dispose()
        raise
    return Database(engine)


def is_at_head(engine: Engine) -> bool:
    """Whether nothing is to be migrated; raises SchemaTooNew. Waits for no writer."""
    with engine.execution_options(**_reading(engine)).connect() as connection:
        return _revision(connection) == known_revisions()[0]


def stored_revision(url: str) -> str | None:
    """The revision of a store that is there; None for a new one. Raises SchemaTooNew, and what opening raises."""
    engine = make_engine(url)
    if engine.dialect.name == "sqlite" and not Path(engine.url.database or "").exists():
        return None
    try:
        with named_errors(engine), engine.execution_options(**_reading(engine)).connect() as connection:
            return _revision(connection)
    finally:
        engine.dispose()


def migrate(connection: Connection, revision: str = "head") -> None:
    """Bring the store to the revision within the caller's transaction, alone among writers."""
    from alembic import command  # a store that is at the newest revision opens without Alembic

    _queue_as_writer(connection)
    _revision(connection)  # another process may have migrated it since, to one that is too new
    command.upgrade(alembic_config(connection=connection), revision)


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    revision: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
    if revision is not None and revision not in known_revisions():
        raise SchemaTooNew(revision)
    return revision


@cache
def known_revisions() -> tuple[str, ...]:
    """Every revision of the schema that this code knows, newest first: what its files' names begin with."""
    files = (MIGRATIONS / "versions").glob("[0-9]*_*.py")
    return tuple(sorted((file.name.partition("_")[0] for file in files), reverse=True))
