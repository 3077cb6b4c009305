"""Moving every row that points at one node over to another, with a record from which each is put back.

An effect is one of three: a column of some rows got a new value, a row was added, a row was removed because the
other node has its like. `put_back` touches only what still stands as it was made: what came after is left alone.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import delete, insert, select, update
from sqlalchemy.orm import InstrumentedAttribute, Session

from db import tables
from db.tables import Base

_CHUNK = 500  # ids per statement; SQLite bounds the number of parameters

_TABLES: dict[str, type[Base]] = {
    table.__tablename__: table
    for table in (
        tables.Alias,
        tables.ChatSession,
        tables.Claim,
        tables.Consent,
        tables.Constitution,
        tables.Edge,
        tables.EmotionTag,
        tables.Episode,
        tables.Fact,
        tables.Node,
        tables.Participant,
        tables.PersonaSetting,
        tables.Principle,
    )
}
# what names a row: its id; the conversation, for those who took part in it; the person, for how a persona speaks
_ROW_ID = {"participant": "conversation_id", "persona_setting": "person_id"}
_PLAIN = (
    ("fact", "subject_id"),
    ("fact", "object_id"),
    ("fact", "asserted_by"),
    ("episode", "speaker_id"),
    ("principle", "about_id"),
    ("chat_session", "person_id"),
    ("claim", "person_id"),
    ("claim", "subject_id"),
)
# tables in which a node has a row of one kind only once: the columns that, with the node, must stay unique
_UNIQUE = {
    ("participant", "node_id"): ("conversation_id",),
    ("alias", "node_id"): ("name_key",),
    ("edge", "src_id"): ("dst_id", "kind"),
    ("edge", "dst_id"): ("src_id", "kind"),
    ("emotion_tag", "node_id"): ("episode_id", "concept", "judge"),
}
# where the two must exist for a removed row to come back
_PARENTS: dict[str, tuple[tuple[str, type[Base]], ...]] = {
    "participant": (("conversation_id", tables.Conversation), ("node_id", tables.Node)),
    "alias": (("node_id", tables.Node),),
    "edge": (("src_id", tables.Node), ("dst_id", tables.Node)),
    "emotion_tag": (("node_id", tables.Node),),
}

Effect = dict[str, Any]


class Moves:
    """Changes rows and remembers how they were, in `made`."""

    def __init__(self, session: Session, space_id: str) -> None:
        self.session, self.space_id = session, space_id
        self.made: list[Effect] = []

    def move(self, old: str, new: str) -> None:
        """Point everything at `new` that points at `old`; names, consent and constitutions aside."""
        for table, column in _PLAIN:
            self.set(table, column, self._ids(table, column, old), old, new)
        for (table, column), rest in _UNIQUE.items():
            self._move_unique(table, column, rest, old, new)
        self.set("node", "merged_into", self._ids("node", "merged_into", old), old, new)

    def move_column(self, table: str, column: str, old: str, new: str) -> None:
        self.set(table, column, self._ids(table, column, old), old, new)

    def set(self, table: str, column: str, ids: Sequence[str], old: Any, new: Any) -> None:
        """Give the column of these rows a new value."""
        if ids and old != new:
            _update(self.session, self.space_id, table, column, ids, old, new)
            self.made.append({"table": table, "column": column, "ids": list(ids), "old": old, "new": new})

    def added(self, table: str, row_id: str, *, set_at: datetime | None = None) -> None:
        """Remember a row that the caller has added; it stays when undone if it was set anew since `set_at`."""
        since = {"set_at": set_at.isoformat()} if set_at is not None else {}
        self.made.append({"table": table, "added": row_id} | since)

    def _ids(self, table: str, column: str, node_id: str) -> list[str]:
        kind = _TABLES[table]
        query = select(_key(table)).where(
            _column(kind, "space_id") == self.space_id, _column(kind, column) == node_id
        )
        return sorted(self.session.scalars(query))

    def _move_unique(self, table: str, column: str, rest: tuple[str, ...], old: str, new: str) -> None:
        rows = {node_id: self._rows(table, column, node_id) for node_id in (old, new)}
        taken = {tuple(row[name] for name in rest): row for row in rows[new]}
        ends = ("src_id", "dst_id") if table == "edge" else ()
        moved = []
        for row in rows[old]:
            like = taken.get(tuple(row[name] for name in rest))
            if like is None and new not in (row[end] for end in ends):
                moved.append(_row_id(table, row))
                continue
            effect = {"table": table, "removed": row}
            self.made.append(effect | ({"like": _row_id(table, like)} if like else {}))
            self._remove(table, row)
        self.set(table, column, moved, old, new)

    def _rows(self, table: str, column: str, node_id: str) -> list[dict[str, Any]]:
        kind = _TABLES[table]
        query = select(kind.__table__).where(
            _column(kind, "space_id") == self.space_id, _column(kind, column) == node_id
        )
        return [dict(row._mapping) for row in self.session.execute(query)]

    def _remove(self, table: str, row: Mapping[str, Any]) -> None:
        self.session.execute(delete(_TABLES[table]).where(*_is_row(table, row)))


def put_back(session: Session, space_id: str, effects: Iterable[Effect]) -> None:
    """Take effects back, the last first; a row that was changed or erased since stays as it is."""
    for effect in reversed(list(effects)):
        table = effect["table"]
        if "column" in effect:
            _update(session, space_id, table, effect["column"], effect["ids"], effect["new"], effect["old"])
        elif "added" in effect:
            session.execute(delete(_TABLES[table]).where(*_is_added(effect)))
        elif _can_return(session, table, effect["removed"]):
            session.execute(insert(_TABLES[table]).values(effect["removed"]))
    session.expire_all()


def touched(effects: Iterable[Effect]) -> Iterator[tuple[str, str]]:
    """(table, row) of everything that the effects rest on."""
    for effect in effects:
        table = effect["table"]
        yield from ((table, row_id) for row_id in effect.get("ids", ()))
        yield from ((table, effect[name]) for name in ("added", "like") if name in effect)
        if "removed" in effect:
            yield table, _row_id(table, effect["removed"])


def counts(effects: Iterable[Effect]) -> dict[str, int]:
    """How many rows of each table the effects moved or removed."""
    found: dict[str, set[str]] = {}
    for effect in effects:
        ids = effect.get("ids") or (
            [_row_id(effect["table"], effect["removed"])] if "removed" in effect else ()
        )
        found.setdefault(effect["table"], set()).update(ids)
    return {table: len(rows) for table, rows in found.items() if rows}


def _update(
    session: Session, space_id: str, table: str, column: str, ids: Collection[str], old: Any, new: Any
) -> None:
    kind, wanted = _TABLES[table], sorted(ids)
    for start in range(0, len(wanted), _CHUNK):
        is_meant = _key(table).in_(wanted[start : start + _CHUNK])
        still = _column(kind, column).is_not_distinct_from(old)
        session.execute(
            update(kind)
            .where(_column(kind, "space_id") == space_id, is_meant, still)
            .values({column: new})
            .execution_options(synchronize_session=False)
        )
    session.expire_all()


def _can_return(session: Session, table: str, row: Mapping[str, Any]) -> bool:
    is_there = session.execute(select(_key(table)).where(*_is_row(table, row))).first() is not None
    parents = _PARENTS[table]
    return not is_there and all(session.get(parent, row[column]) is not None for column, parent in parents)


def _is_added(effect: Effect) -> list[Any]:
    table, set_at = effect["table"], effect.get("set_at")
    found = [_key(table) == effect["added"]]
    return found + ([_column(_TABLES[table], "set_at") == datetime.fromisoformat(set_at)] if set_at else [])


def _is_row(table: str, row: Mapping[str, Any]) -> list[Any]:
    kind = _TABLES[table]
    columns = ("conversation_id", "node_id") if table == "participant" else ("id",)
    return [_column(kind, name) == row[name] for name in columns]


def _row_id(table: str, row: Mapping[str, Any]) -> str:
    return str(row[_ROW_ID.get(table, "id")])


def _key(table: str) -> InstrumentedAttribute[Any]:
    return _column(_TABLES[table], _ROW_ID.get(table, "id"))


def _column(kind: type[Base], name: str) -> InstrumentedAttribute[Any]:
    column: InstrumentedAttribute[Any] = getattr(kind, name)
    return column
