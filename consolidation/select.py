"""Stage `select`: what this night looks at. Counts only; the stages after it read the same rows themselves."""

from __future__ import annotations

from sqlalchemy import func, or_, select

from consolidation.stage import NightContext, Progress, StageResult
from db.tables import Episode, Fact


def run(context: NightContext, progress: Progress) -> StageResult:
    """Unread episodes, candidates nobody decided, quarantined facts, and stored facts, as they stand now."""
    progress(0, 1)
    by_state = select(Fact.state, func.count().label("n")).where(
        Fact.space_id == context.space_id, Fact.retracted_at.is_(None)
    )
    unread = select(func.count()).where(
        Episode.space_id == context.space_id,
        Episode.origin == "observed",
        Episode.kind == "text",
        or_(Episode.extracted_by.is_(None), Episode.extracted_by != context.tools.extractor.name),
    )
    with context.database.reading() as session:
        states = {row.state: row.n for row in session.execute(by_state.group_by(Fact.state))}
        n_unread = session.scalar(unread) or 0
    counts = {
        "unread": n_unread,
        "candidates": states.get("candidate", 0),
        "quarantined": states.get("quarantined", 0),
        "stored": states.get("stored", 0),
    }
    progress(1, 1)
    return StageResult(counts=dict(counts), output=dict(counts))
