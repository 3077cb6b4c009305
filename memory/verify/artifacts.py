"""The pointer, the artifacts on record, and their files with their hashes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from db import tables
from memory.verify.problems import Problem, several

# the identity of what is at a path, as its maker counts it; raises OSError or ValueError
Hasher = Callable[[Path], str]
_FILES = ("recipe", "report", "verification")  # single ones, named by the hash of their bytes
SLEEP = "run `slowwave roll-back` or `slowwave sleep`"


def pointers(session: Session, space_id: str) -> Iterator[Problem]:
    """What serves is there and holds nothing that was erased."""
    for row in session.scalars(select(tables.Pointer).where(tables.Pointer.space_id == space_id)):
        for kind, artifact_id in (("recipe", row.recipe_id), ("readout", row.readout_id)):
            if artifact_id is None:
                continue
            found = session.get(tables.Artifact, artifact_id)
            if found is None or found.kind != kind:
                yield Problem("pointer", f"{row.name} names {artifact_id}, which is no {kind}", SLEEP)
            elif found.tainted_at is not None:
                yield Problem(
                    "pointer", f"{row.name} names the {kind} {artifact_id}, which is tainted", SLEEP
                )


def serving(session: Session, space_id: str, home: Path, rebuild: Hasher | None) -> Iterator[Problem]:
    """What serves can be put together again from its vectors."""
    for row in session.scalars(select(tables.Pointer).where(tables.Pointer.space_id == space_id)):
        found = session.get(tables.Artifact, row.recipe_id) if row.recipe_id is not None else None
        if found is None or rebuild is None:
            continue
        try:
            rebuild(home / found.path)
        except (OSError, ValueError) as error:
            what = (
                f"{row.name} names recipe {found.id}, which cannot be put together ({type(error).__name__})"
            )
            yield Problem("serving", what, SLEEP)


def files(
    session: Session, space_id: str, home: Path, hashers: dict[str, Hasher], *, is_quick: bool = False
) -> Iterator[Problem]:
    """Each artifact's files are there as recorded, or at all where it is to be quick; those of tainted ones are gone."""
    rows = session.scalars(
        select(tables.Artifact)
        .where(tables.Artifact.space_id == space_id)
        .order_by(tables.Artifact.created_at, tables.Artifact.id)
    ).all()
    newest = {row.path: row for row in rows}  # a report that was written again is on record twice
    usable = {row.path for row in rows if row.tainted_at is None}
    for row in newest.values():
        path = home / row.path
        if row.tainted_at is not None and row.path not in usable:
            if path.exists() and row.kind != "recipe":
                what = f"{row.kind} {row.id} holds what was erased and is still on disk"
                yield Problem("files", what, "run `slowwave forget resume`, or delete it")
            continue
        known = {} if is_quick else {**dict.fromkeys(_FILES, _hash_of_file), **hashers}
        problem = _look_at(row, path, known)
        if problem is not None:
            remedy = (
                "restore it from a backup"
                if row.kind not in ("report", "verification")
                else "it is only a page; ignore or restore it"
            )
            yield Problem("files", f"{row.kind} {row.id} {problem}", remedy)
    yield from several("files", _lost_vectors(home, [row for row in rows if row.tainted_at is None]), SLEEP)


def _look_at(row: tables.Artifact, path: Path, hashers: dict[str, Hasher]) -> str | None:
    if not path.exists():
        return "has no file"
    hasher = hashers.get(row.kind)
    if hasher is None:
        return None
    try:
        return None if hasher(path) == row.sha256 else "is not what was recorded"
    except (OSError, ValueError) as error:
        return f"cannot be read ({type(error).__name__})"


def _hash_of_file(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _lost_vectors(home: Path, rows: list[tables.Artifact]) -> Iterator[str]:
    """Recipes whose vectors are not in the home folder."""
    for row in rows:
        if row.kind != "recipe":
            continue
        try:
            entries = json.loads((home / row.path).read_text(encoding="utf-8"))["entries"]
            lost = [entry["path"] for entry in entries if not (home / entry["path"]).is_dir()]
        except (OSError, ValueError, KeyError, TypeError):
            continue  # told above
        if lost:
            yield f"recipe {row.id} lists {len(lost)} vectors that are not there"
