"""People and the other named things of the graph: find them, make them once, list them.

A name resolves by its key, then by an alias, then - for people - by a first name that only one person has.
Speakers are kept apart more strictly than people who are only mentioned: two contacts named "Anna" and
"Anna Berg" are two people, while a mentioned "Anna" may turn out to be a speaker called "Anna Berg".
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from db.engine import Database
from db.tables import Alias, Node, Participant
from memory import names
from memory.errors import UnknownPerson
from memory.ports import Clock, Roster, utc_now
from memory.types import Person


def find_person(database: Database, space_id: str, name: str) -> Person:
    """The person of that name, alias or unambiguous first name.

    Raises UnknownPerson with the nearest names; for a first name that several share, with those.
    """
    people = list_people(database, space_id)
    wanted = names.key(name)
    named = [person for person in people if names.key(person.name) == wanted]
    called = [person for person in people if wanted in map(names.key, person.aliases)]
    if named or called:
        return (named or called)[0]
    sharing = [person for person in people if wanted and names.first(person.name) == wanted]
    if len(sharing) == 1:
        return sharing[0]
    if sharing:
        raise UnknownPerson(name, [person.name for person in sharing])
    by_name = {form: person.name for person in people for form in (*person.aliases, person.name)}
    near = names.nearest(name, by_name, n=6)
    raise UnknownPerson(name, list(dict.fromkeys(by_name[form] for form in near))[:3])


def get_person(database: Database, space_id: str, person_id: str) -> Person:
    """The person with that id; raises UnknownPerson."""
    for person in list_people(database, space_id):
        if person.id == person_id:
            return person
    raise UnknownPerson(person_id, ())


def list_people(database: Database, space_id: str) -> list[Person]:
    """Every person: those who speak first, then the others, each by name."""
    with database.reading() as session:
        rows = session.execute(
            select(Node.id, Node.name, Node.is_speaker).where(
                Node.space_id == space_id, Node.kind == "person"
            )
        ).all()
        aliases = session.execute(
            select(Alias.node_id, Alias.name).where(Alias.space_id == space_id).order_by(Alias.name)
        ).all()
    called: dict[str, list[str]] = defaultdict(list)
    for node_id, alias in aliases:
        called[node_id].append(alias)
    people = [Person(node_id, name, tuple(called[node_id]), speaks) for node_id, name, speaks in rows]
    return sorted(people, key=lambda person: (not person.is_speaker, names.key(person.name)))


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


def add_alias(session: Session, space_id: str, node_id: str, name: str) -> None:
    """Let the node go by one more name; a name it already has changes nothing."""
    shown = names.clean(name)
    wanted = names.key(shown)
    known = session.scalar(select(Alias.id).where(Alias.node_id == node_id, Alias.name_key == wanted))
    if shown and known is None and session.get_one(Node, node_id).name_key != wanted:
        session.add(Alias(space_id=space_id, node_id=node_id, name=shown, name_key=wanted))
        session.flush()


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


def _by_key(session: Session, space_id: str, kind: str, wanted: str) -> str | None:
    by_name = select(Node.id).where(Node.space_id == space_id, Node.kind == kind, Node.name_key == wanted)
    by_alias = (
        select(Node.id)
        .join(Alias, Alias.node_id == Node.id)
        .where(Alias.space_id == space_id, Alias.name_key == wanted, Node.kind == kind)
        .order_by(Node.is_speaker.desc(), Node.created_at)
    )
    return session.scalar(by_name) or session.scalars(by_alias).first()


@dataclass(frozen=True, slots=True)
class _Namesake:
    id: str
    name: str
    is_speaker: bool


def _by_first_name(session: Session, space_id: str, name: str, *, is_speaker: bool) -> str | None:
    first = names.first(name)
    if not first:
        return None
    rows = session.execute(
        select(Node.id, Node.name, Node.is_speaker).where(Node.space_id == space_id, Node.kind == "person")
    )
    sharing = [_Namesake(*row) for row in rows if names.first(row[1]) == first]
    if len(sharing) != 1:
        return None
    (other,) = sharing
    if is_speaker and other.is_speaker:
        return None
    if names.is_single(name):
        return other.id
    return _take_over(session, space_id, other, name)


def _take_over(session: Session, space_id: str, other: _Namesake, name: str) -> str | None:
    if not names.is_single(other.name) or other.is_speaker:
        return None
    node = session.get_one(Node, other.id)
    node.name, node.name_key = name, names.key(name)
    session.flush()
    add_alias(session, space_id, other.id, other.name)
    return other.id
