"""What waits because whoever should have looked at it could not: messages to be read, facts to be judged.

A message that its extractor could not read stays unread, so that any later reading takes it up again by itself; the
mark here says since when it waits, and why. Reasons are words of ours, never a server's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, func, or_, select
from sqlalchemy.orm import Session

from db import tables
from db.engine import Database
from memory.fact_rows import chunks
from memory.waiting import WAITING

REASONS = {
    "away": "the model did not answer; see that its server runs",
    "refused": "the model's server refused the request; check the key and the model's name",
    "quota": "the account's quota was used up; raise it there, or wait until it is renewed",
    "budget": "the budget was spent; raise it in the settings, or wait for the next day",
    "nonsense": "the model's answers could not be used; another model may do better",
    "cut_off": "the model's answers did not fit its limit of tokens; another model may do better",
    "not_asked": "nobody has been asked yet",
    "no_verdict": "no judge could say whether the messages support them; the next night asks again",
}
MESSAGE, JUDGEMENT = "message", "judgement"


@dataclass(frozen=True, slots=True)
class Waiting:
    """`n` things of one kind (message | judgement) that wait for one reason; `since` is the longest wait's begin."""

    kind: str
    reason: str
    n: int
    since: datetime | None

    @property
    def meaning(self) -> str:
        return REASONS[self.reason]


def mark(session: Session, space_id: str, reasons: Mapping[str, str], now: datetime) -> None:
    """Messages by id with why they wait; who waited already waits since then, for the newer reason."""
    known = {row.episode_id: row for row in _rows(session, reasons)}
    for episode_id, reason in reasons.items():
        if reason not in REASONS:
            raise ValueError(f"{reason} is no reason to wait; give one of {', '.join(REASONS)}")
        if episode_id in known:
            known[episode_id].reason = reason
        else:
            session.add(tables.Pending(episode_id=episode_id, space_id=space_id, reason=reason, since=now))
    session.flush()


def clear(session: Session, episode_ids: Sequence[str]) -> None:
    """These wait no longer; part of the caller's transaction."""
    for part in chunks(episode_ids):
        session.execute(delete(tables.Pending).where(tables.Pending.episode_id.in_(part)))


def _rows(session: Session, episode_ids: Iterable[str]) -> list[tables.Pending]:
    return [
        row
        for part in chunks(list(episode_ids))
        for row in session.scalars(select(tables.Pending).where(tables.Pending.episode_id.in_(part)))
    ]


def list_waiting(database: Database, space_id: str, extractor: str) -> list[Waiting]:
    """What waits, messages first, by reason; `extractor` is the name of the one that reads now."""
    with database.reading() as session:
        return [*_messages(session, space_id, extractor), *_judgements(session, space_id)]


def _messages(session: Session, space_id: str, extractor: str) -> list[Waiting]:
    episode, waits = tables.Episode, tables.Pending
    query = (
        select(waits.reason, func.count(), func.min(waits.since))
        .select_from(episode)
        .outerjoin(waits, waits.episode_id == episode.id)
        .where(
            episode.space_id == space_id,
            episode.origin == "observed",
            episode.kind == "text",
            or_(episode.extracted_by.is_(None), episode.extracted_by != extractor),
        )
        .group_by(waits.reason)
    )
    found = [Waiting(MESSAGE, reason or "not_asked", n, since) for reason, n, since in session.execute(query)]
    return sorted(found, key=lambda item: list(REASONS).index(item.reason))


def _judgements(session: Session, space_id: str) -> list[Waiting]:
    """Facts that a night laid before its judge without getting a verdict; the next night asks again."""
    fact = tables.Fact
    query = select(fact.recorded_at, fact.check_result).where(
        fact.space_id == space_id, fact.state.in_(WAITING), fact.check_result.is_not(None)
    )
    since = [
        recorded_at
        for recorded_at, found in session.execute(query)
        if found
        and found.get("support", {}).get("label") is None
        and found.get("impossible") is None
        and found.get("n_evidence", 0) > 0
    ]
    return [Waiting(JUDGEMENT, "no_verdict", len(since), min(since))] if since else []
