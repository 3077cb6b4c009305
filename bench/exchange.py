"""How fast a space goes out and in, and in how much memory: `python -m bench.exchange --messages 200000`.

Invents a space with as many messages, facts and evidence, exports it, loads the file into another store and exports
that again, each in a process of its own. Beside it SQLite's own text form, Python's `iterdump` and `executescript`.

same_bytes: whether the second export is the first, byte for byte.
growth_mb: by how much the resident memory of the process grew over what it had with the store opened.
"""

from __future__ import annotations

import argparse
import hashlib
import multiprocessing
import sqlite3
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import insert

from bench.peak import peak_mb
from bench.report import print_result
from db.engine import open_database, sqlite_url
from db.tables import Conversation, Episode, Evidence, Fact, Node, Source
from memory.exchange.dump import dump
from memory.exchange.load import load
from memory.spaces import ensure_space

_PEOPLE, _CHUNK = 1000, 10_000
_BEGIN = datetime(2020, 1, 1, tzinfo=UTC)

Step = Callable[[Path, Path], dict[str, Any]]


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.exchange", description=__doc__)
    parser.add_argument("--messages", type=int, default=200_000)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(argv)
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        invent(home / "a.db", args.messages)
        print(f"invented {args.messages} messages", flush=True)
        out = apart(export_store, home / "a.db", home / "a.jsonl")
        back = apart(load_store, home / "b.db", home / "a.jsonl")
        again = apart(export_store, home / "b.db", home / "b.jsonl")
        numbers = {
            "records": out["records"],
            "file_mb": round((home / "a.jsonl").stat().st_size / 2**20, 1),
            "same_bytes": out["sha256"] == again["sha256"],
            "export": out,
            "load": back,
            "sqlite_text": {
                "export": apart(dump_text, home / "a.db", home / "a.sql"),
                "load": apart(load_text, home / "c.db", home / "a.sql"),
            },
        }
    print_result(numbers, seed=args.seed, started=started)
    return 0


def apart(step: Step, store: Path, file: Path) -> dict[str, Any]:
    """The step in a process of its own, whose memory is its alone."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        found = pool.apply(step, (store, file))
    print(step.__name__, found, flush=True)
    return found


def invent(path: Path, n: int) -> None:
    database = open_database(sqlite_url(path))
    space = {"space_id": ensure_space(database, clock=lambda: _BEGIN)}
    with database.transaction() as session:
        run = session.connection().execute
        run(
            insert(Source),
            [space | {"id": "s", "kind": "x", "name": "x", "sha256": "0", "created_at": _BEGIN}],
        )
        run(insert(Conversation), [space | {"id": "c", "name": "x"}])
        person = space | {"kind": "person", "created_at": _BEGIN}
        names = [f"Person {i}" for i in range(_PEOPLE)]
        run(
            insert(Node), [person | {"id": name, "name": name, "name_key": name.casefold()} for name in names]
        )
        for start in range(0, n, _CHUNK):
            part = range(start, min(n, start + _CHUNK))
            run(insert(Episode), [space | _episode(i) for i in part])
            run(insert(Fact), [space | _fact(i) for i in part])
            run(insert(Evidence), [space | {"fact_id": _id(i), "episode_id": _id(i)} for i in part])
    database.close()


def _id(i: int) -> str:
    return hashlib.sha256(str(i).encode()).hexdigest()[:16]


def _episode(i: int) -> dict[str, Any]:
    return {
        "id": _id(i),
        "source_id": "s",
        "conversation_id": "c",
        "position": i,
        "speaker_id": f"Person {i % _PEOPLE}",
        "time": _BEGIN + timedelta(minutes=i),
        "text": f"message {i}, of a usual length, about nothing in particular",
        "key": _id(i) * 4,
    }


def _fact(i: int) -> dict[str, Any]:
    return {
        "id": _id(i),
        "subject_id": f"Person {i % _PEOPLE}",
        "predicate": "likes",
        "object": f"thing {i}",
        "object_key": f"thing {i}",
        "valid_from": _BEGIN,
        "recorded_at": _BEGIN,
        "state": "stored",
        "confidence": 0.8,
        "rule": "invented",
    }


def export_store(store: Path, file: Path) -> dict[str, Any]:
    database = open_database(sqlite_url(store))
    space_id = ensure_space(database)
    with _Meter() as meter, file.open("wb") as output:
        counts = dump(database, space_id, output)
    database.close()
    return meter.of(sum(counts.values())) | {"sha256": hashlib.sha256(file.read_bytes()).hexdigest()}


def load_store(store: Path, file: Path) -> dict[str, Any]:
    database = open_database(sqlite_url(store))
    space_id = ensure_space(database)
    with _Meter() as meter, file.open("rb") as source:
        report = load(database, space_id, source, file.name)
    database.close()
    return meter.of(sum(report.counts.values()))


def dump_text(store: Path, file: Path) -> dict[str, Any]:
    with closing(sqlite3.connect(store)) as opened, _Meter() as meter, file.open("w") as output:
        n = sum(output.write(statement + "\n") > 0 for statement in opened.iterdump())
    return meter.of(n)


def load_text(store: Path, file: Path) -> dict[str, Any]:
    with closing(sqlite3.connect(store)) as opened, _Meter() as meter:
        text = file.read_text()
        opened.executescript(text)
    return meter.of(text.count("\n"))


class _Meter:
    """Seconds and growth of resident memory between entering and leaving."""

    def __enter__(self) -> _Meter:
        self._rss, self._started = peak_mb(), time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        self._seconds, self._growth = time.perf_counter() - self._started, peak_mb() - self._rss

    def of(self, n: int) -> dict[str, Any]:
        return {
            "records": n,
            "seconds": round(self._seconds, 2),
            "per_s": round(n / self._seconds),
            "growth_mb": round(self._growth, 1),
        }


if __name__ == "__main__":
    raise SystemExit(main())
