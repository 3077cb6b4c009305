"""The official MCP memory server beside ours: `python -m bench.mcp --calls 500 --scratch DIR`.

npm installs the official server into the scratch folder (release of `bench.mcp_peer`); node has to be there. Both run
over standard input and output, in the same run.

same: of the calls, how many answers are equal, `content`, `structuredContent` and `isError` byte for byte. `exact` is
  ours with --exact; `default` searches by meaning where theirs finds nothing, and those differences are counted apart.
search: seconds for one `search_nodes` among `entities`, the two servers asked in turn.
questions: how often the entity that is asked about is among the first ten that come back.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bench import mcp_calls
from bench.mcp_peer import Peer, official
from bench.report import ROOT, now_and_then, print_result, processor_ticks, withheld_since

_BATCH = 100  # entities per call
_FIRST = 10  # that count as found


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.mcp", description=__doc__)
    parser.add_argument("--calls", type=int, default=500)
    parser.add_argument("--entities", type=int, default=10_000)
    parser.add_argument("--searches", type=int, default=200)
    parser.add_argument("--scratch", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--record", type=Path, help="write the calls with the official answers to this file")
    args = parser.parse_args(argv)
    started, ticks = time.perf_counter(), processor_ticks()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        made = list(mcp_calls.calls(args.calls, args.seed))
        theirs = answers(official(args.scratch, home / "calls.jsonl"), made)
        if args.record:
            record(args.record, made, theirs)
        numbers: dict[str, Any] = {
            "calls": len(made),
            "same": {
                "exact": compare(made, theirs, answers(ours(home / "exact", "--exact"), made)),
                "default": compare(made, theirs, answers(ours(home / "default"), made)),
            },
        }
        if args.entities:
            numbers |= at_size(args, home)
    numbers["withheld"] = round(withheld_since(ticks), 3)
    print_result(numbers, seed=args.seed, started=started)
    return 0


def ours(home: Path, *options: str, **environment: str) -> Peer:
    home.mkdir(parents=True)
    command = [sys.executable, "-m", "service", "--home", str(home), "mcp", "--memory-server", *options]
    return Peer(command, environment, ROOT)


def answers(peer: Peer, made: Sequence[mcp_calls.Call]) -> list[dict[str, Any]]:
    """What the tools are, and the answer to each call."""
    with peer:
        listed = [peer.ask("tools/list"), peer.ask("resources/list")]
        given = [peer.call(*call) for call in made]
        return [*listed, *given, peer.ask("resources/read", {"uri": "memory://knowledge-graph"})]


def compare(
    made: Sequence[mcp_calls.Call], theirs: Sequence[dict[str, Any]], own: Sequence[dict[str, Any]]
) -> dict[str, Any]:
    """How many are equal, and what kinds of call are not."""
    kinds = ["tools/list", "resources/list", *(name for name, _ in made), "resources/read"]
    differing: Counter[str] = Counter()
    found_more = 0
    for kind, left, right in zip(kinds, theirs, own, strict=True):
        if seen(left) == seen(right):
            continue
        if kind == "search_nodes" and left["structuredContent"]["entities"] == []:
            found_more += 1
        else:
            differing[kind] += 1
    n_equal = len(kinds) - found_more - sum(differing.values())
    return {"answers": len(kinds), "equal": n_equal, "found_more": found_more, "differ": dict(differing)}


def seen(answer: dict[str, Any]) -> str:
    """What a client sees of it; an error is none where it is not said to be one."""
    shown = {key: value for key, value in answer.items() if not (key == "isError" and value is False)}
    return json.dumps(shown, ensure_ascii=False, sort_keys=True)


def record(path: Path, made: Sequence[mcp_calls.Call], given: Sequence[dict[str, Any]]) -> None:
    lines = [
        json.dumps({"call": call, "answer": answer}, ensure_ascii=False)
        for call, answer in zip(made, given[2:-1], strict=True)
    ]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def at_size(args: argparse.Namespace, home: Path) -> dict[str, Any]:
    rows, relations, questions = mcp_calls.entities(args.entities, args.seed)
    queries = mcp_calls.words(args.searches, rows, args.seed)
    with official(args.scratch, home / "size.jsonl") as theirs, ours(home / "size") as own:
        filled = {"official": fill(theirs, rows, relations), "ours": fill(own, rows, relations)}
        seconds: dict[str, list[float]] = defaultdict(list)
        n_equal = 0
        for query in queries:  # in turn, so that what else the machine does meets both
            left = timed(theirs, query, seconds["official"])
            right = timed(own, query, seconds["ours"])
            n_equal += seen(left) == seen(right)
        print(
            json.dumps({name: quantiles(values) for name, values in seconds.items()}),
            file=sys.stderr,
            flush=True,
        )
        first = time.perf_counter()
        own.call("search_nodes", {"query": "who was it that did this once?"})  # the index is made
        index_s = round(time.perf_counter() - first, 1)
        asked = {"official": ask(theirs, questions), "ours": ask(own, questions)}
    latency = {name: quantiles(values) for name, values in seconds.items()}
    times = {key: round(latency["official"][key] / latency["ours"][key], 1) for key in ("p50_ms", "p95_ms")}
    return {
        "entities": len(rows),
        "fill_s": filled,
        "search": {**latency, "times_faster": times, "equal": n_equal, "of": len(queries)},
        "index_s": index_s,
        "questions": {"asked": dict(Counter(item.kind for item in questions)), **asked},
    }


def fill(peer: Peer, rows: Sequence[dict[str, Any]], relations: Sequence[dict[str, str]]) -> float:
    """Seconds until everything is kept."""
    began, show = time.perf_counter(), now_and_then("entities")
    for start in range(0, len(rows), _BATCH):
        peer.call("create_entities", {"entities": rows[start : start + _BATCH]})
        show(start, len(rows))
    for start in range(0, len(relations), _BATCH):
        peer.call("create_relations", {"relations": relations[start : start + _BATCH]})
    return round(time.perf_counter() - began, 1)


def timed(peer: Peer, query: str, seconds: list[float]) -> dict[str, Any]:
    began = time.perf_counter()
    answer = peer.call("search_nodes", {"query": query})
    seconds.append(time.perf_counter() - began)
    return answer


def ask(peer: Peer, questions: Sequence[mcp_calls.Question]) -> dict[str, Any]:
    """Hits by kind of question, and milliseconds for one."""
    hits: Counter[str] = Counter()
    seconds: list[float] = []
    for question in questions:
        answer = timed(peer, question.text, seconds)
        names = [row["name"] for row in answer["structuredContent"]["entities"][:_FIRST]]
        hits[question.kind] += question.wanted in names
    return {"hits": dict(hits), **quantiles(seconds)}


def quantiles(seconds: Sequence[float]) -> dict[str, float]:
    p50, p95 = np.quantile(np.array(seconds) * 1000, (0.5, 0.95))
    return {"p50_ms": round(float(p50), 2), "p95_ms": round(float(p95), 2)}


if __name__ == "__main__":
    raise SystemExit(main())
