"""Backups of a home: which ones were made, so that erasure can name those that still hold what it erased.

The list is a file of the home, one JSON object a line, and no table: a restore must not forget what came after it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

RECORDS_NAME = "backups.jsonl"


@dataclass(frozen=True, slots=True)
class BackupRecord:
    """One backup that was finished. Whether the file is still there is not known here."""

    path: Path  # absolute
    made_at: datetime
    sha256: str  # of the whole file


def known_backups(home: Path) -> list[BackupRecord]:
    """Every backup made of this home, oldest first."""
    try:
        lines = (home / RECORDS_NAME).read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []
    return [_record(json.loads(line)) for line in lines if line]


def _record(line: dict[str, str]) -> BackupRecord:
    return BackupRecord(Path(line["path"]), datetime.fromisoformat(line["made_at"]), line["sha256"])
