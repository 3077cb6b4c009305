"""Nothing that is sent makes the daemon fail: `python -m bench.api --cases 10000`.

schemathesis makes requests out of our OpenAPI document, good ones and bad ones, and sends them to the whole application on a
small real space: an invented chat that was imported, a night of a tiny model, a talk with a persona. Half of the requests
get names and ids that exist, or hardly any would pass the first lookup. Each route has a copy of the space. Counted are
answers of 500 and more, refusals that are no problem+json with its fields, and answers that are not what the document says.

A night's lease is held meanwhile, so that a request to sleep is answered (409) and no night begins.
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings

from bench.report import print_result
from bench.tiny_model import OPEN_GATE, write_talkative_model, write_tiny_model
from consolidation.lease import lease_name, this_process
from consolidation.stage import NightSettings, TrainSettings
from db import leases
from memory.emotions import list_tags
from memory.episodes import list_episodes
from memory.ports import utc_now
from memory.sessions import NewSession, NewTurn, begin, keep_turn
from service.entrances import fact as fact_entrance
from service.entrances import persona
from service.entrances import run as run_entrance
from service.entrances.fact import FactQuestion
from service.http.application import create_app
from service.settings import LimitSettings, PersonaSettings, ServeSettings, Settings
from service.wiring import Services

HOST = "http://127.0.0.1:7777"
PEOPLE = ("Ada Lund", "Bo Rask", "Marta Lund")
SAID = (
    "I live in Porto.",
    "I work at the harbour office.",
    "My sister Marta lives in Faro.",
    "I am so happy about the new boat!",
    "I moved to Lagos last week.",
    "I am afraid of the big ferry.",
)
LEASE_S = 6 * 3600.0
# without a bound they measure and train for minutes
LONG = ("POST /v1/people/{name}/persona/train", "POST /v1/people/{name}/persona/report")
SHOWN = 20  # failures that are told


@dataclass
class Tally:
    by_status: Counter[int] = field(default_factory=Counter)
    failures: list[dict[str, Any]] = field(default_factory=list)
    n_cases: int = 0
    n_routes: int = 0
    slowest_s: float = 0.0
    slowest: str = ""

    def add(self, route: str, status: int, seconds: float, wrong: str | None) -> None:
        self.n_cases += 1
        self.by_status[status] += 1
        if seconds > self.slowest_s:
            self.slowest_s, self.slowest = seconds, route
        if wrong is not None:
            print(f"{route} {status}: {wrong}", file=sys.stderr)
            self.failures.append({"route": route, "status": status, "why": wrong})


@contextmanager
def planted(folder: Path, *, with_night: bool) -> Iterator[tuple[Settings, dict[str, list[str]]]]:
    """A home with all that requests may be about, and the names and ids of that, by the parameter that takes them."""
    chat, script = folder / "chat.jsonl", folder / "replies.txt"
    rows = [
        {"time": f"2025-{1 + n // 28:02}-{1 + n % 28:02}T10:00:00", "speaker": PEOPLE[n % 2], "text": said}
        for n, said in enumerate(SAID * 10)
    ]
    chat.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    script.write_text("The gulls are loud.\nWe had soup.\n", encoding="utf-8")
    model = write_talkative_model(write_tiny_model(folder / "tiny"), folder / "talkative")
    train = TrainSettings(steps=2, rank=2, alpha=4, kl_per_step=0, dtype="float32")
    made = Settings(
        home=folder / "home",
        night=NightSettings(base_model=str(model), train=train, gate=OPEN_GATE),
        persona=PersonaSettings(engine="scripted", script=str(script)),
        serve=ServeSettings(limits=LimitSettings(requests_per_s=0.0)),
    )
    with Services(made) as services:
        services.import_file(chat)
        persona.agree(services, "Ada", by="Ada")
        talk = _talk(services)
        if with_night:
            services.sleep()
        known = _known(services, talk)
        lease = lease_name(services.space_id)
        leases.acquire(services.database, lease, f"{this_process()} bench", now=utc_now(), ttl_s=LEASE_S)
    yield made, known


def _talk(services: Services) -> str:
    ada, bo = services.person("Ada").id, services.person("Bo").id
    where = services.database, services.space_id
    talk = begin(*where, NewSession(ada, "simulated: Ada Lund and Bo Rask", (ada, bo)))
    keep_turn(*where, talk, NewTurn(ada, "By the sea.", heard=(bo, "Where do you live?")))
    return talk


def _known(services: Services, talk: str) -> dict[str, list[str]]:
    where = services.database, services.space_id
    said = list_episodes(*where)
    facts = fact_entrance.of_everybody(services, FactQuestion(history=True), limit=100, after=None)["facts"]
    made = fact_entrance.newest_decisions(services, 10, None)
    runs = [one["run"] for one in run_entrance.runs(services)]
    names = [*PEOPLE[:2], "Ada", "bo"]
    return {
        **dict.fromkeys(("name", "person", "as", "known_to", "asked_by", "by", "kept", "other"), names),
        "people": ["Ada", "Bo"],
        "fact_id": [fact["id"] for fact in facts] or ["none"],
        "decision_id": [one["id"] for one in made] or ["none"],
        "episode_id": [one.id for one in said[:5]],
        "conversation": [said[0].conversation_id],
        "concept": sorted({tag.concept for tag in list_tags(*where)}) or ["joy"],
        "session_id": [talk],
        "turn": ["last", talk],
        "run_id": runs or ["none"],
        "recipe": ["serving", "base", "serving^"],
        "of": ["serving"],
        "readout": ["serving"],
        "seq": ["1", "2"],
    }


def run(
    home: Path,
    n_cases: int,
    seed_: int,
    *,
    with_night: bool = True,
    minutes: float = math.inf,
    first: int = 1,
) -> Tally:
    """So many requests over all documented operations, as equally as they divide; `minutes` ends it before.

    `first` leaves out the operations before that one, of a run that was ended there.
    """
    import schemathesis

    tally, dice = Tally(), Random(seed_)
    with planted(home, with_night=with_night) as (made, known):
        with Services(made) as services:
            document = create_app(services).openapi()
        found = schemathesis.openapi.from_dict(document).get_all_operations()
        operations = [one.ok() for one in found]  # type: ignore[union-attr]  # an invalid one ends the run
        ends_at = time.monotonic() + 60 * minutes
        for number, operation in enumerate(operations):
            if time.monotonic() > ends_at:
                break
            share = n_cases * (number + 1) // len(operations) - n_cases * number // len(operations)
            if share and number + 1 >= first:
                tally.n_routes += 1
                copy = home / f"copy-{number}"
                shutil.copytree(made.home, copy)
                _one(operation, replace(made, home=copy), known, share, seed_ + number, dice, tally)
                shutil.rmtree(copy, ignore_errors=True)  # a job of the last request may still write there
                print(f"{number + 1}/{len(operations)} {operation.label} {tally.n_cases}", file=sys.stderr)
    return tally


def _one(
    operation: Any,
    made: Settings,
    known: dict[str, list[str]],
    n_cases: int,
    seed_: int,
    dice: Random,
    tally: Tally,
) -> None:
    from starlette.testclient import TestClient

    n_before = tally.n_cases
    with Services(made) as services:
        client = TestClient(create_app(services), base_url=HOST, raise_server_exceptions=False)

        @seed(seed_)
        @settings(
            max_examples=n_cases,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy())
        def send(case: Any) -> None:
            if tally.n_cases - n_before < n_cases:
                if dice.random() < 0.5:
                    _fill(case, known, dice)
                _send(client, case, tally)

        while tally.n_cases - n_before < n_cases:  # few different requests are possible to some routes
            n_sent = tally.n_cases
            send()
            if tally.n_cases == n_sent:
                break


def _fill(case: Any, known: dict[str, list[str]], dice: Random) -> None:
    """Names and ids that exist, in the place of invented ones."""
    case.headers.pop("Slowwave-Space", None)
    if case.operation.label in LONG and isinstance(case.body, dict):
        case.body["minutes"] = 0.001
    for place in (case.path_parameters, case.query, case.body):
        if not isinstance(place, dict):
            continue
        for name in place:
            if name in known and name != "people":
                place[name] = dice.choice(known[name])
            elif name == "people" and isinstance(place[name], list):
                place[name] = list(known[name])


def _send(client: Any, case: Any, tally: Tally) -> None:
    route = case.operation.label
    sent = case.as_transport_kwargs(base_url=HOST)
    options = {
        name: sent.get(name) for name in ("params", "json", "data", "cookies") if sent.get(name) is not None
    }
    headers = {name: value for name, value in dict(sent["headers"]).items() if name.lower() != "user-agent"}
    started = time.perf_counter()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            answer = client.request(sent["method"], sent["url"], headers=headers, **options)
    except (UnicodeError, ValueError, TypeError):  # what no client can send is no case
        return
    tally.add(route, answer.status_code, time.perf_counter() - started, wrong_with(case, answer))


def wrong_with(case: Any, answer: Any) -> str | None:
    """What is not as it is promised; None where all is."""
    if answer.status_code >= 500:
        return f"a server error: {answer.text[:300]}"
    if answer.status_code >= 400:
        return None if _is_problem(answer) else "a refusal that is no problem+json"
    return _unlike(case, answer)


def _is_problem(answer: Any) -> bool:
    if answer.headers.get("content-type") != "application/problem+json":
        return False
    told = answer.json()
    return {"type", "title", "status", "detail"} <= set(told) and told["status"] == answer.status_code


def _unlike(case: Any, answer: Any) -> str | None:
    import jsonschema_rs

    if not answer.headers.get("content-type", "").startswith("application/json"):
        return None
    documented = case.operation.definition.raw["responses"].get(str(answer.status_code), {})
    shape = documented.get("content", {}).get("application/json", {}).get("schema")
    if not shape:
        return None
    whole = {"components": case.operation.schema.raw_schema["components"], **shape}
    error = next(iter(jsonschema_rs.validator_for(whole).iter_errors(answer.json())), None)
    return (
        None if error is None else f"not as documented: {error.message[:200]} at {list(error.instance_path)}"
    )


def summary(tally: Tally) -> dict[str, Any]:
    statuses = tally.by_status
    return {
        "cases": tally.n_cases,
        "routes": tally.n_routes,
        "server_errors": sum(n for status, n in statuses.items() if status >= 500),
        "not_as_documented": sum(one["status"] < 500 for one in tally.failures),
        "by_class": {f"{k}xx": sum(n for s, n in statuses.items() if s // 100 == k) for k in (2, 3, 4, 5)},
        "by_status": {str(status): statuses[status] for status in sorted(statuses)},
        "slowest": {"route": tally.slowest, "seconds": round(tally.slowest_s, 2)},
        "failures": tally.failures[:SHOWN],
    }


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=math.inf, help="end it after so long")
    parser.add_argument("--no-night", action="store_true", help="leave the night out, and what it makes")
    parser.add_argument("--first", type=int, default=1, help="begin with this operation, from 1")
    given_ = parser.parse_args(arguments)
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        home, has_night = Path(folder), not given_.no_night
        tally = run(
            home,
            given_.cases,
            given_.seed,
            with_night=has_night,
            minutes=given_.minutes,
            first=given_.first,
        )
    print_result(summary(tally), seed=given_.seed, started=started)


if __name__ == "__main__":
    main(sys.argv[1:])
