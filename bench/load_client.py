"""The clients of `bench.load`: each does what a person, a page or an agent does, notes how long it took and what was
acknowledged, and looks for the other tenant's word in every byte that it gets."""

from __future__ import annotations

import asyncio
import random
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import httpx

# what is asked for, in parts of a hundred
MIX = {
    "facts of a person": 18,
    "facts": 10,
    "people": 8,
    "person": 8,
    "search": 12,
    "ask": 12,
    "runs": 4,
    "status": 4,
    "state a fact": 16,
    "chat": 6,
    "import": 2,
}
READS = ("facts of a person", "facts", "people", "person", "search", "ask", "runs", "status")
QUESTIONS = ("Where does {} live?", "Who is {}'s sister?", "What does {} like?", "Where did {} work in 2024?")


@dataclass(frozen=True, slots=True)
class Tenant:
    """`word` is in everything of this tenant's and in nothing of the others'."""

    name: str
    token: str
    word: str
    people: tuple[str, ...]


@dataclass(slots=True)
class Seen:
    """What the clients saw, of all of them together."""

    seconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    errors: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    crossed: int = 0
    facts: list[tuple[Tenant, str]] = field(default_factory=list)  # ids of facts that were acknowledged
    turns: list[tuple[Tenant, str]] = field(default_factory=list)
    jobs: list[tuple[Tenant, str]] = field(default_factory=list)


class Client:
    """One client of one tenant, until `ends_at` (time.monotonic)."""

    def __init__(self, http: httpx.AsyncClient, tenant: Tenant, others: list[str], seed: int) -> None:
        self._http, self._tenant, self._others = http, tenant, [word.encode() for word in others]
        self._random = random.Random(seed)
        self._number = seed * 100_000

    async def run(self, seen: Seen, ends_at: float, think_s: float) -> None:
        actions: dict[str, Callable[[Seen], Awaitable[httpx.Response]]] = {
            "state a fact": self._state,
            "chat": self._chat,
            "import": self._import,
        }
        await asyncio.sleep(self._random.uniform(0, think_s))
        while time.monotonic() < ends_at:
            kind = self._random.choices(list(MIX), list(MIX.values()))[0]
            began = time.monotonic()
            try:
                answer = await (actions[kind](seen) if kind in actions else self._read(kind))
            except httpx.HTTPError as error:
                seen.errors[f"{kind}: {type(error).__name__}"] += 1
                continue
            seen.seconds[kind].append(time.monotonic() - began)
            if answer.status_code >= 400:
                seen.errors[f"{kind}: {answer.status_code}"] += 1
            seen.crossed += any(word in answer.content for word in self._others)
            await asyncio.sleep(self._random.expovariate(1 / think_s) if think_s else 0)

    async def _read(self, kind: str) -> httpx.Response:
        who = self._random.choice(self._tenant.people)
        if kind == "ask":
            question = self._random.choice(QUESTIONS).format(who)
            return await self._send("POST", "/v1/ask", json={"question": question})
        paths: dict[str, tuple[str, dict[str, Any]]] = {
            "facts of a person": (f"/v1/people/{who}/facts", {}),
            "facts": ("/v1/facts", {"limit": 50}),
            "people": ("/v1/people", {}),
            "person": (f"/v1/people/{who}", {}),
            "search": ("/v1/search", {"q": f"{who} by the sea", "k": 10}),
            "runs": ("/v1/runs", {}),
            "status": ("/v1/status", {}),
        }
        path, params = paths[kind]
        return await self._send("GET", path, params=params)

    async def _state(self, seen: Seen) -> httpx.Response:
        what = f"{self._tenant.word} {self._next()}"
        fact = {"person": self._random.choice(self._tenant.people), "predicate": "likes", "object": what}
        answer = await self._send("POST", "/v1/facts", json=fact)
        if answer.status_code == 201:
            seen.facts.append((self._tenant, what))
        return answer

    async def _chat(self, seen: Seen) -> httpx.Response:
        said = {"person": self._tenant.people[0], "as": self._tenant.people[1], "text": "How are you today?"}
        answer = await self._send("POST", "/v1/chat", json=said)
        if answer.status_code == 200 and answer.json().get("turn"):
            seen.turns.append((self._tenant, str(answer.json()["turn"])))
        return answer

    async def _import(self, seen: Seen) -> httpx.Response:
        number = self._next()
        lines = "\n".join(
            f'{{"time": "2025-05-01T10:{i:02}:00", "speaker": "{who}", '
            f'"text": "{self._tenant.word} import {number} line {i}"}}'
            for i, who in enumerate(self._tenant.people[:2] * 3)
        )
        params = {"name": f"{number}.jsonl"}
        answer = await self._send("POST", "/v1/imports", content=lines.encode(), params=params)
        if answer.status_code == 202:
            seen.jobs.append((self._tenant, f"{self._tenant.word} import {number} line "))
        return answer

    async def _send(self, method: str, path: str, **options: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self._tenant.token}"}
        return await self._http.request(method, path, headers=headers, **options)

    def _next(self) -> int:
        self._number += 1
        return self._number
