"""Chats sent in over HTTP: looked at, confirmed, imported by a job, followed, cancelled; and what is no chat."""

from __future__ import annotations

import asyncio
import io
import json
import shutil
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import func, select

from db.tables import Episode, Source
from service.entrances import imports
from service.http.application import create_app
from service.jobs import kinds, queue
from service.jobs.kinds import KINDS
from service.jobs.worker import Kind
from service.settings import Settings
from service.spaces import App, Spaces
from service.wiring import Services
from tests.service.conftest import SAID

BODY = "\n".join(json.dumps({"time": at, "speaker": who, "text": text}) for at, who, text in SAID).encode()


@pytest.fixture
def services(bare: Path, tmp_path: Path) -> Iterator[Services]:
    shutil.copytree(bare, tmp_path / "home")
    with Services(Settings(home=tmp_path / "home")) as opened:
        yield opened


@pytest.fixture
def reading(services: Services) -> Iterator[FastAPI]:
    """The application with all that its jobs do."""
    made = create_app(services)
    yield made
    made.state.spaces.end(talk_timeout_s=1, night_timeout_s=30)


@pytest.fixture
def app(services: Services) -> Iterator[FastAPI]:
    """The same, but what is imported is not read for facts."""
    made = create_app(services)
    with made.state.spaces.use() as space:
        space.jobs.kinds = {**KINDS, "reading": Kind(lambda work: {})}
    yield made
    made.state.spaces.end(talk_timeout_s=1, night_timeout_s=30)


@pytest.fixture
def space(app: FastAPI) -> Iterator[App]:
    spaces: Spaces = app.state.spaces
    with spaces.use() as opened:
        yield opened


def call(app: FastAPI, method: str, path: str, **options: Any) -> httpx.Response:
    async def go() -> httpx.Response:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:7777") as client:
            return await client.request(method, path, **options)

    return asyncio.run(go())


def ended(app: FastAPI, job_id: str, within_s: float = 240.0) -> dict[str, Any]:
    until = time.monotonic() + within_s
    while time.monotonic() < until:
        job: dict[str, Any] = call(app, "GET", f"/v1/jobs/{job_id}").json()
        if job["state"] not in queue.UNFINISHED:
            return job
        time.sleep(0.05)
    raise AssertionError(job)


def n_messages(services: Services) -> int:
    with services.database.reading() as session:
        return session.scalar(select(func.count()).select_from(Episode)) or 0


def kept(services: Services) -> list[Path]:
    return [path for path in (services.settings.home / "uploads").rglob("*") if path.is_file()]


def assert_nothing_is_kept(services: Services) -> None:
    """A job is on record as ended before its upload goes: a kill between the two loses nothing."""
    until = time.monotonic() + 10
    while kept(services) and time.monotonic() < until:
        time.sleep(0.02)
    assert kept(services) == []


def test_what_is_sent_is_looked_at_confirmed_once_and_read(reading: FastAPI, services: Services) -> None:
    app = reading
    form = {"file": ("../../WhatsApp Chat with Ada.jsonl", BODY)}
    looked = call(app, "POST", "/v1/imports?preview=true", files=form)
    assert looked.status_code == 200, looked.text
    shown = looked.json()
    assert (shown["kind"], shown["messages"], shown["name"]) == ("jsonl", 5, "WhatsApp Chat with Ada.jsonl")
    assert shown["people"] == {"n_new": 2, "n_known": 0, "new": ["Ada Lund", "Bo Rask"], "known": []}
    assert shown["would"] == {"new": 5, "edited": 0, "deleted": 0}
    assert shown["conversations"][0]["sample"][0]["text"] == "I live in Porto."
    assert n_messages(services) == 0
    first, again = (call(app, "POST", f"/v1/imports/{shown['upload']}") for _ in range(2))
    assert first.status_code == again.status_code == 202
    assert first.headers["location"] == f"/v1/jobs/{first.json()['job']}"
    job = ended(app, first.json()["job"])
    assert (job["state"], job["result"]["new"], job["asked_by"]) == ("done", 5, "loopback"), job
    read = ended(app, job["result"]["reading"])
    assert read["state"] == "done"
    assert read["result"]["read"] == 5
    assert n_messages(services) == 5
    assert kept(services) == []
    listed = call(app, "GET", "/v1/jobs", params={"state": "done"}).json()
    assert {item["kind"] for item in listed["jobs"]} == {"import", "reading"}
    assert not any(text in json.dumps(listed) for _, _, text in SAID)


def test_a_raw_body_is_imported_at_once_and_a_second_time_adds_nothing(
    app: FastAPI, services: Services
) -> None:
    for n_new in (5, 0):
        sent = call(app, "POST", "/v1/imports", params={"name": "lines.jsonl"}, content=BODY)
        assert sent.status_code == 202, sent.text
        assert ended(app, sent.json()["job"])["result"]["new"] == n_new
    with services.database.reading() as session:
        assert session.scalars(select(Source.name)).all() == ["lines.jsonl"]


@pytest.mark.parametrize(
    ("body", "status", "why"),
    [
        (b"", 400, "it is empty"),
        (b"\x00\x01\x02 nothing", 415, "no export that slowwave reads"),
        (b'[{"mapping":' * 100_000, 415, "no export"),
        (b'{"time": "2025-01-01", "speaker": "A", "te', 400, "damaged"),
        (b"PK\x03\x04 and no more", 400, "zip archive"),
    ],
)
def test_what_is_no_export_is_refused_in_one_line_and_not_kept(
    app: FastAPI, services: Services, body: bytes, status: int, why: str
) -> None:
    answer = call(app, "POST", "/v1/imports?preview=true", content=body)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert why in answer.json()["detail"]
    assert "\n" not in answer.json()["detail"]
    assert kept(services) == []


