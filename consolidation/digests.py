"""Choose the messages that tell most of an old month of talk, and write them down as its digest.

A message tells much that lies near the middle of what was said, as the centroid of the messages' vectors has it (Radev
et al., "Centroid-based summarization of multiple documents", Information Processing & Management 40, 2004), and that is
salient. Each further one has to be unlike those chosen (maximal marginal relevance: Carbonell and Goldstein, SIGIR
1998, eq. 1). Only observed messages are read; pasted text that gives orders to machines is never a line.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from agents import cues
from consolidation.score import salience_of_messages
from consolidation.stage import NightContext, Progress
from memory import digests
from memory.digests import Stretch
from memory.episodes import get_episodes
from memory.ports import FloatMatrix
from memory.search import embeddings
from memory.search.words import content_words
from memory.types import Episode

MESSAGES_PER_LINE = 15
FEWEST, MOST = 3, 12  # lines of one digest
FULL = 4  # content words from which a message can stand alone
CENTRAL = 0.5  # share of being central in how much a message tells; the rest is its salience
RELEVANT = 0.7  # share of telling much against being unlike the lines before: lambda of the paper


def write_digests(context: NightContext, progress: Progress) -> dict[str, float]:
    """Make what is due; counts of what was written and dropped. Repeatable: what has not changed is left alone."""
    due = digests.due(context.database, context.space_id)
    for done, stretch in enumerate(due.stretches):
        progress(done, len(due.stretches), "digests")
        lines = _choose(context, stretch)
        with context.database.transaction() as session:
            digests.write(
                session, context.space_id, stretch, lines, run_id=context.run_id, clock=context.clock
            )
    with context.database.transaction() as session:
        digests.drop(session, due.gone)
    return {"digests": len(due.stretches), "digests_dropped": len(due.gone)}


def _choose(context: NightContext, stretch: Stretch) -> list[str]:
    """Ids of the stretch's lines."""
    said = get_episodes(context.database, context.space_id, stretch.episode_ids)
    texts = {episode.id: f"{episode.speaker}: {episode.text}" for episode in said}
    vectors = embeddings.ensure(context.database, context.space_id, context.tools.embedder, "episode", texts)
    able = np.array([_can_stand_alone(episode) for episode in said])
    if not able.any():
        return []
    with context.database.reading() as session:
        known = salience_of_messages(session, context.space_id, [episode.id for episode in said])
    salience = np.array([known.get(episode.id, 0.0) for episode in said])
    n_lines = min(MOST, max(FEWEST, math.ceil(len(said) / MESSAGES_PER_LINE)))
    rows = np.flatnonzero(able)
    chosen = most_telling(vectors, salience, rows.tolist(), n_lines)
    return [said[row].id for row in chosen]


def _can_stand_alone(episode: Episode) -> bool:
    return len(content_words(episode.text)) >= FULL and not cues.is_pasted(episode.text)


def most_telling(
    vectors: FloatMatrix,  # (N, D) unit rows: every message of the stretch
    salience: np.ndarray,  # (N,) in [0, 1]
    rows: Sequence[int],  # those that may be chosen
    n_lines: int,
) -> list[int]:
    """At most so many of the rows, the one that tells most first; equals by their place."""
    centre = vectors.mean(axis=0)
    central = vectors[rows] @ centre / max(float(np.linalg.norm(centre)), 1e-9)
    telling = CENTRAL * _spread(central) + (1 - CENTRAL) * _spread(salience[rows])
    near = vectors[rows] @ vectors[rows].T
    chosen: list[int] = []
    while len(chosen) < min(n_lines, len(rows)):
        likeness = near[:, chosen].max(axis=1) if chosen else np.zeros(len(rows))
        value = RELEVANT * telling - (1 - RELEVANT) * likeness
        value[chosen] = -np.inf
        chosen.append(int(value.argmax()))
    return [rows[place] for place in chosen]


def _spread(values: np.ndarray) -> np.ndarray:
    """From 0 for the least to 1 for the greatest; 0 where all are equal."""
    low, high = float(values.min()), float(values.max())
    return (values - low) / (high - low) if high > low else np.zeros(len(values))
