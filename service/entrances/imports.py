"""What an upload holds and what importing it would do, as the entrances tell it; and its reading in a child."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from memory.importers.tally import ChatTally, Tally
from memory.parsing.child import Stopped, read
from memory.parsing.limits import Asked, Limits
from memory.parsing.parsed import ParsedChats, open_parsed
from memory.spaces import zone
from memory.types import ImportReport, SkipCount

if TYPE_CHECKING:
    from memory.exchange.notes import Notebook
    from service.jobs.uploads import Upload
    from service.settings import ImportSettings
    from service.wiring import Services

N_CHATS = 50  # conversations that a preview tells of; the others are counted
N_PEOPLE = 200  # names of each kind
N_CHARS = 200  # of a message that is shown
COMPARED = 100_000  # messages up to which a preview says what is new among them
COMPARING_S = 5.0  # that it may take, since nobody else can write meanwhile

__all__ = ["Stopped", "limits", "opened", "parse", "preview", "report_json"]


def limits(settings: ImportSettings) -> Limits:
    """What the settings let a child use."""
    wall_s = int(settings.minutes * 60)
    return replace(
        Limits(),
        memory_bytes=settings.memory_mb << 20,
        wall_s=wall_s,
        cpu_s=max(1, wall_s),
        written_bytes=settings.spool_mb << 20,
    )


def parse(
    services: Services,
    upload: Upload,
    *,
    wall_s: int | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> None:
    """Let a child read the upload and leave its records beside it. Raises what reading an export raises, and Stopped."""
    about, settings = upload.about, services.settings
    zone(settings.timezone)
    allowed = limits(settings.imports)
    if wall_s is not None:
        allowed = replace(allowed, wall_s=min(wall_s, allowed.wall_s))
    asked = Asked(
        path=str(upload.body),
        name=about.name,
        timezone=settings.timezone,
        me=about.me,
        bots=about.bots,
        patterns=about.patterns,
        now=services.clock().isoformat(),
        limits=allowed,
    )
    with upload.scratch() as scratch:
        read(asked, upload.records, scratch, progress=progress, should_stop=should_stop)


def opened(upload: Upload) -> ParsedChats | Notebook:
    """What the child read of it."""
    return open_parsed(upload.records, upload.about.name, upload.about.sha256)


def preview(services: Services, upload: Upload) -> dict[str, Any]:
    """What would come in; nothing is written."""
    found = opened(upload)
    told = _chats_json(services, found) if isinstance(found, ParsedChats) else _notebook_json(services, found)
    return {"upload": upload.id, "name": upload.about.name, "size_bytes": upload.about.size_bytes, **told}


def _chats_json(services: Services, found: ParsedChats) -> dict[str, Any]:
    tally = Tally()
    for row in found.rows():
        tally.add(row)
    would = _would(services, found) if tally.n_messages <= COMPARED else None
    chats = list(tally.chats.items())
    return {
        "kind": found.kind,
        "notes": list(found.notes),
        "messages": tally.n_messages,
        "system": tally.n_system,
        "first": tally.first.isoformat() if tally.first else None,
        "last": tally.last.isoformat() if tally.last else None,
        "n_conversations": len(chats),
        "conversations": [_chat_json(name, chat) for name, chat in chats[:N_CHATS]],
        "people": _people_json(services, tally.people),
        "skipped": _skipped_json(tally.skipped),
        "would": would,
    }


def _would(services: Services, found: ParsedChats) -> dict[str, int] | None:
    """What importing it would change; None where finding out keeps writers waiting for more than COMPARING_S."""
    until = time.monotonic() + COMPARING_S

    def step(done: int, total: int, note: str = "") -> None:
        if time.monotonic() > until:
            raise _TooLong

    try:
        report = services.preview(found, import_step=step)
    except _TooLong:
        return None
    return {"new": report.n_new, "edited": report.n_edited, "deleted": report.n_deleted}


class _TooLong(Exception):
    """Ends a comparison; never leaves this module."""


def _chat_json(name: str, chat: ChatTally) -> dict[str, Any]:
    return {
        "name": name,
        "messages": chat.n_messages,
        "simulated": chat.n_simulated,
        "people": list(chat.people)[:N_PEOPLE],
        "first": chat.first.isoformat() if chat.first else None,
        "last": chat.last.isoformat() if chat.last else None,
        "sample": [
            {"time": row.time.isoformat(), "speaker": row.speaker, "text": _short(row.text)}
            for row in chat.shown
        ],
    }


def _notebook_json(services: Services, found: Notebook) -> dict[str, Any]:
    times = sorted(note.time for note in found.notes if note.time)
    return {
        "kind": found.kind,
        "notes": list(found.remarks),
        "messages": found.n_notes,
        "system": 0,
        "first": times[0].isoformat() if times else None,
        "last": times[-1].isoformat() if times else None,
        "n_conversations": len(found.things),
        "conversations": [],
        "people": _people_json(services, found.people),
        "skipped": [],
        "would": None,
    }


def _people_json(services: Services, called: Sequence[str]) -> dict[str, Any]:
    """Who would be new, and who is known: names as the upload has them."""
    from memory.crowds import find_people

    with services.database.reading() as session:
        known = find_people(session, services.space_id, called)
    new = [name for name in called if name not in known]
    there = [name for name in called if name in known]
    return {
        "n_new": len(new),
        "n_known": len(there),
        "new": new[:N_PEOPLE],
        "known": there[:N_PEOPLE],
    }


def report_json(report: ImportReport, *, is_chat: bool) -> dict[str, Any]:
    """What an import came to, in ids and counts alone: it is kept in the job's record."""
    return {
        "source": report.source_id,
        "kind": report.kind,
        "messages": report.n_messages,
        "new": report.n_new,
        "edited": report.n_edited,
        "deleted": report.n_deleted,
        "system": report.n_system,
        "people": len(report.people),
        "notes": list(report.notes) if is_chat else [],
        "skipped": _skipped_json(report.skipped),
    }


def _skipped_json(skipped: Sequence[SkipCount]) -> list[dict[str, Any]]:
    return [{"reason": count.reason, "n": count.n, "places": list(count.places)} for count in skipped]


def _short(text: str) -> str:
    line = " ".join(text[: 4 * N_CHARS].split())
    return line if len(line) <= N_CHARS else f"{line[: N_CHARS - 1]}…"
