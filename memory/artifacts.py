"""Artifacts of the nights, and the pointer that says which of them serve.

The rows name files relative to the home folder, with their hashes; the files themselves are the makers' matter.
Recording an artifact and moving the pointer each append to the ledger in the caller's transaction.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from db import tables
from db.engine import Database
from memory import ledger
from memory.errors import TaintedArtifact, UnknownArtifact
from memory.ports import Clock, utc_now


@dataclass(frozen=True, slots=True)
class Artifact:
    id: str
    run_id: str | None
    kind: str  # adapter | recipe | readout | report | curriculum | verification
    path: str  # relative to the home folder
    sha256: str
    meta: dict[str, Any]
    created_at: datetime
    tainted_at: datetime | None = None  # since when it holds what was erased


@dataclass(frozen=True, slots=True)
class PointerRow:
    """Which artifacts serve. `recipe_id` and `readout_id` are artifact ids."""

    run_id: str | None
    recipe_id: str | None
    readout_id: str | None
    moved_at: datetime


def record_artifact(
    session: Session,
    space_id: str,
    *,
    run_id: str | None,
    kind: str,
    path: str,
    sha256: str,
    meta: Mapping[str, Any],
    clock: Clock = utc_now,
) -> str:
    """The artifact's id. The same kind, path and hash of the same run is recorded once."""
    known = session.scalar(
        select(tables.Artifact.id).where(
            tables.Artifact.space_id == space_id,
            tables.Artifact.run_id == run_id,
            tables.Artifact.kind == kind,
            tables.Artifact.path == path,
            tables.Artifact.sha256 == sha256,
        )
    )
    if known is not None:
        return known
    row = tables.Artifact(
        space_id=space_id,
        run_id=run_id,
        kind=kind,
        path=path,
        sha256=sha256,
        meta=dict(meta),
        created_at=clock(),
    )
    session.add(row)
    session.flush()
    payload = {"artifact": row.id, "run": run_id, "kind": kind, "path": path, "sha256": sha256}
    ledger.append(session, space_id, "artifact", payload, clock=clock)
    return row.id


def get_artifact(database: Database, artifact_id: str) -> Artifact:
    """The artifact of that id; raises UnknownArtifact."""
    with database.reading() as session:
        row = session.get(tables.Artifact, artifact_id)
        if row is None:
            raise UnknownArtifact(artifact_id)
        return _artifact(row)


def servable(database: Database, artifact_id: str) -> Artifact:
    """The artifact, if it may serve. Raises UnknownArtifact, or TaintedArtifact where it holds what was erased."""
    found = get_artifact(database, artifact_id)
    if found.tainted_at is not None:
        raise TaintedArtifact(artifact_id)
    return found


def list_artifacts(
    database: Database, space_id: str, *, run_id: str | None = None, kind: str | None = None
) -> list[Artifact]:
    """Artifacts of the space, oldest first; of one run or one kind where asked."""
    query = select(tables.Artifact).where(tables.Artifact.space_id == space_id)
    if run_id is not None:
        query = query.where(tables.Artifact.run_id == run_id)
    if kind is not None:
        query = query.where(tables.Artifact.kind == kind)
    with database.reading() as session:
        rows = session.scalars(query.order_by(tables.Artifact.created_at, tables.Artifact.id))
        return [_artifact(row) for row in rows]


def _artifact(row: tables.Artifact) -> Artifact:
    return Artifact(
        row.id, row.run_id, row.kind, row.path, row.sha256, row.meta, row.created_at, row.tainted_at
    )


def pointer(database: Database, space_id: str, name: str = "current") -> PointerRow | None:
    """What the pointer names; None before the first publish."""
    with database.reading() as session:
        return pointer_in(session, space_id, name)


def pointer_in(session: Session, space_id: str, name: str = "current") -> PointerRow | None:
    """The same within a transaction, for whoever moves it from where it stands."""
    row = session.get(tables.Pointer, (space_id, name))
    return None if row is None else PointerRow(row.run_id, row.recipe_id, row.readout_id, row.moved_at)


def move_pointer(
    session: Session,
    space_id: str,
    *,
    run_id: str | None,
    recipe_id: str | None,
    readout_id: str | None,
    name: str = "current",
    reason: str = "publish",
    clock: Clock = utc_now,
) -> PointerRow:
    """Point to these artifacts. The ledger entry keeps what was pointed to before. `reason`: publish | roll_back |
    erasure | recipe.

    Raises TaintedArtifact: an erasure may have come between the choice and the move.
    """
    for artifact_id in (recipe_id, readout_id):
        if artifact_id is not None and session.get_one(tables.Artifact, artifact_id).tainted_at is not None:
            raise TaintedArtifact(artifact_id)
    row = session.get(tables.Pointer, (space_id, name))
    before = None
    if row is None:
        row = tables.Pointer(space_id=space_id, name=name, moved_at=clock())
        session.add(row)
    else:
        before = {"run": row.run_id, "recipe": row.recipe_id, "readout": row.readout_id}
    row.run_id, row.recipe_id, row.readout_id, row.moved_at = run_id, recipe_id, readout_id, clock()
    session.flush()
    after = {"run": run_id, "recipe": recipe_id, "readout": readout_id}
    payload = {"pointer": name, "reason": reason, "before": before, "after": after}
    ledger.append(session, space_id, "pointer", payload, clock=clock)
    return PointerRow(run_id, recipe_id, readout_id, row.moved_at)
