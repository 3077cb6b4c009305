"""Choose the messages that tell most of an old month of talk, and write them down as its digest.

A message tells much that is salient and says much in its words. Each further one has to be unlike those chosen (maximal
marginal relevance: Carbonell and Goldstein, SIGIR 1998, eq. 1). How near a message is to the middle of what was said does
not count: in a chat the middle is small talk (docs/adr/0019; `bench.digests` has the figures). Only observed messages
are read; pasted text that gives orders to machines is never a line.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from agents.errors import AgentError
from agents.pasted import pasted
from consolidation.score import salience_of_messages
from consolidation.stage import NightContext, Progress
from db.engine import Database
from memory import digests
from memory.digests import Stretch
from memory.episodes import get_episodes
from memory.ports import Embedder, FloatMatrix
from memory.search import embeddings, units
from memory.search.words import content_words
from memory.types import Episode

MESSAGES_PER_LINE = 15
FEWEST, MOST = 3, 12  # lines of one digest
SHOWN_PER_LINE = 5  # messages that a language model chooses from
FULL = 4  # content words from which a message can stand alone
WORDY = 0.5  # share of a message's words in how much it tells; the rest is its salience
RELEVANT = 0.7  # share of telling much against being unlike the lines before: lambda of the paper


def write_digests(context: NightContext, progress: Progress) -> dict[str, float]:
    """Make what is due; counts of what was written and dropped. Repeatable: what has not changed is left alone."""
    due = digests.due(context.database, context.space_id)
    for done, stretch in enumerate(due.stretches):
        progress(done, len(due.stretches), "digests")
        found = read(context.database, context.space_id, context.tools.embedder, stretch)
        lines = [found.said[row].id for row in _choose(context, found)]
        with context.database.transaction() as session:
            digests.write(
                session, context.space_id, stretch, lines, run_id=context.run_id, clock=context.clock
            )
    with context.database.transaction() as session:
        digests.drop(session, due.gone)
    return {"digests": len(due.stretches), "digests_dropped": len(due.gone)}


@dataclass(frozen=True, slots=True)
class Read:
    """A stretch as it is chosen from; one row per message."""

    said: Sequence[Episode]
    vectors: FloatMatrix  # (N, D) unit rows
    salience: FloatMatrix  # (N,) in [0, 1]
    n_words: FloatMatrix  # (N,) content words
    able: Sequence[int]  # rows that can stand alone


def read(database: Database, space_id: str, embedder: Embedder, stretch: Stretch) -> Read:
    """The stretch's messages in time order, with the vectors that the search has of them too."""
    said = get_episodes(database, space_id, stretch.episode_ids)
    ids = [episode.id for episode in said]
    with database.reading() as session:
        words = units.said(session, ids)
        known = salience_of_messages(session, space_id, ids)
    orders = pasted(said)
    n_words = [len(content_words(episode.text)) for episode in said]
    texts = {item: words[item].embedded_text for item in ids}
    return Read(
        said,
        embeddings.ensure(database, space_id, embedder, "episode", texts),
        np.array([known.get(item, 0.0) for item in ids], np.float32),
        np.array(n_words, np.float32),
        [row for row, n in enumerate(n_words) if n >= FULL and said[row].id not in orders],
    )


def _choose(context: NightContext, month: Read) -> list[int]:
    """The rows of the lines. A language model, where one is set, picks among the best of our own choice; away or talking
    nonsense, it changes nothing."""
    n_lines, digester = lines_of(len(month.said)), context.tools.digester
    if digester is None:
        return most_telling(month, n_lines)
    shown = sorted(most_telling(month, SHOWN_PER_LINE * n_lines))
    try:
        return [shown[place] for place in digester.pick([month.said[row] for row in shown], n_lines)]
    except AgentError:
        return most_telling(month, n_lines)


def lines_of(n_messages: int) -> int:
    """How many lines a digest of so many messages has."""
    return min(MOST, max(FEWEST, math.ceil(n_messages / MESSAGES_PER_LINE)))


def most_telling(month: Read, n_lines: int) -> list[int]:
    """At most so many rows of those that can stand alone, the one that tells most first; equals by their place."""
    rows = list(month.able)
    if not rows:
        return []
    wordy, weighty = _spread(np.log1p(month.n_words[rows])), _spread(month.salience[rows])
    telling = _spread(WORDY * wordy + (1 - WORDY) * weighty)
    near = month.vectors[rows] @ month.vectors[rows].T
    chosen: list[int] = []
    while len(chosen) < min(n_lines, len(rows)):
        likeness = near[:, chosen].max(axis=1) if chosen else np.zeros(len(rows), np.float32)
        value = RELEVANT * telling - (1 - RELEVANT) * likeness
        value[chosen] = -np.inf
        chosen.append(int(value.argmax()))
    return [rows[place] for place in chosen]


def _spread(values: FloatMatrix) -> FloatMatrix:
    """From 0 for the least to 1 for the greatest; 0 where all are equal."""
    low, high = float(values.min()), float(values.max())
    return (values - low) / (high - low) if high > low else np.zeros_like(values)
