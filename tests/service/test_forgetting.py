"""`forget` and `verify` at both entrances, on the chat of the examples and on a small one."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from consolidation.lease import lease_name
from db import leases
from memory.erasure.needles import Needle, Scanner, stretches
from memory.erasure.residue import scan
from memory.importing import open_export
from memory.ports import utc_now
from service.http.application import create_app
from service.settings import Settings
from service.wiring import Services

ROOT = Path(__file__).parents[2]
INES = "Ines Carvalho"


def write_chat(path: Path, said: tuple[tuple[str, str, str], ...]) -> Path:
    rows = [{"time": time, "speaker": speaker, "text": text} for time, speaker, text in said]
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def harbor_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with the example's chat, read and indexed. To be copied, not changed."""
    folder = tmp_path_factory.mktemp("harbor")
    with Services(Settings(home=folder)) as services:
        services.import_file(ROOT / "examples" / "harbor" / f"WhatsApp Chat with {INES}.txt")
        services.index.refresh()
    return folder


@pytest.fixture
def harbor_program(empty: Any, harbor_home: Path) -> Any:
    shutil.copytree(harbor_home, empty.home)
    return empty


def words_of(name: str) -> list[Needle]:
    """What a scan must not find any more: made from the export itself, not by the erasure."""
    messages = list(open_export(ROOT / "examples" / "harbor" / f"WhatsApp Chat with {INES}.txt").messages())
    own = [message.text for message in messages if message.speaker == name]
    others = "\n".join(message.text for message in messages if message.speaker != name)
    return [needle for needle in stretches(own) if needle.text not in others] + [
        Needle(name, is_name=True),
        Needle("Ines", is_name=True),
    ]


def test_an_erased_person_is_nowhere_in_the_home(harbor_program: Any, harbor_home: Path) -> None:
    scanner = Scanner(words_of(INES))
    with Services(Settings(home=harbor_home)) as before:
        assert not scan(before.database, harbor_home, scanner).is_clean
    shown = harbor_program("forget", "person", "Ines", "--json").json
    done = harbor_program("forget", "person", "Ines", "--yes", "--plan", shown["plan"], "--json").json
    assert done["scan"]["clean"]
    with Services(Settings(home=harbor_program.home)) as after:
        assert scan(after.database, harbor_program.home, scanner).is_clean
    assert "Ines" not in harbor_program("people").out
    assert harbor_program("ask", "Where does Ines live?", "--json").json["abstained"]
    assert harbor_program("verify", "--json").json["sound"]


def test_the_index_is_made_again_from_what_is_left(harbor_program: Any) -> None:
    done = harbor_program("forget", "person", INES, "--yes", "--json").json
    rows = harbor_program.rows()
    said = [row for row in rows["episode"] if "text" in row]
    assert done["certificate"]["index_units"] == len(said) + len(rows["fact"])
    with Services(Settings(home=harbor_program.home)) as services:
        services.index.refresh()
        assert services.index.check() == []


def test_without_yes_nothing_is_erased(slowwave: Any) -> None:
    before = slowwave.rows()
    shown = slowwave("forget", "person", "Ada")
    assert slowwave.rows() == before
    assert "--yes --plan" in shown.out
    assert slowwave("forget", "person", "Ada", "--dry-run", "--json").json["lines"]


def test_a_plan_that_is_out_of_date_is_refused(slowwave: Any, tmp_path: Path) -> None:
    shown = slowwave("forget", "person", "Bo", "--json").json
    slowwave(
        "import", write_chat(tmp_path / "more.jsonl", (("2025-07-01T10:00:00", "Bo Rask", "well then"),))
    )
    before = slowwave.rows()
    refused = slowwave("forget", "person", "Bo", "--yes", "--plan", shown["plan"])
    assert "changed since that plan was shown" in refused.line
    assert slowwave.rows()["episode"] == before["episode"]


