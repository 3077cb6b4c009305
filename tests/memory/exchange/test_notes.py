"""The same files give the same graph in every kind of store."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import func, select

from db.tables import Episode, Source
from memory.exchange.detect import read_notebook
from memory.exchange.mcp_memory import write_mcp_memory
from memory.exchange.notes import import_notebook
from memory.types import ImportReport

BringIn = Callable[..., ImportReport]
Lines = Callable[..., bytes]

ROWS: tuple[dict[str, Any], ...] = (
    {
        "type": "entity",
        "name": "Łucja “Lu” 🧵",
        "entityType": "person",
        "observations": ["Lives in Porto", "a\0b"],
    },
    {"type": "entity", "name": "Bo", "entityType": "person", "observations": ["half \ud83d"]},
    {"type": "relation", "from": "Bo", "to": "Łucja “Lu” 🧵", "relationType": "married_to"},
)
MEMORIES = {
    "results": [{"id": "1", "memory": "Likes tea", "user_id": "bo", "created_at": "2025-01-02T03:04:05Z"}]
}


def count(world: Any, table: Any) -> int:
    with world.database.reading() as session:
        return session.scalar(select(func.count()).select_from(table)) or 0


def escaped(*rows: dict[str, Any]) -> bytes:
    import json

    return "\n".join(json.dumps(row) for row in rows).encode()


def test_notes_come_in_once_and_go_out(world: Any, bring_in: BringIn) -> None:
    assert bring_in(escaped(*ROWS)).n_new == 4
    assert bring_in(escaped(*ROWS)).n_new == 0
    assert bring_in(escaped(*ROWS) + b"\n").n_new == 0
    assert {(f.subject, f.predicate, f.object) for f in world.facts()} == {
        ("Bo", "spouse", "Łucja “Lu” 🧵"),
        ("Łucja “Lu” 🧵", "lives_in", "Porto"),
    }
    file = io.BytesIO()
    write_mcp_memory(world.database, world.space_id, world.registry, file, clock=world.clock)
    assert bring_in(file.getvalue()).n_new == 0


def test_memories_come_in_once(world: Any, bring_in: BringIn) -> None:
    assert bring_in(escaped(MEMORIES)).n_new == 1
    assert bring_in(escaped(MEMORIES) + b" ").n_new == 0


def test_an_import_that_fails_leaves_nothing(world: Any) -> None:
    notebook = read_notebook(escaped(*ROWS), "x")
    assert notebook is not None

    def interrupted(done: int, total: int, note: str = "") -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        import_notebook(
            world.database,
            world.space_id,
            notebook,
            world.registry,
            raw=b"x",
            name="x",
            clock=world.clock,
            progress=interrupted,
        )
    assert count(world, Episode) == count(world, Source) == 0
