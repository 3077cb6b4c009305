"""The queue of a space: one job at a time, in order, taken up again after a kill, cancelled, and failed without words."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from db import leases
from db.engine import open_database
from db.tables import Job as JobRow
from memory.errors import EmptyChat
from memory.ports import utc_now
from memory.spaces import create_space
from service.errors import JobEnded, UnknownJob, UploadTooLarge
from service.jobs import queue
from service.jobs.queue import Job
from service.jobs.uploads import WAIT_S, About, Spool, shown_name
from service.jobs.worker import JobWorker, Kind, Work, sweep_uploads
from service.settings import Settings
from service.spaces import Spaces
from service.wiring import Services


@pytest.fixture
def services(bare: Path, tmp_path: Path) -> Iterator[Services]:
    shutil.copytree(bare, tmp_path / "home")
    with Services(Settings(home=tmp_path / "home")) as opened:
        yield opened


def worker_of(services: Services, **kinds: Any) -> JobWorker:
    return JobWorker(services, {name: Kind(run) for name, run in kinds.items()})


def submit(services: Services, kind: str, **wanted: Any) -> Job:
    return queue.submit(services.database, services.space_id, kind, wanted, asked_by="test")


def put(services: Services, job: Job, **values: Any) -> None:
    with services.database.transaction() as session:
        row = session.get_one(JobRow, job.id)
        for name, value in values.items():
            setattr(row, name, value)


def test_jobs_run_one_at_a_time_in_order_and_keep_what_they_came_to(services: Services) -> None:
    order: list[int] = []

    def count(work: Work) -> dict[str, Any]:
        order.append(work.wanted["number"])
        work.at("count", 1, 2)
        return {"number": work.wanted["number"]}

    worker = worker_of(services, count=count)
    made = [worker.submit("count", {"number": number}, asked_by="test") for number in range(5)]
    assert worker.wait(120)
    assert order == [0, 1, 2, 3, 4]
    done = [worker.get(job.id) for job in made]
    assert [(job.state, job.result) for job in done] == [("done", {"number": n}) for n in range(5)]
    newest = worker.every(limit=2)
    assert [job.id for job in newest] == [made[4].id, made[3].id]
    assert [job.id for job in worker.every(limit=2, after=newest[-1].id)] == [made[2].id, made[1].id]


def test_pages_of_jobs_are_in_order_whatever_the_time_zone_of_the_server(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGTZ", "Europe/Berlin")
    database = open_database(postgres_url)
    space_id = create_space(database, "default", timezone="UTC").id
    now = utc_now()
    made = [
        queue.submit(database, space_id, "a", asked_by="test", clock=lambda at=at: at).id
        for at in (now + timedelta(minutes=30 * number) for number in range(4))
    ]
    paged, after = [], None
    for _ in made:
        (job,) = queue.list_jobs(database, space_id, limit=1, after=after)
        after = job.id
        paged.append(job.id)
    database.close()
    assert paged == made[::-1]


def test_a_failure_says_class_and_place_and_never_a_text(services: Services) -> None:
    def expected(work: Work) -> dict[str, Any]:
        raise EmptyChat("the upload")

    def unexpected(work: Work) -> dict[str, Any]:
        raise ValueError("Ada wrote this")

    worker = worker_of(services, expected=expected, unexpected=unexpected)
    made = [worker.submit(kind, asked_by="test") for kind in ("expected", "unexpected", "unheard-of")]
    worker.wait(120)
    whys = [str(worker.get(job.id).why) for job in made]
    assert whys[0] == "EmptyChat: the upload holds no messages; nothing was imported"
    assert whys[1].startswith("ValueError at test_job_worker.py:")
    assert whys[2].startswith("LookupError at worker.py:")
    assert "Ada" not in "".join(whys)


def test_a_running_job_is_cancelled_at_its_next_step(services: Services) -> None:
    begun = threading.Event()

    def endless(work: Work) -> dict[str, Any]:
        begun.set()
        while True:
            work.check()
            time.sleep(0.01)

    worker = worker_of(services, endless=endless)
    job = worker.submit("endless", asked_by="test")
    assert begun.wait(120)
    assert worker.cancel(job.id).state == "running"
    assert worker.wait(120)
    assert worker.get(job.id).state == "cancelled"
    with pytest.raises(JobEnded):
        worker.cancel(job.id)
    with pytest.raises(UnknownJob):
        worker.cancel("0" * 16)


def test_a_patient_job_lets_others_go_first_and_goes_on_where_it_stopped(services: Services) -> None:
    order: list[str] = []
    begun, done = threading.Event(), [0]

    def read(work: Work) -> dict[str, Any]:
        order.append("read")
        begun.set()
        while done[0] < 40:
            work.check()
            done[0] += 1
            time.sleep(0.02)
        return {"read": done[0]}

    def store(work: Work) -> dict[str, Any]:
        order.append("store")
        return {}

    worker = JobWorker(services, {"read": Kind(read, is_patient=True), "store": Kind(store)})
    reading = worker.submit("read", asked_by="test")
    assert begun.wait(60)
    stored = worker.submit("store", asked_by="test")
    assert worker.wait(120)
    assert order == ["read", "store", "read"]
    assert worker.get(stored.id).state == "done"
    ended = worker.get(reading.id)
    assert (ended.state, ended.result, ended.n_tries) == ("done", {"read": 40}, 1)
    for kind in ("read", "store"):
        submit(services, kind)
    order.clear()
    worker.wake()
    assert worker.wait(120)
    assert order == ["store", "read"]


def test_a_job_of_a_daemon_that_stops_waits_for_the_next(services: Services) -> None:
    begun = threading.Event()

    def patient(work: Work) -> dict[str, Any]:
        while not begun.is_set() or work.job.n_tries == 0:
            begun.set()
            time.sleep(0.01)
        while not work.services.settings.home.joinpath("go").exists():
            work.check()
            time.sleep(0.01)
        return {}

    first = worker_of(services, patient=patient)
    job = first.submit("patient", asked_by="test")
    assert begun.wait(120)
    first.ask_to_stop()
    assert first.wait(120)
    assert queue.get_job(services.database, services.space_id, job.id).state == "queued"
    (services.settings.home / "go").touch()
    second = worker_of(services, patient=patient)
    second.wake()
    assert second.wait(120)
    assert second.get(job.id).state == "done"


@pytest.mark.parametrize(("n_tries", "state"), [(1, "done"), (queue.MAX_TRIES, "failed")])
def test_what_a_killed_daemon_left_running_is_taken_up_again_some_times(
    services: Services, n_tries: int, state: str
) -> None:
    job = submit(services, "once")
    put(services, job, state="running", n_tries=n_tries, started_at=utc_now())
    worker = worker_of(services, once=lambda work: {})
    worker.wake()
    worker.wait(120)
    found = worker.get(job.id)
    assert found.state == state
    assert state == "done" or "ended without a word" in str(found.why)


def test_a_queue_that_another_process_works_on_waits(services: Services) -> None:
    job = submit(services, "once")
    name = f"jobs:{services.space_id}"
    leases.acquire(services.database, name, "1@elsewhere", now=utc_now(), ttl_s=60)
    worker = worker_of(services, once=lambda work: {})
    worker.wake()
    time.sleep(0.2)
    assert queue.get_job(services.database, services.space_id, job.id).state == "queued"
    worker.ask_to_stop()
    assert worker.wait(120)


def test_only_the_newest_jobs_that_have_ended_are_kept(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue, "KEPT", 3)
    made = [submit(services, "once") for _ in range(6)]
    for job in made:
        put(services, job, state="done")
    newest = submit(services, "once")
    kept = {job.id for job in queue.list_jobs(services.database, services.space_id)}
    assert kept == {newest.id, *(job.id for job in made[-3:])}


def test_after_a_crash_only_uploads_that_a_job_wants_are_kept(services: Services) -> None:
    spool = Spool(services.settings.home, services.space_id, spool_mb=1)
    uploads = []
    for body in (b"one", b"two"):
        receiving = spool.receive()
        receiving.write(body)
        uploads.append(receiving.finish(About("a.txt")))
    half = spool.receive()
    half.write(b"half")
    submit(services, "import", upload=uploads[1].id)
    assert sweep_uploads(services.settings.home, services.database, services.space_id) == 2
    assert [upload.id for upload in spool.every()] == [uploads[1].id]
    half.give_up()


def test_uploads_that_come_in_at_once_share_the_room(services: Services) -> None:
    spool = Spool(services.settings.home, services.space_id, spool_mb=1)
    one, other = spool.receive(), spool.receive()
    one.write(bytes(600_000))
    with pytest.raises(UploadTooLarge):
        other.write(bytes(600_000))
    one.give_up()
    other.write(bytes(600_000))
    other.give_up()


def test_an_upload_that_nobody_confirms_goes_after_an_hour(services: Services) -> None:
    spool = Spool(services.settings.home, services.space_id, spool_mb=1)
    uploads = []
    for _ in range(3):
        receiving = spool.receive()
        receiving.write(b"words")
        uploads.append(receiving.finish(About("a.txt")))
    fresh, left, wanted = uploads
    spool.keep(wanted)
    (fresh.folder / "records").symlink_to("nowhere")  # as where a reader removes a file while it is looked at
    before = time.time() - WAIT_S - 60
    for path in (path for upload in (left, wanted) for path in (*upload.folder.iterdir(), upload.folder)):
        os.utime(path, (before, before))
    Spaces.around(services).drop_left_uploads()
    assert {upload.id for upload in spool.every()} == {fresh.id, wanted.id}


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\ada\\chat.txt", "chat.txt"),
        ("a\x00b\n.txt", "ab.txt"),
        ("...", "upload"),
        ("x" * 900 + ".zip", "x" * 180 + "x" * 16 + ".zip"),
    ],
)
def test_a_name_is_shown_and_is_no_path(given: str, shown: str) -> None:
    assert shown_name(given) == shown
