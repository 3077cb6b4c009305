"""The strongest of what a newcomer stands against, with how well it is supported: what `decide` weighs it by."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import and_, or_, select
from sqlalchemy.orm import Session

from db.tables import Fact as FactTable
from db.tables import Node
from memory.facts import sentence_of
from memory.waiting import WAITING


@dataclass(frozen=True, slots=True)
class Rival:
    """`told` names it, for the reasons of a decision. `support` is the confidence that not all who say it err."""

    told: str
    support: float
    is_waiting: bool = False  # it waits like the newcomer: both stand in the same message


def rival_of(session: Session, space_id: str, findings: Mapping[str, Any]) -> Rival | None:
    """The strongest that still stands, of the findings that say "contradicts"."""
    against = findings.get("contradiction", {}).get("found", ())
    rivals = [
        rival
        for item in against
        if item["verdict"] == "contradicts"
        and (rival := _rival(session, space_id, item["against"], is_in_message=item["kind"] == "same_slot"))
    ]
    return max(rivals, key=lambda rival: (rival.is_waiting, rival.support), default=None)


def _rival(session: Session, space_id: str, fact_id: str, *, is_in_message: bool) -> Rival | None:
    row = session.get(FactTable, fact_id)
    if row is None or row.space_id != space_id or row.retracted_at is not None:
        return None
    told = sentence_of(session.get_one(Node, row.subject_id).name, row.predicate, row.object)
    told = f"{told.rstrip('.')} ({fact_id})"
    if is_in_message and row.state in WAITING:
        is_supported = (row.check_result or {}).get("support", {}).get("label") == "supported"
        return (
            Rival(f"{told}, said in the same message", row.confidence, is_waiting=True)
            if is_supported
            else None
        )
    return Rival(told, _support(session, fact_id)) if row.state == "stored" else None


def _support(session: Session, fact_id: str) -> float:
    """Of a stored fact, by all who say it: each person counts once, as surely as they ever said it."""
    said = select(FactTable.asserted_by, FactTable.confidence).where(
        or_(FactTable.id == fact_id, and_(FactTable.state == "merged", FactTable.superseded_by == fact_id))
    )
    voices: dict[str, float] = defaultdict(float)
    for speaker, confidence in session.execute(said):
        voices[speaker or ""] = max(voices[speaker or ""], confidence)
    return not_all_err(voices.values())


def not_all_err(confidences: Iterable[float]) -> float:
    """The confidence that not all of them err."""
    doubt = 1.0
    for confidence in confidences:
        doubt *= 1.0 - min(1.0, max(0.0, confidence))
    return 1.0 - doubt
