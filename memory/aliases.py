"""The names that a person goes by, as somebody sets them: give one, take one back, rename.

A name is one person's alone. What is already somebody else's is refused with what to do: they may be one person
(memory.merging), or need names that tell them apart. First names are shared freely; only whole names count.
"""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from db.engine import Database
from db.tables import Alias, Node
from memory import names
from memory.errors import NameTaken, NoName, NotTheirName
from memory.people import add_alias, find_node, load_people, retire_key
from memory.types import Person


def give_alias(database: Database, space_id: str, person_id: str, name: str) -> Person:
    """The person with one more name. Raises NameTaken where it is somebody's already, theirs included."""
    with database.transaction() as session:
        shown = _free(session, space_id, person_id, name)
        add_alias(session, space_id, person_id, shown)
        return load_people(session, [person_id])[0]


def take_alias(database: Database, space_id: str, person_id: str, name: str) -> Person:
    """The person without that alias. Raises NotTheirName; the name they are shown by stays theirs."""
    with database.transaction() as session:
        node = session.get_one(Node, person_id)
        wanted = names.key(names.clean(name))
        alias = _alias(session, person_id, wanted)
        if alias is None:
            raise NotTheirName(node.name, names.clean(name), is_main=node.name_key == wanted)
        session.delete(alias)
        session.flush()
        return load_people(session, [person_id])[0]


def rename(database: Database, space_id: str, person_id: str, name: str) -> Person:
    """The person under another name; the old one stays as an alias, so that it still leads to them.

    Another spelling of the same name only changes how it is shown. Raises NameTaken.
    """
    with database.transaction() as session:
        node = session.get_one(Node, person_id)
        wanted, before = names.key(names.clean(name)), node.name
        if wanted == node.name_key:
            node.name = names.clean(name)
        else:
            _give_up(session, space_id, person_id, wanted)
            node.name = _free(session, space_id, person_id, name)
            node.name_key = wanted
            session.flush()
            add_alias(session, space_id, person_id, before)
        session.flush()
        return load_people(session, [person_id])[0]


def _free(session: Session, space_id: str, person_id: str, name: str) -> str:
    """The name as it is shown, if nobody has it; raises NoName and NameTaken."""
    shown = names.clean(name)
    if not shown:
        raise NoName
    holder = find_node(session, space_id, shown)
    if holder is not None:
        (owner,) = load_people(session, [holder])
        raise NameTaken(shown, owner.name, is_own=holder == person_id)
    return shown


def _give_up(session: Session, space_id: str, person_id: str, wanted: str) -> None:
    """Free a name that leads to the person already: their alias, or the name of somebody merged into them."""
    alias = _alias(session, person_id, wanted)
    if alias is not None:
        session.delete(alias)
    merged = session.scalar(
        select(Node).where(
            Node.space_id == space_id,
            Node.kind == "person",
            Node.name_key == wanted,
            Node.merged_into == person_id,
        )
    )
    if merged is not None:
        retire_key(merged)
    session.flush()


def _alias(session: Session, person_id: str, wanted: str) -> Alias | None:
    return session.scalar(select(Alias).where(Alias.node_id == person_id, Alias.name_key == wanted))
