"""The full-text side of an index: one SQLite file with FTS5 tables, apart from the store's own tables.

`row` lists every indexed unit in the order it came; a unit's number is its rowid in the full-text tables and its row
in the vector file. Three texts are searched: the unit itself, the unit with its neighbours (`window`), and the whole
session (`session`, one text per session, under the number of its first unit). Everything here can be made again.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from pathlib import Path

FORMAT = "1"  # raise it when the layout changes; an index of another format is made again
TABLES = ("unit", "window", "session")
_TOKENIZE = "tokenize='porter unicode61 remove_diacritics 2'"
_SCHEMA = f"""
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE row (
  number INTEGER PRIMARY KEY, kind TEXT NOT NULL, owner_id TEXT NOT NULL, conversation_id TEXT, position INTEGER,
  time REAL NOT NULL, speaker_id TEXT NOT NULL, n_words INTEGER NOT NULL, is_question INTEGER NOT NULL,
  session INTEGER, before INTEGER, after INTEGER, UNIQUE (kind, owner_id));
CREATE INDEX row_conversation ON row (conversation_id, time, position);
CREATE INDEX row_session ON row (session);
CREATE VIRTUAL TABLE unit USING fts5(text, {_TOKENIZE});
CREATE VIRTUAL TABLE window USING fts5(text, {_TOKENIZE});
CREATE VIRTUAL TABLE session USING fts5(text, {_TOKENIZE});
"""


class Sidecar:
    """The open file. Use `with sidecar.connection` semantics through `begin` and `commit` only."""

    def __init__(self, path: Path, embedder: str) -> None:
        """Open or make the file. Raises sqlite3.DatabaseError for one that is damaged or of another format."""
        self.connection = sqlite3.connect(path, timeout=30, check_same_thread=False, isolation_level=None)
        try:
            self.connection.execute("PRAGMA journal_mode=WAL")
            self.connection.execute("PRAGMA synchronous=NORMAL")
            self._prepare(embedder)
        except sqlite3.Error:
            self.connection.close()
            raise

    def _prepare(self, embedder: str) -> None:
        self.connection.execute("BEGIN IMMEDIATE")
        try:
            if not self.connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'meta'").fetchone():
                for statement in _SCHEMA.strip().split(";\n"):
                    self.connection.execute(statement)
                made = [("format", FORMAT), ("embedder", embedder)]
                self.connection.executemany("INSERT INTO meta VALUES (?, ?)", made)
            found = dict(self.connection.execute("SELECT key, value FROM meta").fetchall())
            if found != {"format": FORMAT, "embedder": embedder}:
                raise sqlite3.DatabaseError("an index of another format or encoder")
            self.connection.execute("COMMIT")
        except sqlite3.Error:
            if self.connection.in_transaction:
                self.connection.execute("ROLLBACK")
            raise

    def close(self) -> None:
        self.connection.close()

    def count(self) -> int:
        return int(self.connection.execute("SELECT count(*) FROM row").fetchone()[0])

    def known(self) -> dict[str, set[str]]:
        """Ids of the indexed units by kind."""
        found: dict[str, set[str]] = {"episode": set(), "fact": set()}
        for kind, owner_id in self.connection.execute("SELECT kind, owner_id FROM row"):
            found[kind].add(owner_id)
        return found

    def search(self, table: str, expression: str, limit: int) -> list[tuple[int, float]]:
        """(number, BM25 score) of the best texts, scores positive. `limit` -1 for every text that matches."""
        if not expression:
            return []
        query = f"SELECT rowid, -rank FROM {table} WHERE {table} MATCH ? ORDER BY rank LIMIT ?"
        return self.connection.execute(query, (expression, limit)).fetchall()

    def texts(self, numbers: Sequence[int]) -> dict[int, str]:
        """The units' own texts."""
        found: dict[int, str] = {}
        for start in range(0, len(numbers), 500):
            part = numbers[start : start + 500]
            marks = ",".join("?" * len(part))
            found.update(
                self.connection.execute(f"SELECT rowid, text FROM unit WHERE rowid IN ({marks})", part)
            )
        return found

    def put(self, table: str, texts: Iterable[tuple[int, str]]) -> None:
        """Set the texts under these numbers."""
        self.connection.executemany(f"INSERT OR REPLACE INTO {table}(rowid, text) VALUES (?, ?)", texts)
