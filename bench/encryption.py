"""What an encrypted home costs beside a plain one, in one run: writing, asking, a night, and opening and closing it.

Both homes get the same chat and the same questions, turn by turn, so that what else the machine does weighs on both alike. The night
is one of a tiny random model: its training is small, so that what reading and writing cost shows the more.

    python -m bench.encryption [--messages 500] [--asks 60] [--rounds 3] [--night]
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.report import print_result
from bench.tiny_model import write_talkative_model, write_tiny_model
from memory.sealed import homes
from memory.sealed.keys import HomeKey
from memory.spaces import ensure_space
from service.encryption import opened
from service.settings import Settings, load_settings
from service.wiring import Services

PLACES = ("Porto", "Faro", "Lagos", "Bergen", "Ghent", "Graz", "Turin", "Cork")
NIGHT = {
    "SLOWWAVE_NIGHT__GATE__MIN_RECALL_PARAPHRASE": "0",
    "SLOWWAVE_NIGHT__GATE__MAX_PPL_CHANGE": "1e9",
    "SLOWWAVE_NIGHT__GATE__MAX_KL_TO_BASE": "1e9",
    "SLOWWAVE_NIGHT__GATE__MIN_NEIGHBOUR_INTACT": "0",
    "SLOWWAVE_NIGHT__GATE__MIN_UNKNOWN_REFUSED": "0",
    "SLOWWAVE_NIGHT__GATE__MAX_STALE_ANSWERED": "1",
    "SLOWWAVE_NIGHT__TRAIN__STEPS": "20",
    "SLOWWAVE_NIGHT__TRAIN__DTYPE": "float32",
}

Seconds = dict[str, dict[str, list[float]]]


def write_chat(path: Path, n_messages: int) -> Path:
    rows = []
    for number in range(n_messages):
        name = f"Person {chr(65 + number % 20)}"
        text = (
            f"I live in {PLACES[number % 8]}."
            if number % 10 == 0
            else f"well, that is thought number {number}"
        )
        time_said = f"2025-{1 + number // 60 // 24 % 12:02}-{1 + number // 1440 % 28:02}T{number // 60 % 24:02}:{number % 60:02}:00"
        rows.append(json.dumps({"time": time_said, "speaker": name, "text": text}))
    path.write_text("\n".join(rows), encoding="utf-8")
    return path


@contextmanager
def timed(took: dict[str, list[float]], what: str) -> Iterator[None]:
    """Seconds on the clock, and of the processors, children's with them."""
    began, worked = time.perf_counter(), processor_s()
    yield
    took[what].append(time.perf_counter() - began)
    took[f"{what}_cpu"].append(processor_s() - worked)


def processor_s() -> float:
    used = os.times()
    return time.process_time() + used.children_user + used.children_system


def measure(
    home: Path, key: HomeKey, chat: Path, args: argparse.Namespace, environ: dict[str, str]
) -> dict[str, list[float]]:
    """Seconds of each thing that was done on the home."""
    took: dict[str, list[float]] = defaultdict(list)
    settings: Settings = load_settings(home, environ)
    with opened(settings, key) as here, Services(here) as services:
        with timed(took, "import"):
            services.import_file(chat)
        with timed(took, "index"):
            services.index.refresh()
        for number in range(args.asks):
            with timed(took, "ask"):
                services.ask(f"Where does Person {chr(65 + number % 20)} live?")
        for number in range(args.asks):
            with timed(took, "write"):  # one small transaction
                ensure_space(services.database, f"space {number}")
        if args.night:
            with timed(took, "night"):
                report = services.sleep()
            assert report.status == "done", report.reason
    for _ in range(args.rounds):
        with (
            timed(took, "open_ask_close"),
            opened(settings, key) as here,
            Services(here) as services,
        ):
            services.ask("Where does Person A live?")
    return took


def summary(took: Seconds) -> dict[str, Any]:
    """Medians in seconds, and how much the encrypted home took of what the plain one did."""
    found = {}
    for what in took["plain"]:
        medians = {kind: statistics.median(took[kind][what]) for kind in ("plain", "encrypted")}
        ratio = round(medians["encrypted"] / max(medians["plain"], 1e-9), 3)
        found[what] = {kind: round(median, 5) for kind, median in medians.items()} | {"ratio": ratio}
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--messages", type=int, default=500)
    parser.add_argument("--asks", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--night", action="store_true")
    args = parser.parse_args()
    started = time.perf_counter()
    key = HomeKey(secrets.token_bytes(32))
    took: Seconds = {"plain": defaultdict(list), "encrypted": defaultdict(list)}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        chat = write_chat(folder / "chat.jsonl", args.messages)
        (folder / "tiny").mkdir()
        model = write_talkative_model(write_tiny_model(folder / "tiny"), folder / "talkative")
        environ = {**NIGHT, "SLOWWAVE_NIGHT__BASE_MODEL": str(model)}
        sizes = {}
        for number in range(args.rounds):
            for kind in ("plain", "encrypted"):
                home = folder / f"{kind}-{number}"
                if kind == "encrypted":
                    homes.make(home, key)
                for what, seconds in measure(home, key, chat, args, environ).items():
                    took[kind][what] += seconds
                sizes[kind] = sum(path.stat().st_size for path in home.rglob("*") if path.is_file())
    numbers = {"messages": args.messages, "bytes": sizes, "median_seconds": summary(took)}
    print_result(numbers, seed=0, started=started)


if __name__ == "__main__":
    main()
