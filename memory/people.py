"""People and the other named things of the graph: find them, make them once, list them.

A name resolves by its key, then by an alias, then - for people - by a first name that only one person has.
Speakers are kept apart more strictly than people who are only mentioned: two contacts named "Anna" and
"Anna Berg" are two people, while a mentioned "Anna" may turn out to be a speaker called "Anna Berg".
Somebody who was merged into another (memory.merging) is found under every name they had, as the one who was kept.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, bindparam, func, select
from sqlalchemy.orm import Session

from db.engine import Database
from db.tables import Alias, Node, Participant
from memory import names
from memory.errors import UnknownPerson
from memory.ports import Clock, Roster, utc_now
from memory.types import Person

_CHUNK = 500  # ids per query; SQLite bounds the number of parameters


def find_person(database: Database, space_id: str, name: str) -> Person:
    """The person of that name, alias or unambiguous first name.

    Raises UnknownPerson with the nearest names; for a first name that several share, with those.
    """
    shown = names.clean(name)
    with database.reading() as session:
        found = _by_key(session, space_id, "person", names.key(shown)) if shown else None
        if found is not None:
            return load_people(session, [found])[0]
        first = names.first(shown)
        is_first_name = first and first == names.key(shown)
        sharing = load_people(session, _with_first_name(session, space_id, first) if is_first_name else ())
        if len(sharing) == 1:
            return sharing[0]
        if sharing:
            raise UnknownPerson(shown, sorted(person.name for person in sharing))
        raise UnknownPerson(shown or "that", _nearest(session, space_id, shown))


def get_person(database: Database, space_id: str, person_id: str) -> Person:
    """The person with that id, or who they were merged into; raises UnknownPerson."""
    with database.reading() as session:
        node = session.get(Node, person_id)
        if node is None or node.space_id != space_id or node.kind != "person":
            raise UnknownPerson(person_id, ())
        return load_people(session, [node.merged_into or node.id])[0]


def list_people(database: Database, space_id: str) -> list[Person]:
    """Every person: those who speak first, then the others, each by name."""
    with database.reading() as session:
        rows = session.execute(
            select(Node.id, Node.name, Node.is_speaker).where(
                Node.space_id == space_id, Node.kind == "person", Node.merged_into.is_(None)
            )
        ).all()
        aliases = session.execute(
            select(Alias.node_id, Alias.name).where(Alias.space_id == space_id).order_by(Alias.name)
        ).all()
    people = _people(rows, aliases)
    return sorted(people, key=lambda person: (not person.is_speaker, names.key(person.name), person.id))


def load_people(session: Session, ids: Iterable[str]) -> list[Person]:
    """The people with these ids, in their order; ids of nobody are left out."""
    wanted = list(dict.fromkeys(ids))
    found: dict[str, Person] = {}
    for start in range(0, len(wanted), _CHUNK):
        chunk = wanted[start : start + _CHUNK]
        rows = session.execute(_of_ids(), {"ids": chunk}).all()
        aliases = session.execute(_called(), {"ids": chunk}).all()
        found |= {person.id: person for person in _people(rows, aliases)}
    return [found[person_id] for person_id in wanted if person_id in found]


@lru_cache(maxsize=1)
def _of_ids() -> Select[str, str, bool]:
    """Made once, as the others below: making a query costs more than asking it."""
    is_one = Node.id.in_(bindparam("ids", expanding=True))
    return select(Node.id, Node.name, Node.is_speaker).where(is_one, Node.kind == "person")


@lru_cache(maxsize=1)
def _called() -> Select[str, str]:
    is_one = Alias.node_id.in_(bindparam("ids", expanding=True))
    return select(Alias.node_id, Alias.name).where(is_one).order_by(Alias.name)


def _people(rows: Iterable[tuple[str, str, bool]], aliases: Iterable[tuple[str, str]]) -> list[Person]:
    called: dict[str, list[str]] = defaultdict(list)
    for node_id, alias in aliases:
        called[node_id].append(alias)
    return [Person(node_id, name, tuple(called[node_id]), speaks) for node_id, name, speaks in rows]


def person_json(person: Person) -> dict[str, Any]:
    """The person as other programs get them."""
    return {
        "id": person.id,
        "name": person.name,
        "aliases": list(person.aliases),
        "speaks": person.is_speaker,
    }


def roster(database: Database, space_id: str, conversation_id: str | None = None) -> Roster:
    """Names for an extractor: who speaks (in this conversation, or anywhere), and everybody known with aliases."""
    people = list_people(database, space_id)
    speakers = {person.id for person in people if person.is_speaker}
    if conversation_id is not None:
        with database.reading() as session:
            speakers = set(
                session.scalars(
                    select(Participant.node_id).where(Participant.conversation_id == conversation_id)
                )
            )
    return Roster(
        speakers=tuple(person.name for person in people if person.id in speakers),
        known=tuple(dict.fromkeys(form for person in people for form in (person.name, *person.aliases))),
    )


def get_or_create_node(
    session: Session,
    space_id: str,
    name: str,
    kind: str = "person",
    *,
    is_speaker: bool = False,
    clock: Clock = utc_now,
) -> str:
    """The id of the node that goes by that name, made if there is none.

    The same key or alias never makes two nodes of a kind. A longer name takes over the node of a mentioned
    person known by the first name alone, where nobody else has that first name; the short one stays an alias.
    """
    shown = names.clean(name)
    if not shown:
        raise ValueError("a node needs a name")
    node_id = _by_key(session, space_id, kind, names.key(shown))
    if node_id is None and kind == "person":
        node_id = _by_first_name(session, space_id, shown, is_speaker=is_speaker)
    if node_id is None:
        return _create(session, space_id, shown, kind, is_speaker=is_speaker, clock=clock)
    if is_speaker:
        node = session.get_one(Node, node_id)
        node.is_speaker = True
    return node_id


def find_node(session: Session, space_id: str, name: str, kind: str = "person") -> str | None:
    """The id of the node that has exactly that name or alias; first names and nearness do not count."""
    shown = names.clean(name)
    return _by_key(session, space_id, kind, names.key(shown)) if shown else None


def add_alias(session: Session, space_id: str, node_id: str, name: str) -> None:
    """Let the node go by one more name; a name it already has changes nothing."""
    shown = names.clean(name)
    wanted = names.key(shown)
    known = session.scalar(select(Alias.id).where(Alias.node_id == node_id, Alias.name_key == wanted))
    if shown and known is None and session.get_one(Node, node_id).name_key != wanted:
        session.add(Alias(space_id=space_id, node_id=node_id, name=shown, name_key=wanted))
        session.flush()


def retire_key(node: Node) -> None:
    """Let a merged node's name lead nowhere, so that somebody else can have it."""
    node.name_key = f"{node.name_key} {node.id}"


