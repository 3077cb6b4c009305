"""The answers of an exam as a language model grades them, beside the marks that any-of matching gave, and how far the two agree.

Only what has reference values to hold an answer against is graded: the questions of recall. Nothing is written: the
exam's marks stay, and no gate looks at these.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select

from agents.grading import ModelGrader
from agents.grading import is_right as is_graded_right
from consolidation.questions import KINDS, RECALL
from consolidation.stage import Progress, no_progress
from db.engine import Database
from db.tables import ExamAnswer, Example

ALL = "all"


@dataclass(frozen=True, slots=True)
class Marked:
    """One recorded answer with both marks; `judged` None where the model gave none."""

    kind: str
    matched: bool
    judged: bool | None


def judge_exam(
    database: Database,
    run_id: str,
    grader: ModelGrader,
    conditions: Sequence[str],
    progress: Progress = no_progress,
) -> dict[str, Any]:
    """{run, grader, conditions: {condition: {all or a kind: numbers}}}; conditions that were not asked are left out."""
    answers = {condition: _recorded(database, run_id, condition) for condition in conditions}
    done, total = 0, sum(map(len, answers.values()))
    found: dict[str, Any] = {}
    for condition, given in answers.items():
        marks = []
        for kind, question, accepted, answer, is_right in given:
            grade = grader.grade(question, accepted, answer)
            marks.append(Marked(kind, is_right, is_graded_right(grade)))
            done += 1
            progress(done, total, condition)
        if marks:
            kinds = [name for name in KINDS if any(mark.kind == name for mark in marks)]
            by_kind = {name: compared([mark for mark in marks if mark.kind == name]) for name in kinds}
            found[condition] = {ALL: compared(marks), **by_kind}
    return {"run": run_id, "grader": grader.name, "conditions": found}


def compared(marks: Sequence[Marked]) -> dict[str, Any]:
    """`matching`, `judge` and `agreement` are shares of the answers that were graded, None where none was."""
    pairs = Counter((mark.matched, mark.judged) for mark in marks if mark.judged is not None)
    n = pairs.total()
    both, only_matching, only_judge = pairs[True, True], pairs[True, False], pairs[False, True]

    def share(count: int) -> float | None:
        return round(count / n, 4) if n else None

    return {
        "n": n,
        "not_graded": len(marks) - n,
        "matching": share(both + only_matching),
        "judge": share(both + only_judge),
        "agreement": share(both + pairs[False, False]),
        "only_matching": only_matching,
        "only_judge": only_judge,
    }


def _recorded(
    database: Database, run_id: str, condition: str
) -> list[tuple[str, str, tuple[str, ...], str, bool]]:
    """Kind, question, reference values, answer and mark of each; what an erasure took is not among them."""
    query = (
        select(Example.kind, Example.messages, Example.accepted, ExamAnswer.answer, ExamAnswer.is_right)
        .join(ExamAnswer, ExamAnswer.example_id == Example.id)
        .where(
            Example.run_id == run_id,
            Example.split == "exam",
            Example.kind.in_(sorted(RECALL)),
            ExamAnswer.run_id == run_id,
            ExamAnswer.condition == condition,
        )
        .order_by(Example.id)
    )
    with database.reading() as session:
        return [
            (kind, str(messages[0]["content"]), tuple(map(str, accepted)), answer, is_right)
            for kind, messages, accepted, answer, is_right in session.execute(query)
        ]
