"""Recipes tried on a copy of the space: the same dreams for all, each examined, none published, nothing begun twice."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import text

from agents.runtime.adapter import Adapter
from agents.runtime.lm import LanguageModel
from agents.runtime.spec import ModelSpec
from consolidation import dream, sweep
from consolidation.errors import NothingToTrain, SweepRuns
from consolidation.grid import Grid, make_grid
from consolidation.stage import NightSettings, TrainSettings, no_progress
from consolidation.sweep import run_sweep
from consolidation.sweep_results import CellResult, SweepReport, in_order, render_sweep
from memory.facts import decide
from memory.registry import Registry
from tests.consolidation.dreams import serve

REGISTRY = Registry.load()
DOWN = "model.layers.1.mlp.down_proj"
REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def base(tiny_folder: Path) -> NightSettings:
    few = TrainSettings(
        rank=2, alpha=4, steps=2, facts_per_step=4, negatives_per_step=2, kl_per_step=0, dtype="float32"
    )
    return NightSettings(base_model=str(tiny_folder), exam_wordings=1, train=few)


@pytest.fixture
def told(chat: Any) -> Any:
    """The chat with two facts that no night has trained."""
    facts = (("Mona Berg", "lives_in", "Bergen", 0), ("Karl Aas", "lives_in", "Oslo", 1))
    for fact_id in chat.propose(*facts):
        with chat.database.transaction() as session:
            decide(session, chat.space_id, fact_id, "STORE", [], REGISTRY, run_id=None)
    return chat


def rows(chat: Any) -> dict[str, Any]:
    """Every row of the store."""
    with chat.database.reading() as session:
        names = session.scalars(text("SELECT name FROM sqlite_master WHERE type = 'table'")).all()
        return {name: session.execute(text(f"SELECT * FROM {name}")).all() for name in names}


def run(chat: Any, base: NightSettings, grid: Grid, **options: Any) -> SweepReport:
    return run_sweep(chat.database, chat.space_id, chat.home, base, grid, chat.tools(), **options)


def test_cells_are_tried_on_a_copy_and_the_space_is_only_read(told: Any, base: NightSettings) -> None:
    grid = make_grid({"base_model": [base.base_model, "nobody/nothing"], "sort": "final_loss"}, base, "x")
    before, seen = rows(told), list[tuple[int, int]]()
    report = run(told, base, grid, progress=lambda done, total, note="": seen.append((done, total)))
    assert rows(told) == before
    assert [cell.status for cell in report.cells] == ["done", "failed"]
    done, failed = report.cells
    assert (done.facts, done.steps) == (2, 2)
    assert done.exam is not None
    assert done.exam["n"]["recall_paraphrase"] == 2
    assert "nobody/nothing" in (failed.error or "")
    assert (seen[0], seen[-1]) == ((0, 2), (2, 2))
    folder = report.page.parent
    assert {path.name for path in folder.iterdir()} == {"cells", "lock", "report.html", "results.json"}
    assert not (told.home / "adapters").exists()
    stored = "".join(path.read_text() for path in folder.rglob("*.json*"))
    assert "Mona" not in stored + report.page.read_text()
    assert json.loads((folder / "results.json").read_text()) == report.as_json()
    assert run(told, base, grid) == report  # told again, not done again


def test_a_cell_is_held_against_what_serves_asked_the_same(told: Any, base: NightSettings) -> None:
    """A gate that wants more than everything of what the vectors before answer is failed where they were asked."""
    context = told.context(settings=base, outputs={"train": {}})
    dream.run(context, no_progress)
    language_model = LanguageModel.load(ModelSpec(told.home / "cache", base.base_model))
    down = language_model.model.get_submodule(DOWN)
    a, b = np.ones((2, down.in_features), np.float32), np.zeros((down.out_features, 2), np.float32)
    worn = Adapter(language_model.base_hash, 2, 4.0, {DOWN: (a, b)})
    worn.save(told.home / "adapters/worn")
    serve(context, worn.sha256, "adapters/worn", worn.base_hash)
    told.store(("Vera Lind", "dog", "Pelle", 6))
    greedy = replace(base, gate=replace(base.gate, max_earlier_loss=-2.0))
    grid = make_grid({"max_facts": [1], "sort": "final_loss"}, greedy, "x")
    (cell,) = run(told, greedy, grid).cells
    assert cell.exam is not None
    assert cell.exam["n"]["recall_earlier_nights"] >= 2
    assert "recall_earlier_nights" in cell.failed_numbers


def test_what_was_trained_before_a_sweep_was_cut_off_is_not_trained_again(
    told: Any, base: NightSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    grid = make_grid({"seed": [1]}, base, "x")
    examine = sweep._examine
    with monkeypatch.context() as patched:
        patched.setattr(sweep, "_examine", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run(told, base, grid)
    (trained,) = (told.home / "sweeps").glob("*/work/cells/*/train/result.json")
    stamp = trained.stat().st_mtime_ns
    stamps: list[int] = []

    def watched(*given: Any) -> Any:
        stamps.append(trained.stat().st_mtime_ns)
        return examine(*given)

    monkeypatch.setattr(sweep, "_examine", watched)
    (cell,) = run(told, base, grid).cells
    assert (cell.status, stamps) == ("done", [stamp])


def interrupted(*_: Any) -> Any:
    raise KeyboardInterrupt


SWEEP_IN_A_PROCESS = """
import sys
from pathlib import Path
from consolidation.grid import make_grid
from consolidation.stage import NightSettings, NightTools, TrainSettings
from consolidation.sweep import run_sweep
from db.engine import open_database, sqlite_url
from memory.embedders.hashing import HashingEmbedder
from memory.registry import Registry