def test_erasing_prints_counts_and_the_way_to_the_certificate(slowwave: Any) -> None:
    done = slowwave("forget", "person", "Ada Lund", "--yes")
    assert done.code == 1  # the chat lies in the home itself
    assert "chat.jsonl" in done.out
    assert "delete what slowwave did not make" in done.line
    (slowwave.home / "chat.jsonl").unlink()
    certificate = slowwave("forget", "--certificate", 1).json
    assert certificate["counts"]["fact goes"] > 0
    assert certificate["scan"]["residue"].keys() == {"other"}
    assert "Ada" not in json.dumps(certificate)


def test_a_fact_a_message_and_a_source_can_be_forgotten(slowwave: Any) -> None:
    (slowwave.home / "chat.jsonl").unlink()
    fact = slowwave("facts", "Bo", "--json").json[0]
    assert slowwave("forget", "fact", fact["id"], "--yes").code == 0
    answer = slowwave("ask", "Where does Ada live?", "--json").json
    assert slowwave("forget", "episode", answer["evidence"][0]["episode"], "--yes").code == 0
    (source,) = slowwave("forget", "sources", "--json").json
    assert source["messages"] == 4
    assert slowwave("forget", "source", source["source"], "--yes").code == 0
    assert slowwave.rows()["episode"] == slowwave.rows()["source"] == slowwave.rows()["node"] == []


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("person", "Adda"), "did you mean Ada Lund?"),
        (("fact", "nothing", "--yes"), "no fact has the id nothing"),
        (("episode", "nothing"), "no message has the id nothing"),
        (("source", "nothing"), "`slowwave forget sources`"),
        (("--certificate", "7"), "ledger entry 7 is no erasure"),
    ],
)
def test_what_is_not_there_is_refused_in_one_line(slowwave: Any, arguments: Any, line: str) -> None:
    before = slowwave.rows()
    assert line in slowwave("forget", *arguments).refusal
    assert slowwave.rows() == before


def test_dry_run_and_yes_exclude_each_other(slowwave: Any) -> None:
    assert slowwave("forget", "person", "Ada", "--yes", "--dry-run").code == 2
    assert slowwave("forget", "person", "Ada", "--yes", "--reason", "because she asked").code == 2


def test_a_night_at_work_is_named(slowwave: Any) -> None:
    with Services(Settings(home=slowwave.home)) as services:
        name = lease_name(services.space_id)
        leases.acquire(services.database, name, "77@elsewhere", now=utc_now(), ttl_s=60)
    assert "77@elsewhere" in slowwave("forget", "person", "Ada", "--yes").line


def test_a_killed_erasure_is_finished_by_resume(slowwave: Any) -> None:
    (slowwave.home / "chat.jsonl").unlink()
    killed = subprocess.run(
        [
            sys.executable,
            "-c",
            "import os, signal, sys\n"
            "from memory.erasure import store\n"
            "store.compact = lambda database: os.kill(os.getpid(), signal.SIGKILL)\n"
            "sys.argv = ['slowwave', '--home', sys.argv[1], 'forget', 'person', 'Ada', '--yes']\n"
            "from service.cli import main\n"
            "main()\n",
            str(slowwave.home),
        ],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
    )
    assert killed.returncode == -signal.SIGKILL
    assert "erasure: erasure 1 was cut off; run `slowwave forget resume`" in slowwave("verify").out
    (outcome,) = slowwave("forget", "resume", "--name", "Ada Lund", "--json").json
    assert outcome["scan"]["clean"]
    assert slowwave("verify").code == 0
    assert "no erasure waits" in slowwave("forget", "resume").out


def test_verify_says_what_is_wrong_and_what_to_do(slowwave: Any) -> None:
    assert slowwave("verify").out.startswith("sound: 5 messages")
    with Services(Settings(home=slowwave.home)) as services, services.database.transaction() as session:
        session.connection().exec_driver_sql("UPDATE fact SET valid_to = '2001-01-01 00:00:00'")
    found = slowwave("verify")
    assert found.code == 1
    assert "ends before it starts; erase it with `slowwave forget fact ID --yes`" in found.out
    assert found.line.endswith("problems; each line above says what to do")


