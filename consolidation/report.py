"""Stage `report`: gather what the night did and write it as one HTML file; written for a refused night as well."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import select

from agents.errors import BaseChanged, BrokenAdapter
from consolidation.errors import NightError, StageFailed
from consolidation.page import DecisionLine, ExamLine, NightPage, render
from consolidation.readout import mean_stability
from consolidation.readout_pictures import cross_talk, layer_curves
from consolidation.readouts import read_readout
from consolidation.recipe import load_recipe
from consolidation.runs import get_run, list_runs, stage_records
from consolidation.slots import is_too_long
from consolidation.stage import NightContext, Progress, StageResult
from consolidation.style_night import FOLDER as STYLE_FOLDER
from consolidation.style_night import SAMPLES
from consolidation.style_page import StyleLine, read_samples
from consolidation.vectors_picture import MOST_SHOWN, Seen, compared
from db.engine import Database
from db.tables import Decision, ExamAnswer, Example, Fact, Node, Space
from memory import constitutions
from memory.artifacts import list_artifacts, record_artifact, servable
from memory.people import list_people
from memory.ports import Clock
from memory.types import Principle
from memory.whole import whole_file

REPORT_FILE = "report.html"
LOSSES = {
    "loss_answer": "answers",
    "loss_negative": "refusals",
    "loss_replay": "earlier nights",
    "loss_style": "real talk",
    "loss_kl": "kept as the base",
    "loss_validation": "wordings held back",
}
SHARES = (
    "recall_paraphrase",
    "recall_earlier_nights",
    "neighbour_intact",
    "unknown_refused",
    "stale_answered",
)
MAX_NIGHTS = 1000  # that the picture of exams looks at


@dataclass(frozen=True, slots=True)
class Night:
    """One night of a space and the home that its folder is in."""

    database: Database
    space_id: str
    home: Path
    run_id: str

    @property
    def folder(self) -> Path:
        return self.home / "runs" / self.run_id


def run(context: NightContext, progress: Progress) -> StageResult:
    """Repeatable: the file is replaced as a whole, its record added once per content."""
    progress(0, 1)
    night = Night(context.database, context.space_id, context.home, context.run_id)
    page = gather(night)
    content = render(page).encode()
    relative, report_id = _write(night, content, context.clock)
    progress(1, 1)
    return StageResult(
        counts={
            "decisions": len(page.decisions),
            "questions": len(page.questions),
            "too_long_to_train": page.n_too_long,
            "bytes": len(content),
        },
        output={"report": relative, "report_id": report_id},
    )


def page_of(night: Night, clock: Clock) -> Path:
    """The night's page; made again from what is on record where its file is gone.

    Raises UnknownRun for a night that the space does not have, StageFailed for one that still runs, TaintedArtifact for
    one whose page held what was erased.
    """
    run_row = get_run(night.database, night.space_id, night.run_id)
    path = night.folder / REPORT_FILE
    if path.is_file():
        return path
    if run_row.status == "running":
        raise StageFailed("report", f"night {night.run_id} is not over; its page is written at its end")
    for found in list_artifacts(night.database, night.space_id, run_id=night.run_id, kind="report"):
        servable(night.database, found.id)
    _write(night, render(gather(night)).encode(), clock)
    return path


def _write(night: Night, content: bytes, clock: Clock) -> tuple[str, str]:
    """Whole or not at all, and recorded: the path relative to home and the artifact's id."""
    path = night.folder / REPORT_FILE
    with whole_file(path) as part:
        part.write_bytes(content)
    relative = path.relative_to(night.home).as_posix()
    with night.database.transaction() as session:
        report_id = record_artifact(
            session,
            night.space_id,
            run_id=night.run_id,
            kind="report",
            path=relative,
            sha256=hashlib.sha256(content).hexdigest(),
            meta={"bytes": len(content)},
            clock=clock,
        )
    return relative, report_id


def gather(night: Night) -> NightPage:
    """Everything the page shows, read from the record of the run and its folder. Raises UnknownRun."""
    run_row = get_run(night.database, night.space_id, night.run_id)
    records = stage_records(night.database, night.run_id)
    published = records["publish"].output if "publish" in records else {}
    examined = records["exam"].output if "exam" in records else {}
    trained = records["train"].output if "train" in records else {}
    curves = curves_of(night.folder / "train")
    return NightPage(
        run_id=night.run_id,
        space=_space_name(night),
        started=f"{run_row.started_at:%Y-%m-%d %H:%M} UTC",
        status=published.get("status", run_row.status),
        reason=published.get("reason", run_row.error),
        settings=run_row.settings,
        stages=[(row.name, row.seconds, row.counts) for row in records.values() if row.status == "done"],
        exam=examined.get("exam") or {},
        before=examined.get("before") or {},
        gate=published.get("gate", ()),
        n_too_long=_n_too_long(night),
        prompts=examined.get("prompts") or {},
        decisions=_decisions(night),
        questions=_questions(night),
        loss=_losses(curves),
        rate=curves.get("lr", ()),
        learnt=curves.get("learned", ()),
        backend=trained.get("backend"),
        backend_reason=trained.get("backend_reason"),
        nights=published_exams(night),
        styles=_styles(night, trained.get("styles") or ()),
        vectors=_vectors(night, records["merge"].output.get("recipe") if "merge" in records else None),
        readout=_readout(night, records["readout"].output if "readout" in records else {}),
        constitutions=_constitutions(night),
    )