home, space_id, model = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
few = TrainSettings(rank=2, alpha=4, steps=60, facts_per_step=4, negatives_per_step=2, kl_per_step=0, dtype="float32")
base = NightSettings(base_model=model, exam_wordings=1, train=few)
tools = NightTools(None, None, HashingEmbedder(64), None, None, Registry.load())
database = open_database(sqlite_url(home / "graph.db"))
run_sweep(database, space_id, home, base, make_grid({"seed": [5]}, base, "x"), tools)
"""


@pytest.mark.slow
def test_a_sweep_whose_process_is_killed_goes_on_from_its_snapshot(told: Any, base: NightSettings) -> None:
    base = replace(base, train=replace(base.train, steps=60))
    command = [sys.executable, "-c", SWEEP_IN_A_PROCESS, str(told.home), told.space_id, base.base_model]
    process = subprocess.Popen(command, cwd=REPOSITORY)
    work = told.home / "sweeps"
    deadline = time.monotonic() + 240
    while not list(work.glob("*/work/cells/*/train/metrics.jsonl")) and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    (snapshot,) = work.glob("*/work/taken.json")
    taken = json.loads(snapshot.read_text())["taken_at"]
    report = run(told, base, make_grid({"seed": [5]}, base, "x"))
    assert (report.taken_at, [cell.status for cell in report.cells]) == (taken, ["done"])
    assert not snapshot.exists()


def test_two_processes_do_not_work_on_one_sweep(told: Any, base: NightSettings) -> None:
    grid = make_grid({"seed": [0]}, base, "x")
    folder = told.home / "sweeps" / sweep.runs.digest([told.space_id, grid.key])[:12]
    folder.mkdir(parents=True)
    with sweep._alone(folder), pytest.raises(SweepRuns, match="another process"):
        run(told, base, grid)


def test_without_new_facts_there_is_nothing_to_sweep(chat: Any, base: NightSettings) -> None:
    with pytest.raises(NothingToTrain):
        run(chat, base, make_grid({"seed": [0]}, base, "x"))
    assert not list((chat.home / "sweeps").glob("*/work"))


def test_a_recipe_that_leaves_nothing_to_dream_of_is_one_that_failed(told: Any, base: NightSettings) -> None:
    (cell,) = run(told, base, make_grid({"max_facts": [0]}, base, "x")).cells
    assert (cell.status, cell.error) == ("failed", "the curriculum is empty; there is nothing to train")


def cell(name: str, recall: float, *, status: str = "done", failed: tuple[str, ...] = ()) -> CellResult:
    return CellResult(name, {}, status, exam={"recall_paraphrase": recall}, failed_numbers=failed)


def test_the_order_is_the_stated_one() -> None:
    cells = [
        cell("a", 0.9, failed=("ppl_change",)),
        cell("b", 0.5),
        cell("c", 1.0, status="failed"),
        cell("d", 0.7),
    ]
    assert [found.name for found in in_order(cells, "score")] == ["d", "b", "a", "c"]
    assert [found.name for found in in_order(cells, "recall_paraphrase")] == ["a", "d", "b", "c"]
    slow = [replace(cell("slow", 1.0), seconds=9.0), replace(cell("quick", 0.1), seconds=1.0)]
    assert [found.name for found in in_order(slow, "seconds")] == ["quick", "slow"]


def test_the_page_shows_every_cell_and_names_are_never_markup() -> None:
    cells = (cell("<script>", 0.9), CellResult("b", {}, "failed", "it diverged <here>"))
    html = render_sweep(SweepReport("x", "score", "", cells, Path("p")), {"<script>": [(1, 2.0), (2, 1.0)]})
    assert "<script>" not in html
    for words in (
        "&lt;script&gt;",
        "it diverged &lt;here&gt;",
        "<polyline",
        "0.900",
        "Nothing was published",
    ):
        assert words in html
