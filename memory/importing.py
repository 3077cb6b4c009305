"""Import a chat export: read one message at a time, one transaction, nothing twice.

A message is known by its conversation, speaker, time, words and its number among equals, so a longer export of the
same chat adds what is new and the same file adds nothing. A failure at any point, be it a full disk or a kill, leaves
nothing written. Memory grows with the people and conversations of an export, not with its messages. Facts and feelings
are not read here; `memory.reading` does that.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from sqlalchemy import select

from db.engine import Database
from db.feed import inserting_episodes
from db.tables import Episode, Source
from memory.continuing import continued
from memory.importers import detect
from memory.importers.bots import NO_BOTS, Bots
from memory.importers.detect import Export
from memory.importers.files import Meter, gather
from memory.importers.shape import Chats, ReadOptions
from memory.importers.tally import Tally
from memory.ports import Clock, utc_now
from memory.registry import Registry
from memory.spaces import zone
from memory.storing import Writer
from memory.types import ImportReport

if TYPE_CHECKING:
    from memory.search.ahead import Prepare

_FEW_BYTES = 100_000  # of an export whose messages may be few enough for their vectors to be made before they are stored


class ImportProgress(Protocol):
    """Called as bytes are read; the note never holds anybody's words."""

    def __call__(self, done: int, total: int, note: str = "") -> None: ...


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """What a person may say about an export."""

    timezone: str = "UTC"  # of times that carry no zone of their own
    me: str = "Me"  # the name of who made it, in formats that do not give it
    bots: Bots = NO_BOTS


def open_export(
    path: Path,
    options: ImportOptions | None = None,
    *,
    clock: Clock = utc_now,
    progress: ImportProgress | None = None,
) -> Export:
    """The export in the file, folder or zip archive, understood but not read.

    Raises UnknownFormat, BrokenExport, EmptyChat, ZipInZip, UnknownTimezone; OSError if unreadable.
    """
    chosen = options or ImportOptions()
    asked = ReadOptions(zone(chosen.timezone), clock(), chosen.me, chosen.bots)
    meter = Meter()
    files = gather(path, meter)
    total = sum(file.size_bytes for file in files)
    if progress is not None:
        meter.watch = lambda done: progress(min(done, total), total, "looking through")
    export = detect.open_files(files, path.name, meter, asked)
    meter.watch = None
    return export


def import_export(
    database: Database,
    space_id: str,
    export: Chats,
    *,
    registry: Registry | None = None,
    is_preview: bool = False,
    prepare: Prepare | None = None,
    clock: Clock = utc_now,
    progress: ImportProgress | None = None,
) -> ImportReport:
    """Store the export's messages, its speakers as people, and who could hear what; follow edits and deletions.
    `prepare` makes the vectors of a few.

    Raises StoreFull with nothing written. The very same bytes are not stored again. Under `registry` (the shipped one,
    where none is given) facts are stated again whose messages changed. A preview does it all and takes it back.
    """
    digest = export.sha256()
    writer: Writer | None = None
    ahead = None
    if prepare is not None and not is_preview and export.size_bytes <= _FEW_BYTES:
        ahead = prepare(_few_texts(export))
    with suppress(_TakenBack), database.transaction() as session:
        known = session.scalar(select(Source.id).where(Source.space_id == space_id, Source.sha256 == digest))
        if known is None:
            source = Source(
                space_id=space_id, kind=export.kind, name=export.name, sha256=digest, created_at=clock()
            )
            session.add(source)
            session.flush()
            going_on = continued(session, space_id, export)
            with inserting_episodes(session, space_id, source.id) as inserter:
                writer = Writer(session, space_id, source.id, clock, export.kind, going_on, inserter)
                writer.store(export, progress)
            writer.rewriter.finish(registry or Registry.load())
            if is_preview:
                raise _TakenBack
            if ahead is not None:
                new = select(Episode.id).where(Episode.source_id == writer.source_id)
                ahead.keep(session, episodes=session.scalars(new).all())
    if writer is None:
        return _report(str(known), export, _tally(export), notes=("this very file was imported before",))
    return _report(writer.source_id, export, writer.tally, stored=writer)


def import_file(
    database: Database,
    space_id: str,
    path: Path,
    *,
    timezone: str = "UTC",
    clock: Clock = utc_now,
    progress: ImportProgress | None = None,
) -> ImportReport:
    """Open and import. Raises what `open_export` and `import_export` raise, always with nothing written."""
    export = open_export(path, ImportOptions(timezone))
    return import_export(database, space_id, export, clock=clock, progress=progress)


def _few_texts(export: Chats) -> list[str]:
    """The messages as they would be encoded; none where there are many."""
    from memory.search.ahead import MOST  # not before it is needed: it brings numpy

    said = list(islice(export.messages(), MOST + 1))
    return [f"{one.speaker}: {one.text}" for one in said if one.kind == "text"] if len(said) <= MOST else []


class _TakenBack(Exception):
    """Ends the transaction of a preview without a trace."""


def _tally(export: Chats) -> Tally:
    tally = Tally()
    for row in export.rows():
        tally.add(row)
    return tally


def _report(
    source_id: str,
    export: Chats,
    tally: Tally,
    *,
    stored: Writer | None = None,
    notes: tuple[str, ...] = (),
) -> ImportReport:
    chats = list(dict.fromkeys(chat.name for chat in stored.chats.values())) if stored else list(tally.chats)
    n_simulated = sum(chat.n_simulated for chat in tally.chats.values())
    bots = (f"{n_simulated} messages were written by programs and are no evidence",) if n_simulated else ()
    n_renamed = len(stored.renamed) if stored else 0
    renamed = (f"{n_renamed} people go by another name than before; it is an alias now",) if n_renamed else ()
    n_missing = stored.settler.n_missing if stored else 0
    why = "too many at once to have been deleted, so they stay as they are"
    missing = (f"{n_missing} messages that are known are not in this export, {why}",) if n_missing else ()
    return ImportReport(
        source_id=source_id,
        kind=export.kind,
        conversation=chats[0] if len(chats) == 1 else f"{len(chats)} chats",
        n_messages=tally.n_messages,
        n_new=stored.n_new if stored else 0,
        n_system=tally.n_system,
        people=tally.people,
        first=tally.first,
        last=tally.last,
        n_edited=len(stored.rewriter.edited) if stored else 0,
        n_deleted=len(stored.rewriter.deleted) if stored else 0,
        notes=export.notes + bots + renamed + missing + notes,
        skipped=tally.skipped,
    )
