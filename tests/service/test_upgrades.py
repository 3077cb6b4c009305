"""Homes as every earlier revision's own code made them, opened by this code: upgraded, whole, and with the same facts.

`revisions/NNNN.zip` was made by the last commit at that revision, in a clone with this environment: `import` of the chat of
14 lines that is in each, `consent "Mona Berg" --by "Mona Berg"`, `sleep --model` with the random model of `bench.tiny_model`,
whole for some and ended by SIGTERM at its training for others; then a row, by that code's own functions, in each table that
revisions from 0016 on added (an hour that was tried, a job that is done, what agents keep, a token, an act, an answer that
was given once). The zip has the store and the files that its artifacts name.
"""

from __future__ import annotations

import logging
import sqlite3
import zipfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from sqlalchemy import MetaData, create_engine, insert, inspect, select

from db.engine import alembic_config, known_revisions, make_engine, open_database, sqlite_url
from db.errors import SchemaTooNew
from memory.erasure import Target
from memory.facts import list_facts
from memory.people import find_person
from service.entrances import forgetting
from service.entrances.proving import verify_home
from service.opening import open_store
from service.settings import Settings
from service.wiring import Services

REVISIONS = Path(__file__).parent / "revisions"
EARLIER = tuple(sorted(path.stem for path in REVISIONS.glob("*.zip")))
LAST = "0021"  # of which a home was kept
SHOWN = ("0001", "0009", "0014", "0018", "0021")  # by default; the others are slow


def some(shown: tuple[str, ...]) -> list[Any]:
    return [item if item in shown else pytest.param(item, marks=pytest.mark.slow) for item in EARLIER]


def unpack(revision: str, home: Path) -> Settings:
    with zipfile.ZipFile(REVISIONS / f"{revision}.zip") as archive:
        archive.extractall(home)
    return Settings(home=home)


def counted(home: Path) -> tuple[int, int]:
    """Messages and facts in the store as it lies there."""
    with closing(sqlite3.connect(home / "graph.db")) as store:
        n_messages, n_facts = (
            store.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in ("episode", "fact")
        )
    return n_messages, n_facts


def assert_it_is_whole(settings: Settings, expected: tuple[int, int]) -> None:
    with Services(settings) as services:
        report = verify_home(services)
        assert report.problems == []
        assert (report.counts["messages"], report.counts["facts"]) == expected
        mona = find_person(services.database, services.space_id, "Mona Berg")
        stored = list_facts(services.database, services.space_id, services.registry, person_id=mona.id)
        assert ("lives_in", "Bergen") in {(fact.predicate, fact.object) for fact in stored}


def test_there_is_a_home_of_every_earlier_revision() -> None:
    assert tuple(sorted(item for item in known_revisions() if item <= LAST)) == EARLIER


@pytest.mark.parametrize("revision", some(SHOWN))
def test_a_home_of_an_earlier_revision_is_upgraded_whole(
    revision: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = unpack(revision, tmp_path)
    expected = counted(tmp_path)
    assert min(expected) >= 10
    with caplog.at_level(logging.WARNING):
        open_store(settings).close()
    assert f"revision {revision}" in caplog.text
    kept = tmp_path / "upgrades" / f"graph-{revision}.db"
    with closing(sqlite3.connect(kept)) as before:
        assert before.execute("SELECT version_num FROM alembic_version").fetchone() == (revision,)
        assert before.execute("SELECT count(*) FROM episode").fetchone() == (expected[0],)
    assert_it_is_whole(settings, expected)


def on_postgres(revision: str, home: Path, url: str) -> None:
    """The same rows in a Postgres store of that revision."""
    source, target = create_engine(sqlite_url(home / "graph.db")), make_engine(url)
    command.upgrade(alembic_config(target), revision)
    has, gets = MetaData(), MetaData()
    has.reflect(source)
    gets.reflect(target)
    with source.connect() as read, target.begin() as write:
        for table in gets.sorted_tables:
            if table.name in ("alembic_version", "change", "embedding") or table.name not in has.tables:
                continue
            names = [column.name for column in table.columns if column.name in has.tables[table.name].c]
            rows = read.execute(select(*(has.tables[table.name].c[name] for name in names))).all()
            if rows:
                write.execute(insert(table), [dict(zip(names, row, strict=True)) for row in rows])
    source.dispose()
    target.dispose()


@pytest.mark.parametrize(
    "revision",
    some(("0003", "0021")),
)
def test_a_postgres_store_of_an_earlier_revision_is_upgraded_whole(
    revision: str, tmp_path: Path, new_postgres: Callable[[str], Any]
) -> None:
    unpack(revision, tmp_path)
    expected = counted(tmp_path)
    with new_postgres("template0") as url:
        on_postgres(revision, tmp_path, url)
        (tmp_path / "graph.db").unlink()
        assert_it_is_whole(Settings(home=tmp_path, database_url=url), expected)
        assert not (tmp_path / "upgrades").exists()


def test_an_erasure_takes_the_copy_of_before_the_upgrade(tmp_path: Path) -> None:
    settings = unpack("0014", tmp_path)
    with Services(settings) as services:
        mona = find_person(services.database, services.space_id, "Mona Berg")
        assert list((tmp_path / "upgrades").iterdir())
        forgetting.erase(services, Target("person", mona.id), leave_weights=True)
    assert not (tmp_path / "upgrades").exists()


def test_one_copy_is_kept_and_none_of_a_new_store(tmp_path: Path) -> None:
    settings = unpack("0014", tmp_path)
    (tmp_path / "upgrades").mkdir()
    (tmp_path / "upgrades" / "graph-0002.db").write_bytes(b"older")
    open_store(settings).close()
    open_store(settings).close()
    assert [path.name for path in (tmp_path / "upgrades").iterdir()] == ["graph-0014.db"]
    open_store(Settings(home=tmp_path / "new")).close()
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["graph.db"]


def test_a_newer_store_is_refused_in_one_line_and_left_alone(tmp_path: Path) -> None:
    open_database(sqlite_url(tmp_path / "graph.db")).close()
    with closing(sqlite3.connect(tmp_path / "graph.db")) as store:
        store.execute("UPDATE alembic_version SET version_num = '9999'")
        store.commit()
    before = (tmp_path / "graph.db").read_bytes()
    with pytest.raises(SchemaTooNew, match=r"9999.*install the newer slowwave.*backup") as refused:
        open_store(Settings(home=tmp_path))
    assert "\n" not in str(refused.value)
    assert (tmp_path / "graph.db").read_bytes() == before
    assert not (tmp_path / "upgrades").exists()


def test_an_upgrade_that_fails_leaves_the_store_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = unpack("0004", tmp_path)
    with closing(sqlite3.connect(tmp_path / "graph.db")) as store:  # what a later revision stumbles over
        store.execute("CREATE TABLE digest (x INTEGER)")
    with pytest.raises(Exception, match="digest"):
        open_store(settings)
    engine = make_engine(settings.url)
    with engine.connect() as connection:
        found = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
        assert found == "0004"
        assert "pinned_at" not in {column["name"] for column in inspect(connection).get_columns("fact")}
    engine.dispose()
