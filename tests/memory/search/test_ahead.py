"""Claims about vectors made ahead: they are in the store with what they are of, and the index has nothing to encode."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from db.tables import Embedding
from memory import statements
from memory.embedders.hashing import HashingEmbedder
from memory.importing import ImportOptions, import_export, open_export
from memory.index import Index
from memory.ports import FloatMatrix
from memory.reading import read_episodes
from memory.search.ahead import MOST
from memory.statements import Statement
from tests.memory.test_reading import LengthTagger, LivesReader


class Counting(HashingEmbedder):
    def __init__(self) -> None:
        super().__init__(64)
        self.encoded: list[str] = []

    def encode(self, texts: Sequence[str]) -> FloatMatrix:
        self.encoded += texts
        return super().encode(texts)


@pytest.fixture
def encoder() -> Counting:
    return Counting()


@pytest.fixture
def index(world: Any, encoder: Counting, tmp_path: Path) -> Index:
    """One that was searched, after which the encoder's count begins anew."""
    made = Index.open(world.database, world.space_id, tmp_path, encoder, world.registry)
    world.say("Ana Reis", 0, text="I have a boat")
    made.refresh()
    encoder.encoded.clear()
    return made


def owners(world: Any) -> set[tuple[str, str]]:
    with world.database.reading() as session:
        rows = session.execute(select(Embedding.owner_kind, Embedding.owner_id))
        return {(kind, owner) for kind, owner in rows}


def write_chat(path: Path, n: int) -> Path:
    path.write_text(
        "".join(
            json.dumps(
                {"time": f"2025-05-01T10:{i % 60:02}:00", "speaker": "Bo Lund", "text": f"I live in {i}"}
            )
            + "\n"
            for i in range(n)
        )
    )
    return path


def test_a_stated_fact_has_its_vector_from_the_beginning(world: Any, index: Index, encoder: Counting) -> None:
    author = statements.keeper(world.database, world.space_id, clock=world.clock)
    said = Statement(person="Ana Reis", predicate="lives_in", object="Porto")
    stated = statements.state(
        world.database,
        world.space_id,
        world.registry,
        said,
        by=author,
        prepare=index.ahead,
        clock=world.clock,
    )
    assert ("fact", stated.fact_id) in owners(world)
    assert encoder.encoded == ["Ana Reis lives in Porto."]
    index.refresh()
    assert len(encoder.encoded) == 1
    assert index.search("Ana Reis lives in Porto.", 1)[0].id == stated.fact_id
    assert index.check() == []


def test_messages_and_what_is_read_in_them_have_theirs(
    world: Any, index: Index, encoder: Counting, tmp_path: Path
) -> None:
    where = world.database, world.space_id
    export = open_export(write_chat(tmp_path / "chat.jsonl", 3), ImportOptions())
    import_export(*where, export, prepare=index.ahead, clock=world.clock)
    assert len([one for one in owners(world) if one[0] == "episode"]) == 4
    read_episodes(
        *where, LivesReader(), LengthTagger(), world.registry, prepare=index.ahead, clock=world.clock
    )
    n_made = len(encoder.encoded)
    assert len([one for one in owners(world) if one[0] == "fact"]) == 3
    index.refresh()
    assert len(encoder.encoded) == n_made
    assert index.check() == []


def test_many_messages_wait_for_the_index(
    world: Any, index: Index, encoder: Counting, tmp_path: Path
) -> None:
    export = open_export(write_chat(tmp_path / "chat.jsonl", MOST + 1), ImportOptions())
    import_export(world.database, world.space_id, export, prepare=index.ahead, clock=world.clock)
    assert encoder.encoded == []
    index.refresh()
    assert len(encoder.encoded) >= MOST + 1


def test_what_is_worded_otherwise_than_expected_is_left_to_the_index(
    world: Any, index: Index, encoder: Counting
) -> None:
    ahead = index.ahead(["Ana Reis: something else"])
    assert ahead is not None
    new = world.say("Ana Reis", 1, text="I sold the boat")
    with world.database.transaction() as session:
        ahead.keep(session, episodes=[new])
    assert ("episode", new) not in owners(world)
    index.refresh()
    assert ("episode", new) in owners(world)


def test_nothing_is_encoded_where_nothing_was_searched(world: Any, encoder: Counting, tmp_path: Path) -> None:
    unopened = Index.open(world.database, world.space_id, tmp_path, encoder, world.registry)
    assert unopened.ahead(["Ana Reis: hello"]) is None
    assert encoder.encoded == []