def test_a_job_that_fails_says_why_without_the_names_of_files(app: FastAPI, services: Services) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("Ada Lund/Ada Lund.txt", "no chat")
    sent = call(app, "POST", "/v1/imports?name=Ada.zip", content=packed.getvalue())
    job = ended(app, sent.json()["job"])
    assert job["state"] == "failed"
    assert job["why"].startswith("UnknownFormat: the upload is no export")
    assert "Ada" not in job["why"]
    assert_nothing_is_kept(services)


def test_a_job_waits_for_a_look_and_a_look_at_what_a_job_reads_is_refused(
    app: FastAPI, space: App, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = call(app, "POST", "/v1/imports?preview=true&name=a.jsonl", content=BODY).json()
    upload = space.jobs.spool.find(shown["upload"])
    upload.records.unlink()
    with space.jobs.spool.turn(upload):  # as by a look
        job = call(app, "POST", f"/v1/imports/{upload.id}").json()
        until = time.monotonic() + 0.5
        while time.monotonic() < until:
            assert call(app, "GET", f"/v1/jobs/{job['job']}").json()["state"] in queue.UNFINISHED
        refused = call(app, "GET", f"/v1/imports/{upload.id}")
        assert (refused.status_code, job["job"] in refused.json()["detail"]) == (409, True)
        imports.parse(services, upload)
        monkeypatch.setattr(kinds, "parse", None)  # what the look left is not read again
    assert ended(app, job["job"])["result"]["new"] == 5
    assert call(app, "GET", f"/v1/imports/{upload.id}").status_code == 404


def test_an_upload_that_goes_while_it_is_looked_at_is_unknown(
    app: FastAPI, space: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = call(app, "POST", "/v1/imports?preview=true&name=a.jsonl", content=BODY).json()
    upload = space.jobs.spool.find(shown["upload"])
    shutil.rmtree(upload.folder)
    monkeypatch.setattr(space.jobs.spool, "find", lambda upload_id: upload)  # found just before it went
    assert call(app, "GET", f"/v1/imports/{upload.id}").status_code == 404
    assert call(app, "POST", f"/v1/imports/{upload.id}").status_code == 404


def test_events_follow_a_job_to_its_end(app: FastAPI) -> None:
    sent = call(app, "POST", "/v1/imports?name=a.jsonl", content=BODY).json()
    told = call(app, "GET", f"/v1/jobs/{sent['job']}/events", timeout=60)
    events = [line.removeprefix("data: ") for line in told.text.splitlines() if line.startswith("data: ")]
    assert json.loads(events[-1])["state"] == "done"


def test_a_waiting_job_is_cancelled_and_its_upload_goes(app: FastAPI, space: App, services: Services) -> None:
    space.jobs.ask_to_stop()  # nothing is taken up
    sent = call(app, "POST", "/v1/imports", content=BODY).json()
    assert call(app, "DELETE", f"/v1/imports/{sent['upload']}").status_code == 409
    gone = call(app, "DELETE", f"/v1/jobs/{sent['job']}")
    assert (gone.status_code, gone.json()["state"]) == (200, "cancelled")
    assert kept(services) == []
    assert call(app, "DELETE", f"/v1/jobs/{sent['job']}").status_code == 409
    assert call(app, "GET", f"/v1/imports/{sent['upload']}").status_code == 404


def test_an_erasure_takes_what_waits_to_be_imported(app: FastAPI, space: App, services: Services) -> None:
    import_ = call(app, "POST", "/v1/imports", content=BODY).json()
    ended(app, ended(app, import_["job"])["result"]["reading"])
    space.jobs.ask_to_stop()
    sent = call(app, "POST", "/v1/imports", content=BODY + b"\n").json()
    wanted = {"kind": "person", "what": "Ada Lund", "mentions": "redact"}
    plan = call(app, "POST", "/v1/forget", json=wanted).json()
    done = call(app, "POST", "/v1/forget", json={**wanted, "plan": plan["plan"]}, timeout=60)
    assert done.status_code == 200, done.text
    job = call(app, "GET", f"/v1/jobs/{sent['job']}").json()
    assert (job["state"], job["why"]) == ("cancelled", "an erasure removed what was uploaded")
    assert kept(services) == []


def test_a_form_that_is_none_is_refused(app: FastAPI, services: Services) -> None:
    for options in (
        {"files": {"other": ("a.txt", b"x")}},
        {"files": {"file": ("a.txt", BODY)}, "data": {"colour": "red"}},
        {"content": b"--x\r\nnonsense", "headers": {"content-type": "multipart/form-data; boundary=x"}},
        {"content": b"", "headers": {"content-type": "multipart/form-data"}},
        {"files": {"file": ("a.txt", BODY)}, "data": {"me": "M" * 5000}},
        {"files": {"file": ("a.txt", BODY)}, "data": {"bot_pattern": "("}},
    ):
        answer = call(app, "POST", "/v1/imports", **options)
        assert answer.status_code == 400, answer.text
    assert kept(services) == []


def test_an_upload_or_job_of_another_space_is_unknown(app: FastAPI) -> None:
    sent = call(app, "POST", "/v1/imports?preview=true", content=BODY).json()
    call(app, "POST", "/v1/spaces", json={"name": "other"})
    for path in (f"/v1/imports/{sent['upload']}", "/v1/imports/..%2f..%2fgraph.db"):
        assert call(app, "GET", path, headers={"Slowwave-Space": "other"}).status_code == 404
    assert call(app, "GET", "/v1/imports", headers={"Slowwave-Space": "other"}).json() == {"uploads": []}
