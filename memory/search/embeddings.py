"""Vectors in the table `embedding`: made once per text and encoder, and the truth from which the index is built."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from sqlalchemy import delete, insert, select
from sqlalchemy.orm import Session

from db import tables
from db.engine import Database
from memory.errors import WrongEmbedder
from memory.ports import Embedder, FloatMatrix

_CHUNK = 500  # texts per call of the encoder and per transaction; also ids per query


def check_model(database: Database, space_id: str, embedder: Embedder) -> None:
    """Raises WrongEmbedder when the space's vectors come from other encoders only."""
    with database.reading() as session:
        models = set(
            session.scalars(
                select(tables.Embedding.model).where(tables.Embedding.space_id == space_id).distinct()
            )
        )
    if models and embedder.name not in models:
        raise WrongEmbedder(", ".join(sorted(models)), embedder.name)


def forget_others(database: Database, space_id: str, embedder: Embedder) -> None:
    """Delete the space's vectors of every other encoder."""
    with database.transaction() as session:
        session.execute(
            delete(tables.Embedding).where(
                tables.Embedding.space_id == space_id, tables.Embedding.model != embedder.name
            )
        )


def ensure(
    database: Database, space_id: str, embedder: Embedder, kind: str, texts: dict[str, str]
) -> FloatMatrix:
    """Vectors (N, width) of these owners, in their order; the missing ones are made and stored."""
    ids = list(texts)
    with database.reading() as session:
        known = load(session, embedder, kind, ids)
    missing = [owner_id for owner_id in ids if owner_id not in known]
    for start in range(0, len(missing), _CHUNK):
        part = missing[start : start + _CHUNK]
        made = embedder.encode([texts[owner_id] for owner_id in part])
        known.update(zip(part, made, strict=True))
        with database.transaction() as session:
            _store(session, space_id, embedder, kind, part, known)
    if not ids:
        return np.zeros((0, embedder.width), np.float32)
    return np.stack([known[owner_id] for owner_id in ids])


def _store(
    session: Session,
    space_id: str,
    embedder: Embedder,
    kind: str,
    ids: Sequence[str],
    vectors: dict[str, FloatMatrix],
) -> None:
    raced = load(session, embedder, kind, ids)  # another process may have been quicker
    rows = [
        {
            "owner_kind": kind,
            "owner_id": owner_id,
            "model": embedder.name,
            "space_id": space_id,
            "width": embedder.width,
            "vector": np.ascontiguousarray(vectors[owner_id], np.float32).tobytes(),
        }
        for owner_id in ids
        if owner_id not in raced
    ]
    if rows:
        session.execute(insert(tables.Embedding), rows)


def load(session: Session, embedder: Embedder, kind: str, ids: Sequence[str]) -> dict[str, FloatMatrix]:
    found: dict[str, FloatMatrix] = {}
    for start in range(0, len(ids), _CHUNK):
        query = select(tables.Embedding.owner_id, tables.Embedding.vector).where(
            tables.Embedding.owner_kind == kind,
            tables.Embedding.model == embedder.name,
            tables.Embedding.width == embedder.width,
            tables.Embedding.owner_id.in_(ids[start : start + _CHUNK]),
        )
        for owner_id, vector in session.execute(query):
            found[owner_id] = np.frombuffer(vector, np.float32)
    return found
