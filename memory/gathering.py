"""Which facts a question needs: those of the people it names, of whom they lead to, and those the search finds.

A question must cost the same in a large store: facts are read by subject, and only of subjects that it can be about.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from db import tables
from db.engine import Database
from memory import fact_rows, fact_views, names
from memory.ports import Clock
from memory.registry import Registry
from memory.search.mentions import Mention
from memory.types import Fact, Hit

MAX_SUBJECTS = 60  # read for one question; nearer ones first
N_FOUND = 5  # subjects of the best facts of the search, where the question names somebody
MAX_OWNERS = 20  # of facts whose object is somebody named
STEPS = 2  # relations followed from a name


def gather(
    database: Database,
    space_id: str,
    registry: Registry,
    mentions: Sequence[Mention],
    hits: Sequence[Hit],
    *,
    as_of: datetime | None,
    known_to: str | None,
    clock: Clock,
) -> list[Fact]:
    """Facts of every status about the subjects that the question can be about, in their order."""
    view = fact_views.Asked(registry, as_of, known_to, None, clock)
    named = list(dict.fromkeys(node for mention in mentions for node in mention.node_ids))
    with database.reading() as session:
        subjects = _subjects(session, space_id, named, hits)
        reading = fact_views.read(session, space_id, view, subjects, None)
    return sorted(reading.facts, key=lambda fact: (names.key(fact.subject), fact.predicate, fact.id))


def _subjects(session: Session, space_id: str, named: Sequence[str], hits: Sequence[Hit]) -> list[str]:
    """Ids, nearest first: the named, who has them as an object, where their relations lead, whom the hits are about."""
    found = dict.fromkeys(named)
    found |= dict.fromkeys(_owners(session, named))
    at: Iterable[str] = named
    for _ in range(STEPS):
        at = [node for node in _objects(session, space_id, list(at)) if node not in found]
        found |= dict.fromkeys(at)
    facts = [hit.id for hit in hits if hit.kind == "fact"]
    found |= dict.fromkeys(_possessed(session, space_id, named))
    found |= dict.fromkeys(subjects_of(session, space_id, facts)[: N_FOUND if named else None])
    return list(found)[:MAX_SUBJECTS]


def _owners(session: Session, nodes: Sequence[str]) -> list[str]:
    """Whose facts have one of these as their object; a node and the facts that point at it are of one space."""
    fact = tables.Fact
    query = select(fact.subject_id).where(fact.object_id.in_(list(nodes))).distinct()
    return list(session.scalars(query.order_by(fact.subject_id).limit(MAX_OWNERS))) if nodes else []


def _objects(session: Session, space_id: str, nodes: Sequence[str]) -> list[str]:
    """Where facts of these lead: nodes that are their objects, and subjects that go by an object's name."""
    if not nodes:
        return []
    fact, node = tables.Fact, tables.Node
    rows = session.execute(
        select(fact.object_id, fact.object)
        .where(fact.space_id == space_id, fact.subject_id.in_(list(nodes)[:MAX_SUBJECTS]))
        .order_by(fact.recorded_at.desc(), fact.id)
        .limit(MAX_SUBJECTS * 20)
    ).all()
    linked = [object_id for object_id, _ in rows if object_id]
    keys = sorted(
        {names.key(said) for object_id, said in rows if not object_id and len(said) <= names.MAX_LENGTH}
    )
    called = [
        node_id
        for chunk in fact_rows.chunks(keys)
        for node_id in session.scalars(
            select(node.id).where(node.space_id == space_id, node.name_key.in_(chunk)).order_by(node.id)
        )
    ]
    return list(dict.fromkeys((*linked, *called)))


def subjects_of(session: Session, space_id: str, ids: Collection[str]) -> list[str]:
    """Whom these facts are about, in their order."""
    if not ids:
        return []
    fact = tables.Fact
    rows = session.execute(
        select(fact.id, fact.subject_id).where(fact.space_id == space_id, fact.id.in_(list(ids)))
    ).all()
    subject = {row[0]: row[1] for row in rows}
    return [subject[fact_id] for fact_id in ids if fact_id in subject]


def _possessed(session: Session, space_id: str, named: Sequence[str]) -> list[str]:
    """Nodes that are only known as somebody's: "Ana's mother"."""
    if not named:
        return []
    node = tables.Node
    keys = list(session.scalars(select(node.name_key).where(node.id.in_(list(named)))))
    found: list[str] = []
    for key in {form for name in keys for form in (name, names.first(name)) if form}:
        begins = f"{key}'s "
        query = select(node.id).where(
            node.space_id == space_id,
            node.kind == "person",
            node.name_key >= begins,
            node.name_key < f"{key}'s!",
        )
        found += session.scalars(query.order_by(node.id).limit(MAX_OWNERS))
    return found
