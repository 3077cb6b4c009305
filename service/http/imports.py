"""The routes by which chats are sent in: an upload is kept, looked at if that is wanted, and imported by a job.

A body goes to the disk piece by piece. No part of a request becomes a path.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import JSONResponse
from starlette.concurrency import run_in_threadpool

from memory.importers.bots import Bots
from service.access.callers import Caller
from service.entrances import imports
from service.errors import BadUpload, JobUnfinished, UnknownUpload, UploadsBusy
from service.http.given import App, Given, GivenCaller
from service.http.multipart import Form, is_form
from service.http.receiving import pour
from service.jobs import queue
from service.jobs.queue import Job
from service.jobs.uploads import About, Upload, shown_name

router = APIRouter(tags=["imports"])

_LOOK_S = 300  # that a look at an upload may take
_PATIENCE_S = 10.0  # for another look to end
_OPTIONS = ("name", "me", "bot", "bot_pattern", "preview")
_YES = ("true", "1", "yes", "on")

Text = Annotated[str | None, Query(max_length=400)]
Texts = Annotated[list[str], Query(max_length=32)]

_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "properties": {"file": {"type": "string", "format": "binary"}},
                    "required": ["file"],
                }
            },
        },
    }
}


@router.post("/v1/imports", status_code=202, openapi_extra=_BODY)
async def send(
    app: Given,
    caller: GivenCaller,
    request: Request,
    name: Text = None,
    me: Text = None,
    bot: Texts = [],  # noqa: B006
    bot_pattern: Texts = [],  # noqa: B006
    preview: bool = False,
) -> Response:
    """Send an export, as the body or as `file` of a form; import it (202), or only look at it with `preview` (200)."""
    given = [("name", name), ("me", me), *(("bot", item) for item in bot)]
    given += [("bot_pattern", item) for item in bot_pattern]
    said = [(key, value) for key, value in given if value is not None]
    upload, said = await _receive(app, request, said)
    if preview or any(key == "preview" and value.lower() in _YES for key, value in said):
        return JSONResponse(await run_in_threadpool(_look, app, upload))
    return await run_in_threadpool(_begin, app, caller, upload)


@router.get("/v1/imports")
def waiting(app: Given) -> dict[str, Any]:
    """Uploads that wait to be confirmed or imported, the oldest first."""
    found = app.jobs.spool.every()
    return {
        "uploads": [
            {
                "upload": upload.id,
                "name": upload.about.name,
                "size_bytes": upload.about.size_bytes,
                "confirmed": app.jobs.spool.is_kept(upload),
            }
            for upload in found
        ]
    }


@router.get("/v1/imports/{upload_id}")
def look(app: Given, upload_id: str) -> dict[str, Any]:
    """What the upload holds and what importing it would do; nothing is written. 409 while a job reads it."""
    return _look(app, app.jobs.spool.find(upload_id))


@router.post("/v1/imports/{upload_id}", status_code=202)
def confirm(app: Given, caller: GivenCaller, upload_id: str) -> Response:
    """Import what was sent before. Asked twice, it is the same job."""
    return _begin(app, caller, app.jobs.spool.find(upload_id))


@router.delete("/v1/imports/{upload_id}", status_code=204)
def drop(app: Given, upload_id: str) -> None:
    """Remove an upload that is not wanted; 409 where a job imports it: cancel that."""
    upload = app.jobs.spool.find(upload_id)
    job = _job_of(app, upload)
    if job is not None:
        raise JobUnfinished(job.id)
    app.jobs.spool.drop(upload.id)


async def _receive(
    app: App, request: Request, said: list[tuple[str, str]]
) -> tuple[Upload, list[tuple[str, str]]]:
    """The body, on the disk, and what was said of it in the address and in the form."""
    receiving = await run_in_threadpool(app.jobs.spool.receive)
    content_type = request.headers.get("content-type", "")
    try:
        if is_form(content_type):
            form = Form(receiving.write)
            parser = form.parser(content_type)
            await pour(request, parser.feed)
            parser.finish()
            said = [*said, *form.fields, ("name", form.file_name or "")]
        else:
            await pour(request, receiving.write)
        return await run_in_threadpool(receiving.finish, _about(said)), said
    except BaseException:
        await run_in_threadpool(receiving.give_up)
        raise


def _about(said: list[tuple[str, str]]) -> About:
    """Raises BadUpload for a field that nobody knows, and BadPattern."""
    for key, _ in said:
        if key not in _OPTIONS:
            raise BadUpload(f"a form has no field {key[:40]!r}; it takes {', '.join(_OPTIONS)} and file")
    first = dict(reversed(said))
    bots, patterns = (tuple(value for key, value in said if key == wanted) for wanted in _OPTIONS[2:4])
    Bots.of(bots, patterns)
    return About(shown_name(first.get("name", "")), first.get("me") or "Me", bots, patterns)


def _look(app: App, upload: Upload) -> dict[str, Any]:
    """Raises JobUnfinished where a job has it to read, UnknownUpload where it goes meanwhile, and UploadsBusy."""
    job = None if upload.records.exists() else _job_of(app, upload)
    if job is not None:
        raise JobUnfinished(job.id)
    with _held(app.jobs.looking), _held(app.jobs.spool.turn(upload)):
        try:
            if not upload.records.exists():
                imports.parse(app.services, upload, wall_s=_LOOK_S)
            return imports.preview(app.services, upload)
        except Exception as error:
            if not upload.body.exists():  # its job has ended, or somebody dropped it
                raise UnknownUpload(upload.id) from error
            if _job_of(app, upload) is None:  # what cannot be read is not kept
                app.jobs.spool.drop(upload.id)
            raise


@contextmanager
def _held(lock: Lock) -> Iterator[None]:
    if not lock.acquire(timeout=_PATIENCE_S):
        raise UploadsBusy
    try:
        yield
    finally:
        lock.release()


def _begin(app: App, caller: Caller, upload: Upload) -> Response:
    job = _job_of(app, upload)
    if job is None:
        app.jobs.spool.keep(upload)
        job = app.jobs.submit("import", {"upload": upload.id}, asked_by=asked_by(caller))
    told = {**job.as_json(), "upload": upload.id}
    return JSONResponse(told, 202, {"Location": f"/v1/jobs/{job.id}"})


def _job_of(app: App, upload: Upload) -> Job | None:
    found = app.jobs.every(states=queue.UNFINISHED, kind="import", limit=queue.KEPT)
    return next((job for job in found if job.wanted.get("upload") == upload.id), None)


def asked_by(caller: Caller) -> str:
    """How a job's record names who asked for it: the id of a token, or the entrance."""
    return f"token {caller.token}" if caller.token else caller.via
