"""Vectors on every store, and pgvector's own search on Postgres."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from sqlalchemy import create_engine, select, text
from sqlalchemy.exc import DBAPIError

from db.engine import Database, open_database
from db.errors import VectorMissing
from db.tables import Embedding
from memory.spaces import ensure_space

WIDTH = 32


def store_vectors(database: Database, vectors: npt.NDArray[np.float32], *, width: int = WIDTH) -> None:
    space_id = ensure_space(database)
    with database.transaction() as session:
        for number, vector in enumerate(vectors):
            session.add(
                Embedding(
                    owner_kind="fact",
                    owner_id=f"{number:03}",
                    model="m",
                    space_id=space_id,
                    width=width,
                    vector=vector.tobytes(),
                )
            )


def test_a_vector_comes_back_to_the_bit(database: Database) -> None:
    random = np.random.default_rng(1)
    vectors = (random.normal(size=(20, WIDTH)) * 10.0 ** random.integers(-40, 38, (20, WIDTH))).astype(
        np.float32
    )
    store_vectors(database, vectors)
    with database.reading() as session:
        kept = session.scalars(select(Embedding.vector).order_by(Embedding.owner_id)).all()
    assert kept == [vector.tobytes() for vector in vectors]


def test_a_vector_of_another_width_than_it_says_is_refused(database: Database) -> None:
    with pytest.raises(DBAPIError, match="width"):
        store_vectors(database, np.ones((1, WIDTH - 1), np.float32))


@pytest.mark.parametrize("database", ["postgres"], indirect=True)
def test_the_documented_query_finds_what_numpy_finds(database: Database) -> None:
    random = np.random.default_rng(2)
    vectors = random.normal(size=(200, WIDTH)).astype(np.float32)
    store_vectors(database, vectors)
    wanted = random.normal(size=WIDTH).astype(np.float32)
    cosine = vectors @ wanted / np.linalg.norm(vectors, axis=1) / np.linalg.norm(wanted)
    query = text(
        "SELECT owner_id, 1 - (vector <=> CAST(:wanted AS vector)) AS similarity FROM embedding "
        "WHERE owner_kind = 'fact' AND model = 'm' ORDER BY vector <=> CAST(:wanted AS vector) LIMIT 10"
    )
    with database.reading() as session:
        found = session.execute(query, {"wanted": str(wanted.tolist())}).all()
    best = np.argsort(-cosine)[:10]
    assert [row.owner_id for row in found] == [f"{number:03}" for number in best]
    assert [row.similarity for row in found] == pytest.approx(cosine[best].tolist(), abs=1e-6)


@pytest.mark.parametrize("database", ["postgres"], indirect=True)
def test_the_documented_index_serves_the_vectors_of_one_model(database: Database) -> None:
    store_vectors(database, np.random.default_rng(2).normal(size=(50, WIDTH)).astype(np.float32))
    with database.transaction() as session:
        session.execute(
            text(
                f"CREATE INDEX embedding_nearest ON embedding USING hnsw ((vector::vector({WIDTH})) vector_cosine_ops) "
                "WHERE model = 'm'"
            )
        )
        session.execute(text("SET LOCAL enable_seqscan = off"))
        plan = session.scalars(
            text(
                f"EXPLAIN SELECT owner_id FROM embedding WHERE model = 'm' "
                f"ORDER BY vector::vector({WIDTH}) <=> (SELECT vector::vector({WIDTH}) FROM embedding LIMIT 1) LIMIT 5"
            )
        ).all()
    assert any("embedding_nearest" in line for line in plan)


def administer(url: str, *statements: str) -> None:
    admin = create_engine(url, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        for statement in statements:
            connection.execute(text(statement))
    admin.dispose()


def test_a_plain_role_is_told_what_to_do_and_works_once_that_is_done(
    new_postgres: Callable[[str], Any],
) -> None:
    with new_postgres("template0") as url:
        administer(url, "CREATE ROLE plain LOGIN", "GRANT ALL ON SCHEMA public TO plain")
        with pytest.raises(VectorMissing, match="CREATE EXTENSION vector") as caught:
            open_database(url.replace("postgres@", "plain@"))
        assert "\n" not in str(caught.value)
        administer(url, "CREATE EXTENSION vector")
        opened = open_database(url.replace("postgres@", "plain@"))
        store_vectors(opened, np.eye(3, WIDTH, dtype=np.float32))
        opened.close()
