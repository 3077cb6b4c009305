"""Which facts a question needs: those of the people it names, of whom they lead to, and those the search finds.

A question must cost the same in a large store: facts are read by subject, and only of subjects that it can be about.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from functools import lru_cache

from sqlalchemy import Select, bindparam, select
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


@lru_cache(maxsize=1)
def _owning() -> Select[str]:
    """Made once, as all that each question asks: making a query costs more than asking it."""
    fact = tables.Fact
    query = select(fact.subject_id).where(fact.object_id.in_(bindparam("nodes", expanding=True)))
    return query.distinct().order_by(fact.subject_id).limit(MAX_OWNERS)


def _owners(session: Session, nodes: Sequence[str]) -> list[str]:
    """Whose facts have one of these as their object; a node and the facts that point at it are of one space."""
    if not nodes:
        return []
    return list(session.connection().execute(_owning(), {"nodes": list(nodes)}).scalars())


@lru_cache(maxsize=1)
def _named() -> Select[str]:
    node = tables.Node
    is_named = node.name_key.in_(bindparam("keys", expanding=True))
    return select(node.id).where(node.space_id == bindparam("space_id"), is_named).order_by(node.id)


def _objects(session: Session, space_id: str, nodes: Sequence[str]) -> list[str]:
    """Where facts of these lead: nodes that are their objects, and subjects that go by an object's name."""
    if not nodes:
        return []
    rows = fact_views.statements(session, space_id, nodes[:MAX_SUBJECTS])
    rows.sort(key=lambda row: row.id)
    rows.sort(key=lambda row: row.recorded_at, reverse=True)
    newest = rows[: MAX_SUBJECTS * 20]
    linked = [row.object_id for row in newest if row.object_id]
    said = {row.object for row in newest if not row.object_id and len(row.object) <= names.MAX_LENGTH}
    called = [
        node_id
        for chunk in fact_rows.chunks(sorted({names.key(value) for value in said}))
        for node_id in session.connection()
        .execute(_named(), {"space_id": space_id, "keys": list(chunk)})
        .scalars()
    ]
    return list(dict.fromkeys((*linked, *called)))


@lru_cache(maxsize=1)
def _subjects_of() -> Select[str, str]:
    fact = tables.Fact
    is_wanted = fact.id.in_(bindparam("ids", expanding=True))
    return select(fact.id, fact.subject_id).where(fact.space_id == bindparam("space_id"), is_wanted)


def subjects_of(session: Session, space_id: str, ids: Collection[str]) -> list[str]:
    """Whom these facts are about, in their order."""
    if not ids:
        return []
    found = session.connection().execute(_subjects_of(), {"space_id": space_id, "ids": list(ids)})
    subject = {row[0]: row[1] for row in found}
    return [subject[fact_id] for fact_id in ids if fact_id in subject]


@lru_cache(maxsize=1)
def _keys() -> Select[str]:
    return select(tables.Node.name_key).where(tables.Node.id.in_(bindparam("nodes", expanding=True)))


@lru_cache(maxsize=1)
def _between() -> Select[str]:
    node = tables.Node
    query = select(node.id).where(
        node.space_id == bindparam("space_id"),
        node.kind == "person",
        node.name_key >= bindparam("low"),
        node.name_key < bindparam("high"),
    )
    return query.order_by(node.id).limit(MAX_OWNERS)


def _possessed(session: Session, space_id: str, named: Sequence[str]) -> list[str]:
    """Nodes that are only known as somebody's: "Ana's mother"."""
    if not named:
        return []
    connection = session.connection()
    keys = list(connection.execute(_keys(), {"nodes": list(named)}).scalars())
    found: list[str] = []
    for key in {form for name in keys for form in (name, names.first(name)) if form}:
        ends = {"space_id": space_id, "low": f"{key}'s ", "high": f"{key}'s!"}
        found += connection.execute(_between(), ends).scalars()
    return found
