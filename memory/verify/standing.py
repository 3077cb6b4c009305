"""Facts against what was decided, and decisions and pins against the ledger."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from db import tables
from memory import decisions, fact_rows
from memory.registry import Registry
from memory.rewording import LEDGER_KIND, digest
from memory.verify.problems import Problem, several
from memory.verify.rows import RESTORE

CHANGED = "somebody changed it past the program; restore a backup"


def decided(session: Session, space_id: str) -> Iterator[Problem]:
    """Each fact stands as the last standing decision about it left it: accepted or not, taken back or not."""
    before: dict[tuple[str, str], Any] = {}
    after: dict[tuple[str, str], Any] = {}
    query = select(tables.Decision.effects, tables.Decision.undone_at).where(
        tables.Decision.space_id == space_id
    )
    for effects, undone_at in session.execute(
        query.order_by(tables.Decision.decided_at, tables.Decision.id)
    ).yield_per(2000):
        for effect in effects:
            place = effect["fact"], effect.get("column")
            if effect.get("derived") or place[1] not in ("state", "retracted_at"):
                continue
            before.setdefault(place, effect["old"])
            if undone_at is None:
                after[place] = effect["new"]
    fact = tables.Fact
    rows = session.execute(
        select(fact.id, fact.state, fact.retracted_at, fact.superseded_by).where(fact.space_id == space_id)
    ).yield_per(5000)
    wrong = []
    row: Any
    for row in rows:
        state = after.get((row.id, "state"), before.get((row.id, "state"), "candidate"))
        taken_back = after.get((row.id, "retracted_at"), before.get((row.id, "retracted_at")))
        if _standing(row.state) != _standing(state):
            wrong.append(f"fact {row.id} is {row.state}, and was decided to be {state}")
        elif fact_rows.is_retracted(row) != (taken_back is not None) and row.state != "rejected":
            wrong.append(f"fact {row.id} was {'not ' if taken_back is None else ''}taken back by a decision")
    yield from several("decisions", wrong, CHANGED)


def _standing(state: str) -> str:
    return "stored" if state in fact_rows.ACCEPTED else state


def settled(session: Session, space_id: str, registry: Registry) -> Iterator[Problem]:
    """Intervals, merges and contests are what follows from what is accepted."""
    yield from several(
        "timeline",
        (
            f"fact {fact_id} is not as the timeline has it"
            for fact_id in decisions.unsettled(session, space_id, registry)
        ),
        CHANGED,
    )


def recorded(session: Session, space_id: str) -> Iterator[Problem]:
    """Each decision is in the ledger as it is in its table; one that is gone was erased."""
    entry = tables.LedgerEntry
    rows = session.execute(
        select(entry.seq, entry.kind, entry.payload)
        .where(entry.space_id == space_id, entry.kind.in_(("decision", "undo", "erasure")))
        .order_by(entry.seq)
    ).yield_per(2000)
    hashes: dict[str, str] = {}
    undone: set[str] = set()
    for _, kind, payload in rows:
        if kind == "decision":
            hashes[payload["decision"]] = payload["sha256"]
        elif kind == "undo":
            undone.add(payload["decision"])
        elif payload["state"] == "begun":
            for decision_id in payload["decisions"]["gone"]:
                hashes.pop(decision_id, None)
            hashes.update(dict(payload["decisions"]["again"]))
    wrong = []
    decision = tables.Decision
    for row in session.scalars(select(decision).where(decision.space_id == space_id)).yield_per(2000):
        known = hashes.pop(row.id, None)
        if known is None:
            wrong.append(f"decision {row.id} is not in the ledger")
        elif known != decisions.digest(row):
            wrong.append(f"decision {row.id} is not what the ledger recorded")
        elif (row.undone_at is not None) != (row.id in undone):
            wrong.append(f"decision {row.id} was undone in one place and not in the other")
    wrong += [f"decision {decision_id} of the ledger is not there" for decision_id in sorted(hashes)]
    yield from several("ledger", wrong, RESTORE)


def reworded(session: Session, space_id: str) -> Iterator[Problem]:
    """What messages were before is as the ledger recorded it, unless an erasure took something out of it since."""
    entry, version = tables.LedgerEntry, tables.EpisodeVersion
    told = select(entry.kind, entry.at, entry.payload).where(
        entry.space_id == space_id, entry.kind.in_((LEDGER_KIND, "erasure"))
    )
    hashes: set[str] = set()
    erased_at = None
    for kind, at, payload in session.execute(told.order_by(entry.seq)):
        if kind == LEDGER_KIND:
            hashes.update(sha256 for _, sha256 in (*payload["edited"], *payload["deleted"]))
        else:
            erased_at = at
    rows = session.scalars(select(version).where(version.space_id == space_id)).yield_per(2000)
    wrong = [
        f"a former version of message {row.episode_id} is not what the ledger recorded"
        for row in rows
        if digest(row) not in hashes and (erased_at is None or row.replaced_at > erased_at)
    ]
    yield from several("ledger", wrong, RESTORE)


def pinned(session: Session, space_id: str) -> Iterator[Problem]:
    """Each statement that carries a pin got it by an entry of the ledger, and none that lost it carries one."""
    entry, fact = tables.LedgerEntry, tables.Fact
    acts = select(entry.kind, entry.payload).where(
        entry.space_id == space_id, entry.kind.in_(("pin", "unpin"))
    )
    told: set[str] = set()
    for kind, payload in session.execute(acts.order_by(entry.seq)):
        if kind == "pin":
            told.update(payload["statements"])
        else:
            told.difference_update(payload["statements"])
    carrying = set(
        session.scalars(select(fact.id).where(fact.space_id == space_id, fact.pinned_at.is_not(None)))
    )
    lost = {
        fact_id
        for chunk in fact_rows.chunks(sorted(told - carrying))
        for fact_id in session.scalars(select(fact.id).where(fact.id.in_(chunk)))
    }  # what is not there was erased
    wrong = [
        f"fact {fact_id} is pinned, and the ledger does not say so" for fact_id in sorted(carrying - told)
    ]
    wrong += [f"fact {fact_id} was pinned, and is no longer" for fact_id in sorted(lost)]
    yield from several("pins", wrong, CHANGED)
