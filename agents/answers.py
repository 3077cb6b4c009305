"""Answers of back-ends kept in the home, so that the same question is not paid for twice.

The key is a hash of everything that an answer depends on; the answer itself may hold people's words. So the folder is
bounded in size, can be switched off, and every erasure removes it whole (`memory.erasure.files`). Each use opens the
file anew: a folder that was removed meanwhile is simply made again, empty.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

FOLDER = "answers"
DEFAULT_BYTES = 64 << 20
_KEEP = 0.75  # of the bound, after the oldest have gone
_PATIENCE_S = 10.0

_SCHEMA = """
CREATE TABLE IF NOT EXISTS answer (
  key TEXT PRIMARY KEY, text TEXT NOT NULL, size INTEGER NOT NULL, used_at REAL NOT NULL) WITHOUT ROWID
"""


class Answers:
    """Safe for threads and processes. `max_bytes` bounds the texts; the least recently used go first."""

    def __init__(self, home: Path, max_bytes: int = DEFAULT_BYTES) -> None:
        self.path = home / FOLDER / "answers.db"
        self._max_bytes = max_bytes

    def get(self, key: str) -> str | None:
        if not self.path.exists():
            return None
        with self._open() as store, store:
            row = store.execute("SELECT text FROM answer WHERE key = ?", (key,)).fetchone()
            if row is not None:
                store.execute("UPDATE answer SET used_at = ? WHERE key = ?", (time.time(), key))
        return None if row is None else str(row[0])

    def put(self, key: str, text: str) -> None:
        """Keep the answer; one that is larger than the bound is not kept."""
        size = len(text.encode("utf-8", "surrogatepass"))
        if size > self._max_bytes:
            return
        with self._open() as store, store:
            store.execute("INSERT OR REPLACE INTO answer VALUES (?, ?, ?, ?)", (key, text, size, time.time()))
            self._make_room(store)

    def count(self) -> tuple[int, int]:
        """How many answers, and their bytes."""
        if not self.path.exists():
            return 0, 0
        with self._open() as store:
            n, size = store.execute("SELECT COUNT(*), COALESCE(SUM(size), 0) FROM answer").fetchone()
        return int(n), int(size)

    def _make_room(self, store: sqlite3.Connection) -> None:
        total = store.execute("SELECT SUM(size) FROM answer").fetchone()[0]
        if total <= self._max_bytes:
            return
        rows = store.execute("SELECT key, size FROM answer ORDER BY used_at").fetchall()
        for key, size in rows:
            if total <= self._max_bytes * _KEEP:
                return
            store.execute("DELETE FROM answer WHERE key = ?", (key,))
            total -= size

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(self.path, timeout=_PATIENCE_S)) as store:
            store.execute("PRAGMA secure_delete=ON")
            store.execute(_SCHEMA)
            yield store


def key_of(**parts: Any) -> str:
    """64 hex digits that stand for all the parts, which must be JSON."""
    body = json.dumps(parts, sort_keys=True, separators=(",", ":"), default=_plain)
    return hashlib.sha256(body.encode("utf-8", "surrogatepass")).hexdigest()


def _plain(value: Any) -> Any:
    return dict(value) if isinstance(value, Mapping) else list(value)
