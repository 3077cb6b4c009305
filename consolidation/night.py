"""Run one night: the stages in their order, each recorded, each skipped when it is already done.

A night is one row of `sleep_run` and one row of `stage_run` per stage. Whoever runs it holds the space's lease.
Stopped by SIGTERM, by Ctrl-C or by the caller's event, or killed, it goes on with the next call where it stood,
unless the settings are others: then the old one is closed as failed and a new one begins.
What the stages do is in their modules; torch is loaded by those that need it.
"""

from __future__ import annotations

import importlib
import logging
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import FrameType
from typing import Any, cast

from consolidation import runs
from consolidation.errors import NightError, NightStopped
from consolidation.lease import hold, this_process
from consolidation.stage import (
    STAGES,
    NightContext,
    NightSettings,
    NightTools,
    Progress,
    Stage,
    StageResult,
    no_progress,
)
from db.engine import Database, is_disk_full
from db.errors import DatabaseError
from memory.errors import GraphError
from memory.ports import Clock, utc_now

StageWatcher = Callable[[str], Progress]  # the name of a stage that begins -> what it reports its progress to

NEED_FACTS = ("exam", "merge", "readout")

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class StageOutcome:
    name: str
    seconds: float
    counts: dict[str, float]
    is_resumed: bool = False  # done by an earlier attempt of this night


@dataclass(frozen=True, slots=True)
class NightReport:
    """How a night ended. status: done | refused (by the gate) | failed | interrupted; `reason` in one line."""

    run_id: str
    status: str
    stages: tuple[StageOutcome, ...]
    exam: dict[str, Any]  # condition -> numbers, see DESIGN section 5
    is_published: bool
    report_path: Path | None
    reason: str | None = None
    backend: str | None = None  # that trained, and why it did; None where nothing was trained
    backend_reason: str | None = None
    before: dict[str, Any] = field(default_factory=dict)  # what served, asked the exam's earlier questions

    def as_json(self) -> dict[str, Any]:
        return {
            "run": self.run_id,
            "status": self.status,
            "stages": [
                {"name": stage.name, "seconds": round(stage.seconds, 2), "counts": stage.counts}
                for stage in self.stages
            ],
            "exam": self.exam,
            "before": self.before,
            "published": self.is_published,
            "reason": self.reason,
            "backend": self.backend,
            "backend_reason": self.backend_reason,
            "report": None if self.report_path is None else str(self.report_path),
        }


@dataclass(frozen=True, slots=True)
class _Night:
    """What the functions below share."""

    context: NightContext
    watch: StageWatcher
    stop: threading.Event
    stages: Mapping[str, Stage]
    on_stage: Callable[[StageOutcome], None]
    outcomes: list[StageOutcome] = field(default_factory=list)


def run_night(
    database: Database,
    space_id: str,
    home: Path,
    settings: NightSettings,
    tools: NightTools,
    *,
    clock: Clock = utc_now,
    progress: StageWatcher | None = None,
    holder: str | None = None,
    resume: bool = True,
    on_stage: Callable[[StageOutcome], None] | None = None,
    stop: threading.Event | None = None,
    stages: Mapping[str, Stage] | None = None,
) -> NightReport:
    """One night, new or resumed. How it ended is in the report; raises LeaseHeld where another one runs.

    `stop`, once set, ends the night at the next progress call; in the main thread SIGTERM does the same at once.
    `stages` replaces stages by name.
    """
    stop = stop or threading.Event()
    new_id = runs.new_run_id()
    old = _unfinished(database, space_id, settings, resume=resume)
    name = f"{holder or this_process()} night {old.id if old else new_id} #{runs.new_run_id()[:4]}"
    with hold(database, space_id, name, lost=stop), _sigterm_stops(stop):
        old = _unfinished(database, space_id, settings, resume=resume)  # again: now nobody else can take it
        run_id = old.id if old else new_id
        runs.begin(database, space_id, run_id, settings, is_resumed=old is not None, clock=clock)
        run_dir = home / "runs" / run_id
        context = NightContext(
            database=database,
            space_id=space_id,
            run_id=run_id,
            home=home,
            run_dir=run_dir,
            settings=settings,
            tools=tools,
            clock=clock,
            output=lambda stage: runs.stage_records(database, run_id)[stage].output,
            should_stop=stop.is_set,
        )
        night = _Night(context, progress or (lambda _: no_progress), stop, stages or {}, on_stage or _ignore)
        return _run(night)


def _unfinished(
    database: Database, space_id: str, settings: NightSettings, *, resume: bool
) -> runs.Run | None:
    """The night to go on with: one that was stopped under the same settings."""
    run = runs.resumable(database, space_id) if resume else None
    return run if run is not None and run.settings == runs.plain_settings(settings) else None


def _ignore(_: StageOutcome) -> None:
    """Nobody waits for the end of a stage."""


def _run(night: _Night) -> NightReport:
    try:
        night.context.run_dir.mkdir(parents=True, exist_ok=True)
        for name in STAGES:
            outcome = _run_stage(night, name)
            night.outcomes.append(outcome)
            night.on_stage(outcome)
    except (KeyboardInterrupt, NightStopped):
        return _close(night, "interrupted", str(NightStopped(night.context.run_id)))
    except Exception as error:
        _keep_traceback(night.context.run_dir)
        return _close(night, "failed", _reason(error, night.context.home))
    published = night.context.output("publish")
    return _close(night, published.get("status", "done"), published.get("reason"))


