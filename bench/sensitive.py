"""What is recognised as sensitive, on short messages written for it (bench/sensitive.tsv).

    python -m bench.sensitive [--file TSV] [--show]

Columns `set`, `kind`, `text`; without a kind nothing in the text is sensitive (prices, years, times, scores, turns of
phrase). `recall` is the share of the sensitive messages marked with their kind, `false_alarms` the share of the others
marked with any. The set `first` was written with the rules; `second` after them, and measured once before they were
mended after its errors (docs/results.md keeps that figure); a set of your own tells more than either.
"""

from __future__ import annotations

import argparse
import csv
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.report import print_result
from memory.sensitive import KINDS, kinds

DATA = Path(__file__).with_name("sensitive.tsv")


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.sensitive", description=__doc__)
    parser.add_argument("--file", type=Path, default=DATA)
    parser.add_argument("--show", action="store_true", help="print what was missed or marked wrongly")
    parser.add_argument("--seed", type=int, default=0, help="nothing here is drawn by lot")
    args = parser.parse_args(argv)
    started = time.perf_counter()
    print_result(measure(read(args.file), show=args.show), seed=args.seed, started=started)
    return 0


def read(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


def measure(rows: Sequence[dict[str, str]], *, show: bool = False) -> dict[str, Any]:
    started = time.perf_counter()
    found = [kinds(row["text"]) for row in rows]
    seconds = time.perf_counter() - started
    n, right = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
    alarms = Counter[str]()
    for row, marked in zip(rows, found, strict=True):
        n[row["set"], row["kind"]] += 1
        right[row["set"], row["kind"]] += row["kind"] in marked
        alarms[row["set"]] += not row["kind"] and bool(marked)
        if show and (marked if not row["kind"] else row["kind"] not in marked):
            print(f"{row['kind'] or 'nothing':<10} {', '.join(marked) or 'nothing':<10} {row['text']}")
    sets = sorted({row["set"] for row in rows})
    return {
        name: {
            "recall": _share(sum(right[name, kind] for kind in KINDS), sum(n[name, kind] for kind in KINDS)),
            "false_alarms": _share(alarms[name], n[name, ""]),
            "by_kind": {kind: _share(right[name, kind], n[name, kind]) for kind in KINDS if n[name, kind]},
            "messages": sum(count for key, count in n.items() if key[0] == name),
        }
        for name in sets
    } | {"messages_per_s": round(len(rows) / max(seconds, 1e-9))}


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 4) if whole else None


if __name__ == "__main__":
    sys.exit(main())
