"""What the tests of a night's dreams tell it, and what they read of it."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select

from consolidation import dream
from consolidation.curriculum import (
    Row,
)
from consolidation.dream import Graph
from consolidation.stage import NightContext
from db.tables import Example

TOLD = (
    ("Mona Berg", "lives_in", "Bergen", 0),
    ("Mona Berg", "sister", "Vera", 2),
    ("Mona Berg", "job", "nurse at Haukeland", 4),
    ("Vera", "fears", "boats", 2),
    ("Vera", "dog", "Pelle", 2),
    ("Karl Aas", "birthday", "1990-02-20", 7),
    ("Karl Aas", "plays", "chess", 5),
    ("Karl Aas", "plays", "the tuba", 5),
)


def move_karl(chat: Any) -> None:
    chat.store(("Karl Aas", "lives_in", "Oslo", 1))
    chat.store(("Karl Aas", "lives_in", "Tromso", 5), change="update", valid_from=chat.episodes[5].time)


def graph_of(context: NightContext) -> Graph:
    return dream.read_graph(context)[0]


def examples(context: NightContext, split: str = "train") -> list[Example]:
    query = select(Example).where(Example.run_id == context.run_id, Example.split == split)
    with context.database.transaction() as session:
        return list(session.scalars(query.order_by(Example.id)))


def asked(row: Row) -> str:
    return row.messages[0]["content"]
