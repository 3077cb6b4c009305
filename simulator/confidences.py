"""What a person kept from whom they talk with, which their persona keeps as well.

Kept is what one of the listeners was never told and that is sensitive, or that was said to one other alone. It is not
brought up. Asked for it, a persona tells what is harmless; what is sensitive and was never told is answered as what
nobody knows is, so that the answer gives nothing away. What the weights have learnt is beyond this.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy.orm import Session

from db.engine import Database
from memory.perspective import knows, said_to_one_among, visible_among
from memory.sensitive import kinds, kinds_of_fact
from memory.types import Answer, Episode, Fact


def kept_facts(
    database: Database, space_id: str, listeners: Sequence[str], facts: Sequence[Fact]
) -> frozenset[str]:
    """Ids of those that are not brought up before these people (ids)."""
    if not facts:
        return frozenset()
    evidence = {episode_id for fact in facts for episode_id in fact.evidence}
    with database.reading() as session:
        heard = _heard_by_all(session, space_id, listeners, evidence)
        private = said_to_one_among(session, space_id, evidence - heard)
    untold = [fact for fact in facts if not knows(fact, heard)]
    return frozenset(
        fact.id
        for fact in untold
        if kinds_of_fact(fact) or (fact.evidence and private.issuperset(fact.evidence))
    )


def kept_messages(
    database: Database, space_id: str, listeners: Sequence[str], messages: Sequence[Episode]
) -> frozenset[str]:
    """The same of messages."""
    if not messages:
        return frozenset()
    ids = {message.id for message in messages}
    with database.reading() as session:
        untold = ids - _heard_by_all(session, space_id, listeners, ids)
        private = said_to_one_among(session, space_id, untold)
    return frozenset(
        one.id for one in messages if one.id in untold and (one.id in private or kinds(one.text))
    )


def is_secret(database: Database, space_id: str, listeners: Sequence[str], answer: Answer) -> bool:
    """Whether the answer to a question of theirs is not for them: it rests on something sensitive that one of them was
    never told, or quotes what is kept."""
    if not answer.facts:
        return bool(kept_messages(database, space_id, listeners, answer.evidence[:1]))
    return bool(
        kept_facts(database, space_id, listeners, [fact for fact in answer.facts if kinds_of_fact(fact)])
    )


def _heard_by_all(
    session: Session, space_id: str, listeners: Sequence[str], episode_ids: set[str]
) -> set[str]:
    heard = set(episode_ids)
    for listener in listeners:
        heard &= visible_among(session, space_id, listener, heard)
    return heard
