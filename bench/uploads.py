"""Send broken exports and archive bombs to the daemon's routes: `python -m bench.uploads --cases 10000 --seed 1`.

Each case is sent to `POST /v1/imports?preview=true`, some with a form; of what can be read some are confirmed and imported. Counted: answers
by status, what was neither 2xx nor a problem of 4xx, what a reader had not foreseen, what took too long, and the most memory that the
daemon and a child had. Exit code 1 where anything is amiss.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import json
import random
import resource
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI

from bench.upload_breaks import Case, broken
from bench.upload_nursery import Born, Nursery
from bench.upload_seeds import seeds
from memory.parsing import child
from service.http.application import create_app
from service.jobs import queue
from service.settings import BackendSettings, ImportSettings, Settings
from service.wiring import Services

SLOW_S = 30.0
MEMORY_MB = 512
_OWN = {"Slowwave-Space": "default"}
UNFORESEEN = "nothing can be made of it"


@dataclass(slots=True)
class Found:
    statuses: Counter[str] = field(default_factory=Counter)
    jobs: Counter[str] = field(default_factory=Counter)
    amiss: list[dict[str, Any]] = field(default_factory=list)
    unforeseen: Counter[str] = field(default_factory=Counter)
    slowest_s: float = 0.0
    slowest: str = ""
    daemon_mb: int = 0
    n_started: int = 0  # children that were started as the daemon does


@dataclass(frozen=True, slots=True)
class Plan:
    n_cases: int
    seed: int
    at_once: int = 4
    started_every: int = 200  # the child of so many's is started as the daemon does
    minutes: float = 60.0  # after which no further case is begun
    confirmed: float = 0.02  # share of what can be read that is imported
    first: int = 0  # the case to begin with, of a run that was ended there


def run(plan: Plan) -> dict[str, Any]:
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="uploads-") as folder:
        settings = replace(
            Settings(home=Path(folder) / "home"),
            backend=BackendSettings(extractor="rules"),
            imports=ImportSettings(memory_mb=MEMORY_MB, minutes=0.25),
        )
        nursery = Nursery(Path(folder))
        try:
            with Services(settings) as services:
                found = asyncio.run(_send_all(services, nursery, plan))
                left = [path for path in (settings.home / "uploads").rglob("*") if path.is_file()]
        finally:
            nursery.close()
    return {
        "cases": sum(found.statuses.values()),
        "asked": plan.n_cases,
        "seed": plan.seed,
        "at_once": plan.at_once,
        "seconds": round(time.monotonic() - begun, 1),
        "statuses": dict(sorted(found.statuses.items())),
        "jobs": dict(found.jobs),
        "amiss": found.amiss[:20],
        "n_amiss": len(found.amiss),
        "unforeseen": dict(found.unforeseen),
        "slowest_s": round(found.slowest_s, 1),
        "slowest": found.slowest,
        "daemon_mb": found.daemon_mb,
        "child_mb": Born.largest_kb >> 10,
        "child_limit_mb": MEMORY_MB,
        "started_anew": found.n_started,
        "files_left": len(left),
    }


async def _send_all(services: Services, nursery: Nursery, plan: Plan) -> Found:
    """The cases in their order, so many at once, each line of them in a space of its own."""
    found, made, numbers = Found(), seeds(), iter(range(plan.first, plan.n_cases))
    app = create_app(services)
    start_anew, born = child.start, itertools.count(1)
    until = time.monotonic() + 60 * plan.minutes

    def start(asked: Any, out: int, scratch: Path) -> Any:
        if next(born) % plan.started_every == 0:
            found.n_started += 1
            return start_anew(asked, out, scratch)
        return nursery.start(json.dumps(asked.as_json()).encode() + b"\n", out, scratch)

    async def line(client: httpx.AsyncClient) -> None:
        for number in numbers:
            if time.monotonic() > until:
                return
            rng = random.Random(f"{plan.seed}:{number}")
            await _one(client, broken(made, rng), rng, found, number, plan.confirmed)
            if number % 50 == 0:
                found.daemon_mb = max(found.daemon_mb, _resident_mb())
                print(f"{number} of {plan.n_cases}, {len(found.amiss)} amiss", file=sys.stderr, flush=True)

    child.start = start
    try:
        async with contextlib.AsyncExitStack() as stack:
            clients = [await stack.enter_async_context(_client(app, n)) for n in range(plan.at_once)]
            for client in clients:
                await client.post("/v1/spaces", json={"name": client.headers["Slowwave-Space"]}, headers=_OWN)
            await asyncio.gather(*map(line, clients))
    finally:
        child.start = start_anew
        app.state.spaces.end(talk_timeout_s=1, night_timeout_s=60)
    return found


def _client(app: FastAPI, number: int) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(app=app),
        base_url="http://127.0.0.1:7777",
        headers={"Slowwave-Space": f"line {number}"},
        timeout=120,
    )


async def _one(
    client: httpx.AsyncClient, case: Case, rng: random.Random, found: Found, number: int, confirmed: float
) -> None:
    how, name, body = case
    begun = time.monotonic()
    options: dict[str, Any] = {"params": {"preview": "true", "name": name}, "content": body}
    if rng.random() < 0.3:
        options = {"params": {"preview": "true"}, "files": {"file": (name, body)}, "data": {"me": "Ada"}}
    answer = await client.post("/v1/imports", **options)
    seconds = time.monotonic() - begun
    if seconds > found.slowest_s:
        found.slowest_s, found.slowest = seconds, how
    found.statuses[str(answer.status_code)] += 1
    is_problem = answer.headers.get("content-type", "").startswith("application/problem+json")
    is_fine = answer.is_success or (400 <= answer.status_code < 500 and is_problem)
    if not is_fine or seconds > SLOW_S:
        found.amiss.append(
            {"case": number, "how": how, "status": answer.status_code, "seconds": round(seconds, 1)}
        )
    if UNFORESEEN in answer.text:
        found.unforeseen[answer.json()["detail"].partition("(")[2].partition(")")[0]] += 1
    if answer.is_success:
        if rng.random() < confirmed:
            await _confirm(client, answer.json()["upload"], found, number, how)
        else:
            await client.delete(f"/v1/imports/{answer.json()['upload']}")


async def _confirm(client: httpx.AsyncClient, upload: str, found: Found, number: int, how: str) -> None:
    answer = await client.post(f"/v1/imports/{upload}")
    until = time.monotonic() + SLOW_S
    while answer.is_success and answer.json()["state"] in queue.UNFINISHED and time.monotonic() < until:
        await asyncio.sleep(0.02)
        answer = await client.get(f"/v1/jobs/{answer.json()['job']}")
    job = answer.json() if answer.is_success else {"state": str(answer.status_code), "why": None}
    found.jobs[str(job["state"])] += 1
    if job["state"] != "done":
        found.amiss.append({"case": number, "how": how, "job": job["state"], "why": job["why"]})


def _resident_mb() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() >> 20


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m bench.uploads")
    parser.add_argument("--cases", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--at-once", type=int, default=4)
    parser.add_argument("--minutes", type=float, default=60.0, help="begin no case after so many")
    parser.add_argument("--first", type=int, default=0, help="begin with this case")
    given = parser.parse_args()
    found = run(Plan(given.cases, given.seed, given.at_once, minutes=given.minutes, first=given.first))
    print(json.dumps(found))
    return 1 if found["n_amiss"] or found["unforeseen"] or found["files_left"] else 0


if __name__ == "__main__":
    sys.exit(main())