def _run_stage(night: _Night, name: str) -> StageOutcome:
    context = night.context
    inputs_hash = _inputs_hash(context, name)
    record = runs.stage_records(context.database, context.run_id).get(name)
    if record is not None and record.status == "done" and record.inputs_hash == inputs_hash:
        return StageOutcome(name, record.seconds, record.counts, is_resumed=True)
    runs.begin_stage(
        context.database, context.space_id, context.run_id, name, inputs_hash, clock=context.clock
    )
    started = time.monotonic()
    try:
        result = _call(night, name)
    except Exception:
        if not night.stop.is_set():
            runs.end_stage(context.database, context.run_id, name, None, time.monotonic() - started)
        raise
    seconds = time.monotonic() - started
    runs.end_stage(context.database, context.run_id, name, result, seconds)
    log.info("night %s stage %s done in %.1f s %s", context.run_id, name, seconds, result.counts)
    return StageOutcome(name, seconds, result.counts)


def _call(night: _Night, name: str) -> StageResult:
    inner = night.watch(name)

    def progress(done: int, total: int, note: str = "") -> None:
        if night.stop.is_set():
            raise NightStopped(night.context.run_id)
        inner(done, total, note)

    progress(0, 1)
    if name in NEED_FACTS and not night.context.output("dream").get("n_train"):
        progress(1, 1, "nothing to train")
        return StageResult(output={"skipped": "nothing to train"})
    return _stage(night.stages, name)(night.context, progress)


def _stage(stages: Mapping[str, Stage], name: str) -> Stage:
    if name in stages:
        return stages[name]
    return cast(Stage, importlib.import_module(f"consolidation.{name}").run)


def _inputs_hash(context: NightContext, name: str) -> str:
    """Changes with the settings, the tools and everything that earlier stages gave."""
    tools = context.tools
    named = (
        tools.extractor,
        tools.tagger,
        tools.embedder,
        tools.judge,
        tools.constitution_writer,
        tools.teacher,
        tools.entailer,
        tools.referee,
        tools.digester,
    )
    records = runs.stage_records(context.database, context.run_id)
    earlier = {stage: records[stage].output for stage in STAGES[: STAGES.index(name)] if stage in records}
    return runs.digest(
        {
            "stage": name,
            "settings": runs.plain_settings(context.settings),
            "tools": [getattr(tool, "name", None) for tool in named],
            "earlier": earlier,
        }
    )


def _close(night: _Night, status: str, reason: str | None) -> NightReport:
    context = night.context
    with suppress(DatabaseError):  # a full disk: the run stays `running` and is reaped once there is room
        runs.finish(context.database, context.run_id, status, reason, clock=context.clock)
    log.info("night %s ended: %s", context.run_id, status)
    report = recorded(context.database, context.space_id, context.home, context.run_id)
    return replace(report, status=status, stages=tuple(night.outcomes), reason=reason)


def recorded(database: Database, space_id: str, home: Path, run_id: str) -> NightReport:
    """A night as it stands on record, over or not; `report_path` names the page whether or not its file is there.

    Raises UnknownRun.
    """
    run, records = runs.get_run(database, space_id, run_id), runs.stage_records(database, run_id)
    report = records["report"].output.get("report") if "report" in records else None
    examined = records["exam"].output if "exam" in records else {}
    trained = records["train"].output if "train" in records else {}
    return NightReport(
        run_id=run_id,
        status=run.status,
        stages=tuple(
            StageOutcome(record.name, record.seconds, record.counts)
            for record in records.values()
            if record.status == "done"
        ),
        exam=examined.get("exam") or {},
        is_published=run.is_published,
        report_path=home / report if report else None,
        reason=run.error,
        backend=trained.get("backend"),
        backend_reason=trained.get("backend_reason"),
        before=examined.get("before") or {},
    )


def _reason(error: Exception, home: Path) -> str:
    """One line for people: our own errors speak for themselves, others are named with their class."""
    if is_disk_full(error):
        return f"no space left on the disk that holds {home}; free some and run `slowwave sleep` again"
    text = " ".join(str(error).split())
    if isinstance(error, NightError | GraphError | DatabaseError):
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _keep_traceback(run_dir: Path) -> None:
    """For whoever has to find out why; on a full disk there is none."""
    with suppress(OSError):
        (run_dir / "traceback.txt").write_text(traceback.format_exc(), encoding="utf-8")


@contextmanager
def _sigterm_stops(stop: threading.Event) -> Iterator[None]:
    """In the main thread SIGTERM acts like Ctrl-C for as long as the block runs; elsewhere the caller has `stop`.

    Where it comes among callbacks, which swallow what is raised and say so on stderr, `stop` alone ends the night.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def on_sigterm(_signal: int, _frame: FrameType | None) -> None:
        if not stop.is_set():
            stop.set()
            raise KeyboardInterrupt

    def on_swallowed(swallowed: sys.UnraisableHookArgs) -> None:
        if not issubclass(swallowed.exc_type, KeyboardInterrupt):
            hook(swallowed)

    hook, sys.unraisablehook = sys.unraisablehook, on_swallowed
    before = signal.signal(signal.SIGTERM, on_sigterm)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
        sys.unraisablehook = hook
