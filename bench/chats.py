"""A chat folder: an export in any format that `slowwave import` reads, beside gold files of known names.

The export is the only file or folder that is neither a gold file nor a text about it. Formats that call the one who
exported "Me" get the name that the gold uses, where exactly one of its people is missing from the export.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from memory.importers.detect import Export
from memory.importing import ImportOptions, open_export

GOLD_FILES = frozenset(
    ["facts.json", "not_facts.json", "emotions.json", "constitution.json", "questions.json", "exam.json"]
)
_ME = "Me"


def export_of(folder: Path) -> Path:
    """The one chat export of the folder."""
    found = [
        path
        for path in sorted(folder.iterdir())
        if path.name not in GOLD_FILES and path.suffix.lower() != ".md" and not path.name.startswith(".")
    ]
    if len(found) != 1:
        raise SystemExit(f"{folder} must hold one chat export beside the gold files; it holds {len(found)}")
    return found[0]


def options_of(folder: Path) -> ImportOptions:
    """How the folder's export is read: with the name of who made it, where the format calls them "Me"."""
    speakers = {message.speaker for message in open_export(export_of(folder)).messages()}
    missing = _people(folder) - speakers
    return ImportOptions(me=missing.pop()) if _ME in speakers and len(missing) == 1 else ImportOptions()


def open_chat(folder: Path) -> Export:
    """The folder's export, understood but not read."""
    return open_export(export_of(folder), options_of(folder))


def _people(folder: Path) -> set[str]:
    """Those who speak in the chat, as the gold names them."""
    named: set[str] = set()
    facts, constitution = _read(folder / "facts.json"), _read(folder / "constitution.json")
    if isinstance(facts, list):
        named |= {str(row["speaker"]) for row in facts if isinstance(row, dict) and row.get("speaker")}
    if isinstance(constitution, dict):
        named |= {name for name, lines in constitution.items() if isinstance(lines, list)}
    return named


def _read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8-sig")) if path.exists() else None
