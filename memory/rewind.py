"""The statements as the store stood to them on an earlier day, from the decisions about them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from db import tables
from memory import fact_rows
from memory.decisions import typed
from memory.fact_rows import ACCEPTED, FactRow

_REWOUND = ("state", "superseded_by", "retracted_at")


def rewind(session: Session, space_id: str, rows: Sequence[FactRow], at: datetime) -> list[FactRow]:
    """The rows as the store stood to them at that time; rows recorded later are left out.

    `rows` must hold whole slots: all that is read beside them are the decisions about them.
    """
    effects: dict[str, list[tuple[bool, Mapping[str, Any]]]] = {row.id: [] for row in rows}
    for decision in _about(session, space_id, sorted(effects)):
        is_standing = decision.decided_at <= at and (decision.undone_at is None or decision.undone_at > at)
        for effect in decision.effects:
            if effect["column"] in _REWOUND and effect["fact"] in effects:
                effects[effect["fact"]].append((is_standing, effect))
    return [_rewound(row, effects[row.id]) for row in rows if row.recorded_at <= at]


def _about(session: Session, space_id: str, fact_ids: Sequence[str]) -> list[tables.Decision]:
    found: list[tables.Decision] = []
    for chunk in fact_rows.chunks(fact_ids):
        query = select(tables.Decision).where(
            tables.Decision.space_id == space_id, tables.Decision.fact_id.in_(chunk)
        )
        found += session.scalars(query)
    return sorted(found, key=lambda decision: (decision.decided_at, decision.id))


def _rewound(row: FactRow, effects: Sequence[tuple[bool, Mapping[str, Any]]]) -> FactRow:
    """Replay the standing decisions; a consequence counts only for a statement that was accepted then."""
    values: dict[str, Any] = {column: getattr(row, column) for column in _REWOUND}
    for _, effect in reversed(effects):
        if not effect.get("derived") or effect["column"] != "state":
            values[effect["column"]] = typed(effect["column"], effect["old"])
    for is_standing, effect in effects:
        is_accepted = values["state"] in ACCEPTED
        if is_standing and (is_accepted or not effect.get("derived")):
            values[effect["column"]] = typed(effect["column"], effect["new"])
    return replace(row, valid_to=fact_rows.said_to(row), stated_to=fact_rows.said_to(row), **values)
