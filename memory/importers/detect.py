"""Which format a file is in, told by its content and never by its name.

`read` is the one entrance: bytes in, exports out. It raises UnknownFormat, BrokenExport (with the place of the damage)
and EmptyChat; a file it accepts holds at least one message. Nothing is written here.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import tzinfo
from pathlib import PurePath
from typing import Any

from memory.errors import BrokenExport, EmptyChat, UnknownFormat
from memory.importers import discord, jsonl, telegram, whatsapp
from memory.importers.values import whole
from memory.types import Export

_DOCUMENTS: tuple[tuple[Callable[[dict[str, Any]], bool], Callable[..., list[Export]]], ...] = (
    (discord.looks_like, discord.parse),
    (telegram.looks_like, telegram.parse),
)


def read(raw: bytes, file_name: str, zone: tzinfo) -> list[Export]:
    """Every chat of the file, in file order. `zone` holds for times that carry none of their own."""
    text, notes = decode(raw, file_name)
    if not text.strip("\ufeff \t\r\n\0"):
        raise EmptyChat(file_name)
    stem = PurePath(file_name).stem
    exports = _parse(text, file_name, stem, zone)
    if not any(export.messages for export in exports):
        raise EmptyChat(file_name)
    return [replace(export, notes=export.notes + notes) for export in exports]


def _parse(text: str, file_name: str, stem: str, zone: tzinfo) -> list[Export]:
    if re.match(r"\s*(\{|\[\s*[{\"\]])", text):
        if jsonl.looks_like(text):
            return _named(jsonl.parse, text, file_name, stem, zone)
        whole_document = document(text, file_name)
        for looks_like, parse in _DOCUMENTS:
            if isinstance(whole_document, dict) and looks_like(whole_document):
                return _guarded(parse, whole_document, file_name, zone)
    elif whatsapp.looks_like(text):
        return whatsapp.parse(text, stem, zone)
    raise UnknownFormat(file_name)


def _guarded(
    parse: Callable[..., list[Export]], document: dict[str, Any], file_name: str, zone: tzinfo
) -> list[Export]:
    """A value of a kind its format never holds is damage, wherever the parser meets it."""
    try:
        return parse(document, file_name, zone)
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError) as error:
        raise BrokenExport(file_name, "a chat's name or its list of messages is not readable") from error


def _named(
    parse: Callable[..., list[Export]], text: str, file_name: str, stem: str, zone: tzinfo
) -> list[Export]:
    """Errors name the file; a conversation that takes the file's name takes it without the ending."""
    return [
        replace(export, conversation=stem) if export.conversation == file_name else export
        for export in parse(text, file_name, zone)
    ]


def document(text: str, file_name: str) -> Any:
    """The one JSON value that the text is; raises UnknownFormat, or BrokenExport with the place of the damage."""
    try:
        return whole(json.loads(text)) if "\\ud" in text.lower() else json.loads(text)
    except json.JSONDecodeError as error:
        if not re.match(r"\s*(\{\s*[\"}]|\{\s*$|\[)", text):
            raise UnknownFormat(file_name) from error
        where = f"the JSON breaks off or is malformed at line {error.lineno}, column {error.colno}"
        raise BrokenExport(file_name, f"{where} ({error.msg})") from error
    except RecursionError as error:
        raise BrokenExport(file_name, "the JSON is nested too deeply") from error


def decode(raw: bytes, file_name: str) -> tuple[str, tuple[str, ...]]:
    """The text with plain line ends, and a note where bytes had to be replaced."""
    if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        text = raw.decode("utf-16", errors="replace")
    elif b"\0" in raw[:8192]:
        raise UnknownFormat(file_name)
    else:
        text = raw.decode("utf-8-sig", errors="replace")
    n_replaced = text.count("\ufffd") - raw.count("\ufffd".encode())
    notes = (f"{n_replaced} places are no valid UTF-8; they read as \ufffd",) if n_replaced > 0 else ()
    return text.replace("\r\n", "\n").replace("\0", ""), notes
