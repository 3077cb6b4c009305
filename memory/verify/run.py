"""All proofs in turn, each named, with progress."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import func, select

from db import tables
from db.engine import Database
from memory import ledger, message_vectors, tombstones
from memory.erasure import unfinished
from memory.erasure.residue import Progress
from memory.erasure.run import Watch, unwatched
from memory.registry import Registry
from memory.verify import artifacts, rows, standing
from memory.verify.artifacts import Hasher
from memory.verify.problems import Problem, Report, several

QUICK = ("store", "references", "intervals", "evidence", "slots", "people", "personas", "pointer", "files")


@dataclass(frozen=True, slots=True)
class Checks:
    """What cannot be known here: how an artifact of a kind is hashed, how the recipe that serves is put together again,
    and how the index is checked. `is_quick` takes what is there for what it is: nothing is hashed or decided again.
    """

    hashers: dict[str, Hasher] = field(default_factory=dict)
    rebuild: Hasher | None = None
    index: Callable[[Progress], list[str]] | None = None
    is_quick: bool = False


def verify(
    database: Database,
    space_id: str,
    home: Path,
    registry: Registry,
    checks: Checks | None = None,
    *,
    watch: Watch = unwatched,
) -> Report:
    """Every problem that is found; none means that tables, ledger, indexes and files agree."""
    given = checks or Checks()
    found: list[Problem] = []
    with database.reading() as session:
        proofs: dict[str, Callable[[], Iterator[Problem]]] = {
            "store": lambda: rows.store(session, is_quick=given.is_quick),
            "references": lambda: rows.references(session, space_id),
            "intervals": lambda: rows.intervals(session, space_id),
            "evidence": lambda: rows.evidence(session, space_id),
            "slots": lambda: rows.slots(session, space_id, registry),
            "vectors": lambda: rows.vectors(session, space_id),
            "people": lambda: rows.people(session, space_id),
            "participants": lambda: rows.participants(session, space_id),
            "personas": lambda: rows.personas(session, space_id),
            "decisions": lambda: standing.decided(session, space_id),
            "timeline": lambda: standing.settled(session, space_id, registry),
            "ledger": lambda: standing.recorded(session, space_id),
            "versions": lambda: standing.reworded(session, space_id),
            "pins": lambda: standing.pinned(session, space_id),
            "pointer": lambda: artifacts.pointers(session, space_id),
            "files": lambda: artifacts.files(session, space_id, home, given.hashers, is_quick=given.is_quick),
            "serving": lambda: artifacts.serving(session, space_id, home, given.rebuild),
        }
        if given.is_quick:
            proofs = {name: proofs[name] for name in QUICK}
        progress = watch("tables")
        for done, (name, proof) in enumerate(proofs.items()):
            progress(done, len(proofs), name)
            found += proof()
            if name == "store" and found:  # what cannot be read proves nothing
                return Report(tuple(found), {})
        progress(len(proofs), len(proofs))
        counts = {
            name: session.scalar(select(func.count()).select_from(mapped).where(mapped.space_id == space_id))
            or 0
            for name, mapped in _COUNTED.items()
        }
        is_pinned = tables.Fact.space_id == space_id, tables.Fact.pinned_at.is_not(None)
        counts["pins"] = session.scalar(select(func.count()).select_from(tables.Fact).where(*is_pinned)) or 0
    found += several("ledger", ledger.verify(database, space_id), rows.RESTORE)
    found += several(
        "erasure",
        (f"erasure {item.seq} was cut off" for item in unfinished(database, space_id)),
        "run `slowwave forget resume`",
    )
    with database.reading() as session:
        undone = tombstones.undone(session, home, space_id)
    found += several(
        "erasure",
        (f"a restore undid the erasure of {stone.at[:10]}" for stone, _ in undone),
        "run `slowwave forget resume`",
    )
    if given.is_quick:
        return Report(tuple(found), counts)
    with database.reading() as session:
        lost = message_vectors.problems(session, space_id, home)
    found += several("attribution", lost, "delete the folder `attribution`; the next night makes it again")
    if given.index is not None:
        lines = (line.removeprefix("index: ") for line in given.index(watch("index")))
        found += several("index", lines, rows.REINDEX)
    return Report(tuple(found), counts)


_COUNTED: dict[str, Any] = {
    "messages": tables.Episode,
    "facts": tables.Fact,
    "vectors": tables.Embedding,
    "decisions": tables.Decision,
    "ledger entries": tables.LedgerEntry,
    "artifacts": tables.Artifact,
    "digests": tables.Digest,
    "claims": tables.Claim,
}
