"""Try recipes: each cell of a grid trains on the same dreams of one snapshot of the space and is examined; none is published.

The snapshot is a store of its own under `home/sweeps/<id>/work/`, so that the space is only read, once. A cell that is
done leaves its numbers and is not done again; killed at any instruction, a sweep goes on with the next call: with the
cell it stood at, and that cell's training from its checkpoint. When all are done the work folder goes, and with it every
word and every vector; numbers, curves and the page stay.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from agents.errors import AgentError
from agents.runtime.spec import ModelSpec
from consolidation import dream, exam, runs, train
from consolidation.errors import NightError, NightStopped, NothingToTrain, SweepRuns
from consolidation.exam import General
from consolidation.grid import DREAMT, Cell, Grid
from consolidation.mastery import CONDITION
from consolidation.publish import earlier_recall, hold_against
from consolidation.recipe import current_recipe
from consolidation.report import curves_of
from consolidation.stage import NightContext, NightSettings, NightTools, Progress, no_progress
from consolidation.sweep_results import CellResult, SweepReport, in_order, render_sweep
from consolidation.trainer.job import read_json
from consolidation.waiting_rows import waiting_file
from db.engine import Database, open_database, sqlite_url
from memory.artifacts import pointer, servable
from memory.errors import GraphError
from memory.exchange.dump import dump
from memory.exchange.load import load
from memory.ports import Clock, utc_now
from memory.spaces import ensure_space
from memory.whole import write_text

FOLDER = "sweeps"
RESULTS = "results.json"
PAGE = "report.html"
METRICS = "metrics.jsonl"
TAKEN = "taken.json"

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Sweep:
    """What the functions below share. `database` and `space_id` are the snapshot's."""

    folder: Path
    database: Database
    space_id: str
    tools: NightTools
    clock: Clock

    @property
    def work(self) -> Path:
        return self.folder / "work"


