from __future__ import annotations

import errno
import multiprocessing
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta, timezone
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError, StatementError

from db.engine import Database, known_revisions, make_engine, open_database, sqlite_url
from db.errors import BadDatabaseUrl, SchemaTooNew, StoreFull, StoreUnusable
from db.tables import Space


def make_space(database: Database, created_at: datetime, name: str = "default") -> str:
    with database.transaction() as session:
        space = Space(name=name, created_at=created_at)
        session.add(space)
        session.flush()
        return space.id


def test_a_database_newer_than_the_code_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "graph.db"
    opened = open_database(sqlite_url(path))
    with opened.transaction() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    opened.close()
    before = path.read_bytes()
    with pytest.raises(SchemaTooNew, match="9999"):
        open_database(sqlite_url(path))
    assert path.read_bytes() == before


def test_opening_again_keeps_what_is_there(tmp_path: Path, now: datetime) -> None:
    url = sqlite_url(tmp_path / "graph.db")
    first = open_database(url)
    space_id = make_space(first, now)
    first.close()
    second = open_database(url)
    with second.transaction() as session:
        assert session.get_one(Space, space_id).name == "default"
    second.close()


def test_sqlite_keeps_foreign_keys_and_a_write_ahead_log(tmp_path: Path) -> None:
    opened = open_database(sqlite_url(tmp_path / "graph.db"))
    with opened.transaction() as session:
        assert session.scalar(text("PRAGMA journal_mode")) == "wal"
        assert session.scalar(text("PRAGMA foreign_keys")) == 1
    opened.close()


def test_an_error_rolls_the_transaction_back(database: Database, now: datetime) -> None:
    make_space(database, now)
    with pytest.raises(IntegrityError), database.transaction() as session:
        session.add_all([Space(name="other", created_at=now), Space(name="default", created_at=now)])
    with database.transaction() as session:
        assert session.query(Space).count() == 1


def test_a_store_without_room_says_so_and_keeps_what_it_had(tmp_path: Path, now: datetime) -> None:
    opened = open_database(sqlite_url(tmp_path / "graph.db"))
    make_space(opened, now)
    with opened.transaction() as session:
        n_pages = session.scalar(text("PRAGMA page_count"))
    with pytest.raises(StoreFull, match="no space left"):
        fill(opened, n_pages, now)
    with opened.transaction() as session:
        assert [space.name for space in session.query(Space)] == ["default"]
    opened.close()


def fill(database: Database, n_pages: int, now: datetime) -> None:
    """Write until SQLite's own limit on pages is reached."""
    with database.transaction() as session:
        session.execute(text(f"PRAGMA max_page_count = {n_pages}"))
        for number in range(2000):
            session.add(Space(name=f"{number:0250}", created_at=now))
            session.flush()


def test_a_full_disk_under_a_file_is_the_same_error(database: Database) -> None:
    with pytest.raises(StoreFull), database.transaction():
        raise OSError(errno.ENOSPC, "No space left on device")


def test_other_errors_of_the_system_pass_through(database: Database) -> None:
    with pytest.raises(PermissionError), database.transaction():
        raise PermissionError(errno.EACCES, "Permission denied")


def test_a_naive_datetime_is_refused(database: Database) -> None:
    with pytest.raises(StatementError, match="attach a time zone first"):
        make_space(database, datetime(2026, 1, 1))


def test_times_are_kept_as_moments_and_come_back_in_utc(database: Database, now: datetime) -> None:
    space_id = make_space(database, now.astimezone(timezone(timedelta(hours=9))))
    with database.transaction() as session:
        kept = session.get_one(Space, space_id).created_at
    assert kept == now
    assert kept.tzinfo is UTC


def test_a_plain_postgres_address_is_taken_as_psycopgs() -> None:
    engine = make_engine("postgresql://me@localhost/graph")
    assert (engine.dialect.name, engine.driver) == ("postgresql", "psycopg")
    engine.dispose()


def test_a_server_that_is_away_is_named_without_its_password(tmp_path: Path) -> None:
    with pytest.raises(StoreUnusable, match="graph") as caught:
        open_database(f"postgresql://me:s3cret@/graph?host={tmp_path}")
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["", "graph.db", "mysql://me@localhost/x", "postgresql+pg8000://me@localhost/x"]
)
def test_an_address_that_cannot_be_used_is_refused(url: str) -> None:
    with pytest.raises(BadDatabaseUrl, match="postgresql://"):
        open_database(url)


def open_at_once(url: str, start: Barrier, answer: Connection) -> None:
    start.wait()
    try:
        opened = open_database(url)
        with opened.reading() as session:
            answer.send(session.scalars(text("SELECT version_num FROM alembic_version")).all())
        opened.close()
    except Exception as error:
        answer.send(repr(error))


@pytest.mark.parametrize("kind", ["disk", "postgres"])
def test_processes_that_open_a_new_store_at_once_migrate_it_once(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    context = multiprocessing.get_context("spawn")
    with ExitStack() as stack:
        url = sqlite_url(tmp_path / "graph.db")
        if kind == "postgres":
            url = stack.enter_context(request.getfixturevalue("new_postgres")("template0"))
        start, pipes = context.Barrier(3), [context.Pipe() for _ in range(3)]
        openers = [context.Process(target=open_at_once, args=(url, start, pipe[1])) for pipe in pipes]
        for opener in openers:
            opener.start()
        answers = [pipe[0].recv() if pipe[0].poll(240) else "no answer" for pipe in pipes]
        for opener in openers:
            opener.join(240)
        assert answers == [[known_revisions()[0]]] * 3


def test_opening_waits_for_no_writer(shared_url: str, now: datetime) -> None:
    first = open_database(shared_url)
    with first.transaction() as session:
        session.add(Space(name="default", created_at=now))
        session.flush()
        second = open_database(shared_url)
        with second.reading() as reader:
            assert reader.scalars(text("SELECT name FROM space")).all() == []
        second.close()
    first.close()
