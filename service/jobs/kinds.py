"""What each kind of job does. Functions take the job's `Work` and give what it came to: ids and counts.

`import` reads an upload in a child and stores it, `reading` lets the extractor and the tagger read what is new.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from memory.parsing.parsed import ParsedChats
from service.entrances.imports import opened, parse, report_json
from service.jobs.queue import Job
from service.jobs.uploads import Spool, Upload
from service.jobs.worker import Kind, Work

_AGAIN_S = 0.5  # until a job that waits for a look is asked whether it shall go on


def run_import(work: Work) -> Mapping[str, Any]:
    """Everything of the upload or nothing. Whoever cancels it or erases in the space before its end is heeded."""
    upload = work.spool.find(str(work.wanted["upload"]))
    _parse(work, upload)
    work.check()
    found = opened(upload)
    storing = work.step("store", is_recorded=False)

    def store(done: int, total: int, note: str = "") -> None:
        storing(done, total, note)
        if done >= total:
            work.check()  # within the transaction: what an erasure took before does not come back

    work.at("store", 0, 1)
    report, n_facts = work.services.take_in(found, upload.body, name=upload.about.name, import_step=store)
    reading = work.then("reading")
    return {
        **report_json(report, is_chat=isinstance(found, ParsedChats)),
        "facts": n_facts,
        "reading": reading.id,
    }


def _parse(work: Work, upload: Upload) -> None:
    """Its records, unless a look made them; one that reads now is waited for."""
    turn = work.spool.turn(upload)
    while not turn.acquire(timeout=_AGAIN_S):
        work.check()
    try:
        if not upload.records.exists():
            parse(work.services, upload, progress=work.step("parse"), should_stop=work.should_end)
    finally:
        turn.release()


def run_reading(work: Work) -> Mapping[str, Any]:
    """A reading that was cut short, or let an import go first, goes on where it stopped."""
    work.at("load", 0, 1)
    read = work.services.read(work.step("read"))
    return {
        "read": read.n_episodes,
        "candidates": read.n_candidates,
        "emotion_tags": read.n_tags,
        "pending": read.n_pending,
    }


def _drop_upload(spool: Spool, job: Job) -> None:
    spool.drop(str(job.wanted.get("upload", "")))


KINDS: Mapping[str, Kind] = {
    "import": Kind(run_import, _drop_upload),
    "reading": Kind(run_reading, is_patient=True),
}
