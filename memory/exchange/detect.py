"""Whether a file comes from another memory program, told by its content and never by its name."""

from __future__ import annotations

import json
import re
from typing import Any

from memory.errors import EmptyChat, WrongEntrance
from memory.exchange import mcp_memory, mem0, records
from memory.exchange.notes import Notebook
from memory.importers.detect import decode, document

# how one whole document may begin: a list of objects, or an answer with its list and what stands around it
_DOCUMENT = re.compile(
    r'\s*(?:\[\s*\{|\{\s*"(?:results|memories|relations|count|next|previous|total\w*|page\w*)")'
)
_HEAD = 100_000  # characters in which a list of memories must show that it is one


def read_notebook(raw: bytes, file_name: str) -> Notebook | None:
    """The file's notes and relations; None where it is of another kind, such as a chat.

    Raises BrokenExport with the place of the damage, EmptyChat, and WrongEntrance for an export of slowwave's own.
    """
    if raw.lstrip(b"\xef\xbb\xbf \t\r\n\0")[:1] not in (b"{", b"["):
        return None
    text, remarks = decode(raw, file_name)
    notebook = _parse(text, file_name)
    if notebook is None:
        return None
    if not notebook.things and not notebook.notes and not notebook.relations:
        raise EmptyChat(file_name)
    return notebook.with_remarks(remarks)


def _parse(text: str, file_name: str) -> Notebook | None:
    first = _first_line(text)
    if isinstance(first, dict) and first.get("type") == "header" and first.get("format") == records.FORMAT:
        raise WrongEntrance(file_name, is_own=True)
    if mcp_memory.looks_like(first):
        return mcp_memory.parse(text, file_name)
    if mem0.looks_like(first):
        return mem0.parse_lines(text, file_name)
    if not _DOCUMENT.match(text) or not re.search(r'"(?:memory|results|memories)"\s*:', text[:_HEAD]):
        return None
    whole = document(text, file_name)
    sample = whole[0] if isinstance(whole, list) and whole else whole
    return mem0.parse_document(whole, file_name) if mem0.looks_like(sample) else None


def _first_line(text: str) -> Any:
    """What the first line holds, if it is JSON by itself."""
    line = next((line for line in text.split("\n", 64) if line.strip()), "")
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None
