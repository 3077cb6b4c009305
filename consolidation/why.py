"""Why a fact matters as much as it does, and what became of it: the terms of its salience, its check, its decisions.

The story of the fact is `memory.fact_story`'s; here is what the night thought of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from consolidation.stage import SalienceWeights
from db import tables
from db.engine import Database
from memory.decay import Held, decay
from memory.episodes import get_episodes, newest_message
from memory.errors import UnknownFact
from memory.fact_story import FactStory, message_json, story_json, tell
from memory.ports import Clock, utc_now
from memory.registry import Registry
from memory.types import Episode

_ID = re.compile(r"[0-9a-f]{16}")


@dataclass(frozen=True, slots=True)
class Term:
    """One named term of a salience: `value` in [0, 1], its `weight`, and the `share` of the salience that it makes."""

    value: float
    weight: float
    share: float


@dataclass(frozen=True, slots=True)
class Why:
    """`findings` are of the statement that was asked for, the rest is of the fact that it is part of."""

    story: FactStory
    salience: float | None  # None where no night has scored it yet
    terms: dict[str, Term]  # the greatest share first
    retention: float  # what time has left of it, see memory.decay
    findings: dict[str, Any] | None  # what the check found, see consolidation.check.Findings
    quoted: tuple[Episode, ...]  # messages that the findings name beside the fact's own
    undo: str | None  # the newest standing decision about it


def why(
    database: Database,
    space_id: str,
    registry: Registry,
    fact_id: str,
    *,
    weights: SalienceWeights | None = None,
    clock: Clock = utc_now,
) -> Why:
    """`weights` are those of today's settings. Raises UnknownFact."""
    story = tell(database, space_id, registry, fact_id, clock=clock)
    fact = story.fact
    with database.reading() as session:
        asked = session.get(tables.Fact, fact_id)
        if asked is None or asked.space_id != space_id:
            raise UnknownFact(fact_id)
        findings = asked.check_result
        newest = newest_message(session, space_id)
    standing = [row.id for row in story.decisions if row.undone_at is None]
    said = [episode.time for episode in story.evidence]
    held = Held(registry.get(fact.predicate), said, is_pinned=fact.is_pinned)
    return Why(
        story=story,
        salience=fact.salience,
        terms=_terms(fact.salience_terms or {}, fact.salience, weights or SalienceWeights()),
        retention=decay(held, newest or clock()),
        findings=findings,
        quoted=_quoted(database, space_id, findings, set(fact.evidence)),
        undo=standing[-1] if standing else None,
    )


def _terms(values: dict[str, float], salience: float | None, weights: SalienceWeights) -> dict[str, Term]:
    """Shares add up to the salience that was recorded."""
    by_name: dict[str, float] = asdict(weights)
    total = sum(by_name.get(name, 0.0) * value for name, value in values.items())
    scale = (salience or 0.0) / total if total else 0.0
    terms = {
        name: Term(value, by_name.get(name, 0.0), by_name.get(name, 0.0) * value * scale)
        for name, value in values.items()
    }
    return dict(sorted(terms.items(), key=lambda item: -item[1].share))


def _quoted(
    database: Database, space_id: str, findings: dict[str, Any] | None, own: set[str]
) -> tuple[Episode, ...]:
    return tuple(get_episodes(database, space_id, sorted(set(_ids(findings)) - own)))


def _ids(value: Any) -> Iterator[str]:
    """Whatever looks like an id, anywhere in the findings."""
    if isinstance(value, str) and _ID.fullmatch(value):
        yield value
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _ids(item)


def why_json(found: Why) -> dict[str, Any]:
    """The fact's story as other programs get it, with what the night thought of it."""
    return {
        **story_json(found.story),
        "salience": found.salience,
        "terms": {
            name: {"value": term.value, "weight": term.weight, "share": round(term.share, 4)}
            for name, term in found.terms.items()
        },
        "retention": round(found.retention, 4),
        "check": found.findings,
        "quoted": [message_json(episode) for episode in found.quoted],
        "undo": found.undo,
    }
