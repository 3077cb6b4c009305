"""What the tests of a night's dreams tell it, and what they read of it."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select

from consolidation import dream
from consolidation import recipe as recipes
from consolidation.curriculum import (
    Row,
)
from consolidation.dream import Graph
from consolidation.recipe import Entry, Recipe
from consolidation.stage import NightContext
from db.tables import Example
from memory.artifacts import move_pointer, record_artifact

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


def serve(
    context: NightContext, sha256: str = "a" * 64, path: str = "adapters/x", base: str = "b" * 64
) -> str:
    """Let the night's vector be part of what serves; who reads no weights needs no files. The recipe's id."""
    recipe = Recipe(base, (Entry(sha256, path, 1.0, context.run_id, "facts"),))
    recipes.save(context.home, recipe)
    with context.database.transaction() as session:
        recipe_id = record_artifact(
            session,
            context.space_id,
            run_id=context.run_id,
            kind="recipe",
            path=recipe.path,
            sha256=recipe.sha256,
            meta={},
        )
        move_pointer(session, context.space_id, run_id=context.run_id, recipe_id=recipe_id, readout_id=None)
    return recipe_id


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