def _create(session: Session, space_id: str, name: str, kind: str, *, is_speaker: bool, clock: Clock) -> str:
    node = Node(
        space_id=space_id,
        kind=kind,
        name=name,
        name_key=names.key(name),
        is_speaker=is_speaker,
        created_at=clock(),
    )
    session.add(node)
    session.flush()
    return node.id


_STANDING: ColumnElement[str] = func.coalesce(Node.merged_into, Node.id)  # who stands for the node now


def _by_key(session: Session, space_id: str, kind: str, wanted: str) -> str | None:
    asked = {"space_id": space_id, "kind": kind, "wanted": wanted}
    return session.scalar(_of_name(), asked) or session.scalars(_of_alias(), asked).first()


@lru_cache(maxsize=1)
def _of_name() -> Select[str]:
    is_one = Node.kind == bindparam("kind"), Node.name_key == bindparam("wanted")
    return select(_STANDING).where(Node.space_id == bindparam("space_id"), *is_one)


@lru_cache(maxsize=1)
def _of_alias() -> Select[str]:
    is_one = Node.kind == bindparam("kind"), Alias.name_key == bindparam("wanted")
    return (
        select(_STANDING)
        .join(Alias, Alias.node_id == Node.id)
        .where(Alias.space_id == bindparam("space_id"), *is_one)
        .order_by(Node.is_speaker.desc(), Node.created_at)
    )


def _with_first_name(session: Session, space_id: str, first: str) -> list[str]:
    """Ids of the people whom a name with that first name leads to, titles passed over."""
    is_person = and_(Node.space_id == space_id, Node.kind == "person")
    query = select(_STANDING, Node.name)
    if session.get_bind().dialect.name == "sqlite":  # it orders keys by code points: "/" follows " " to "."
        ranges = json.dumps([[form, f"{form}/"] for form in names.first_forms(first)])
        begin = func.json_each(ranges).table_valued("value")
        low, high = (func.json_extract(begin.c.value, f"$[{end}]") for end in (0, 1))
        # outer, so that each range is sought in the index on keys, and not everybody in the ranges
        is_within = and_(is_person, Node.name_key >= low, Node.name_key < high)
        query = query.select_from(begin).outerjoin(Node, is_within)
    else:  # an index on text in a language's order finds no beginnings
        query = query.where(is_person, Node.name_key.contains(first, autoescape=True))
    rows = session.execute(query)
    return list(dict.fromkeys(node_id for node_id, name in rows if name and names.first(name) == first))


def _by_first_name(session: Session, space_id: str, name: str, *, is_speaker: bool) -> str | None:
    first = names.first(name)
    sharing = _with_first_name(session, space_id, first) if first else []
    if len(sharing) != 1:
        return None
    other = session.get_one(Node, sharing[0])
    if is_speaker and other.is_speaker:
        return None
    return other.id if names.is_single(name) else _take_over(session, space_id, other, name)


def _take_over(session: Session, space_id: str, node: Node, name: str) -> str | None:
    if not names.is_single(node.name) or node.is_speaker:
        return None
    shorter = node.name
    node.name, node.name_key = name, names.key(name)
    session.flush()
    add_alias(session, space_id, node.id, shorter)
    return node.id


def _nearest(session: Session, space_id: str, name: str) -> list[str]:
    """Names of the three people whose name or alias is most like this one."""
    called = select(Node.name, Node.id).where(
        Node.space_id == space_id, Node.kind == "person", Node.merged_into.is_(None)
    )
    aliases = (
        select(Alias.name, Node.id)
        .join(Node, Node.id == Alias.node_id)
        .where(Alias.space_id == space_id, Node.kind == "person", Node.merged_into.is_(None))
    )
    forms = {form: node_id for query in (aliases, called) for form, node_id in session.execute(query)}
    near = [forms[form] for form in names.nearest(name, forms, n=6)]
    return [person.name for person in load_people(session, list(dict.fromkeys(near))[:3])]
