"""Bringing another program's file into a world, as the program does it: store, then read."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from agents.extractors.rules import RuleExtractor
from db.engine import Database, make_engine
from memory.exchange.detect import read_notebook
from memory.exchange.notes import import_notebook
from memory.reading import read_episodes
from memory.types import ImportReport


class NoTagger:
    name = "none"

    def tag(self, texts: Any) -> list[dict[str, float]]:
        return [{} for _ in texts]


def as_lines(*rows: dict[str, Any]) -> bytes:
    return "\n".join(json.dumps(row, ensure_ascii=False) for row in rows).encode()


@pytest.fixture
def one_store(migrated: Path) -> Iterator[Database]:
    """A store in memory, for tests in which the kind of store makes no difference."""
    opened = Database(make_engine("sqlite://"))
    with closing(sqlite3.connect(migrated)) as template, opened.engine.connect() as connection:
        template.backup(connection.connection.driver_connection)  # type: ignore[arg-type]
    yield opened
    opened.close()


@pytest.fixture
def bring_in(world: Any) -> Callable[..., ImportReport]:
    """Import what a file holds and read it with the rules."""

    def bring(raw: bytes, name: str = "memory.json") -> ImportReport:
        notebook = read_notebook(raw, name)
        assert notebook is not None
        report, _ = import_notebook(
            world.database, world.space_id, notebook, world.registry, raw=raw, name=name, clock=world.clock
        )
        read_episodes(
            world.database, world.space_id, RuleExtractor(), NoTagger(), world.registry, clock=world.clock
        )
        return report

    return bring


@pytest.fixture(scope="session")
def lines() -> Callable[..., bytes]:
    return as_lines