def test_weights_that_learnt_it_are_tested_and_told(slept: Any) -> None:
    (slept.home / "chat.jsonl").unlink()
    done = slept("forget", "person", "Ada", "--yes")
    assert done.code == 0, done.err
    assert "weights: 1 task vectors taken out; the plain base serves" in done.out
    assert "erased facts among 24 controls each: mean rank" in done.out
    certificates = slept("ledger", "show", "--json").json
    seq = next(entry["seq"] for entry in certificates if entry["kind"] == "erasure")
    told = slept("forget", "--certificate", seq).json["weights"]
    assert (told["serves"], told["recipe"], told["vectors"]) == (
        "base",
        None,
        {"before": 1, "tainted": 1, "after": 0},
    )
    assert told["test"]["passed"]
    assert told["test"]["facts"] >= 1
    assert slept("verify").code == 0


def test_weights_can_be_left_as_the_erasure_leaves_them(slept: Any) -> None:
    (slept.home / "chat.jsonl").unlink()
    done = slept("forget", "person", "Ada", "--yes", "--leave-weights", "--json").json
    assert done["certificate"]["weights"] is None
    assert slept("recipe", "show", "--json").json["recipe"] is None


def test_where_no_weights_serve_none_are_looked_at(slowwave: Any) -> None:
    (slowwave.home / "chat.jsonl").unlink()
    done = slowwave("forget", "person", "Ada", "--yes")
    assert "weights: no task vector served; nothing changes in what serves" in done.out


# HTTP


@pytest.fixture
def app(imported: Path, tmp_path: Path) -> Iterator[FastAPI]:
    shutil.copytree(imported, tmp_path / "home", ignore=shutil.ignore_patterns("chat.jsonl"))
    with Services(Settings(home=tmp_path / "home")) as services:
        yield create_app(services)


def call(app: FastAPI, method: str, path: str, **options: Any) -> httpx.Response:
    async def go() -> httpx.Response:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:7777") as client:
            return await client.request(method, path, **options)

    return asyncio.run(go())


def test_over_http_a_plan_comes_first_and_its_hash_does_it(app: FastAPI) -> None:
    wanted = {"kind": "person", "what": "Ada"}
    shown = call(app, "POST", "/v1/forget", json=wanted).json()
    assert call(app, "GET", "/v1/people").json()["people"][0]["name"] == "Ada Lund"
    refused = call(app, "POST", "/v1/forget", json={**wanted, "plan": "0" * 64})
    assert (refused.status_code, refused.json()["type"]) == (409, "urn:slowwave:problem:plan-changed")
    done = call(app, "POST", "/v1/forget", json={**wanted, "plan": shown["plan"]}).json()
    assert done["scan"]["clean"]
    seq = done["certificate"]["seq"]
    assert call(app, "GET", f"/v1/certificates/{seq}").json() == done["certificate"]
    assert call(app, "GET", "/v1/verify").json()["sound"]
    answer = call(app, "POST", "/v1/ask", json={"question": "Where does Ada live?"}).json()
    assert answer["abstained"]
    assert call(app, "POST", "/v1/forget/resume").json() == []


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"kind": "person", "what": "Nobody Known"}, 404),
        ({"kind": "fact", "what": "nothing"}, 404),
        ({"kind": "everything", "what": "x"}, 422),
        ({"kind": "person", "what": "Ada", "plan": "short"}, 422),
        ({"kind": "person", "what": "Ada", "reason": "she asked me to"}, 422),
    ],
)
def test_bad_wishes_are_problems(app: FastAPI, body: dict[str, Any], status: int) -> None:
    answer = call(app, "POST", "/v1/forget", json=body)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert call(app, "GET", "/v1/certificates/1").status_code == 404


def test_sources_are_listed_over_http(app: FastAPI) -> None:
    (source,) = call(app, "GET", "/v1/sources").json()["sources"]
    assert (source["kind"], source["messages"]) == ("jsonl", 5)
