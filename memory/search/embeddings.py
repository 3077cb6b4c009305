"""Vectors in the table `embedding`: made once per text and encoder, and the truth from which the index is built."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from sqlalchemy import bindparam, delete, insert, or_, select
from sqlalchemy.orm import Session

from db import tables
from db.engine import Database
from memory.errors import WrongEmbedder
from memory.ports import Embedder, FloatMatrix

Owner = tuple[str, str]  # kind and id

_CHUNK = 500  # texts per call of the encoder and per transaction; also ids per query


def check_model(database: Database, space_id: str, embedder: Embedder) -> None:
    """Raises WrongEmbedder when the space's vectors come from other encoders only, or have another width."""
    stored = select(tables.Embedding.model, tables.Embedding.width).where(
        tables.Embedding.space_id == space_id
    )
    with database.reading() as session:
        own = session.execute(stored.where(tables.Embedding.model == embedder.name).limit(1)).first()
        found = own or session.execute(stored.limit(1)).first()
    if found is not None and tuple(found) != (embedder.name, embedder.width):
        raise WrongEmbedder(_described(*found), _described(embedder.name, embedder.width))


def check_vectors(embedder: Embedder, vectors: Iterable[FloatMatrix]) -> None:
    """Raises WrongEmbedder for a vector of another width, or with numbers that are not finite."""
    every = list(vectors)
    for vector in every:
        if len(vector) != embedder.width:
            raise WrongEmbedder(f"a model of width {len(vector)}", _described(embedder.name, embedder.width))
    if every and not np.isfinite(np.stack(every)).all():
        raise WrongEmbedder("a model whose numbers are not finite", embedder.name)


def _described(model: str, width: int) -> str:
    return f"{model} of width {width}"


def forget_others(database: Database, space_id: str, embedder: Embedder) -> None:
    """Delete the space's vectors of every other encoder."""
    embedding = tables.Embedding
    with database.transaction() as session:
        session.execute(
            delete(embedding).where(
                embedding.space_id == space_id,
                or_(embedding.model != embedder.name, embedding.width != embedder.width),
            )
        )


def ensure(
    database: Database, space_id: str, embedder: Embedder, kind: str, texts: Mapping[str, str]
) -> FloatMatrix:
    """Vectors (N, width) of these owners, in their order; the missing ones are made and stored."""
    if not texts:
        return np.zeros((0, embedder.width), np.float32)
    known = ensure_all(
        database, space_id, embedder, {(kind, owner_id): text for owner_id, text in texts.items()}
    )
    return np.stack([known[kind, owner_id] for owner_id in texts])


def ensure_all(
    database: Database, space_id: str, embedder: Embedder, texts: Mapping[Owner, str]
) -> dict[Owner, FloatMatrix]:
    """The same for owners of several kinds: what is missing goes to the encoder and into the store together."""
    with database.reading() as session:
        known = _load_all(session, embedder, texts)
    missing = [owner for owner in texts if owner not in known]
    for start in range(0, len(missing), _CHUNK):
        part = missing[start : start + _CHUNK]
        made = dict(zip(part, embedder.encode([texts[owner] for owner in part]), strict=True))
        with database.transaction(is_urgent=True) as session:  # searches wait for it
            store(session, space_id, embedder, made)
        known |= made
    return known


def store(session: Session, space_id: str, embedder: Embedder, made: Mapping[Owner, FloatMatrix]) -> None:
    """Those that are not there yet."""
    raced = _load_all(session, embedder, made)  # another process may have been quicker
    rows = [
        {
            "owner_kind": kind,
            "owner_id": owner_id,
            "model": embedder.name,
            "space_id": space_id,
            "width": embedder.width,
            "vector": np.ascontiguousarray(vector, np.float32).tobytes(),
        }
        for (kind, owner_id), vector in made.items()
        if (kind, owner_id) not in raced
    ]
    if rows:
        session.execute(insert(tables.Embedding), rows)


def _load_all(session: Session, embedder: Embedder, owners: Iterable[Owner]) -> dict[Owner, FloatMatrix]:
    by_kind: dict[str, list[str]] = defaultdict(list)
    for kind, owner_id in owners:
        by_kind[kind].append(owner_id)
    return {
        (kind, owner_id): vector
        for kind, ids in by_kind.items()
        for owner_id, vector in load(session, embedder, kind, ids).items()
    }


_STORED = select(tables.Embedding.owner_id, tables.Embedding.vector).where(
    tables.Embedding.owner_kind == bindparam("kind"),
    tables.Embedding.model == bindparam("model"),
    tables.Embedding.width == bindparam("width"),
    tables.Embedding.owner_id.in_(bindparam("ids", expanding=True)),
)


def load(session: Session, embedder: Embedder, kind: str, ids: Sequence[str]) -> dict[str, FloatMatrix]:
    """The stored vectors of these owners."""
    found: dict[str, FloatMatrix] = {}
    wanted = {"kind": kind, "model": embedder.name, "width": embedder.width}
    for start in range(0, len(ids), _CHUNK):
        for owner_id, vector in session.execute(_STORED, {**wanted, "ids": ids[start : start + _CHUNK]}):
            found[owner_id] = np.frombuffer(vector, np.float32)
    return found
