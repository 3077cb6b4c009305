"""Decide what becomes of a statement, so that it can be undone.

A decision says of one statement whether the store stands by it; what follows for the others - who ended whom, which
statements are one fact - the timeline says anew each time, and `_Effects.follow` writes that down. Every changed column is
kept with its old value as the decision's effects, and the ledger gets its entry in the same transaction. `undo` puts
back what was decided and lets the timeline say what follows from that.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, func, or_, select
from sqlalchemy.orm import Session

from db import tables
from db.engine import Database
from memory import fact_rows, families, ledger
from memory.errors import CannotDecide, CannotUndo, UnknownDecision, UnknownFact
from memory.fact_rows import ACCEPTED, FactRow
from memory.ports import Clock, utc_now
from memory.registry import Registry
from memory.slots import Slots
from memory.timeline import Resolved, resolve

Explain = Callable[
    [str, tuple[str, ...]], Sequence[str]
]  # (STORE | MERGE | CORRECT, ids of facts) -> reasons

KINDS = ("STORE", "MERGE", "CORRECT", "REJECT", "QUARANTINE")
ACCEPTING = ("STORE", "MERGE", "CORRECT")
_WAITING = ("candidate", "quarantined")
_FITTING = {"REJECT": (*_WAITING, *ACCEPTED), "QUARANTINE": ("candidate", *ACCEPTED)}
_TICK = timedelta(microseconds=1)


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
    is_stated: bool = False,
    is_alone: bool = False,
    instead_of: str | None = None,
    by: str | None = None,
    explain: Explain | None = None,
    slots: Slots | None = None,
    clock: Clock = utc_now,
) -> str:
    """The decision's id. Recorded is what accepting came to: STORE, MERGE into a fact, or CORRECT of others.

    Whichever of the three was asked for, the timeline of the accepted statements decides between them. REJECT of a
    stored fact retracts it with every statement that it is made of; `is_alone` rejects the one statement, and the fact
    stays where others say the same. `is_stated` is for a statement that was made for
    this decision: undone, it is rejected and no candidate. `instead_of` is a waiting statement of the same slot that this
    decision rejects as well. `by` is the id of the person who decided, for the ledger. `explain` is told what accepting
    came to and which facts it touched, and gives reasons to add. `slots` are those read ahead for this transaction.
    Raises UnknownFact, or CannotDecide where the fact's state does not fit.
    """
    if kind not in KINDS:
        raise ValueError(f"{kind} is no decision; one of {', '.join(KINDS)}")
    row = (slots.row(fact_id) if slots else None) or _load_one(session, space_id, fact_id)
    if row.state not in _FITTING.get(kind, _WAITING) or row.retracted_at is not None:
        raise CannotDecide(fact_id, kind, "retracted" if row.retracted_at else row.state)
    if is_stated:
        session.get_one(tables.Fact, fact_id).state = "rejected"
        session.flush()
        row = replace(row, state="rejected")
    at = _next_moment(session, space_id, row, clock, slots)
    effects = _Effects(session, space_id, clock(), slots)
    why = list(reasons)
    if kind in ACCEPTING:
        kind, touched = _accept(effects, row, registry)
        why += explain(kind, touched) if explain else ()
    else:
        _turn_away(effects, row, kind, registry, is_alone=is_alone)
    if instead_of is not None:
        effects.decide(instead_of, state="rejected")
    decision = tables.Decision(
        space_id=space_id,
        run_id=run_id,
        fact_id=fact_id,
        kind=kind,
        reasons=why,
        effects=effects.made,
        decided_at=at,
    )
    session.add(decision)
    session.flush()
    if slots is not None:
        slots.decided(row, at)
    payload = {
        "decision": decision.id,
        "fact": fact_id,
        "kind": kind,
        "run": run_id,
        "n_effects": len(effects.made),
        "sha256": digest(decision),
    } | ({"by": by} if by else {})
    ledger.append(session, space_id, "decision", payload, clock=clock)
    return decision.id


def _next_moment(
    session: Session, space_id: str, row: FactRow, clock: Clock, slots: Slots | None
) -> datetime:
    """Now, or just after the slot's newest decision: decisions about one fact have an order that can be told."""
    if slots is not None and slots.is_known(row):
        newest = slots.newest(row)
    else:
        query = _of_slot(space_id, row.subject_id, row.predicate)
        newest = session.scalar(query.with_only_columns(func.max(tables.Decision.decided_at)))
    return clock() if newest is None else max(clock(), newest + _TICK)


