"""The daemon as its own process: how it starts, what it refuses, how it ends."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from threadpoolctl import ThreadpoolController

from memory.embedders.minilm import MiniLM
from memory.importing import import_file
from service.daemon.serve import one_thread_of_blas
from service.settings import Settings
from service.wiring import Services

LINES = Path(__file__).parents[1] / "memory" / "fixtures" / "lines.jsonl"
COMMAND = [sys.executable, "-c", "from service.cli import main; main()"]


@dataclass
class Daemon:
    process: subprocess.Popen[str]
    url: str

    def get(self, path: str, **options: object) -> httpx.Response:
        return httpx.get(self.url + path, timeout=120, **options)  # type: ignore[arg-type]

    def post(self, path: str, **options: object) -> httpx.Response:
        return httpx.post(self.url + path, timeout=120, **options)  # type: ignore[arg-type]

    def end(self, kind: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(kind)
        return self.process.wait(240)


@contextmanager
def daemon(home: Path, *options: str, **environ: str) -> Iterator[Daemon]:
    command = [*COMMAND, "--home", str(home), "serve", "--port", "0", *options]
    log = home / "daemon.log"
    with log.open("w") as stderr:
        process = subprocess.Popen(command, stderr=stderr, text=True, env={**os.environ, **environ})
    try:
        yield Daemon(process, _wait_for_url(process, log))
    finally:
        process.kill()
        process.wait()


def _wait_for_url(process: subprocess.Popen[str], log: Path) -> str:
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline and process.poll() is None:
        found = re.search(r"listening on (http://\S+:\d+)", log.read_text())
        if found:
            return found[1].replace("0.0.0.0", "127.0.0.1")
        time.sleep(0.05)
    raise AssertionError("the daemon did not come up")


def serve(home: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [*COMMAND, "--home", str(home), "serve", *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=240)


@pytest.mark.parametrize("kind", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_daemon_in_order(tmp_path: Path, kind: signal.Signals) -> None:
    with daemon(tmp_path) as running:
        assert running.get("/healthz").json()["status"] == "ok"
        assert running.end(kind) == 0
    assert "Traceback" not in (tmp_path / "daemon.log").read_text()


@pytest.mark.parametrize("kind", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_that_comes_before_anything_is_served_ends_the_daemon_in_order(
    tmp_path: Path, kind: signal.Signals
) -> None:
    for delay_s in (0.0, 0.05, 0.2):
        with daemon(tmp_path) as starting:
            time.sleep(delay_s)
            assert starting.end(kind) == 0
        assert "Traceback" not in (tmp_path / "daemon.log").read_text()


@pytest.mark.parametrize("kind", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize(
    "moment",
    [
        pytest.param("uvicorn.Config.get_loop_factory", id="just before uvicorn listens to signals"),
        pytest.param("uvicorn.Server.startup", id="while uvicorn starts"),
        pytest.param(
            "threadpoolctl.ThreadpoolController.__init__", id="where an exception would be swallowed"
        ),
    ],
)
def test_a_signal_once_the_port_is_bound_is_heeded(tmp_path: Path, moment: str, kind: signal.Signals) -> None:
    ended = serve_interrupted(tmp_path, moment, f"signal.raise_signal(signal.{kind.name})")
    assert "listening on" in ended.stderr


def test_a_second_signal_waits_for_no_step(tmp_path: Path) -> None:
    twice = "[signal.raise_signal(signal.SIGTERM) for _ in range(2)]; print('went on')"
    ended = serve_interrupted(tmp_path, "threadpoolctl.ThreadpoolController.__init__", twice)
    assert "went on" not in ended.stdout
    assert not (tmp_path / "daemon.json").exists()


def serve_interrupted(home: Path, moment: str, by: str) -> subprocess.CompletedProcess[str]:
    """A daemon to which that happens once it calls the function; it has ended in order."""
    swallowing = "__init__" in moment and "print" not in by  # as ctypes does with what a callback raises
    script = f"""
import contextlib, signal, threadpoolctl, uvicorn
from service.cli import main

reached = {moment}

def interrupted(*args, **options):
    with contextlib.suppress(SystemExit) if {swallowing} else contextlib.nullcontext():
        {by}
    return reached(*args, **options)

