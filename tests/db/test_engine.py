from __future__ import annotations

import errno
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError, StatementError

from db.engine import Database, open_database, sqlite_url
from db.errors import SchemaTooNew, StoreFull
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
