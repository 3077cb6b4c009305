"""The page in Chromium: what a first load weighs, and how fluently a large graph is drawn.

    python -m bench.page [--nodes 50000] [--axe FILE] [--seed 7]

The space is invented: people, places, organisations and things in circles of eighty, six links of a hundred leave their
circle. `draw_ms` is the time in which one frame is drawn while everything is shown and moved by the keyboard, zoomed to
each of four scales; `gap_ms` is from frame to frame, so it counts the browser's own work as well. `map_s` is `GET
/v1/graph/map` from the request to its last byte. `--axe` is a newer axe.min.js than the tests have; `violations` are
what it finds on every view, on a phone's width in the dark and on a desk in the light.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
import urllib.request
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import insert

from bench.report import print_result
from db.tables import Fact, Node, new_id
from memory import names
from service.settings import Settings
from service.wiring import Services
from tests.browser import Browser, a_browser
from tests.page_server import served

KINDS = ("person",) * 8 + ("place",) * 3 + ("organisation",) * 2 + ("thing",) * 7
SAYS = {"person": "friend", "place": "lives_in", "organisation": "works_at", "thing": "has"}
CIRCLE = 80
AWAY = 0.06
FRAMES = 120
ZOOMS = (1.0, 3.0, 3.0, 3.0)  # one after the other
VIEWS = ("people", "ask", "talk", "graph", "nights", "review", "recipes", "import", "erase", "status", "more")
READY = "document.querySelector('#main .view h1') && !document.querySelector('.loading, [aria-busy]')"
MOVE = """
const [zoom, frames] = arguments, canvas = document.querySelector('canvas');
const press = (key) => canvas.dispatchEvent(new KeyboardEvent('keydown', {key, bubbles: true, cancelable: true}));
const frame = () => new Promise(requestAnimationFrame);
const tools = document.querySelectorAll('.tools button');
for (let done = 1; done < zoom; done *= 1.5) tools[0].click();
await frame();
const draws = [], gaps = [];
for (let i = 0, last = performance.now(); i < frames; i += 1) {
  press(['ArrowRight', 'ArrowDown', 'ArrowLeft', 'ArrowUp'][Math.floor(i / 5) % 4]);
  await frame();
  const now = performance.now();
  draws.push(Number(canvas.dataset.ms));
  gaps.push(now - last);
  last = now;
}
return {draws, gaps};
"""


def fill(services: Services, n_nodes: int, seed: int) -> int:
    """Nodes and stored facts between them; how many facts."""
    draw, now = random.Random(seed), services.clock()
    kinds = [draw.choice(KINDS) for _ in range(n_nodes)]
    called = [f"{kind.title()} {place}" for place, kind in enumerate(kinds)]
    shared = {"space_id": services.space_id}
    nodes = [
        {"id": f"n{place:08x}", "kind": kind, "name": name, "name_key": names.key(name)}
        | {"is_speaker": False, "created_at": now, **shared}
        for place, (kind, name) in enumerate(zip(kinds, called, strict=True))
    ]
    people = [place for place, kind in enumerate(kinds) if kind == "person"]
    facts = []
    for place, kind in enumerate(kinds):
        begin = place // CIRCLE * CIRCLE
        near = [one for one in range(begin, min(begin + CIRCLE, n_nodes)) if kinds[one] == "person"]
        for _ in range(draw.choice((1, 2, 3)) if kind == "person" else 1):
            who = draw.choice(people if draw.random() < AWAY or not near else near)
            if who != place:
                facts.append(_fact(nodes[who], nodes[place], SAYS[kind], draw.randrange(4000), now))
    with services.database.transaction() as session:
        session.execute(insert(Node), nodes)
        session.execute(insert(Fact), facts)
    return len(facts)


def _fact(
    subject: dict[str, Any], thing: dict[str, Any], predicate: str, days: int, now: Any
) -> dict[str, Any]:
    return {
        "id": new_id(),
        "space_id": subject["space_id"],
        "subject_id": subject["id"],
        "predicate": predicate,
        "object": thing["name"],
        "object_key": thing["name_key"],
        "object_id": thing["id"],
        "valid_from": now - timedelta(days=days),
        "recorded_at": now,
        "state": "stored",
        "change": "state",
        "confidence": 0.8,
        "origin": "observed",
        "rule": "invented",
    }


def first_load(browser: Browser, address: str) -> dict[str, Any]:
    """Requests and bytes until the first view stands, without what the daemon was asked for by it."""
    browser.look(width=1280, height=860, is_dark=False)
    browser.open(address)
    browser.wait(READY, seconds=120)
    found = browser.run(
        "return [...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')]"
        ".filter(one => !one.name.includes('/v1/'))"
        ".map(one => [one.transferSize, one.decodedBodySize])"
    )
    return {
        "requests": len(found),
        "bytes_sent": sum(sent for sent, _ in found),
        "bytes": sum(whole for _, whole in found),
    }


def frames(browser: Browser, address: str) -> dict[str, Any]:
    """Everything on the screen, moved at four scales."""
    began = time.perf_counter()
    browser.open(f"{address}#/graph")
    browser.wait(READY + " && document.querySelector('canvas')?.dataset.frames", seconds=120)
    shown_s = time.perf_counter() - began
    browser.run(
        "[...document.querySelectorAll('button')].find(one => one.textContent === 'Everything').click()"
    )
    scales = []
    for zoom in ZOOMS:
        told = browser.run(f"return (async () => {{{MOVE}}}).apply(null, arguments)", zoom, FRAMES)
        scales.append({name: _spread(values) for name, values in told.items()})
    return {
        "neighbourhood_shown_s": round(shown_s, 2),
        "scales": [{"draw_ms": one["draws"], "gap_ms": one["gaps"]} for one in scales],
    }


def _spread(values: list[float]) -> dict[str, float]:
    median, high = np.percentile(values, (50, 95))
    return {"median": round(float(median), 1), "p95": round(float(high), 1)}


def violations(browser: Browser, address: str, axe: Path) -> list[str]:
    """What that axe-core finds on every view."""
    wrong = []
    for width, height, is_dark in ((390, 844, True), (1280, 860, False)):
        browser.look(width=width, height=height, is_dark=is_dark)
        for view in VIEWS:
            browser.open("about:blank")
            browser.open(f"{address}#/{view}")
            browser.wait(READY, seconds=120)
            browser.run(axe.read_text(encoding="utf-8"))
            found = browser.run("return axe.run(document)")["violations"]
            wrong += [f"{view} at {width}: {rule['id']}" for rule in found]
    return wrong


def measure(n_nodes: int, seed: int, axe: Path | None) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder, Services(Settings(home=Path(folder))) as services:
        n_facts = fill(services, n_nodes, seed)
        with served(services) as address, a_browser(Path(folder)) as browser:
            began = time.perf_counter()
            with urllib.request.urlopen(f"{address}v1/graph/map", timeout=600) as answer:
                n_bytes = len(answer.read())
            map_s = time.perf_counter() - began
            found: dict[str, Any] = {
                "nodes": n_nodes,
                "links": n_facts,
                "map_s": round(map_s, 2),
                "map_bytes": n_bytes,
            }
            if browser is None:
                return {**found, "missed": "no chromium with chromedriver on this machine"}
            found["first_load"] = first_load(browser, address)
            found["graph"] = frames(browser, address)
            if axe is not None:
                found["violations"] = violations(browser, address, axe)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.page", description=__doc__)
    parser.add_argument("--nodes", type=int, default=50_000)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--axe", type=Path)
    given = parser.parse_args()
    started = time.perf_counter()
    print_result(measure(given.nodes, given.seed, given.axe), seed=given.seed, started=started)


if __name__ == "__main__":
    main()
