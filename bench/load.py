"""`python -m bench.load --clients 50 --seconds 60`: a real daemon under mixed reads and writes while a night works.

Two tenants with a token each, their own people and a word in all that is theirs. Clients think between two requests
(exponentially, `--think-s` on average; 0 is as fast as answers come). Afterwards everything that was acknowledged is
looked for. The night is one of the embedded model with its training capped (`--minutes`), begun before the first
request; personas speak by the scripted engine, so that what is measured is the daemon and not a model.
Loopback only, a fixed time.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from sqlalchemy import select

from bench.load_client import READS, Client, Seen, Tenant
from db.tables import ChatTurn, Episode, Fact
from memory import consent
from memory.people import find_person
from service import machine
from service.access import tokens
from service.components import Shared
from service.settings import load_settings
from service.wiring import Services

WORDS = ("quillon", "tessera")
PLACES = ("Porto", "Faro", "Lagos", "Tavira", "Sines", "Braga", "Evora", "Coimbra")
SAID = (
    "I live in {place} now.",
    "My sister {other} lives in {place}.",
    "I work at the harbour office in {place}.",
    "I like long walks by the sea.",
    "We met {other} at the market this morning.",
    "I am so happy about the new boat!",
    "See you on the {i}th then.",
)


def people_of(word: str) -> tuple[str, ...]:
    return tuple(f"{name} {word.title()}" for name in ("Ada", "Bo", "Carla", "Dario", "Elsa", "Finn"))


def write_chat(path: Path, word: str, n_messages: int) -> Path:
    people = people_of(word)
    with path.open("w") as file:
        for i in range(n_messages):
            said = SAID[i % len(SAID)].format(
                place=PLACES[i % len(PLACES)], other=people[(i + 1) % 6], i=i % 28 + 1
            )
            at = f"2025-{i * 12 // n_messages + 1:02}-{i % 28 + 1:02}T{i % 24:02}:{i % 60:02}:00"
            file.write(
                json.dumps({"time": at, "speaker": people[i // 2 % 6], "text": f"{said} {word}"}) + "\n"
            )
    return path


def prepare(home: Path, n_messages: int) -> list[Tenant]:
    """A home with two tenants, their chats, consent, tokens, and a script for personas."""
    home.mkdir(parents=True, exist_ok=True)
    (home / "script.txt").write_text("I am well, the sea was calm today.\nThank you, and you?\n")
    (home / "config.toml").write_text(
        f'[persona]\nengine = "scripted"\nscript = "{home / "script.txt"}"\n'
        '[serve]\nnightly_at = ""\n[serve.limits]\nrequests_per_s = 0\n'
    )
    settings = load_settings(home, {})
    shared = Shared(settings)
    tenants = []
    for word in WORDS:
        with Services(replace(settings, space=word), shared=shared) as services:
            services.import_file(write_chat(home / f"{word}.jsonl", word, n_messages))
            services.ask(f"Where does {people_of(word)[0]} live?")  # the first question ever makes a cache
            person = find_person(services.database, services.space_id, people_of(word)[0])
            consent.record(services.database, services.space_id, person.id, agreed_by=person.name)
        wanted = tokens.Wanted(word, word, ("read", "write", "chat", "night"))
        tenants.append(Tenant(word, tokens.add(shared.database, wanted)[1], word, people_of(word)))
    shared.close()
    return tenants


@contextmanager
def daemon(home: Path) -> Any:
    """The daemon as a process of its own; its address."""
    log = home / "daemon.log"
    environ = {key: value for key, value in os.environ.items() if not key.startswith("SLOWWAVE_")}
    with log.open("w") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-m", "service", "--home", str(home), "serve", "--port", "0"],
            stderr=stderr,
            env=environ,
        )
    try:
        until = time.monotonic() + 60
        while time.monotonic() < until and process.poll() is None:
            found = re.search(r"listening on (http://\S+:\d+)", log.read_text())
            if found and httpx.get(found[1] + "/healthz").status_code == 200:
                yield found[1], process
                return
            time.sleep(0.1)
        raise RuntimeError("the daemon did not come up; look at daemon.log in the home")
    except httpx.HTTPError as error:
        raise RuntimeError("the daemon does not answer") from error
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(90)
        except subprocess.TimeoutExpired:
            process.kill()


async def load(url: str, tenants: list[Tenant], options: argparse.Namespace) -> Seen:
    seen = Seen()
    limits = httpx.Limits(max_connections=options.clients, max_keepalive_connections=options.clients)
    async with httpx.AsyncClient(base_url=url, timeout=60, limits=limits) as http:
        ends_at = time.monotonic() + options.seconds
        clients = [
            Client(http, tenant, [word for word in WORDS if word != tenant.word], options.seed + i)
            for i in range(options.clients)
            for tenant in [tenants[i % len(tenants)]]
        ]
        await asyncio.gather(*(client.run(seen, ends_at, options.think_s) for client in clients))
    return seen


def begin_night(url: str, tenant: Tenant, minutes: float) -> str:
    headers = {"Authorization": f"Bearer {tenant.token}"}
    answer = httpx.post(url + "/v1/sleep", json={"minutes": minutes}, headers=headers, timeout=180)
    return str(answer.raise_for_status().json()["run"])


def night_of(url: str, tenant: Tenant, run_id: str) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {tenant.token}"}
    found = httpx.get(f"{url}/v1/runs/{run_id}", headers=headers, timeout=60).json()
    return {
        "status": found["status"],
        "stages": {stage["name"]: round(stage["seconds"], 1) for stage in found["stages"]},
    }


def lost(home: Path, seen: Seen, patience_s: float) -> dict[str, int]:
    """How much of what was acknowledged is not in the store. Imports are jobs: they get some time to end."""
    shared = Shared(load_settings(home, {}))
    try:
        until = time.monotonic() + patience_s
        while True:
            missing = _missing(shared, seen)
            if not missing["imports"] or time.monotonic() > until:
                return missing
            time.sleep(1)
    finally:
        shared.close()


def _missing(shared: Shared, seen: Seen) -> dict[str, int]:
    with shared.database.reading() as session:
        facts = set(session.scalars(select(Fact.object)))
        texts = set(session.scalars(select(Episode.text)))
        turns = set(session.scalars(select(ChatTurn.id)))
    return {
        "facts": sum(what not in facts for _, what in seen.facts),
        "turns": sum(turn not in turns for _, turn in seen.turns),
        "imports": sum(any(f"{what}{i}" not in texts for i in range(6)) for _, what in seen.jobs),
    }


def cpu_seconds(pid: int) -> float:
    """What the process has used, without its children."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def latency(seconds: list[float]) -> dict[str, float]:
    ms = 1000 * np.array(seconds or [0.0])
    return {
        "n": len(seconds),
        "p50_ms": round(float(np.percentile(ms, 50)), 1),
        "p95_ms": round(float(np.percentile(ms, 95)), 1),
        "p99_ms": round(float(np.percentile(ms, 99)), 1),
        "max_ms": round(float(ms.max()), 1),
    }


