"""Gold files of a chat folder: facts.json and questions.json as people write them, read with patience.

Keys that are optional may be missing, a list may stand under a key of its own, days come as a year, a month, a day
or a moment, and objects as numbers. What a fact cannot do without is its subject, predicate and object.
"""

from __future__ import annotations

import json
import re
from calendar import monthrange
from collections.abc import Sequence
from datetime import UTC, datetime, time
from pathlib import Path
from typing import Any

from db.engine import Database
from memory import names
from memory.episodes import list_episodes
from memory.facts import add_candidates
from memory.registry import Registry
from memory.types import Change, Episode, FactCandidate

_NODES = ("person", "place", "organisation", "thing")


def read_list(path: Path) -> list[dict[str, Any]]:
    """The rows of a gold file: a list, or an object with one list in it."""
    found = json.loads(path.read_text(encoding="utf-8-sig"))
    if isinstance(found, dict):
        found = next((value for value in found.values() if isinstance(value, list)), [])
    return [row for row in found if isinstance(row, dict)]


def as_moment(words: Any, *, is_end: bool = False) -> datetime | None:
    """A year, month, day or moment as an aware time; its last second with `is_end`. None for null and no date."""
    text = str(words or "").strip()
    match = re.match(r"(\d{4})(?:-(\d{1,2}))?(?:-(\d{1,2}))?(.*)$", text)
    if match is None:
        return None
    if match[4].strip():
        moment = datetime.fromisoformat(text)
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    year, month, day = int(match[1]), match[2], match[3]
    if not is_end:
        return datetime(year, int(month or 1), int(day or 1), tzinfo=UTC)
    last_month = int(month or 12)
    last_day = int(day or monthrange(year, last_month)[1])
    return datetime.combine(datetime(year, last_month, last_day), time(23, 59, 59), UTC)


def load_gold(database: Database, space_id: str, facts: Sequence[dict[str, Any]], registry: Registry) -> None:
    """The gold facts as candidates; a superseding one is an update, a corrected one a correction."""
    episodes = {e.position: e for e in list_episodes(database, space_id, kinds=("text", "media", "deleted"))}
    usable = [fact for fact in facts if said(fact, "subject") and said(fact, "object")]
    kinds = kinds_of(usable, registry)
    candidates = [candidate_of(fact, episodes, kinds, registry) for fact in usable]
    with database.transaction() as session:
        add_candidates(session, space_id, [found for found in candidates if found is not None], registry)


def said(fact: dict[str, Any], key: str) -> str:
    """What stands under the key, as text; nothing where there is none."""
    value = fact.get(key)
    return "" if value is None else str(value).strip()


def kinds_of(facts: Sequence[dict[str, Any]], registry: Registry) -> dict[str, str | None]:
    """What kind of node each value is, where it is one; a subject that is another fact's value is of that kind."""
    return {names.key(said(fact, "object")): _kind(fact, registry) for fact in facts}


def candidate_of(
    fact: dict[str, Any], episodes: dict[int, Episode], kinds: dict[str, str | None], registry: Registry
) -> FactCandidate | None:
    """None for a fact none of whose messages is in the chat; one that names none gets the first from its start on."""
    heard = heard_in(fact, episodes)
    start, end = as_moment(fact.get("valid_from")), as_moment(fact.get("valid_to"))
    if not fact.get("evidence"):
        heard = [e for _, e in sorted(episodes.items()) if start is None or e.time >= start][:1]
    if not heard:
        return None
    if start is not None and end is not None and end <= start:
        end = None  # an event of one day stays true of that day
    return FactCandidate(
        subject=said(fact, "subject"),
        predicate=said(fact, "predicate"),
        object=said(fact, "object"),
        episode_ids=tuple(episode.id for episode in heard),
        asserted_by=said(fact, "speaker") or heard[0].speaker,
        confidence=1.0,
        rule="gold",
        subject_kind=kinds.get(names.key(said(fact, "subject"))) or "person",
        object_kind=_kind(fact, registry),
        valid_from=start,
        valid_to=end,
        change=_change(fact),
        corrects=said(fact, "corrected_from") or None,
    )


def heard_in(row: dict[str, Any], episodes: dict[int, Episode]) -> list[Episode]:
    """The messages that a gold row names, in the row's own order."""
    return [episodes[i] for i in map(_number, row.get("evidence") or ()) if i in episodes]


def _number(value: Any) -> int:
    """The index of a message, also where it was written as text or as an object with one."""
    if isinstance(value, dict):
        value = value.get("message", value.get("index"))
    try:
        return int(value)
    except (TypeError, ValueError):
        return -1


def _change(fact: dict[str, Any]) -> Change:
    if fact.get("corrected_from"):
        return "correct"
    return "update" if fact.get("supersedes") else "state"


def _kind(fact: dict[str, Any], registry: Registry) -> str | None:
    kind = registry.get(said(fact, "predicate")).object
    return kind if kind in _NODES else None
