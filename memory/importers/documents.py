"""Small files that are decoded whole: other programs' memories. Chats are streamed instead (`files`, `json_stream`)."""

from __future__ import annotations

import codecs
import json
import re
from typing import Any

from memory.errors import BrokenExport, UnknownFormat
from memory.importers.values import whole


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
