from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import func, select

from db import tables
from db.engine import Database
from memory.bulk import BulkReport, Told, add_facts
from memory.embedders.hashing import HashingEmbedder
from memory.errors import WrongEmbedder
from memory.facts import list_facts
from memory.index import Index
from memory.people import add_alias, get_or_create_node
from memory.registry import Registry
from memory.spaces import ensure_space
from memory.types import FactCandidate

NOON = datetime(2024, 5, 4, 12, tzinfo=UTC)
EMBEDDER = HashingEmbedder(64)


def claim(subject: str, predicate: str, value: str, **rest: object) -> FactCandidate:
    made = FactCandidate(subject, predicate, value, (), subject, 0.9, "test", object_kind=None)
    return replace(made, **rest)  # type: ignore[arg-type]


def told(speaker: str, text: str, *facts: FactCandidate, after: int = 0, to: str = "Ben Ode") -> Told:
    return Told(speaker, f"{speaker} and {to}", NOON + timedelta(minutes=after), text, facts, (to,))


@pytest.fixture
def space_id(database: Database) -> str:
    return ensure_space(database)


def write(database: Database, space_id: str, *rows: Told, registry: Registry | None = None) -> BulkReport:
    registry = registry or Registry.load()
    return add_facts(database, space_id, rows, registry, source="test", embedder=EMBEDDER)


def count(database: Database, table: type[tables.Base]) -> int:
    with database.reading() as session:
        return session.scalar(select(func.count()).select_from(table)) or 0


def test_facts_rest_on_the_message_they_came_with(database: Database, space_id: str) -> None:
    report = write(
        database, space_id, told("Ana Reis", "I live in Porto", claim("Ana Reis", "lives_in", "Porto"))
    )
    assert (report.n_episodes, report.n_facts) == (1, 1)
    (fact,) = list_facts(database, space_id, Registry.load())
    assert (fact.object, fact.status, len(fact.evidence)) == ("Porto", "candidate", 1)
    assert fact.valid_from == datetime(2024, 5, 4, tzinfo=UTC)


def test_an_exact_name_or_alias_never_makes_two_nodes(database: Database, space_id: str) -> None:
    with database.transaction() as session:
        known = get_or_create_node(session, space_id, "Inês Góis")
        add_alias(session, space_id, known, "Nini")
    rows = [told(name, f"I am {name}", after=i) for i, name in enumerate(("INES GOIS", "Nini", "inês  góis"))]
    write(database, space_id, *rows)
    with database.reading() as session:
        speakers = set(session.scalars(select(tables.Episode.speaker_id)))
        assert session.get_one(tables.Node, known).is_speaker
    assert speakers == {known}
    assert count(database, tables.Node) == 2  # and who heard it


def test_the_same_rows_again_add_nothing(database: Database, space_id: str) -> None:
    row = told("Ana Reis", "I like rain", claim("Ana Reis", "likes", "rain"))
    write(database, space_id, row)
    again = write(database, space_id, row, told("Ana Reis", "and snow", after=1))
    assert (again.n_known, again.n_episodes) == (1, 1)
    assert count(database, tables.Fact) == 1


@pytest.mark.parametrize(
    "bad",
    [
        claim("Ana Reis", "likes", " \0 "),
        claim("Ana Reis", "??", "rain"),
        claim("\u200b", "likes", "rain"),
        claim("Ana Reis", "likes", "x" * 5000),
        claim("Ana Reis", "likes", "rain", valid_from=NOON, valid_to=NOON - timedelta(days=1)),
    ],
)
def test_what_cannot_be_is_refused_and_counted(database: Database, space_id: str, bad: FactCandidate) -> None:
    report = write(database, space_id, told("Ana Reis", "words", bad, claim("Ana Reis", "likes", "snow")))
    assert (report.n_refused, report.n_facts) == (1, 1)


def test_nul_bytes_and_empty_messages_stay_out(database: Database, space_id: str) -> None:
    report = write(database, space_id, told("Ana Reis", "a\0b"), told("Ana Reis", " \0", after=1))
    assert report.n_empty == 1
    with database.reading() as session:
        assert session.scalars(select(tables.Episode.text)).all() == ["ab"]


def test_given_vectors_are_searched_without_the_encoder(
    database: Database, space_id: str, tmp_path: Path
) -> None:
    class Silent(HashingEmbedder):
        def encode(self, texts: Sequence[str]) -> np.ndarray:
            raise AssertionError("nothing was to be encoded")

    vectors = np.eye(64, dtype=np.float32)
    rows = [
        replace(
            told("Ana Reis", f"number {i}", claim("Ana Reis", "likes", f"thing {i}"), after=300 * i),
            vector=vectors[i],
            fact_vectors=(vectors[i + 20],),
        )
        for i in range(20)
    ]
    add_facts(database, space_id, rows, Registry.load(), source="test", embedder=EMBEDDER)
    index = Index.open(database, space_id, tmp_path, Silent(64))
    assert index.refresh() == 40
    assert index.check() == []
    (best,) = index.search("unspoken", 1, vector=vectors[27])
    assert best.kind == "fact"


def test_a_vector_of_another_width_is_refused_before_anything_is_written(
    database: Database, space_id: str
) -> None:
    row = replace(told("Ana Reis", "hello"), vector=np.zeros(32, np.float32))
    with pytest.raises(WrongEmbedder, match="slowwave index rebuild"):
        write(database, space_id, row)
    assert count(database, tables.Episode) == 0
