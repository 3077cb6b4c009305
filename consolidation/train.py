"""Stage `train`: put tonight's curriculum into an adapter, in a child process; then the styles that are due.

The job and its rows are written into the run's folder, the child trains and reports by files, and its adapter moves
to home/adapters. Killed at any instruction, the stage goes on: the child resumes from its checkpoint, a finished child
is not started again, and the same adapter is recorded once. No torch in this process.
"""

from __future__ import annotations

import json
import shutil
import time
from dataclasses import asdict
from typing import Any

from sqlalchemy import select

from agents.runtime.adapter import Adapter
from consolidation import style_night
from consolidation.errors import NightStopped, StageFailed, TrainingFailed, TrainingStopped
from consolidation.primer import recipe_to_extend
from consolidation.recipe import worn_folders
from consolidation.stage import NightContext, Progress, StageResult
from consolidation.style import Standing
from consolidation.trainer.job import JobFolder, Row, TrainJob
from consolidation.training_child import put_job, trained
from consolidation.vectors import Origin, hash_rows
from db.tables import Example
from memory import vector_nodes
from memory.artifacts import record_artifact


def run(context: NightContext, progress: Progress) -> StageResult:
    """Output: adapter (folder relative to home), adapter_id, steps, seconds, final_loss and the child's result; and
    `styles`, a row for each person who agreed (`style_night`).

    Without rows no knowledge is trained and `adapter` is None.
    """
    taught = knowledge(context, progress)
    styles = style_night.train_due(context, progress)
    counts = dict(taught.counts)
    if styles:
        counts["styles"] = sum(one["standing"] == Standing.TRAINED for one in styles)
        counts["style_seconds"] = round(sum(one.get("seconds", 0.0) for one in styles), 1)
    return StageResult(counts, {**taught.output, "styles": styles})


def knowledge(context: NightContext, progress: Progress) -> StageResult:
    """The vector of tonight's facts alone; the output is without `styles`."""
    rows = training_rows(context)
    if not rows:
        return StageResult(counts={"steps": 0}, output={"adapter": None, "adapter_id": None, "steps": 0})
    folder = JobFolder(context.run_dir / "train")
    put_job(folder, _job(context, folder, rows), rows)
    started = time.monotonic()
    try:
        result = trained(folder, progress, context.should_stop)
    except TrainingStopped as error:
        raise NightStopped(context.run_id) from error
    except TrainingFailed as error:
        raise StageFailed("train", str(error)) from error
    path, adapter_id = _keep(context, folder, result)
    counts = {
        "rows": len(rows),
        "steps": result["steps"],
        "seconds": round(time.monotonic() - started, 1),
        "tokens_per_s": round(result["tokens_per_s"], 1),
        "final_loss": round(result["final_loss"], 4),
        "share_learned": round(result["share_learned"], 4),
    }
    output = {**result, "adapter": path, "adapter_id": adapter_id}
    return StageResult(counts=counts, output=output)


def training_rows(context: NightContext) -> list[Row]:
    """Tonight's training examples in an order that depends on what they say, not on ids or time."""
    query = select(Example).where(Example.run_id == context.run_id, Example.split == "train")
    with context.database.reading() as session:
        found = [
            (example.kind, json.dumps(example.messages, sort_keys=True), example.fact_id)
            for example in session.scalars(query)
        ]
    return [
        Row(f"{kind}:{place}", kind, tuple(json.loads(messages)), fact_id)
        for place, (kind, messages, fact_id) in enumerate(sorted(found, key=lambda row: (row[0], row[1])))
    ]


def _job(context: NightContext, folder: JobFolder, rows: list[Row]) -> TrainJob:
    recipe = recipe_to_extend(context)
    return TrainJob(
        base_model=context.settings.base_model,
        cache_dir=str(context.home / "cache"),
        adapters=worn_folders(context.home, recipe.for_person(None), folder.so_far)
        if recipe is not None
        else (),
        settings=context.settings.train,
        seed=context.settings.seed,
        n_facts=len({row.fact_id for row in rows if row.kind not in ("negative", "replay") and row.fact_id}),
        n_answers=sum(row.kind == "fact" for row in rows),
        n_refusals=sum(row.kind == "negative" for row in rows),
        meta=Origin(hash_rows(rows), recipe.sha256 if recipe else None, context.run_id).as_meta("night"),
    )


def _keep(context: NightContext, folder: JobFolder, result: dict[str, Any]) -> tuple[str, str]:
    """Copy the adapter to home/adapters and record it; its path relative to home and its artifact id."""
    adapter = Adapter.load(folder.adapter)
    if adapter.sha256 != result["sha256"]:
        raise StageFailed(
            "train", "the adapter is not the one that was trained; delete the run's train folder"
        )
    path = f"adapters/{adapter.sha256[:12]}"
    if not (context.home / path / "adapter_model.safetensors").is_file():
        adapter.save(context.home / path)
    shutil.rmtree(folder.so_far, ignore_errors=True)  # it holds the weights of other nights
    meta = {
        "base_hash": adapter.base_hash,
        "rank": adapter.rank,
        "steps": result["steps"],
        "settings": asdict(context.settings.train),
    }
    with context.database.transaction() as session:
        people, patterns = vector_nodes.taught_by(session, context.run_id)
        vector_nodes.connect(
            session,
            context.space_id,
            adapter.sha256,
            run_id=context.run_id,
            people=people,
            patterns=patterns,
            clock=context.clock,
        )
        artifact_id = record_artifact(
            session,
            context.space_id,
            run_id=context.run_id,
            kind="adapter",
            path=path,
            sha256=adapter.sha256,
            meta=meta,
            clock=context.clock,
        )
    return path, artifact_id
