"""Take a file of the MCP memory server in as what agents keep, so that its tools go on where that server stood.

What the file says is checked by `memory.exchange.mcp_memory`; here its characters and its order are kept. A second time
only what is new is added.
"""

from __future__ import annotations

import json
from pathlib import Path

from sqlalchemy.orm import Session

from memory.entities.store import EntityStore, NewEntity, NewRelation
from memory.errors import UnknownFormat
from memory.exchange.detect import read_notebook
from memory.exchange.mcp_memory import KIND
from memory.exchange.notes import Held
from memory.importers.documents import decode
from memory.importers.values import whole_text


def take_in_file(store: EntityStore, path: Path) -> tuple[int, int]:
    """How many entities and relations of the file are new. Raises BrokenExport with the line, and UnknownFormat."""
    raw = path.read_bytes()
    notebook = read_notebook(raw, path.name)
    if notebook is None or notebook.kind != KIND:
        raise UnknownFormat(path.name)
    return take_in(store, raw, path.name)


def take_in(
    store: EntityStore,
    raw: bytes,
    file_name: str,
    held: Held | None = None,
    within: Session | None = None,
) -> tuple[int, int]:
    """The same of bytes that were checked, in one transaction or as part of one.

    What `held` has is noted already in words of ours.
    """
    return store.take_in(*_rows(decode(raw, file_name)[0]), held=held, within=within)


def _rows(text: str) -> tuple[list[NewEntity], list[NewRelation]]:
    entities, relations = list[NewEntity](), list[NewRelation]()
    for line in text.split("\n"):
        row = json.loads(line) if line.strip() else {}
        if row.get("type") == "entity":
            observations = tuple(map(whole_text, row.get("observations", ())))
            entity_type = whole_text(row.get("entityType") or "thing")
            entities.append(NewEntity(whole_text(row["name"]), entity_type, observations))
        elif row.get("type") == "relation":
            ends = whole_text(row["from"]), whole_text(row["to"])
            relations.append(NewRelation(*ends, whole_text(row["relationType"])))
    return entities, relations
