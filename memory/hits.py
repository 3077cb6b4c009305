"""What the search found, told: each hit with its text, its time, who said it, and the parts of its score."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from db.engine import Database
from memory import fact_views
from memory.digests import Digest, read_digests
from memory.episodes import get_episodes
from memory.facts import sentence
from memory.gathering import subjects_of
from memory.ports import Clock, utc_now
from memory.registry import Registry
from memory.sensitive import kinds, kinds_of_fact
from memory.types import Episode, Fact, Hit


def describe(
    database: Database,
    space_id: str,
    registry: Registry,
    hits: Sequence[Hit],
    *,
    known_to: str | None = None,
    as_of: datetime | None = None,
    clock: Clock = utc_now,
) -> list[dict[str, Any]]:
    """One object per hit, in their order. Facts are told as that person (an id) could know them by then."""
    ids = [hit.id for hit in hits if hit.kind in ("episode", "session")]
    episodes = {episode.id: episode for episode in get_episodes(database, space_id, ids)}
    facts = _facts(database, space_id, fact_views.Asked(registry, as_of, known_to, None, clock), hits)
    old = {hit.id for hit in hits if hit.kind == "digest"}
    digests = {digest.id: digest for digest in read_digests(database, space_id, old)}
    rows = []
    for hit in hits:
        if hit.kind == "digest":
            found = _digest_json(digests.get(hit.id))
        else:
            found = _fact_json(facts[hit.id]) if hit.id in facts else _episode_json(episodes.get(hit.id))
        if found:
            rows.append({"kind": hit.kind, "id": hit.id, "score": hit.score, **found, "parts": hit.parts})
    return rows


def _facts(database: Database, space_id: str, view: fact_views.Asked, hits: Sequence[Hit]) -> dict[str, Fact]:
    """The fact that each hit's statement is part of, by the hit's id."""
    wanted = [hit.id for hit in hits if hit.kind == "fact"]
    if not wanted:
        return {}
    with database.reading() as session:
        reading = fact_views.read(session, space_id, view, subjects_of(session, space_id, wanted), None)
    by_id = {fact.id: fact for fact in reading.facts}
    owners = {hit_id: reading.owners.get(hit_id, "") for hit_id in wanted}
    return {hit_id: by_id[owner] for hit_id, owner in owners.items() if owner in by_id}


def _fact_json(fact: Fact) -> dict[str, Any]:
    return {
        "text": sentence(fact),
        "time": fact.valid_from.isoformat() if fact.valid_from else None,
        "speaker": fact.asserted_by,
        "status": fact.status,
        "sensitive": list(kinds_of_fact(fact)),
    }


def _digest_json(digest: Digest | None) -> dict[str, Any]:
    if digest is None:
        return {}
    said = "\n".join(f"{line.speaker}: {line.text}" for line in digest.lines)
    times = {"time": digest.began_at.isoformat(), "until": digest.ended_at.isoformat()}
    marks = {"sensitive": list(kinds(said))}
    return {"text": said, **times, "speaker": None, "conversation": digest.conversation, **marks}


def _episode_json(episode: Episode | None) -> dict[str, Any]:
    if episode is None:
        return {}
    return {
        "text": episode.text,
        "time": episode.time.isoformat(),
        "speaker": episode.speaker,
        "sensitive": list(kinds(episode.text)),
    }
