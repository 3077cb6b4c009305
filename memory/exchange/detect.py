"""Whether a file comes from another memory program, told by its content and never by its name."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from memory.errors import EmptyChat, WrongEntrance
from memory.exchange import mcp_memory, mem0, records
from memory.exchange.notes import Notebook
from memory.importers.documents import decode, document

# how one whole document may begin: a list of objects, or an answer with its list and what stands around it
_DOCUMENT = re.compile(
    r'\s*(?:\[\s*\{|\{\s*"(?:results|memories|relations|count|next|previous|total\w*|page\w*)")'
)
_HEAD = 100_000  # characters in which a list of memories must show that it is one


def find_notebook(path: Path) -> Notebook | None:
    """What `read_notebook` finds in the file; of one that does not begin as a notebook no more than that is read."""
    if path.is_dir():
        return None
    with path.open("rb") as stream:
        head = stream.read(_HEAD)
        if not _may_be_one(head, is_whole=len(head) < _HEAD):
            return None
        return read_notebook(head + stream.read(), path.name)


def _may_be_one(head: bytes, *, is_whole: bool) -> bool:
    if head.lstrip(b"\xef\xbb\xbf \t\r\n\0")[:1] not in (b"{", b"["):
        return False
    text = head.decode("utf-8-sig", "replace")
    is_first_line_cut = "\n" not in text.lstrip() and not is_whole
    return is_first_line_cut or _first_line(text) is not None or bool(_DOCUMENT.match(text))


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