def _of_slot(space_id: str, subject_id: str, predicate: str) -> Select[tables.Decision]:
    """Every decision about a fact of the slot."""
    return (
        select(tables.Decision)
        .join(tables.Fact, tables.Fact.id == tables.Decision.fact_id)
        .where(
            tables.Fact.space_id == space_id,
            tables.Fact.subject_id == subject_id,
            tables.Fact.predicate.in_(families.sharing(predicate)),
        )
    )


def digest(decision: tables.Decision) -> str:
    """What the ledger keeps of the decision's reasons and effects."""
    content = json.dumps([decision.reasons, decision.effects], sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(content.encode()).hexdigest()


def _load_one(session: Session, space_id: str, fact_id: str) -> FactRow:
    found = fact_rows.load(session, space_id, fact_id=fact_id)
    if not found:
        raise UnknownFact(fact_id)
    return found[0]


def _with_accepted(
    session: Session, space_id: str, row: FactRow, registry: Registry, slots: Slots | None = None
) -> tuple[dict[str, FactRow], list[Resolved]]:
    """The slot's accepted statements by id, and how they resolve with the row among them."""
    accepted = slots.accepted(row) if slots else None
    if accepted is None:
        accepted = fact_rows.load_slot(session, space_id, row, ACCEPTED)
    known = {other.id: other for other in accepted if other.id != row.id}
    return known, _resolved(session, space_id, [*known.values(), replace(row, state="candidate")], registry)


def _resolved(
    session: Session, space_id: str, rows: Collection[FactRow], registry: Registry
) -> list[Resolved]:
    zone = fact_rows.timezone(session, space_id)
    return resolve((fact_rows.assertion(row, zone) for row in rows), registry)


def _kind(
    row: FactRow, known: Mapping[str, FactRow], resolved: Sequence[Resolved]
) -> tuple[str, tuple[str, ...]]:
    home = next(run for run in resolved if row.id in run.members)
    if home.id != row.id:
        return "MERGE", (home.id,)
    changed = tuple(
        run.id
        for run in resolved
        if run.superseded_by == row.id
        and run.id in known
        and (
            known[run.id].superseded_by != row.id or (known[run.id].retracted_at is None and run.is_retracted)
        )
    )
    return ("CORRECT" if changed or row.change == "correct" else "STORE"), changed


def _accept(effects: _Effects, row: FactRow, registry: Registry) -> tuple[str, tuple[str, ...]]:
    """What accepting came to, and the facts it touched."""
    known, resolved = _with_accepted(effects.session, effects.space_id, row, registry, effects.slots)
    kind, touched = _kind(row, known, resolved)
    columns: dict[str, Any] = {"state": "stored"}
    if kind == "MERGE":
        columns = {"state": "merged", "superseded_by": touched[0]}
    effects.decide(row.id, **columns)
    effects.settle([*known.values(), replace(row, **columns)], registry)
    return kind, touched


def _turn_away(effects: _Effects, row: FactRow, kind: str, registry: Registry, *, is_alone: bool) -> None:
    if row.state in ACCEPTED and kind == "REJECT" and not is_alone:
        _retract(effects, row, registry)
    else:
        state = "rejected" if kind == "REJECT" else "quarantined"
        effects.decide(row.id, **_as_said(row), state=state)
        if effects.slots is not None:
            effects.slots.put([replace(row, **_as_said(row), state=state)])
    if row.state in ACCEPTED:
        effects.follow(row.subject_id, row.predicate, registry)


def _retract(effects: _Effects, row: FactRow, registry: Registry) -> None:
    """Take back the fact as it is shown: its own words, their restatements, and candidates that say the same."""
    slot = {
        other.id: other
        for other in fact_rows.load_slot(effects.session, effects.space_id, row, fact_rows.LIVE)
    }
    resolved = _resolved(effects.session, effects.space_id, slot.values(), registry)
    home = next(run for run in resolved if row.id in run.members)
    for member in home.members if row.id == home.id else (row.id,):
        if slot[member].state == "candidate":
            effects.decide(member, state="rejected")
        elif not fact_rows.is_retracted(slot[member]):
            keeper = None if member == row.id else row.id
            standing = {"state": "merged" if keeper else "stored", "superseded_by": keeper}
            effects.decide(member, **_as_said(slot[member]) | standing | {"retracted_at": effects.at})


def restate(
    session: Session, space_id: str, subject_id: str, registry: Registry, *, clock: Clock = utc_now
) -> None:
    """Write down anew what follows from the accepted statements about a subject.

    For whoever changed statements other than by a decision: erased one, or joined two subjects.
    """
    query = select(tables.Fact.predicate).where(
        tables.Fact.space_id == space_id, tables.Fact.subject_id == subject_id
    )
    firsts = {families.slot(predicate): predicate for predicate in session.scalars(query.distinct())}
    for predicate in firsts.values():
        _Effects(session, space_id, clock()).follow(subject_id, predicate, registry)


class _Effects:
    """Writes columns and remembers what they held before. What only follows from a decision is marked derived."""

    def __init__(self, session: Session, space_id: str, at: datetime, slots: Slots | None = None) -> None:
        self.session, self.space_id, self.at, self.slots = session, space_id, at, slots
        self.made: list[dict[str, Any]] = []

    def decide(self, fact_id: str, **columns: Any) -> None:
        self._set(fact_id, columns)

    def _set(self, fact_id: str, columns: Mapping[str, Any], *, is_derived: bool = False) -> None:
        fact = self.session.get_one(tables.Fact, fact_id)
        for column, new in columns.items():
            old = getattr(fact, column)
            if old != new:
                setattr(fact, column, new)
                change = {"fact": fact_id, "column": column, "old": _plain(old), "new": _plain(new)}
                self.made.append(change | ({"derived": True} if is_derived else {}))
        self.session.flush()

    def follow(self, subject_id: str, predicate: str, registry: Registry) -> None:
        """Read the slot's accepted statements and settle them."""
        rows = fact_rows.load(
            self.session,
            self.space_id,
            subject_ids=(subject_id,),
            predicates=families.sharing(predicate),
            states=ACCEPTED,
        )
        self.settle(rows, registry)

    def settle(self, accepted: Collection[FactRow], registry: Registry) -> None:
        """Write each run's standing to the statement that carries it, and the others of the run under it."""
        rows = {row.id: row for row in accepted}
        for run in _resolved(self.session, self.space_id, rows.values(), registry):
            for member in run.members:
                row = rows[member]
                if fact_rows.is_retracted(row):
                    continue
                columns = _standing(row, run, self.at)
                if any(getattr(row, column) != value for column, value in columns.items()):
                    self._set(member, columns, is_derived=True)
                    rows[member] = replace(row, **columns)
        if self.slots is not None:
            self.slots.put(rows.values())


def _as_said(row: FactRow | tables.Fact) -> dict[str, Any]:
    """The columns in which others leave their mark, without it."""
    return {
        "valid_to": fact_rows.said_to(row),
        "stated_to": None,
        "is_contested": False,
        "retracted_at": None,
        "superseded_by": None,
    }


def _standing(row: FactRow, run: Resolved, at: datetime) -> dict[str, Any]:
    """The derived columns of one accepted statement of the run."""
    if row.id != run.id:
        return _as_said(row) | {"state": "merged", "superseded_by": run.id}
    said_to = fact_rows.said_to(row)
    is_cut = run.superseded_by is not None
    return {
        "state": "stored",
        "valid_to": run.valid_to if is_cut else said_to,
        "stated_to": said_to if is_cut else None,
        "is_contested": run.is_contested,
        "retracted_at": (row.retracted_at or at) if run.is_retracted else None,
        "superseded_by": run.superseded_by,
    }


def unsettled(session: Session, space_id: str, registry: Registry) -> list[str]:
    """Accepted statements whose row is not what follows from all of them, as `restate` would write it."""
    rows = {row.id: row for row in fact_rows.load(session, space_id, states=ACCEPTED)}
    found = []
    for run in _resolved(session, space_id, rows.values(), registry):
        for member in run.members:
            row = rows[member]
            if fact_rows.is_retracted(row):
                continue
            wanted = _standing(row, run, row.retracted_at or row.recorded_at)
            if any(getattr(row, column) != value for column, value in wanted.items()):
                found.append(member)
    return found


_TIMES = frozenset({"valid_to", "stated_to", "retracted_at"})


def _plain(value: Any) -> Any:
    return value.astimezone(UTC).isoformat() if isinstance(value, datetime) else value


def typed(column: str, value: Any) -> Any:
    """The column's value out of an effect, where it is kept as JSON."""
    return datetime.fromisoformat(value) if column in _TIMES and value is not None else value


def undo(
    database: Database, space_id: str, decision_id: str, registry: Registry, *, clock: Clock = utc_now
) -> None:
    """Put back what was decided; what followed from it goes, what it had superseded comes back as it was said.

    Raises UnknownDecision; or CannotUndo and changes nothing, where a later decision is about the same statement.
    """
    with database.transaction() as session:
        decision = session.get(tables.Decision, decision_id)
        if decision is None or decision.space_id != space_id:
            raise UnknownDecision(decision_id)
        if decision.undone_at is not None:
            raise CannotUndo(decision_id, "it was undone before")
        fact = session.get_one(tables.Fact, decision.fact_id)
        later = _resting_on(session, decision, fact)
        if later is not None:
            raise CannotUndo(decision_id, f"decision {later} rests on it; undo that one first")
        for about in map(partial(session.get_one, tables.Fact), _decided(decision)):
            if about.state in ACCEPTED and not fact_rows.is_retracted(about):
                _assign(about, _as_said(about))
        for effect in reversed(decision.effects):
            _take_back(session, effect)
        session.flush()
        decision.undone_at = clock()
        _Effects(session, space_id, clock()).follow(fact.subject_id, fact.predicate, registry)
        ledger.append(
            session, space_id, "undo", {"decision": decision_id, "fact": decision.fact_id}, clock=clock
        )


def _resting_on(session: Session, decision: tables.Decision, fact: tables.Fact) -> str | None:
    """The newest standing decision, made after this one, about any of the same statements."""
    about = _decided(decision)
    later = (
        _of_slot(decision.space_id, fact.subject_id, fact.predicate)
        .where(tables.Decision.undone_at.is_(None), tables.Decision.decided_at > decision.decided_at)
        .order_by(tables.Decision.decided_at.desc())
    )
    return next((other.id for other in session.scalars(later) if about & _decided(other)), None)


def _decided(decision: tables.Decision) -> set[str]:
    """The statements that the decision is about; the others it only had consequences for."""
    return {decision.fact_id, *(item["fact"] for item in decision.effects if not item.get("derived"))}


def _assign(fact: tables.Fact, columns: Mapping[str, Any]) -> None:
    for column, value in columns.items():
        setattr(fact, column, value)


def _take_back(session: Session, effect: Mapping[str, Any]) -> None:
    """Put the old value back. A consequence that a later decision changed since is left to be settled anew."""
    fact, column = session.get_one(tables.Fact, effect["fact"]), effect["column"]
    if not effect.get("derived") or _plain(getattr(fact, column)) == effect["new"]:
        setattr(fact, column, typed(column, effect["old"]))


def list_decisions(
    database: Database,
    space_id: str,
    *,
    run_id: str | None = None,
    fact_id: str | None = None,
    limit: int | None = None,
    before: str | None = None,
) -> list[DecisionRow]:
    """Decisions in the order they were made, of one run or about one fact where asked; the newest up to `limit`.

    `before`: only those made before that one. Raises UnknownDecision where it is none of the space.
    """
    query = select(tables.Decision).where(tables.Decision.space_id == space_id)
    if run_id is not None:
        query = query.where(tables.Decision.run_id == run_id)
    if fact_id is not None:
        query = query.where(tables.Decision.fact_id == fact_id)
    newest_first = query.order_by(tables.Decision.decided_at.desc(), tables.Decision.id.desc()).limit(limit)
    with database.reading() as session:
        if before is not None:
            newest_first = newest_first.where(_made_before(session, space_id, before))
        return [_read(row) for row in reversed(session.scalars(newest_first).all())]


def _made_before(session: Session, space_id: str, decision_id: str) -> ColumnElement[bool]:
    row = session.get(tables.Decision, decision_id)
    if row is None or row.space_id != space_id:
        raise UnknownDecision(decision_id)
    decided_at, id_ = tables.Decision.decided_at, tables.Decision.id
    return or_(decided_at < row.decided_at, and_(decided_at == row.decided_at, id_ < decision_id))


def decisions_about(
    session: Session, space_id: str, subject_id: str, predicate: str, fact_ids: Collection[str]
) -> list[DecisionRow]:
    """Decisions about any of these statements of one slot, in the order they were made.

    One that was made about another statement and settled one of these with it is among them.
    """
    made = _of_slot(space_id, subject_id, predicate).order_by(tables.Decision.decided_at, tables.Decision.id)
    return [_read(row) for row in session.scalars(made) if not _decided(row).isdisjoint(fact_ids)]


def _read(row: tables.Decision) -> DecisionRow:
    return DecisionRow(
        row.id,
        row.run_id,
        row.fact_id,
        row.kind,
        tuple(row.reasons),
        len(row.effects),
        row.decided_at,
        row.undone_at,
    )