def measure(home: Path, options: argparse.Namespace) -> dict[str, Any]:
    tenants = prepare(home, options.messages)
    with daemon(home) as (url, process):
        run_id = begin_night(url, tenants[0], options.minutes) if options.minutes else None
        began, cpu_s = time.monotonic(), cpu_seconds(process.pid)
        seen = asyncio.run(load(url, tenants, options))
        took_s, cpu_s = time.monotonic() - began, cpu_seconds(process.pid) - cpu_s
        night = night_of(url, tenants[0], run_id) if run_id else None
        resident = machine.resident_bytes(process.pid)
        not_found = lost(home, seen, options.patience_s)
    n = sum(len(values) for values in seen.seconds.values())
    return {
        "clients": options.clients,
        "seconds": round(took_s, 1),
        "think_s": options.think_s,
        "messages": 2 * options.messages,
        "requests": n,
        "requests_per_s": round(n / took_s, 1),
        "reads": latency([second for kind in READS for second in seen.seconds[kind]]),
        "by_kind": {kind: latency(seconds) for kind, seconds in sorted(seen.seconds.items())},
        "errors": dict(seen.errors),
        "acknowledged": {"facts": len(seen.facts), "turns": len(seen.turns), "imports": len(seen.jobs)},
        "lost": not_found,
        "crossed": seen.crossed,
        "night": night,
        "daemon_mb": round((resident or 0) / 1e6),
        "daemon_cpu_ms_per_request": round(1000 * cpu_s / max(1, n), 1),
        "load_average": os.getloadavg()[0],
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument(
        "--think-s", type=float, default=1.0, help="between an answer and the next request, on average"
    )
    parser.add_argument("--messages", type=int, default=1000, help="of each tenant, before the load")
    parser.add_argument("--minutes", type=float, default=0.5, help="of the night's training; 0: no night")
    parser.add_argument("--patience-s", type=float, default=60.0, help="for imports to end, after the load")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--home", type=Path, help="a new folder; else one that is removed afterwards")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(measure(options.home or Path(folder) / "home", options)))


if __name__ == "__main__":
    main()
