"""Many people at once: who of them is known, and nodes for those who are not. For exports with thousands of speakers.

The same people as `memory.people` finds and makes one by one, with a few queries instead of several for each.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from sqlalchemy import func, insert, select, update
from sqlalchemy.orm import Session

from db.tables import Alias, Node, new_ids
from memory import names
from memory.people import get_or_create_node
from memory.ports import Clock

_CHUNK = 500  # values per query; SQLite bounds the number of parameters


def find_people(session: Session, space_id: str, called: Iterable[str]) -> dict[str, str]:
    """By name: the id of the person who goes by exactly that name or alias. Names of nobody are left out."""
    keys = {name: names.key(shown) for name in called if (shown := names.clean(name))}
    found = _by_key(session, space_id, set(keys.values()))
    return {name: found[key] for name, key in keys.items() if key in found}


class Speakers:
    """Everybody who speaks in an export, found or made when they first do."""

    def __init__(self, session: Session, space_id: str, clock: Clock) -> None:
        self._session, self._space_id, self._clock = session, space_id, clock
        self._mentioned: set[str] | None = None  # first names of people who are known and never spoke

    def get_or_create(self, called: Collection[str]) -> dict[str, str]:
        """By name: the id of the person. Whoever may be somebody known by a first name alone is looked at one by one."""
        ids = {
            name: get_or_create_node(self._session, self._space_id, name, is_speaker=True, clock=self._clock)
            for name in called
            if self._may_be_mentioned(name)
        }
        plain = [name for name in called if name not in ids]
        found = find_people(self._session, self._space_id, plain)
        self._now_speak(set(found.values()))
        keys = {name: names.key(names.clean(name)) for name in plain if name not in found}
        made = self._create({key: name for name, key in reversed(keys.items())})
        return ids | found | {name: made[key] for name, key in keys.items()}

    def _may_be_mentioned(self, name: str) -> bool:
        """Whether somebody whom others only mentioned has the same first name: then it may be them."""
        if self._mentioned is None:
            query = select(Node.name).where(
                Node.space_id == self._space_id, Node.kind == "person", Node.is_speaker.is_(False)
            )
            self._mentioned = {names.first(other) for other in self._session.scalars(query)} - {""}
        return names.first(names.clean(name)) in self._mentioned

    def _create(self, new: dict[str, str]) -> dict[str, str]:
        shared = {
            "space_id": self._space_id,
            "kind": "person",
            "is_speaker": True,
            "created_at": self._clock(),
        }
        ids = dict(zip(new, new_ids(len(new)), strict=True))
        rows = [
            shared | {"id": ids[key], "name": names.clean(name), "name_key": key} for key, name in new.items()
        ]
        if rows:
            self._session.connection().execute(insert(Node), rows)
        return ids

    def _now_speak(self, ids: Collection[str]) -> None:
        for part in _parts(sorted(ids)):
            silent = Node.id.in_(part), Node.is_speaker.is_(False)
            self._session.execute(update(Node).where(*silent).values(is_speaker=True))


def _by_key(session: Session, space_id: str, keys: Collection[str]) -> dict[str, str]:
    """By key of a name: who has it as their name, else who has it as an alias, speakers and the oldest first."""
    standing = func.coalesce(Node.merged_into, Node.id)
    found: dict[str, str] = {}
    for part in _parts(sorted(keys)):
        by_alias = (
            select(Alias.name_key, standing)
            .join(Node, Node.id == Alias.node_id)
            .where(Alias.space_id == space_id, Node.kind == "person", Alias.name_key.in_(part))
            .order_by(Node.is_speaker, Node.created_at.desc())
        )
        is_called = Node.space_id == space_id, Node.kind == "person", Node.name_key.in_(part)
        for query in (by_alias, select(Node.name_key, standing).where(*is_called)):  # the later one wins
            for key, node_id in session.execute(query):
                found[key] = node_id
    return found


def _parts(values: list[str]) -> Iterator[list[str]]:
    for start in range(0, len(values), _CHUNK):
        yield values[start : start + _CHUNK]
