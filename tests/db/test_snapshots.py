"""Readers and writers side by side, and the feed of changes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import bindparam, select, update

from db.engine import Database, open_database, sqlite_url
from db.errors import StoreUnusable
from db.tables import Change, Node, Space
from memory.people import add_alias, get_or_create_node
from memory.spaces import ensure_space


def test_a_reader_neither_waits_for_a_writer_nor_sees_what_it_has_not_committed(tmp_path: Path) -> None:
    database = open_database(sqlite_url(tmp_path / "graph.db"))
    space_id = ensure_space(database)
    with database.transaction() as writer:
        get_or_create_node(writer, space_id, "Ana Reis")
        with database.reading() as reader:
            assert reader.scalars(select(Node.name)).all() == []
    with database.reading() as reader:
        assert reader.scalars(select(Node.name)).all() == ["Ana Reis"]
    database.close()


def test_the_store_refuses_a_write_in_a_reading(database: Database) -> None:
    space_id = ensure_space(database)
    with pytest.raises(StoreUnusable), database.reading() as session:
        session.get_one(Space, space_id).timezone = "Europe/Lisbon"
    with database.transaction() as session:
        session.get_one(Space, space_id).timezone = "Europe/Lisbon"


def test_every_change_of_a_name_is_in_the_feed(database: Database) -> None:
    space_id = ensure_space(database)
    with database.transaction() as session:
        node_id = get_or_create_node(session, space_id, "Ana Reis")
    with database.transaction() as session:
        add_alias(session, space_id, node_id, "Aninhas")
    with database.transaction() as session:
        session.get_one(Node, node_id).created_at = session.get_one(Space, space_id).created_at
    with database.reading() as session:
        rows = session.execute(select(Change.kind, Change.owner_id).order_by(Change.seq)).all()
    assert [tuple(row) for row in rows] == [("node", node_id)] * 2


def test_one_value_is_what_a_reading_finds_and_asking_for_it_cannot_write(database: Database) -> None:
    space_id = ensure_space(database)
    name = select(Space.name).where(Space.id == bindparam("space"))
    with database.reading() as session:
        found = session.get_one(Space, space_id).name
    assert database.value(name, {"space": space_id}) == found
    assert database.value(name, {"space": "b" * 16}) is None
    changing: Any = update(Space).values(name="renamed").where(Space.id == space_id).returning(Space.name)
    with pytest.raises(StoreUnusable):
        database.value(changing, {})
    with database.transaction() as session:  # the connection goes back as one that may write
        session.get_one(Space, space_id).name = "renamed"
    assert database.value(name, {"space": space_id}) == "renamed"
