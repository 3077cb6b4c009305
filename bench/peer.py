"""Our store and index behind the line protocol that compares memory systems: one JSON object per line.

    {"op":"open","dir":D,"dim":384} -> {"versions":{...}}
    {"op":"add","rows":[{"id","text","speaker","time","vec"},...]} -> {}   when durable and searchable
    {"op":"ready"} -> {}    {"op":"search","text":T,"vec":[...],"k":20} -> {"ids":[...]}
    {"op":"sync"} -> {}     {"op":"close"} -> {}, then exit

Each row becomes a message in the tables, under an id of ours; which of the given ids it has is kept in a file beside
the store. A row with a clock time is a turn of one conversation, one with a date alone is a note of its speaker's;
one without a time that can be read comes a second after the one before it.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import select

from bench.locomo import read_time
from db.engine import open_database, sqlite_url
from db.tables import Episode
from memory.bulk import BulkWriter, Told
from memory.index import Index
from memory.ports import FloatMatrix
from memory.registry import Registry
from memory.spaces import ensure_space

_FIRST = datetime(2000, 1, 1, tzinfo=UTC)
_PREFIX = re.compile(r"^(?P<speaker>[^:()]{1,80}) \([^()]*\): ")  # "Speaker (date): text"


class Vectors:
    """The encoder whose vectors are given with the rows."""

    def __init__(self, width: int) -> None:
        self.name, self.width = "given", width

    def encode(self, texts: Sequence[str]) -> FloatMatrix:
        raise RuntimeError("every vector comes with its row")


class Memory:
    def __init__(self, folder: Path, width: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.embedder = Vectors(width)
        self.database = open_database(sqlite_url(folder / "graph.db"))
        self.space_id = ensure_space(self.database)
        self.index = Index.open(self.database, self.space_id, folder, self.embedder)
        self.index.refresh()
        self.writer = BulkWriter(
            self.database, self.space_id, Registry.load(), source="rows", embedder=self.embedder
        )
        self.names = folder / "ids.jsonl"
        self.ids: dict[str, str] = {}  # ours to theirs
        if self.names.exists():
            for line in self.names.read_text(encoding="utf-8").splitlines():
                self.ids.update(json.loads(line))
        self.n_rows = len(self.ids)

    def add(self, rows: Sequence[Mapping[str, Any]]) -> None:
        told = [self._told(row) for row in rows]
        self.writer.add(told)
        theirs = {row.time: str(given["id"]) for row, given in zip(told, rows, strict=True)}
        made = {ours: theirs[time] for ours, time in self._written(list(theirs))}
        with self.names.open("a", encoding="utf-8") as file:
            file.write(json.dumps(made) + "\n")
        self.ids.update(made)
        self.index.refresh()

    def search(self, text: str, vector: Iterable[float], k: int) -> list[str]:
        found = self.index.search(
            text, k, kinds=("episode",), vector=np.fromiter(vector, np.float32, self.embedder.width)
        )
        return [self.ids[hit.id] for hit in found]

    def close(self) -> None:
        self.index.close()
        self.database.close()

    def _told(self, row: Mapping[str, Any]) -> Told:
        time, is_turn = self._time(str(row.get("time") or ""))
        self.n_rows += 1
        speaker = str(row.get("speaker") or "Someone")
        return Told(
            speaker=speaker,
            conversation="rows" if is_turn else f"notes of {speaker}",
            time=time,
            text=_PREFIX.sub("", str(row["text"])) or str(row["text"]),
            vector=np.asarray(row["vec"], np.float32),
        )

    def _time(self, said: str) -> tuple[datetime, bool]:
        """When it was said, told apart from all others by microseconds of its number; and whether a clock said so."""
        apart = timedelta(microseconds=self.n_rows)
        try:
            time, is_turn = datetime.fromisoformat(said), len(said) > len("2000-01-01")
        except ValueError:
            found = read_time(said)
            time, is_turn = found or _FIRST + timedelta(seconds=self.n_rows), True
        return (time if time.tzinfo else time.replace(tzinfo=UTC)) + apart, is_turn

    def _written(self, times: list[datetime]) -> list[tuple[str, datetime]]:
        """Id and time of the messages of these times."""
        found: list[tuple[str, datetime]] = []
        with self.database.reading() as session:
            for start in range(0, len(times), 500):
                query = select(Episode.id, Episode.time).where(
                    Episode.space_id == self.space_id, Episode.time.in_(times[start : start + 500])
                )
                found += [(row[0], row[1]) for row in session.execute(query)]
        return found


def answer(memory: Memory, request: Mapping[str, Any]) -> dict[str, Any]:
    """What one line asks of an open memory."""
    if request["op"] == "add":
        memory.add(request["rows"])
    elif request["op"] == "search":
        return {"ids": memory.search(request["text"], request["vec"], int(request["k"]))}
    return {}


def main() -> None:
    memory: Memory | None = None
    for line in sys.stdin:
        request = json.loads(line)
        try:
            if request["op"] == "open":
                memory = Memory(Path(request["dir"]), int(request["dim"]))
                reply: dict[str, Any] = {
                    "versions": {name: version(name) for name in ("tantivy", "faiss-cpu")}
                }
            elif memory is None:
                reply = {"error": "open comes first"}
            else:
                reply = answer(memory, request)
        except Exception as error:  # the other side must hear of anything at all
            reply = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(reply), flush=True)
        if request["op"] == "close":
            break
    if memory is not None:
        memory.close()


if __name__ == "__main__":
    main()
