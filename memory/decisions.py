"""Decide what becomes of a candidate, so that it can be undone.

`decide` lets the timeline say what accepting the fact does to the others, writes every changed column with its
old value as the decision's effects, and appends to the ledger in the same transaction. `undo` puts the old values
back, byte for byte, and refuses where a later decision rests on the new ones.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from db import tables
from db.engine import Database
from memory import fact_rows, ledger, values
from memory.errors import CannotDecide, CannotUndo, UnknownDecision, UnknownFact
from memory.fact_rows import FactRow, Heard
from memory.ports import Clock, utc_now
from memory.registry import Registry
from memory.timeline import Resolved, resolve

KINDS = ("STORE", "MERGE", "CORRECT", "REJECT", "QUARANTINE")
ACCEPTING = ("STORE", "MERGE", "CORRECT")
_WAITING = ("candidate", "quarantined")
_FITTING = {"REJECT": ("candidate", "quarantined", "stored"), "QUARANTINE": ("candidate", "stored")}


@dataclass(frozen=True, slots=True)
class DecisionRow:
    id: str
    run_id: str | None
    fact_id: str
    kind: str
    reasons: tuple[Any, ...]
    n_effects: int
    decided_at: datetime
    undone_at: datetime | None


def decide(
    session: Session,
    space_id: str,
    fact_id: str,
    kind: str,
    reasons: Sequence[Any],
    registry: Registry,
    *,
    run_id: str | None,
    clock: Clock = utc_now,
) -> str:
    """The decision's id. Recorded is what accepting came to: STORE, MERGE into a fact, or CORRECT of others.

    Whichever of the three was asked for, the timeline of the stored facts decides between them. REJECT of a
    stored fact retracts it. Raises UnknownFact, or CannotDecide where the fact's state does not fit.
    """
    if kind not in KINDS:
        raise ValueError(f"{kind} is no decision; one of {', '.join(KINDS)}")
    at = clock()
    kind, effects = settle(session, space_id, fact_id, kind, registry, at)
    decision = tables.Decision(
        space_id=space_id,
        run_id=run_id,
        fact_id=fact_id,
        kind=kind,
        reasons=list(reasons),
        effects=effects,
        decided_at=at,
    )
    session.add(decision)
    session.flush()
    payload = {
        "decision": decision.id,
        "fact": fact_id,
        "kind": kind,
        "run": run_id,
        "n_effects": len(effects),
        "sha256": digest(decision),
    }
    ledger.append(session, space_id, "decision", payload, clock=clock)
    return decision.id


def settle(
    session: Session, space_id: str, fact_id: str, kind: str, registry: Registry, at: datetime
) -> tuple[str, list[dict[str, Any]]]:
    """Change the facts as the decision asks, without recording it: what it came to, and every change made.

    Raises UnknownFact, or CannotDecide where the fact's state does not fit.
    """
    row = _load_one(session, space_id, fact_id)
    if row.state not in _FITTING.get(kind, _WAITING) or row.retracted_at is not None:
        raise CannotDecide(fact_id, kind, "retracted" if row.retracted_at else row.state)
    effects = _Effects(session, space_id, at)
    if kind in ACCEPTING:
        kind = _accept(effects, row, registry)
    else:
        _turn_away(effects, row, kind, registry)
    return kind, effects.made


def digest(decision: tables.Decision) -> str:
    """What the ledger keeps of the decision's reasons and effects."""
    content = json.dumps([decision.reasons, decision.effects], sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(content.encode()).hexdigest()


def _load_one(session: Session, space_id: str, fact_id: str) -> FactRow:
    found = fact_rows.load(session, space_id, fact_id=fact_id)
    if not found:
        raise UnknownFact(fact_id)
    return found[0]


def fitting_kind(
    session: Session, space_id: str, fact_id: str, registry: Registry
) -> tuple[str, tuple[str, ...]]:
    """What accepting the fact would come to: STORE, MERGE or CORRECT, and the ids of the facts it would touch."""
    row = _load_one(session, space_id, fact_id)
    stored, resolved = _with_stored(session, space_id, row, registry)
    return _kind(row, resolved, {other.id: other for other in stored})


def _with_stored(
    session: Session, space_id: str, row: FactRow, registry: Registry
) -> tuple[list[FactRow], list[Resolved]]:
    """The slot's stored facts, and how they resolve with the row accepted."""
    zone = fact_rows.timezone(session, space_id)
    stored = fact_rows.load_slot(session, space_id, row, ("stored",))
    present = [*(other for other in stored if other.id != row.id), row]
    return stored, resolve((fact_rows.assertion(other, zone) for other in present), registry)


def _kind(
    row: FactRow, resolved: Sequence[Resolved], stored: Mapping[str, FactRow]
) -> tuple[str, tuple[str, ...]]:
    home = next(run for run in resolved if row.id in run.members)
    if home.id != row.id:
        return "MERGE", (home.id,)
    caused = [run for run in resolved if run.superseded_by == row.id and run.id in stored]
    changed = tuple(
        run.id
        for run in caused
        if stored[run.id].superseded_by != row.id
        or (stored[run.id].retracted_at is None and run.is_retracted)
    )
    return ("CORRECT" if changed or row.change == "correct" else "STORE"), changed


def _accept(effects: _Effects, row: FactRow, registry: Registry) -> str:
    stored, resolved = _with_stored(effects.session, effects.space_id, row, registry)
    kind, touched = _kind(row, resolved, {other.id: other for other in stored})
    if kind == "MERGE":
        (home_id,) = touched
        effects.set(row.id, state="rejected", superseded_by=home_id)
        effects.move_evidence(row, home_id)
    else:
        effects.set(row.id, state="stored")
    effects.persist(resolved)
    return kind


def _turn_away(effects: _Effects, row: FactRow, kind: str, registry: Registry) -> None:
    if row.state == "stored" and kind == "REJECT":
        effects.set(row.id, retracted_at=effects.at, superseded_by=None)
    else:
        effects.set(row.id, state="rejected" if kind == "REJECT" else "quarantined")
    if row.state == "stored":
        zone = fact_rows.timezone(effects.session, effects.space_id)
        left = fact_rows.load_slot(effects.session, effects.space_id, row, ("stored",))
        effects.persist(resolve((fact_rows.assertion(other, zone) for other in left), registry))


class _Effects:
    """Writes columns and remembers what they held before."""

    def __init__(self, session: Session, space_id: str, at: datetime) -> None:
        self.session, self.space_id, self.at = session, space_id, at
        self.made: list[dict[str, Any]] = []

    def set(self, fact_id: str, **columns: Any) -> None:
        fact = self.session.get_one(tables.Fact, fact_id)
        for column, new in columns.items():
            old = getattr(fact, column)
            if old != new:
                setattr(fact, column, new)
                self.made.append({"fact": fact_id, "column": column, "old": _plain(old), "new": _plain(new)})
        self.session.flush()

    def move_evidence(self, row: FactRow, target_id: str) -> None:
        for heard in row.evidence:
            self._evidence(row.id, heard.episode_id, "remove")
            if self.session.get(tables.Evidence, (target_id, heard.episode_id)) is None:
                self._evidence(target_id, heard.episode_id, "add")

    def _evidence(self, fact_id: str, episode_id: str, act: str) -> None:
        change_evidence(self.session, self.space_id, fact_id, episode_id, act)
        self.made.append({"fact": fact_id, "evidence": episode_id, "act": act})

    def persist(self, resolved: Sequence[Resolved]) -> None:
        """Write each run's interval, value and standing to the fact that carries it."""
        for run in resolved:
            fact = self.session.get_one(tables.Fact, run.id)
            retracted_at = (fact.retracted_at or self.at) if run.is_retracted else None
            self.set(
                run.id,
                object=run.object,
                object_key=values.normal(run.object),
                object_id=run.object_id,
                valid_from=run.valid_from,
                valid_to=run.valid_to,
                change=run.change,
                confidence=run.confidence,
                is_contested=run.is_contested,
                retracted_at=retracted_at,
                superseded_by=run.superseded_by,
            )


def change_evidence(session: Session, space_id: str, fact_id: str, episode_id: str, act: str) -> None:
    if act == "add":
        session.add(tables.Evidence(fact_id=fact_id, episode_id=episode_id, space_id=space_id))
    else:
        session.delete(session.get_one(tables.Evidence, (fact_id, episode_id)))
    session.flush()


_TIMES = frozenset({"valid_from", "valid_to", "retracted_at"})


def _plain(value: Any) -> Any:
    return value.astimezone(UTC).isoformat() if isinstance(value, datetime) else value


def _typed(column: str, value: Any) -> Any:
    return datetime.fromisoformat(value) if column in _TIMES and value is not None else value


def undo(database: Database, space_id: str, decision_id: str, *, clock: Clock = utc_now) -> None:
    """Put back what the decision changed. Raises UnknownDecision, or CannotUndo and changes nothing."""
    with database.transaction() as session:
        decision = session.get(tables.Decision, decision_id)
        if decision is None or decision.space_id != space_id:
            raise UnknownDecision(decision_id)
        if decision.undone_at is not None:
            raise CannotUndo(decision_id, "it was undone before")
        later = _resting_on(session, decision)
        if later is not None:
            raise CannotUndo(decision_id, f"decision {later} rests on it; undo that one first")
        for effect in reversed(decision.effects):
            if not _take_back(session, space_id, effect):
                raise CannotUndo(decision_id, f"fact {effect['fact']} was changed since")
        decision.undone_at = clock()
        ledger.append(
            session, space_id, "undo", {"decision": decision_id, "fact": decision.fact_id}, clock=clock
        )


def _resting_on(session: Session, decision: tables.Decision) -> str | None:
    """The newest standing decision, made after this one, that changed any of the same facts."""
    changed = {effect["fact"] for effect in decision.effects}
    newest_first = (
        select(tables.LedgerEntry.payload)
        .where(tables.LedgerEntry.space_id == decision.space_id, tables.LedgerEntry.kind == "decision")
        .order_by(tables.LedgerEntry.seq.desc())
    )
    for payload in session.scalars(newest_first):
        if payload["decision"] == decision.id:
            return None
        other = session.get(tables.Decision, payload["decision"])
        if other is None or other.undone_at is not None:
            continue
        if any(effect["fact"] in changed for effect in other.effects):
            return other.id
    return None


def _take_back(session: Session, space_id: str, effect: Mapping[str, Any]) -> bool:
    """Whether the effect still stood as it was made, and is now taken back."""
    if "evidence" in effect:
        key = (effect["fact"], effect["evidence"])
        is_there = session.get(tables.Evidence, key) is not None
        if is_there != (effect["act"] == "add"):
            return False
        change_evidence(session, space_id, *key, act="remove" if effect["act"] == "add" else "add")
        return True
    fact, column = session.get_one(tables.Fact, effect["fact"]), effect["column"]
    if _plain(getattr(fact, column)) != effect["new"]:
        return False
    setattr(fact, column, _typed(column, effect["old"]))
    session.flush()
    return True


def put_back(session: Session, space_id: str, effects: Sequence[Mapping[str, Any]]) -> None:
    """Put back what the effects changed, newest first, whatever became of it since; facts that are gone are
    passed over. Records nothing: for an erasure, which decides anew from there."""
    for effect in reversed(effects):
        fact = session.get(tables.Fact, effect["fact"])
        if fact is None:
            continue
        if "evidence" not in effect:
            setattr(fact, effect["column"], _typed(effect["column"], effect["old"]))
            continue
        key, act = (fact.id, effect["evidence"]), "remove" if effect["act"] == "add" else "add"
        if (session.get(tables.Evidence, key) is None) == (act == "add"):
            change_evidence(session, space_id, *key, act=act)
    session.flush()


def list_decisions(
    database: Database, space_id: str, *, run_id: str | None = None, fact_id: str | None = None
) -> list[DecisionRow]:
    """Decisions in the order they were made; of one run or about one fact where asked."""
    query = select(tables.Decision).where(tables.Decision.space_id == space_id)
    if run_id is not None:
        query = query.where(tables.Decision.run_id == run_id)
    if fact_id is not None:
        query = query.where(tables.Decision.fact_id == fact_id)
    with database.reading() as session:
        rows = session.scalars(query.order_by(tables.Decision.decided_at, tables.Decision.id))
        return [
            DecisionRow(
                row.id,
                row.run_id,
                row.fact_id,
                row.kind,
                tuple(row.reasons),
                len(row.effects),
                row.decided_at,
                row.undone_at,
            )
            for row in rows
        ]


def rewind(session: Session, space_id: str, rows: Sequence[FactRow], at: datetime) -> list[FactRow]:
    """The rows as the store held them at that time: later facts left out, later decisions taken back.

    The ledger gives the order of decisions and undoings.
    """
    known = {row.id: row for row in rows if row.recorded_at <= at}
    heard = {item.episode_id: item for row in rows for item in row.evidence}
    later = session.execute(
        select(tables.LedgerEntry.kind, tables.LedgerEntry.payload)
        .where(
            tables.LedgerEntry.space_id == space_id,
            tables.LedgerEntry.at > at,
            tables.LedgerEntry.kind.in_(("decision", "undo")),
        )
        .order_by(tables.LedgerEntry.seq.desc())
    ).all()
    for kind, payload in later:
        decision = session.get(tables.Decision, payload["decision"])
        effects = decision.effects if decision is not None else []
        for effect in effects if kind == "undo" else reversed(effects):
            row = known.get(effect["fact"])
            if row is not None:
                known[row.id] = _rewound(row, effect, heard, is_undone=kind == "undo")
    return list(known.values())


def _rewound(
    row: FactRow, effect: Mapping[str, Any], heard: Mapping[str, Heard], *, is_undone: bool
) -> FactRow:
    if "evidence" not in effect:
        value = _typed(effect["column"], effect["new" if is_undone else "old"])
        return replace(row, **{effect["column"]: value})
    episode_id = effect["evidence"]
    left = [item for item in row.evidence if item.episode_id != episode_id]
    if (effect["act"] == "add") == is_undone:
        left.append(heard[episode_id])
    return replace(
        row, evidence=tuple(sorted(left, key=lambda item: (item.time, item.position, item.episode_id)))
    )