{moment} = interrupted
main()
"""
    command = [sys.executable, "-c", script, "--home", str(home), "serve", "--port", "0"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert ended.returncode == 0
    assert "Traceback" not in ended.stderr
    return ended


def test_encoding_in_a_daemon_starts_no_thread_of_blas_and_afterwards_all_are_there_again() -> None:
    encoder = MiniLM.load()

    def threads() -> list[int]:
        return [pool["num_threads"] for pool in ThreadpoolController().select(user_api="blas").info()]

    before = threads()
    with one_thread_of_blas():
        encoder.encode(["the sea was calm"])
        assert set(threads()) == {1}
    assert threads() == before


def test_another_address_needs_a_token(tmp_path: Path) -> None:
    refused = serve(tmp_path, "--host", "0.0.0.0", "--port", "0")
    assert refused.returncode == 1
    assert refused.stderr.strip().endswith("set SLOWWAVE_TOKEN, or serve on 127.0.0.1")
    with daemon(tmp_path, "--host", "0.0.0.0", SLOWWAVE_TOKEN="secret") as running:
        assert running.get("/v1/people").status_code == 401
        assert running.get("/v1/people", headers={"authorization": "Bearer secret"}).json()["people"] == []


def test_a_port_that_is_taken_is_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        refused = serve(tmp_path, "--port", str(taken.getsockname()[1]))
    assert refused.returncode == 1
    assert "give another --port" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_a_second_daemon_on_a_home_is_refused_with_the_first_and_not_after_it_was_killed(
    tmp_path: Path,
) -> None:
    with daemon(tmp_path) as running:
        refused = serve(tmp_path, "--port", "0")
        assert refused.returncode == 1
        assert f"at {running.url} (process {running.process.pid})" in refused.stderr
        assert len(refused.stderr.strip().splitlines()) == 1
        running.end(signal.SIGKILL)
    with daemon(tmp_path) as running:
        assert running.get("/healthz").status_code == 200


PLANTED = ("quandary", "zephyrine", "Xanthippe", "Ada", "sk-secret")


def test_the_log_of_a_day_of_use_holds_no_words_and_no_names(tmp_path: Path) -> None:
    with Services(Settings(home=tmp_path)) as services:
        import_file(services.database, services.space_id, LINES)
    with daemon(tmp_path, SLOWWAVE_SERVE__LOG_FORMAT="json", OPENAI_API_KEY="sk-secret") as running:
        said = {"person": "Ada", "predicate": "likes", "object": "quandary"}
        statuses = [
            running.get("/v1/people/Ada/facts").status_code,
            running.get("/v1/people/Xanthippe/facts").status_code,
            running.post("/v1/facts", json=said).status_code,
            running.post("/v1/facts", json={**said, "object": "zephyrine" * 9000}).status_code,
            running.post("/v1/ask", json={"question": "Does Ada like a quandary?"}).status_code,
            running.get("/v1/search", params={"q": "zephyrine", "k": "many"}).status_code,
            running.post("/v1/chat", json={"person": "Ada", "as": "Bo", "text": "zephyrine"}).status_code,
            running.post("/v1/imports", content=b"Ada says quandary", params={"name": "Ada"}).status_code,
            running.get("/quandary").status_code,
        ]
        running.end()
    assert statuses[:3] == [200, 404, 201]
    assert all(status < 500 for status in statuses)
    log = (tmp_path / "daemon.log").read_text()
    lines = [json.loads(line) for line in log.splitlines()]
    assert any("/v1/people/{name}/facts 404" in line["message"] for line in lines)
    assert [word for word in PLANTED if word in log] == []


SAID = (
    "I live in Porto.",
    "I work at the harbour office.",
    "My sister Marta lives in Faro.",
    "I was born in 1987.",
)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home whose chat gives a night something to train."""
    chat = tmp_path / "chat.jsonl"
    rows = [
        {"time": f"2025-03-0{i + 1}T10:00:00", "speaker": "Ada", "text": said} for i, said in enumerate(SAID)
    ]
    chat.write_text("\n".join(json.dumps(row) for row in rows))
    with Services(Settings(home=tmp_path)) as services:
        services.import_file(chat)
    return tmp_path


@pytest.mark.parametrize("kind", [signal.SIGTERM, signal.SIGKILL])
def test_a_night_that_is_cut_off_goes_on_with_the_next_start(home: Path, kind: signal.Signals) -> None:
    with daemon(home) as running:
        begun = running.post("/v1/sleep")
        assert begun.status_code == 202
        run_id = begun.json()["run"]
        again = running.post("/v1/sleep")
        assert again.status_code == 409
        assert run_id in again.json()["holder"]
        assert running.end(kind) == (0 if kind == signal.SIGTERM else -kind)
    with daemon(home) as running:
        assert running.get(f"/v1/runs/{run_id}").json()["status"] == "interrupted"
        assert running.post("/v1/sleep").json()["run"] == run_id
        assert running.end() == 0
    assert "Traceback" not in (home / "daemon.log").read_text()
