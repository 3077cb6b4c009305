"""Where a night stands: a small file in its folder, written anew as it goes on. It holds numbers and names of stages."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from memory.whole import write_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from consolidation.night import StageWatcher
    from consolidation.stage import Progress

NAME = "progress.json"
EVERY_S = 0.5


@dataclass(frozen=True, slots=True)
class Doing:
    """`done` of `total` of one stage."""

    run_id: str
    stage: str
    done: int
    total: int


def doing(home: Path, run_id: str) -> Doing | None:
    """What the file of that night says, if there is one."""
    try:
        told = json.loads((home / "runs" / run_id / NAME).read_text(encoding="utf-8"))
        return Doing(run_id, str(told["stage"]), int(told["done"]), int(told["total"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def kept(home: Path, run_of: Callable[[], str | None], watch: StageWatcher | None) -> StageWatcher:
    """`watch` that writes the file as well; `run_of` tells the night's id once the first stage begins."""

    def begin(stage: str) -> Progress:
        inner = watch(stage) if watch is not None else None
        run_id, written_at = run_of(), 0.0
        path = home / "runs" / (run_id or "") / NAME

        def progress(done: int, total: int, note: str = "") -> None:
            nonlocal written_at
            if run_id and (time.monotonic() - written_at > EVERY_S or done == total):
                written_at = time.monotonic()
                with suppress(OSError):  # it is for lookers-on alone
                    write_text(path, json.dumps(asdict(Doing(run_id, stage, done, total))))
            if inner is not None:
                inner(done, total, note)

        return progress

    return begin
