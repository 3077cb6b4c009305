"""Since when a person's weights have seen nothing of what was said, and which of the weights that serve may be worn then.

A style's record says until when its training reached. One that was trained again on everything is measured by the vector
that its gate judged, which is kept for that. A night's knowledge may still rest on what was said later: one that
taught a fact first told in the time that is held out, or whose texts hold a message of it, is left out and named.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import func, select

from consolidation.recipe import Entry, Recipe
from consolidation.windows import Window, time_of_split
from db import tables
from db.engine import Database
from memory.artifacts import list_artifacts

HELD_OUT = 0.2  # share of the replies, the newest, where no style was trained
LEAST_CHARACTERS = 20  # of a message by which a text is known: shorter ones are said by many
_CHUNK = 500  # ids per query; SQLite bounds the number of parameters
_AFTER = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Unseen:
    """`since`: from when on nothing was trained. `worn`: what is put on, None where nothing may be.

    `left_out`: the labels of vectors that have seen of what is held out. `is_as_judged`: a style is worn as its gate judged it,
    since the one that serves was trained on everything.
    """

    since: datetime
    worn: Recipe | None
    left_out: tuple[str, ...] = ()
    is_as_judged: bool = False


def trained_until(database: Database, space_id: str, recipe: Recipe, person_id: str) -> datetime | None:
    """The time of the newest message that the person's style was trained on; None where the recipe has none."""
    styles = {entry.adapter_sha256 for entry in recipe.entries if entry.person == person_id}
    found = [row for row in list_artifacts(database, space_id, kind="adapter") if row.sha256 in styles]
    times = [
        datetime.fromisoformat(row.meta["trained_until"]) for row in found if "trained_until" in row.meta
    ]
    return max(times, default=None)


def as_judged(database: Database, space_id: str, recipe: Recipe) -> Recipe:
    """The recipe with those styles that know everything as their gates knew them, where that is still on record."""
    rows = {row.sha256: row for row in list_artifacts(database, space_id, kind="adapter")}

    def judged(entry: Entry) -> Entry:
        row = rows.get(entry.adapter_sha256)
        twin = rows.get(row.meta.get("judged_as", "")) if row else None
        return replace(entry, adapter_sha256=twin.sha256, path=twin.path) if twin else entry

    return replace(recipe, entries=tuple(map(judged, recipe.entries)))


def unseen(
    database: Database, space_id: str, recipe: Recipe | None, person_id: str, windows: Sequence[Window]
) -> Unseen | None:
    """Of that person, whose replies `windows` are; None where they have too few to hold some out."""
    serving = recipe.for_person(person_id) if recipe else None
    own = as_judged(database, space_id, serving) if serving else None
    until = trained_until(database, space_id, own, person_id) if own else None
    since = until + _AFTER if until else time_of_split(windows, HELD_OUT)
    if since is None:
        return None
    if own is None:
        return Unseen(since, None)
    later = [episode for window in windows if window.at >= since for episode in window.reply]
    said = {episode.text for episode in later if len(episode.text) >= LEAST_CHARACTERS}
    runs = {entry.run_id for entry in own.entries if entry.run_id is not None}
    told = {run_id for run_id in runs if knows_later(database, run_id, since, said)}
    kept = tuple(entry for entry in own.entries if entry.run_id not in told)
    left_out = tuple(entry.label for entry in own.entries if entry.run_id in told)
    return Unseen(since, replace(own, entries=kept) if kept else None, left_out, own != serving)


def knows_later(database: Database, run_id: str, since: datetime, said: Collection[str]) -> bool:
    """Whether that night taught a fact first told at `since` or later, or a text that holds one of these messages."""
    example = tables.Example
    query = select(example.messages, example.fact_id, example.meta).where(
        example.run_id == run_id, example.split == "train"
    )
    facts: set[str] = set()
    with database.reading() as session:
        for messages, fact_id, meta in session.execute(query):
            facts.update(meta.get("facts", ()), {fact_id} - {None})
            text = json.dumps(messages, ensure_ascii=False)
            if any(json.dumps(one, ensure_ascii=False)[1:-1] in text for one in said):
                return True
    return bool(facts) and _is_told_later(database, facts, since)


def _is_told_later(database: Database, facts: Collection[str], since: datetime) -> bool:
    """Whether the first message that one of the facts rests on is of `since` or later."""
    wanted = sorted(facts)
    for start in range(0, len(wanted), _CHUNK):
        query = (
            select(func.min(tables.Episode.time))
            .join(tables.Evidence, tables.Evidence.episode_id == tables.Episode.id)
            .where(tables.Evidence.fact_id.in_(wanted[start : start + _CHUNK]))
            .group_by(tables.Evidence.fact_id)
        )
        with database.reading() as session:
            if any(first >= since for first in session.scalars(query)):
                return True
    return False
