"""What personas said that goes with an erasure: sessions, turns, claims, and replies that restate an erased fact.

A reply restates a fact when it was claimed on it, or when its turn rested on the fact and the reply holds the fact's
value, as it is kept or as it is spoken. It rests on the messages that it quoted. Of a turn that stays, the deliberation
goes where the turn rested on an erased fact or message, or may have been told of one by a digest of what came before.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from db import tables
from memory.erasure.chunks import chunked
from memory.wordings import spoken


def restating(session: Session, fact_ids: Collection[str]) -> set[str]:
    """Episodes in which a persona said one of these facts again."""
    claim, held, turn, said = tables.Claim, tables.TurnFact, tables.ChatTurn, tables.Episode
    found: set[str] = set()
    for part in chunked(claim.fact_id, fact_ids):
        found |= set(session.scalars(select(claim.episode_id).where(part)))
    query = (
        select(said.id, said.text, tables.Fact.object)
        .join(turn, turn.episode_id == said.id)
        .join(held, held.turn_id == turn.id)
        .join(tables.Fact, tables.Fact.id == held.fact_id)
    )
    for part in chunked(held.fact_id, fact_ids):
        rows = session.execute(query.where(part))
        found |= {episode_id for episode_id, text, value in rows if _holds(text, value)}
    return found


def _holds(text: str, value: str) -> bool:
    folded = text.casefold()
    return any(form.casefold() in folded for form in (value, spoken(value)))


def resting(session: Session, space_id: str, episodes: Collection[str]) -> set[str]:
    """Replies of the turns that quoted one of these messages."""
    return {turn.episode_id for turn in _quoting(session, space_id, episodes) if turn.episode_id}


def sessions_that_go(session: Session, nodes: Collection[str], conversations: Collection[str]) -> set[str]:
    """Sessions of these people's personas, and in these conversations."""
    row = tables.ChatSession
    return _ids(session, row.id, ((row.person_id, nodes), (row.conversation_id, conversations)))


def turns_that_go(session: Session, sessions: Collection[str], episodes: Collection[str]) -> set[str]:
    """Turns of these sessions, and those that said these messages."""
    row = tables.ChatTurn
    return _ids(session, row.id, ((row.session_id, sessions), (row.episode_id, episodes)))


def turns_to_blank(
    session: Session,
    space_id: str,
    fact_ids: Collection[str],
    episodes: Collection[str],
    gone: Collection[str],
) -> set[str]:
    """Turns that stay and were thought about with one of these facts or messages, or after a digest that quotes one."""
    held, turn = tables.TurnFact, tables.ChatTurn
    query = select(turn.id).join(held, held.turn_id == turn.id).where(turn.deliberation != "")
    found = {
        turn_id for part in chunked(held.fact_id, fact_ids) for turn_id in session.scalars(query.where(part))
    }
    found |= {turn.id for turn in _quoting(session, space_id, episodes) if turn.deliberation}
    return (found | _after_digests(session, episodes)) - set(gone)


def loosen(
    session: Session,
    space_id: str,
    episodes: Collection[str],
    claims: Collection[str],
    blank: Collection[str],
) -> None:
    """Take what is to go out of the turns and claims that stay. Call it before the rows are deleted."""
    turn, claim = tables.ChatTurn, tables.Claim
    for part in chunked(turn.answers_id, episodes):
        session.execute(update(turn).where(part).values(answers_id=None))
    for part in chunked(turn.id, blank):
        session.execute(update(turn).where(part).values(deliberation=""))
    for row in _quoting(session, space_id, episodes):
        row.rests_on = [one for one in row.rests_on if one not in episodes]
    for part in chunked(claim.earlier_id, claims):
        session.execute(update(claim).where(part).values(earlier_id=None, basis="invented"))
    session.flush()


def _after_digests(session: Session, episodes: Collection[str]) -> set[str]:
    """Turns with a deliberation that may have been told what came before by a digest with one of these lines."""
    line, digest, turn, said = tables.DigestLine, tables.Digest, tables.ChatTurn, tables.Episode
    query = (
        select(turn.id)
        .join(tables.ChatSession, tables.ChatSession.id == turn.session_id)
        .join(digest, digest.conversation_id == tables.ChatSession.conversation_id)
        .join(line, line.digest_id == digest.id)
        .outerjoin(said, said.id == turn.episode_id)
        .where(turn.deliberation != "", said.id.is_(None) | (said.time >= digest.ended_at))
    )
    return {
        turn_id
        for part in chunked(line.episode_id, episodes)
        for turn_id in session.scalars(query.where(part))
    }


def _quoting(session: Session, space_id: str, episodes: Collection[str]) -> list[tables.ChatTurn]:
    """Turns that quoted one of these messages."""
    turn, wanted = tables.ChatTurn, set(episodes)
    rows = session.execute(select(turn.id, turn.rests_on).where(turn.space_id == space_id))
    found = {turn_id for turn_id, quoted in rows if not wanted.isdisjoint(quoted)}
    return [row for part in chunked(turn.id, found) for row in session.scalars(select(turn).where(part))]


def _ids(session: Session, key: Any, wanted: Collection[tuple[Any, Collection[str]]]) -> set[str]:
    return {
        row_id
        for column, ids in wanted
        for part in chunked(column, ids)
        for row_id in session.scalars(select(key).where(part))
    }
