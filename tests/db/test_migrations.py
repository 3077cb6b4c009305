from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.script import ScriptDirectory
from sqlalchemy import inspect

from db.engine import alembic_config, make_engine, open_database, sqlite_url
from db.tables import Base


def test_the_migrations_make_what_the_tables_say(tmp_path: Path) -> None:
    opened = open_database(sqlite_url(tmp_path / "graph.db"))
    command.check(alembic_config(opened.engine))  # raises where they differ
    opened.close()


def test_the_revisions_make_every_table_and_can_be_taken_back(tmp_path: Path) -> None:
    engine = make_engine(sqlite_url(tmp_path / "graph.db"))
    config = alembic_config(engine)
    command.upgrade(config, "head")
    made = set(inspect(engine).get_table_names())
    assert made == {*Base.metadata.tables, "alembic_version"}
    command.downgrade(config, "base")
    assert set(inspect(engine).get_table_names()) == {"alembic_version"}
    engine.dispose()


def test_revisions_are_one_line() -> None:
    script = ScriptDirectory.from_config(alembic_config())
    assert len(script.get_heads()) == 1
    assert script.get_bases() == ["0001"]
