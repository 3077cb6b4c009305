"""Look at what a reader makes of an export: every row of it, sorted into messages and what was left out."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from memory.importing import ImportOptions, open_export
from memory.types import SYSTEM, Message, Skipped


class Look:
    def __init__(self, path: Path, options: ImportOptions | None = None) -> None:
        export = open_export(path, options, clock=lambda: datetime(2060, 1, 1, tzinfo=UTC))
        rows = list(export.rows())
        assert list(export.rows()) == rows  # a second look sees the same
        self.kind, self.notes = export.kind, export.notes
        self.messages = [row for row in rows if isinstance(row, Message)]
        left_out = [row for row in rows if isinstance(row, Skipped)]
        self.n_system = sum(row.reason == SYSTEM for row in left_out)
        self.skipped = [(row.place, row.reason) for row in left_out if row.reason != SYSTEM]

    @property
    def said(self) -> list[tuple[str, str]]:
        return [(message.speaker, message.text) for message in self.messages]

    @property
    def conversations(self) -> list[str]:
        return list(dict.fromkeys(message.conversation for message in self.messages))


@pytest.fixture
def look(tmp_path: Path) -> Callable[..., Look]:
    """Look at text, bytes or JSON under a file name, or at several files under theirs, as a folder or as a zip."""

    def at(given: Any, name: str = "export", *, is_zip: bool = False, **options: Any) -> Look:
        chosen = ImportOptions(**options)
        folder = tmp_path / "given"
        folder.mkdir(exist_ok=True)
        if not isinstance(given, Mapping) or name.endswith(".json"):
            return Look(_write(folder / name, given), chosen)
        for inner, content in given.items():
            _write(folder / inner, content)
        if not is_zip:
            return Look(folder, chosen)
        with zipfile.ZipFile(tmp_path / "export.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            for inner in given:
                archive.write(folder / inner, inner)
        return Look(tmp_path / "export.zip", chosen)

    return at


def _write(path: Path, content: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if not isinstance(content, str | bytes):
        content = json.dumps(content)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path
