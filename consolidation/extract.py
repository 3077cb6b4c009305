"""Stage `extract`: read the episodes nobody has read yet into candidate facts and emotion tags."""

from __future__ import annotations

from consolidation.stage import NightContext, Progress, StageResult
from memory.reading import read_episodes


def run(context: NightContext, progress: Progress) -> StageResult:
    """Repeatable: an episode is marked read in the transaction that stores what was found in it."""
    report = read_episodes(
        context.database,
        context.space_id,
        context.tools.extractor,
        context.tools.tagger,
        context.tools.registry,
        withhold=context.tools.withhold,
        clock=context.clock,
        progress=progress,
    )
    counts = {
        "episodes": report.n_episodes,
        "candidates": report.n_candidates,
        "emotion_tags": report.n_tags,
        "pending": report.n_pending,
    }
    return StageResult(counts=dict(counts), output={})
