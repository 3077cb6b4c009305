"""Why a fact matters as much as it does, and what became of it: the terms of its salience, its check, its decisions."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from consolidation.score import Weights
from db.engine import Database
from db.tables import Fact
from memory.decisions import DecisionRow
from memory.errors import UnknownFact
from memory.facts import list_decisions


@dataclass(frozen=True, slots=True)
class Why:
    """`terms`: name -> (value in [0, 1], share of the salience that comes from it)."""

    fact_id: str
    salience: float | None  # None where no night has scored it yet
    terms: dict[str, tuple[float, float]]
    findings: dict[str, Any] | None  # what the check found, see consolidation.check.Findings
    decisions: tuple[DecisionRow, ...]


def why(database: Database, space_id: str, fact_id: str) -> Why:
    """Raises UnknownFact."""
    with database.reading() as session:
        fact = session.get(Fact, fact_id)
        if fact is None or fact.space_id != space_id:
            raise UnknownFact(fact_id)
        salience, terms, findings = fact.salience, fact.salience_terms or {}, fact.check_result
    weights = asdict(Weights())
    total = sum(weights[name] for name in terms)
    shares = {name: (value, weights[name] * value / total) for name, value in terms.items()}
    by_share = dict(sorted(shares.items(), key=lambda item: -item[1][1]))
    decisions = list_decisions(database, space_id, fact_id=fact_id)
    return Why(fact_id, salience, by_share, findings, tuple(decisions))
