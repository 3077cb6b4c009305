"""Training rows out of a night and into the nights to come, for every entrance."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from consolidation.errors import NoRows
from consolidation.rows import WANTED, TrainingRow, read_rows, rows_of_run, write_rows
from consolidation.runs import find_run
from consolidation.stage import Progress, no_progress
from consolidation.waiting_rows import clear, keep, what_waits
from memory.importers.tally import Tally
from memory.types import Skipped

if TYPE_CHECKING:
    from service.wiring import Services


def export_rows(services: Services, run: str | None, format_: str, output: IO[bytes]) -> tuple[str, int, int]:
    """The night's id, how many rows were written and how many left out. Raises UnknownRun, NoRows."""
    night = find_run(services.database, services.space_id, run)
    rows = rows_of_run(
        services.database, services.space_id, night.id, services.registry, clock=services.clock
    )
    if not rows:
        raise NoRows(f"night {night.id}", "it trained nothing", "another one; `slowwave runs` lists them")
    return (night.id, *write_rows(rows, format_, output))


def import_rows(services: Services, path: Path, progress: Progress = no_progress) -> dict[str, Any]:
    """Keep a file's rows for the nights to come; the shape is in docs/json.md. Raises NoRows where it holds none."""
    tally, n_read = Tally(), 0
    size = path.stat().st_size

    def readable() -> Iterator[TrainingRow]:
        nonlocal n_read
        for row in read_rows(path, watch=lambda n_bytes: progress(n_bytes, size)):
            if isinstance(row, Skipped):
                tally.add(row)
            else:
                n_read += 1
                yield row

    kept = keep(services.settings.home, services.space_id, readable())
    if not n_read:
        first = tally.skipped[0] if tally.skipped else None
        raise NoRows(path.name, first.reason if first else "the list is empty", WANTED)
    progress(size, size)
    return {
        "file": path.name,
        "rows": n_read,
        "new": kept.n_new,
        "known": kept.n_known,
        "over": kept.n_over,
        "skipped": [{"reason": s.reason, "n": s.n, "places": list(s.places)} for s in tally.skipped],
        "waiting": waiting_rows(services),
    }


def waiting_rows(services: Services) -> dict[str, Any]:
    """What waits, and what the graph says of it today."""
    return what_waits(
        services.database,
        services.space_id,
        services.settings.home,
        services.registry,
        leave_out=frozenset(services.settings.privacy.leave_out),
        clock=services.clock,
    )


def clear_rows(services: Services) -> int:
    return clear(services.settings.home, services.space_id)
