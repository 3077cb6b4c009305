"""What `slowwave status`, `/v1/status`, `/healthz`, `/readyz` and `/metrics` tell."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from consolidation import runs
from consolidation.stage import NightSettings
from db import leases
from memory.ports import utc_now
from service.daemon import schedule
from service.daemon.running import RunningDaemon, alone, find_daemon, on_record
from service.errors import AlreadyServed
from service.http.application import create_app
from service.jobs import queue
from service.night_progress import Doing, doing, kept
from service.settings import Settings
from service.spaces import Spaces
from service.wiring import Services


def begin(services: Services, run_id: str, stage: str) -> None:
    database, space_id = services.database, services.space_id
    runs.begin(database, space_id, run_id, NightSettings(), is_resumed=False, clock=utc_now)
    runs.begin_stage(database, space_id, run_id, stage, "0", clock=utc_now)


def test_an_empty_home_has_nothing_to_tell_but_the_next_night(empty: Any) -> None:
    told = empty("status", "--json").json
    (space,) = told["spaces"]
    assert (space["running"], space["waits"], space["last"], space["pending"]) == (None, None, None, {})
    assert datetime.fromisoformat(space["next"]) > datetime.now(UTC)
    assert told["daemon"] is None
    assert told["store"]["bytes"] > 0


def test_what_runs_waits_and_failed_is_told_without_words(slowwave: Any) -> None:
    with Services(Settings(home=slowwave.home)) as services:
        database, space_id = services.database, services.space_id
        begin(services, "f" * 16, "check")
        runs.end_stage(database, "f" * 16, "check", None, 2.0)
        runs.finish(database, "f" * 16, "failed", "KeyError: 'I live in Porto.'", clock=utc_now)
        begin(services, "a" * 16, "extract")
        leases.acquire(database, f"sleep:{space_id}", f"{os.getpid()}@elsewhere", now=utc_now(), ttl_s=60)
        watch = kept(slowwave.home, lambda: "a" * 16, None)
        watch("extract")(3, 3)
        queue.submit(database, space_id, "import", {}, asked_by="test")
    printed = slowwave("status")
    assert "night aaaaaaaa since" in printed.out
    assert "failed in check (KeyError)" in printed.out.replace("\n", " ")
    assert "1 queued" in printed.out
    assert "Porto" not in printed.out
    (space,) = slowwave("status", "--json").json["spaces"]
    assert (space["running"]["stage"], space["running"]["done"], space["running"]["total"]) == (
        "extract",
        3,
        3,
    )
    assert (space["last"]["status"], space["last"]["stage"], space["last"]["error"]) == (
        "failed",
        "check",
        "KeyError",
    )
    assert "Porto" not in json.dumps(space)


def test_a_night_that_could_not_begin_is_told_with_its_class(slowwave: Any) -> None:
    with Services(Settings(home=slowwave.home)) as services:
        now = utc_now()
        schedule.ensure(services.database, services.space_id, now)
        schedule.settle(
            services.database,
            services.space_id,
            tried_at=now,
            asked_by="nightly",
            outcome="failed",
            error="ModelMissing",
        )
        schedule.wait_in_line(services.database, services.space_id, "missed", {}, now)
    printed = slowwave("status").out
    assert "could not begin: ModelMissing" in printed
    assert "(missed)" in printed


def test_progress_of_a_night_is_whole_and_none_where_there_is_none(tmp_path: Path) -> None:
    assert doing(tmp_path, "r") is None
    kept(tmp_path, lambda: "r", None)("train")(7, 7)
    assert doing(tmp_path, "r") == Doing("r", "train", 7, 7)
    (tmp_path / "runs" / "r" / "progress.json").write_text("{")
    assert doing(tmp_path, "r") is None


def test_a_daemon_is_on_record_for_as_long_as_it_runs(tmp_path: Path) -> None:
    here = RunningDaemon(os.getpid(), "http://127.0.0.1:1", "2026-01-01T00:00:00+00:00")
    with alone(tmp_path), on_record(tmp_path, here):
        assert find_daemon(tmp_path) == here
    assert find_daemon(tmp_path) is None


def test_what_a_killed_daemon_left_says_nothing_and_keeps_nobody_out(tmp_path: Path) -> None:
    left = json.dumps(
        {"pid": os.getpid(), "url": "http://127.0.0.1:1", "started": ""}
    )  # a number that is used again
    (tmp_path / "daemon.json").write_text(left)
    (tmp_path / "daemon.lock").touch()
    assert find_daemon(tmp_path) is None
    with (
        alone(tmp_path),
        pytest.raises(AlreadyServed, match=rf"at http://127.0.0.1:1 \(process {os.getpid()}\)"),
    ):
        alone(tmp_path).__enter__()


@pytest.fixture
def client(tmp_path: Path) -> Any:
    spaces = Spaces(Settings(home=tmp_path))
    with spaces.use(), TestClient(create_app(spaces), base_url="http://127.0.0.1:7777") as opened:
        yield opened
    spaces.close()


def test_a_healthy_daemon_is_ready_and_says_what_it_looked_at(client: Any) -> None:
    assert client.get("/healthz").json() == {"status": "ok", "night_running": False}
    ready = client.get("/readyz")
    assert ready.status_code == 200
    assert ready.json()["checks"] == dict.fromkeys(("store", "models", "disk", "leases", "timer"), True)


def test_a_daemon_without_its_model_is_alive_and_not_ready(tmp_path: Path) -> None:
    spaces = Spaces(Settings(home=tmp_path, night=NightSettings(base_model="/nowhere/model")))
    with spaces.use(), TestClient(create_app(spaces), base_url="http://127.0.0.1:7777") as client:
        assert client.get("/healthz").status_code == 200
        answer = client.get("/readyz")
        assert answer.status_code == 503
        assert [name for name, holds in answer.json()["checks"].items() if not holds] == ["models"]
    spaces.close()


def test_a_lease_from_a_wrong_clock_is_found(client: Any) -> None:
    database = client.app.state.spaces.shared.database
    leases.acquire(database, "sleep:x", "1@there", now=utc_now(), ttl_s=9e6)
    assert client.get("/readyz").json()["checks"]["leases"] is False


def test_the_route_of_status_tells_what_the_command_tells(client: Any) -> None:
    told = client.get("/v1/status").json()
    assert [space["space"] for space in told["spaces"]] == ["default"]
    assert set(told) == {
        *("at", "daemon", "spaces", "store", "disk_free_bytes", "memory_available_bytes", "versions")
    }


def test_latency_is_counted_by_route_and_watching_is_no_use(client: Any) -> None:
    metrics = client.app.state.spaces.metrics
    client.get("/v1/people")
    used = metrics.quiet_s()
    client.get("/healthz")
    assert metrics.quiet_s() >= used
    text = client.get("/metrics").text
    assert 'slowwave_request_seconds_bucket{route="/v1/people",le="+Inf"} 1' in text
    assert 'slowwave_request_seconds_count{route="/v1/people"} 1' in text
    assert "slowwave_resident_bytes " in text
