"""Weights that were written for other programs, on record: where, of what, and which task vectors they hold.

The folders lie outside the home, where no erasure reaches; its certificate names those that hold what it erased.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from memory import kept_lines

RECORDS_NAME = "exports.jsonl"


@dataclass(frozen=True, slots=True)
class ExportRecord:
    """One export. `path` is absolute, and None since an erasure took a name out of it; `recipe` None is the plain base."""

    space_id: str
    path: Path | None
    format: str
    recipe: str | None
    vectors: tuple[str, ...]  # hashes
    sha256: str  # of the whole folder
    made_at: datetime

    @property
    def is_there(self) -> bool | None:
        """Whether something is where it was written; a folder that was moved is not. None where the place is not known."""
        return None if self.path is None else self.path.exists()

    def as_json(self) -> dict[str, Any]:
        """Without the place, which may hold a name: fit for the ledger."""
        told = {"sha256": self.sha256, "format": self.format, "recipe": self.recipe}
        return {**told, "made_at": self.made_at.isoformat(), "there": self.is_there}


def known_exports(home: Path, space_id: str) -> list[ExportRecord]:
    """Every export of the space, oldest first."""
    return [record for record in map(_record, _lines(home)) if record.space_id == space_id]


def exports_that_hold(home: Path, space_id: str, vectors: Collection[str]) -> list[ExportRecord]:
    """Those with one of these vectors, whether or not they are still where they were written."""
    return [one for one in known_exports(home, space_id) if not set(vectors).isdisjoint(one.vectors)]


def remember(home: Path, record: ExportRecord) -> None:
    kept_lines.append(home / RECORDS_NAME, _line(record))


def forget_places(home: Path, holds: Callable[[bytes], bool]) -> None:
    """Take the path out of every record, of any space, whose path holds what an erasure looks for."""
    records = list(map(_record, _lines(home)))
    cleaned = [
        replace(one, path=None) if one.path is not None and holds(str(one.path).encode()) else one
        for one in records
    ]
    if cleaned != records:
        kept_lines.replace(home / RECORDS_NAME, map(_line, cleaned))


def _lines(home: Path) -> list[dict[str, Any]]:
    return kept_lines.read(home / RECORDS_NAME)


def _line(record: ExportRecord) -> dict[str, Any]:
    path = None if record.path is None else str(record.path)
    return {**asdict(record), "path": path, "made_at": record.made_at.isoformat()}


def _record(line: dict[str, Any]) -> ExportRecord:
    fields: dict[str, Any] = {
        "path": line["path"] and Path(line["path"]),
        "vectors": tuple(line["vectors"]),
        "made_at": datetime.fromisoformat(line["made_at"]),
    }
    return ExportRecord(**{**line, **fields})
