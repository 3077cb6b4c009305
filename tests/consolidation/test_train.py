"""The stage `train` on a tiny model: the child it starts, what it records, how it stops and goes on."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agents.runtime.adapter import Adapter
from consolidation import train
from consolidation.errors import NightStopped, StageFailed
from consolidation.stage import NightContext, NightSettings, TrainSettings, no_progress
from consolidation.trainer.job import JobFolder, read_json
from db.tables import Example
from memory.artifacts import get_artifact

SETTINGS = TrainSettings(
    rank=4, alpha=8, lr=1e-2, steps=40, facts_per_step=4, negatives_per_step=1, kl_per_step=1, dtype="float32"
)


def make_context(chat: Any, base: Path, n_rows: int = 6, **changes: Any) -> NightContext:
    settings = NightSettings(base_model=str(base), train=replace(SETTINGS, **changes))
    context: NightContext = chat.context(settings=settings)
    with context.database.transaction() as session:
        for i in range(n_rows):
            messages = [{"role": "user", "content": f"q{i}?"}, {"role": "assistant", "content": f"a{i}"}]
            session.add(
                Example(
                    space_id=context.space_id,
                    run_id=context.run_id,
                    split="train",
                    kind="fact",
                    messages=messages,
                    accepted=[],
                    meta={},
                )
            )
    return context


def test_the_adapter_is_kept_recorded_and_not_trained_twice(chat: Any, tiny_folder: Path) -> None:
    context = make_context(chat, tiny_folder, steps=3)
    seen: list[tuple[int, int]] = []
    result = train.run(context, lambda done, total, note="": seen.append((done, total)))
    adapter = Adapter.load(context.home / result.output["adapter"])
    recorded = get_artifact(context.database, result.output["adapter_id"])
    assert (recorded.kind, recorded.path, recorded.sha256) == (
        "adapter",
        result.output["adapter"],
        adapter.sha256,
    )
    assert (result.output["steps"], seen[-1]) == (3, (3, 3))
    changed = (context.run_dir / "train" / "result.json").stat().st_mtime_ns
    assert train.run(context, no_progress).output == result.output
    assert (context.run_dir / "train" / "result.json").stat().st_mtime_ns == changed


def test_no_rows_train_nothing(chat: Any, tiny_folder: Path) -> None:
    context = make_context(chat, tiny_folder, n_rows=0)
    assert train.run(context, no_progress).output["adapter"] is None
    assert not (context.run_dir / "train").exists()


def test_a_stopped_stage_leaves_a_checkpoint_and_no_child(chat: Any, tiny_folder: Path) -> None:
    stop = threading.Event()
    context = replace(make_context(chat, tiny_folder, steps=100_000), should_stop=stop.is_set)

    def stop_at_work(done: int, total: int, note: str = "") -> None:
        if done >= 2:
            stop.set()

    with pytest.raises(NightStopped):
        train.run(context, stop_at_work)
    folder = JobFolder(context.run_dir / "train")
    assert folder.checkpoint.is_file()
    assert read_json(folder.result) is None


def test_rows_do_not_depend_on_ids(chat: Any, tiny_folder: Path) -> None:
    one, two = make_context(chat, tiny_folder), make_context(chat, tiny_folder)
    assert train.training_rows(one) == train.training_rows(two)


def test_the_childs_reason_is_the_stages(chat: Any, tiny_folder: Path) -> None:
    context = make_context(chat, tiny_folder, backend="unsloth")
    with pytest.raises(StageFailed, match="unsloth trainer cannot run here"):
        train.run(context, no_progress)
