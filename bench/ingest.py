"""How fast a long chat comes in, and how much memory that takes: an invented WhatsApp export of some gigabytes.

    python -m bench.ingest [--gigabytes 1 | --megabytes N] [--keep FOLDER]

The file is invented in the app's Android form: four people, messages of three to thirty words, days of a few hundred.
It is written first and not counted. What is measured is one import into a new store, in a process of its own: the look
through the file, every row stored, nothing extracted. `rss_mb` is the most memory that process ever held.
`extracted_per_s` is measured apart, on the first 3,000 messages: the rules and the emotion head, as an import runs them.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

from agents.emotions import EmotionHead
from agents.extractors.local import local_extractor
from bench.peak import peak_mb
from bench.report import ROOT, print_result
from db.engine import open_database, sqlite_url
from memory.embedders.minilm import MiniLM
from memory.importing import import_export, open_export
from memory.ports import Roster
from memory.reading import read_episodes
from memory.registry import Registry
from memory.spaces import ensure_space

PEOPLE = ("Ada Lund", "Bo Rask", "Cleo Ott", "Dag Moe")
WORDS = (
    "the", "and", "to", "of", "kiln", "bread", "train", "tomorrow", "ferry", "sister", "garden", "why",
    "late", "rain", "yes", "no", "maybe", "bring", "keys", "blue", "paint", "café", "left", "again", "Oslo",
    "phone", "call", "later", "you", "we", "they", "was", "seven", "boat", "soup", "glaze", "news", "😀",
)  # fmt: skip
CHUNK = 20_000  # lines written at a time
N_EXTRACTED = 3000


def lines(seed: int) -> Iterator[str]:
    """Messages without end, in time order; now and then two lines, a medium or a system line."""
    rng = random.Random(seed)
    time_of = datetime(1995, 1, 13, 8)
    while True:
        time_of += timedelta(seconds=rng.randrange(1, 150))
        head = f"{time_of:%d/%m/%Y, %H:%M} - "
        draw = rng.random()
        if draw < 0.001:
            yield f"{head}Messages and calls are end-to-end encrypted."
            continue
        said = "<Media omitted>" if draw < 0.03 else " ".join(rng.choices(WORDS, k=rng.randrange(3, 30)))
        yield f"{head}{rng.choice(PEOPLE)}: {said}" + ("\nand one more line" if draw > 0.98 else "")


def invent(path: Path, n_bytes: int, seed: int) -> None:
    source = lines(seed)
    n_written = 0
    with path.open("wb") as file:
        while n_written < n_bytes:
            n_written += file.write(("\n".join(next(source) for _ in range(CHUNK)) + "\n").encode())


def ingest(path: Path, home: Path) -> dict[str, Any]:
    """Import the file; to be called in a fresh process."""
    database = open_database(sqlite_url(home / "graph.db"))
    space_id = ensure_space(database)
    begun, begun_cpu = time.perf_counter(), time.process_time()
    export = open_export(path)
    looked_s = time.perf_counter() - begun
    report = import_export(database, space_id, export, progress=_tell)
    seconds = time.perf_counter() - begun
    database.close()
    return {
        "messages": report.n_new,
        "skipped": sum(count.n for count in report.skipped),
        "megabytes": round(path.stat().st_size / 1e6, 1),
        "look_s": round(looked_s, 1),
        "import_s": round(seconds, 1),
        "messages_per_s": round(report.n_new / seconds, 1),
        "cpu_us_per_message": round((time.process_time() - begun_cpu) / report.n_new * 1e6, 1),
        "rss_mb": round(peak_mb(), 1),
        "disk_mb": round(sum(file.stat().st_blocks * 512 for file in home.iterdir()) / 1e6, 1),
    }


def extracted_per_s(folder: Path, seed: int) -> float:
    """Messages read a second, models loaded before."""
    path = folder / "few.txt"
    path.write_text("\n".join(islice(lines(seed), N_EXTRACTED)), encoding="utf-8")
    database = open_database(sqlite_url(folder / "few.db"))
    space_id = ensure_space(database)
    report = import_export(database, space_id, open_export(path))
    encoder, registry = MiniLM.load(), Registry.load()
    extractor, tagger = local_extractor(encoder, registry), EmotionHead.load(encoder)
    extractor.extract([], Roster((), ()))
    tagger.tag(["a first text"])
    begun = time.perf_counter()
    read_episodes(database, space_id, extractor, tagger, registry)
    seconds = time.perf_counter() - begun
    database.close()
    return round(report.n_new / seconds, 1)


def _tell(done: int, total: int, note: str = "") -> None:
    print(f"\r{100 * done / max(total, 1):5.1f} % {note}", end="", file=sys.stderr)


def _in_own_process(path: Path, home: Path) -> dict[str, Any]:
    command = [sys.executable, "-m", "bench.ingest", "--file", str(path), "--home", str(home)]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description="Import speed and memory on an invented WhatsApp export.")
    parser.add_argument("--gigabytes", type=float, default=1.0)
    parser.add_argument("--megabytes", type=float, help="the same in megabytes")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="a folder for the file and the store, which stay there")
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--home", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.file:
        print(json.dumps(ingest(options.file, options.home)))
        return
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as made:
        folder: Path = options.keep or Path(made)
        home = folder / "home"
        home.mkdir(parents=True, exist_ok=True)
        path = folder / "WhatsApp Chat with Kiln.txt"
        n_mb = options.megabytes or options.gigabytes * 1000
        invent(path, int(n_mb * 1e6), options.seed)
        numbers = _in_own_process(path, home)
        numbers["extracted_per_s"] = extracted_per_s(Path(made), options.seed)
    print_result({"bench": "ingest", **numbers}, seed=options.seed, started=started)


if __name__ == "__main__":
    main()