def run_sweep(
    database: Database,
    space_id: str,
    home: Path,
    base: NightSettings,
    grid: Grid,
    tools: NightTools,
    *,
    clock: Clock = utc_now,
    progress: Progress = no_progress,
    fresh: bool = False,
) -> SweepReport:
    """Train and examine every cell that is not done yet. `progress` counts cells.

    A finished sweep is only told again, unless `fresh`. A cell that fails (a loss that is no number, a back-end that
    is not there) is a result. Raises NothingToTrain where the space has nothing new, SweepRuns where another process
    works on the same, OSError on a full disk.
    """
    folder = home / FOLDER / runs.digest([space_id, grid.key])[:12]
    folder.mkdir(parents=True, exist_ok=True)
    with _alone(folder):
        if fresh:
            _clear(folder)
        if not all(_result_file(folder, cell).is_file() for cell in grid.cells):
            _snapshot(database, space_id, home, folder, clock)
            try:
                with _opened(folder, tools, clock) as sweep:
                    _run_cells(sweep, base, grid, progress)
            except NothingToTrain:  # the next call looks at the space anew
                shutil.rmtree(folder / "work")
                raise
        return _finish(folder, grid)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    with (folder / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise SweepRuns(folder.name) from error
        yield


def _clear(folder: Path) -> None:
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name != "lock":
            path.unlink()


@dataclass(slots=True)
class _Known:
    """What is the same for many cells: the base measured, and what serves asked about earlier nights (by dreams)."""

    generals: dict[ModelSpec, General] = field(default_factory=dict)
    before: dict[tuple[str, ModelSpec], dict[str, Any]] = field(default_factory=dict)


# ---- the snapshot


def _snapshot(database: Database, space_id: str, home: Path, folder: Path, clock: Clock) -> None:
    """A copy of the space, of the vectors that serve and of rows that wait, whole or not at all. Cells of an older
    copy are dropped."""
    work = folder / "work"
    if work.is_dir():
        return
    part = folder / f".work.{os.getpid()}"
    for path in (*folder.glob(".work.*"), folder / "cells"):
        shutil.rmtree(path, ignore_errors=True)
    part.mkdir()
    _copy_recipe(database, space_id, home, part / "home")
    copy = open_database(sqlite_url(part / "graph.db"))
    try:
        copied = ensure_space(copy, clock=clock)
        with (part / "space.jsonl").open("w+b") as file:
            dump(database, space_id, file)
            file.seek(0)
            load(copy, copied, file, "the snapshot")
        (part / "space.jsonl").unlink()
        if (rows := waiting_file(home, space_id)).is_file():
            waiting_file(part / "home", copied).parent.mkdir()
            shutil.copy(rows, waiting_file(part / "home", copied))
    finally:
        copy.close()
    (part / "home" / "cache").symlink_to(home / "cache", target_is_directory=True)
    (part / TAKEN).write_text(json.dumps({"taken_at": clock().isoformat()}), encoding="utf-8")
    part.replace(work)


def _copy_recipe(database: Database, space_id: str, home: Path, to: Path) -> None:
    (home / "cache").mkdir(exist_ok=True)
    to.mkdir()
    recipe, serving = current_recipe(database, space_id, home), pointer(database, space_id)
    if recipe is None or serving is None or serving.recipe_id is None:
        return
    path = servable(database, serving.recipe_id).path
    (to / path).parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(home / path, to / path)
    for entry in recipe.entries:
        shutil.copytree(home / entry.path, to / entry.path, dirs_exist_ok=True)


@contextmanager
def _opened(folder: Path, tools: NightTools, clock: Clock) -> Iterator[_Sweep]:
    work = folder / "work"
    database = open_database(sqlite_url(work / "graph.db"))
    try:
        yield _Sweep(folder, database, ensure_space(database, clock=clock), tools, clock)
    finally:
        database.close()


# ---- the cells


def _run_cells(sweep: _Sweep, base: NightSettings, grid: Grid, progress: Progress) -> None:
    total = len(grid.cells)
    known = _Known()
    for place, cell in enumerate(grid.cells):
        progress(place, total, cell.name)
        if _result_file(sweep.folder, cell).is_file():
            continue
        result = _run_cell(sweep, base, cell, _noted(progress, place, total, cell.name), known)
        _keep(sweep, cell, result)
    progress(total, total)


def _noted(progress: Progress, place: int, n_cells: int, name: str) -> Progress:
    """Progress within one cell: the bar counts cells, the note says where this one stands."""

    def within(done: int, total: int, note: str = "") -> None:
        progress(place, n_cells, f"{name}: {done}/{total} {note}".rstrip())

    return within


def _run_cell(
    sweep: _Sweep, base: NightSettings, cell: Cell, progress: Progress, known: _Known
) -> CellResult:
    """Train and examine; what cannot be done with these settings is said in the result."""
    changed = dict(cell.changed)
    try:
        run_id, dreamt = _dreams(sweep, base, cell)
        outputs = {"dream": dreamt}
        context = _context(sweep, run_id, cell.settings, sweep.work / "cells" / cell.key, outputs)
        trained = outputs["train"] = train.knowledge(context, progress).output
        numbers, before = _examine(context, progress, known)
        outputs["exam"] = {"before": before}
    except NightStopped:
        raise
    except (NightError, AgentError, GraphError) as error:
        if isinstance(error, NothingToTrain) and not set(DREAMT) & set(changed):
            raise
        log.info("sweep %s cell %s failed: %s", sweep.folder.name, cell.key, type(error).__name__)
        return CellResult(cell.name, changed, "failed", " ".join(str(error).split()))
    checks = hold_against(cell.settings.gate, numbers, earlier_recall(context))
    return CellResult(
        name=cell.name,
        settings=changed,
        status="done",
        exam=numbers,
        failed_numbers=tuple(check.number for check in checks if not check.is_passed),
        facts=int(dreamt.get("n_facts", 0)),
        steps=int(trained["steps"]),
        seconds=float(trained["seconds"]),
        tokens_per_s=float(trained["tokens_per_s"]),
        final_loss=float(trained["final_loss"]),
    )


def _dreams(sweep: _Sweep, base: NightSettings, cell: Cell) -> tuple[str, dict[str, Any]]:
    """The run in the snapshot whose dreams the cell trains on, and what its stage gave; made once for all cells that
    dream alike."""
    settings = replace(base, **{name: getattr(cell.settings, name) for name in DREAMT})
    run_id = f"dream{runs.digest(runs.plain_settings(settings))[:11]}"
    database, space_id = sweep.database, sweep.space_id
    record = runs.stage_records(database, run_id).get("dream")
    if record is None or record.status != "done":
        nights = runs.list_runs(database, space_id, limit=1_000_000)
        is_begun = any(night.id == run_id for night in nights)
        runs.begin(database, space_id, run_id, settings, is_resumed=is_begun, clock=sweep.clock)
        runs.begin_stage(database, space_id, run_id, "dream", "", clock=sweep.clock)
        context = _context(sweep, run_id, settings, sweep.work / run_id, {})
        runs.end_stage(database, run_id, "dream", dream.run(context, no_progress), 0.0)
        record = runs.stage_records(database, run_id)["dream"]
    if not record.output.get("n_train"):
        raise NothingToTrain
    return run_id, record.output


def _context(
    sweep: _Sweep, run_id: str, settings: NightSettings, run_dir: Path, outputs: dict[str, dict[str, Any]]
) -> NightContext:
    run_dir.mkdir(parents=True, exist_ok=True)
    return NightContext(
        database=sweep.database,
        space_id=sweep.space_id,
        run_id=run_id,
        home=sweep.work / "home",
        run_dir=run_dir,
        settings=settings,
        tools=sweep.tools,
        clock=sweep.clock,
        output=lambda stage: outputs.get(stage, {}),
    )


def _examine(
    context: NightContext, progress: Progress, known: _Known
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The exam's numbers under the condition `weights`, and what the vectors that serve answer of its questions about
    earlier nights. The model is loaded anew: a child may need its memory."""
    from agents.runtime.lm import LanguageModel

    settings = context.settings
    spec = ModelSpec(context.home / "cache", settings.base_model, settings.train.dtype)
    questions = exam.questions_of(context.database, context.run_id)
    model = LanguageModel.load(spec)
    if spec not in known.generals:
        known.generals[spec] = exam.general(model)
    counter = exam.Counter(progress, len(exam.asked_of(CONDITION, questions)))
    if (context.run_id, spec) not in known.before:
        silent = exam.Counter(no_progress, 0)
        known.before[context.run_id, spec] = exam.earlier_before(context, model, questions, silent)
    model.apply(exam.vectors_of(context))
    answered = exam.ask(model, questions, CONDITION, {}, counter)
    drift = exam.drift_from(model, known.generals[spec])
    return exam.numbers_of(answered, drift), known.before[context.run_id, spec]


# ---- what stays


def _result_file(folder: Path, cell: Cell) -> Path:
    return folder / "cells" / cell.key / "result.json"


def _keep(sweep: _Sweep, cell: Cell, result: CellResult) -> None:
    """The cell's numbers and its curve; its rows go."""
    file, own = _result_file(sweep.folder, cell), sweep.work / "cells" / cell.key
    file.parent.mkdir(parents=True, exist_ok=True)
    metrics = own / "train" / METRICS
    if metrics.is_file():
        shutil.copy(metrics, file.with_name(METRICS))
    write_text(file, json.dumps(result.as_json(), indent=2))
    shutil.rmtree(own, ignore_errors=True)


def _finish(folder: Path, grid: Grid) -> SweepReport:
    """Order the results, write them and their page, and let the work folder go."""
    results, taken = folder / RESULTS, folder / "work" / TAKEN
    taken_at = str((read_json(taken) or read_json(results) or {}).get("taken_at", ""))
    cells = [CellResult.from_json(read_json(_result_file(folder, cell)) or {}) for cell in grid.cells]
    report = SweepReport(folder.name, grid.sort, taken_at, tuple(in_order(cells, grid.sort)), folder / PAGE)
    curves = {
        cell.name: curves_of(_result_file(folder, cell).parent).get("loss_answer", []) for cell in grid.cells
    }
    write_text(folder / PAGE, render_sweep(report, curves))
    write_text(results, json.dumps(report.as_json(), indent=2))
    shutil.rmtree(folder / "work", ignore_errors=True)
    return report
