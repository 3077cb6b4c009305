"""Lists that a home keeps beside its store, one JSON object a line: what left the home, and when.

They are in no table: a restore must not forget what came after it, and an erasure has to name what still holds what it erased.
Only their owner can read them.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from memory.whole import keep, whole_file


def read(path: Path) -> list[dict[str, Any]]:
    """Every line, oldest first; none where there is no list."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []
    return [json.loads(line) for line in lines if line]


def append(path: Path, line: Mapping[str, Any]) -> None:
    """Add one at the end, in a folder that is made; it is on the disk when this returns."""
    path.parent.mkdir(parents=True, exist_ok=True)
    _write(path, [line], os.O_APPEND)


def replace(path: Path, lines: Iterable[Mapping[str, Any]]) -> None:
    """The list anew, whole or not at all."""
    with whole_file(path) as part:
        _write(part, lines, os.O_TRUNC)


def _write(path: Path, lines: Iterable[Mapping[str, Any]], how: int) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | how, 0o600), "a") as file:
        file.write("".join(f"{json.dumps(line)}\n" for line in lines))
        file.flush()
        os.fsync(file.fileno())
    keep(path)