def curves_of(folder: Path) -> dict[str, list[tuple[float, float]]]:
    """What the trainer wrote down in its folder, by step: losses by kind of text, `lr`, `learned`. A row that a kill cut
    short is left out."""
    series: dict[str, dict[float, float]] = {}
    path = folder / "metrics.jsonl"
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else ():
        try:
            row = json.loads(line)
        except ValueError:
            continue
        for key, value in row.items():
            if key.startswith("loss_") or key in ("lr", "learned"):
                series.setdefault(key, {})[row["step"]] = value
    return {key: sorted(points.items()) for key, points in series.items()}


def _losses(curves: dict[str, list[tuple[float, float]]]) -> dict[str, list[tuple[float, float]]]:
    return {LOSSES.get(key, key): points for key, points in curves.items() if key.startswith("loss_")}


def _styles(night: Night, told: Sequence[dict[str, Any]]) -> list[StyleLine]:
    """Whom an erasure has taken since is left out."""
    names = {person.id: person.name for person in list_people(night.database, night.space_id)}
    lines = []
    for one in told:
        folder = night.folder / f"{STYLE_FOLDER}{one['person']}"
        if one["person"] in names:
            curves = _losses(curves_of(folder))
            lines.append(StyleLine(names[one["person"]], one, curves, read_samples(folder / SAMPLES)))
    return lines


def published_exams(night: Night) -> dict[str, list[tuple[float, float]]]:
    """Shares that the weights alone reached, by the number of the published night, up to and with this one."""
    until = get_run(night.database, night.space_id, night.run_id).started_at
    runs = [run for run in list_runs(night.database, night.space_id, limit=MAX_NIGHTS) if run.is_published]
    earlier = [run for run in reversed(runs) if run.started_at <= until]
    found: dict[str, list[tuple[float, float]]] = {}
    for place, run_row in enumerate(earlier, 1):
        record = stage_records(night.database, run_row.id).get("exam")
        numbers = (record.output.get("exam") or {}).get("weights", {}) if record else {}
        for name in SHARES:
            if numbers.get(name) is not None:
                found.setdefault(name.replace("_", " "), []).append((place, numbers[name]))
    return found


def _space_name(night: Night) -> str:
    with night.database.reading() as session:
        return session.get_one(Space, night.space_id).name


def _decisions(night: Night) -> list[DecisionLine]:
    """In the order they were taken."""
    query = (
        select(Decision.kind, Decision.reasons, Node.name, Fact.predicate, Fact.object, Fact.salience)
        .join(Fact, Fact.id == Decision.fact_id)
        .join(Node, Node.id == Fact.subject_id)
        .where(Decision.run_id == night.run_id)
        .order_by(Decision.decided_at, Decision.id)
    )
    with night.database.reading() as session:
        return [
            DecisionLine(
                kind=row.kind,
                statement=f"{row.name} · {row.predicate.replace('_', ' ')} · {row.object}",
                reasons=tuple(map(str, row.reasons)),
                salience=row.salience,
            )
            for row in session.execute(query)
        ]


def _n_too_long(night: Night) -> int:
    """Stored facts that hold and that no training text can hold."""
    query = (
        select(Node.name, Fact.object)
        .join(Node, Node.id == Fact.subject_id)
        .where(
            Fact.space_id == night.space_id,
            Fact.state == "stored",
            Fact.origin == "observed",
            Fact.retracted_at.is_(None),
        )
    )
    with night.database.reading() as session:
        return sum(is_too_long(subject, value) for subject, value in session.execute(query))


def _questions(night: Night) -> list[ExamLine]:
    examples = select(Example).where(Example.run_id == night.run_id, Example.split == "exam")
    answers = select(ExamAnswer).where(ExamAnswer.run_id == night.run_id)
    given: dict[str, dict[str, tuple[str, bool]]] = {}
    with night.database.reading() as session:
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


def _vectors(night: Night, path: str | None) -> Seen | None:
    """None where the recipe or one of its vectors is gone, as after an erasure."""
    try:
        return compared(night.home, load_recipe(night.home, path), MOST_SHOWN) if path else None
    except (NightError, BrokenAdapter, BaseChanged):
        return None


def _readout(night: Night, given: dict[str, Any]) -> dict[str, Any]:
    """`given`: what the stage gave for later ones."""
    if given.get("readout") is None:
        return {}
    manifest = read_readout(night.home / given["readout"]).manifest
    mean = np.mean(manifest.auroc, axis=0)
    by_auroc = sorted(range(len(mean)), key=lambda k: -float(mean[k]))
    return {
        "layers": manifest.layers,
        "auroc": {manifest.concepts[k]: float(mean[k]) for k in by_auroc},
        "pictures": [*layer_curves(manifest), *cross_talk(manifest)],
        "left_out": manifest.left_out,
        "stability": mean_stability(manifest),
        "anew": given.get("anew"),
    }


def _constitutions(night: Night) -> list[tuple[str, list[Principle]]]:
    people = [person for person in list_people(night.database, night.space_id) if person.is_speaker]
    found = [
        (person.name, constitutions.current(night.database, night.space_id, person.id)) for person in people
    ]
    return [(name, principles) for name, principles in found if principles]
