"""Stage `report`: gather what the night did and write it as one HTML file; written for a refused night as well."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import select

from consolidation.page import DecisionLine, ExamLine, NightPage, render
from consolidation.readouts import read_readout
from consolidation.runs import get_run, stage_records
from consolidation.stage import NightContext, Progress, StageResult
from db.tables import Decision, ExamAnswer, Example, Fact, Node, Space
from memory import constitutions
from memory.artifacts import record_artifact
from memory.people import list_people
from memory.types import Principle

REPORT_FILE = "report.html"
LOSSES = {
    "loss_answer": "answers",
    "loss_negative": "refusals",
    "loss_style": "real talk",
    "loss_kl": "kept as the base",
}


def run(context: NightContext, progress: Progress) -> StageResult:
    """Repeatable: the file is replaced as a whole, its record added once per content."""
    progress(0, 1)
    page = gather(context)
    content = render(page).encode()
    path = context.run_dir / REPORT_FILE
    half = path.with_suffix(".part")
    half.write_bytes(content)
    half.replace(path)
    relative = path.relative_to(context.home).as_posix()
    with context.database.transaction() as session:
        report_id = record_artifact(
            session,
            context.space_id,
            run_id=context.run_id,
            kind="report",
            path=relative,
            sha256=hashlib.sha256(content).hexdigest(),
            meta={"bytes": len(content)},
            clock=context.clock,
        )
    progress(1, 1)
    return StageResult(
        counts={"decisions": len(page.decisions), "questions": len(page.questions), "bytes": len(content)},
        output={"report": relative, "report_id": report_id},
    )


def gather(context: NightContext) -> NightPage:
    """Everything the page shows, read from the record of the run and its folder."""
    run_row = get_run(context.database, context.run_id)
    records = stage_records(context.database, context.run_id)
    published = records["publish"].output if "publish" in records else {}
    exam = records["exam"].output.get("exam") if "exam" in records else None
    return NightPage(
        run_id=context.run_id,
        space=_space_name(context),
        started=f"{run_row.started_at:%Y-%m-%d %H:%M} UTC",
        status=published.get("status", run_row.status),
        reason=published.get("reason"),
        settings=run_row.settings,
        stages=[(row.name, row.seconds, row.counts) for row in records.values() if row.status == "done"],
        exam=exam or {},
        gate=published.get("gate", ()),
        decisions=_decisions(context),
        questions=_questions(context),
        loss=loss_of(context.run_dir),
        readout=_readout(context, records["readout"].output.get("readout") if "readout" in records else None),
        constitutions=_constitutions(context),
    )


def loss_of(run_dir: Path) -> dict[str, list[tuple[float, float]]]:
    """Loss by step per kind of text from the trainer's metrics; a row that a kill cut short is left out."""
    series: dict[str, dict[float, float]] = {}
    for path in sorted(run_dir.rglob("metrics.jsonl"))[:1]:
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                row = json.loads(line)
            except ValueError:
                continue
            for key, value in row.items():
                if key.startswith("loss_"):
                    series.setdefault(LOSSES.get(key, key), {})[row["step"]] = value
    return {name: sorted(points.items()) for name, points in series.items()}


def _space_name(context: NightContext) -> str:
    with context.database.reading() as session:
        return session.get_one(Space, context.space_id).name


def _decisions(context: NightContext) -> list[DecisionLine]:
    """In the order they were taken."""
    query = (
        select(Decision.kind, Decision.reasons, Node.name, Fact.predicate, Fact.object, Fact.salience)
        .join(Fact, Fact.id == Decision.fact_id)
        .join(Node, Node.id == Fact.subject_id)
        .where(Decision.run_id == context.run_id)
        .order_by(Decision.decided_at, Decision.id)
    )
    with context.database.reading() as session:
        return [
            DecisionLine(
                kind=row.kind,
                statement=f"{row.name} · {row.predicate.replace('_', ' ')} · {row.object}",
                reasons=tuple(map(str, row.reasons)),
                salience=row.salience,
            )
            for row in session.execute(query)
        ]


def _questions(context: NightContext) -> list[ExamLine]:
    examples = select(Example).where(Example.run_id == context.run_id, Example.split == "exam")
    answers = select(ExamAnswer).where(ExamAnswer.run_id == context.run_id)
    given: dict[str, dict[str, tuple[str, bool]]] = {}
    with context.database.reading() as session:
        for row in session.scalars(answers):
            given.setdefault(row.example_id, {})[row.condition] = (row.answer, row.is_right)
        return [
            ExamLine(
                kind=row.kind,
                question=_last_question(row.messages),
                accepted=tuple(map(str, row.accepted)),
                answers=given.get(row.id, {}),
            )
            for row in session.scalars(examples.order_by(Example.kind, Example.id))
        ]


def _last_question(messages: list[Any]) -> str:
    asked = [message["content"] for message in messages if message.get("role") == "user"]
    return str(asked[-1]) if asked else ""


def _readout(context: NightContext, path: str | None) -> dict[str, Any]:
    if path is None:
        return {}
    manifest = read_readout(context.home / path).manifest
    mean = np.mean(manifest.auroc, axis=0)
    by_auroc = sorted(range(len(mean)), key=lambda k: -float(mean[k]))
    cosines = np.mean(manifest.cross_talk, axis=0)[np.ix_(by_auroc, by_auroc)]
    return {
        "layers": manifest.layers,
        "auroc": {manifest.concepts[k]: float(mean[k]) for k in by_auroc},
        "cross_talk": cosines.tolist(),
        "left_out": manifest.left_out,
    }


def _constitutions(context: NightContext) -> list[tuple[str, list[Principle]]]:
    people = [person for person in list_people(context.database, context.space_id) if person.is_speaker]
    found = [
        (person.name, constitutions.current(context.database, context.space_id, person.id))
        for person in people
    ]
    return [(name, principles) for name, principles in found if principles]
