"""Slots read ahead for many decisions of one transaction, and kept in step with them.

A decision reads its statement, the accepted statements of its slot and when the slot was last decided about. For one
decision that is a handful of queries; for a night's it is most of its time. Within a transaction nobody else writes, so
what was read at its start holds as long as every change is put here as well.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from db import tables
from memory import fact_rows, families
from memory.fact_rows import ACCEPTED, FactRow, chunks

_Key = tuple[str, str]  # subject, slot


class Slots:
    """For one transaction. What was not read ahead is not known here: None tells the caller to look for itself."""

    def __init__(self, session: Session, space_id: str, fact_ids: Sequence[str]) -> None:
        """Read ahead the slots of these facts."""
        self._rows = {row.id: row for row in fact_rows.load(session, space_id, ids=fact_ids)}
        subjects = {row.subject_id for row in self._rows.values()}
        predicates = {name for row in self._rows.values() for name in families.sharing(row.predicate)}
        self._keys = {_key(row) for row in self._rows.values()}
        self._accepted: dict[_Key, dict[str, FactRow]] = defaultdict(dict)
        self._newest: dict[_Key, datetime] = {}
        if self._rows:
            self._read(session, space_id, subjects, predicates)

    def _read(self, session: Session, space_id: str, subjects: set[str], predicates: set[str]) -> None:
        self.put(
            fact_rows.load(session, space_id, subject_ids=subjects, predicates=predicates, states=ACCEPTED)
        )
        for part in chunks(sorted(subjects)):
            decided = (
                select(tables.Fact.subject_id, tables.Fact.predicate, func.max(tables.Decision.decided_at))
                .join(tables.Decision, tables.Decision.fact_id == tables.Fact.id)
                .where(tables.Fact.space_id == space_id, tables.Fact.subject_id.in_(part))
                .where(tables.Fact.predicate.in_(sorted(predicates)))
                .group_by(tables.Fact.subject_id, tables.Fact.predicate)
            )
            for subject_id, predicate, at in session.execute(decided):
                self._note((subject_id, families.slot(predicate)), at)

    def row(self, fact_id: str) -> FactRow | None:
        return self._rows.get(fact_id)

    def accepted(self, row: FactRow) -> list[FactRow] | None:
        """The accepted statements of the row's slot."""
        return list(self._accepted[_key(row)].values()) if _key(row) in self._keys else None

    def newest(self, row: FactRow) -> datetime | None:
        """When the slot was last decided about."""
        return self._newest.get(_key(row))

    def is_known(self, row: FactRow) -> bool:
        return _key(row) in self._keys

    def put(self, rows: Iterable[FactRow]) -> None:
        """Take in statements as they are now."""
        for row in rows:
            if row.id in self._rows:
                self._rows[row.id] = row
            if row.state in ACCEPTED:
                self._accepted[_key(row)][row.id] = row
            else:
                self._accepted[_key(row)].pop(row.id, None)

    def decided(self, row: FactRow, at: datetime) -> None:
        self._note(_key(row), at)

    def _note(self, key: _Key, at: datetime) -> None:
        self._newest[key] = max(at, self._newest.get(key, at))


def _key(row: FactRow) -> _Key:
    return row.subject_id, families.slot(row.predicate)
