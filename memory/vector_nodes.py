"""Task vectors in the graph: a node of kind `vector` for each, with an edge to what it was trained from.

The node's name is the vector's hash; its night is a node of kind `night`, named by its id. The kind of the edge says what is
at its other end: night, person (whom the rows were about), pattern, or constitution (that of the person at the end).
Neither node holds a word of anybody's. They are no way of finding anything: the search does not walk them, and an
erasure keeps nothing for their sake. What is erased takes the vectors that were trained from it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session, aliased

from db.engine import Database
from db.tables import Edge, Example, Fact, Node, new_id
from memory.ports import Clock, utc_now

VECTOR, NIGHT, PERSON, PATTERN, CONSTITUTION = "vector", "night", "person", "pattern", "constitution"
OF_WEIGHTS = (VECTOR, NIGHT)  # kinds of node that stand for what nights made, not for what people said
_AT_THE_END = {PERSON: PERSON, PATTERN: PATTERN, CONSTITUTION: PERSON}  # kind of edge -> kind of node


@dataclass(frozen=True, slots=True)
class TrainedFrom:
    """One edge of a vector. `name` is the night's id where `kind` is night."""

    kind: str  # night | person | pattern | constitution
    node_id: str
    name: str


def connect(
    session: Session,
    space_id: str,
    vector: str,
    *,
    run_id: str | None = None,
    people: Iterable[str] = (),
    patterns: Iterable[str] = (),
    constitutions: Iterable[str] = (),
    clock: Clock = utc_now,
) -> str:
    """The id of the vector's node, which has these edges from now on, beside those it had.

    `vector` is its hash; people, patterns and constitutions are ids of nodes, of a constitution those of its person.
    Repeatable. Raises ValueError for an id that is no such node of the space.
    """
    wanted = [(PERSON, one) for one in people] + [(PATTERN, one) for one in patterns]
    wanted += [(CONSTITUTION, one) for one in constitutions]
    for kind, node_id in wanted:
        node = session.get(Node, node_id)
        if node is None or node.space_id != space_id or node.kind != _AT_THE_END[kind]:
            raise ValueError(f"{node_id} is no {_AT_THE_END[kind]} of this space")
    source = _node(session, space_id, VECTOR, vector, clock)
    if run_id is not None:
        wanted.append((NIGHT, _node(session, space_id, NIGHT, run_id, clock)))
    known = {
        (row.kind, row.dst_id)
        for row in session.execute(select(Edge.kind, Edge.dst_id).where(Edge.src_id == source))
    }
    session.add_all(
        Edge(space_id=space_id, src_id=source, dst_id=target, kind=kind)
        for kind, target in dict.fromkeys(wanted)
        if (kind, target) not in known
    )
    session.flush()
    return source


def taught_by(session: Session, run_id: str) -> tuple[list[str], list[str]]:
    """People whom the night's training rows are about, and the patterns among what they say of them; ids, in order."""
    value = aliased(Node)
    query = (
        select(Fact.subject_id, Node.kind, value.id, value.kind)
        .join(Example, Example.fact_id == Fact.id)
        .join(Node, Node.id == Fact.subject_id)
        .outerjoin(value, value.id == Fact.object_id)
        .where(Example.run_id == run_id, Example.split == "train")
        .distinct()
    )
    rows = session.execute(query).all()
    people = {subject for subject, kind, _, _ in rows if kind == PERSON}
    patterns = {found for _, _, found, kind in rows if found is not None and kind == PATTERN}
    return sorted(people), sorted(patterns)


def trained_from(database: Database, space_id: str, vector: str) -> list[TrainedFrom]:
    """What a vector was trained from, named by its whole hash; in order of kind and name."""
    source, target = aliased(Node), aliased(Node)
    query = (
        select(Edge.kind, target.id, target.name)
        .join(source, source.id == Edge.src_id)
        .join(target, target.id == Edge.dst_id)
        .where(source.space_id == space_id, source.kind == VECTOR, source.name_key == vector)
        .order_by(Edge.kind, target.name, target.id)
    )
    with database.reading() as session:
        return [TrainedFrom(*row) for row in session.execute(query)]


def vectors_of(database: Database, space_id: str, node_id: str) -> list[str]:
    """Hashes of the vectors that were trained from a node, oldest first."""
    query = (
        select(Node.name)
        .join(Edge, Edge.src_id == Node.id)
        .where(Node.space_id == space_id, Node.kind == VECTOR, Edge.dst_id == node_id)
        .order_by(Node.created_at, Node.name)
    )
    with database.reading() as session:
        return list(dict.fromkeys(session.scalars(query)))


def trained_on(session: Session, space_id: str, node_ids: Collection[str]) -> set[str]:
    """Hashes of the vectors with an edge to one of these nodes."""
    query = (
        select(Edge.dst_id, Node.name)
        .join(Node, Node.id == Edge.src_id)
        .where(Node.space_id == space_id, Node.kind == VECTOR)
    )
    return {name for node_id, name in session.execute(query) if node_id in node_ids}


def trained_in(session: Session, space_id: str, run_ids: Collection[str]) -> set[str]:
    """Hashes of the vectors with an edge to one of these nights."""
    query = select(Node.id, Node.name).where(Node.space_id == space_id, Node.kind == NIGHT)
    nights = {node_id for node_id, name in session.execute(query) if name in run_ids}
    return trained_on(session, space_id, nights)


def _node(session: Session, space_id: str, kind: str, name: str, clock: Clock) -> str:
    query = select(Node.id).where(Node.space_id == space_id, Node.kind == kind, Node.name_key == name)
    known = session.scalar(query)
    if known is not None:
        return known
    node = Node(id=new_id(), space_id=space_id, kind=kind, name=name, name_key=name, created_at=clock())
    session.add(node)
    session.flush()
    return node.id
