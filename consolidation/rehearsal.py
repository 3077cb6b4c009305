"""Which earlier facts a night rehearses, and in how many texts: the more likely a fact is forgotten, the more.

A fact's strength grows with every night that taught or rehearsed it and falls back where an exam found it lost; what is likely
forgotten by now is 1 - exp(-gap / strength), the gap being the nights since it was last in a training. (The exponential
forgetting curve with strength by rehearsal, as memory-aware replay uses it: arXiv:2603.09892; the constants are ours.)
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import select

from consolidation.curriculum import Row
from db.engine import Database
from db.tables import ExamAnswer, Example

GROWTH = 1.6  # of the strength, with each training that a fact was in
WEAK = 0.5  # nights; the strength of what an exam found lost
_FIRST = 1.0


@dataclass(slots=True)
class Trace:
    """What is left of a fact, in nights: how long it lasts, and how long ago it was trained."""

    strength: float = _FIRST
    gap: int = 1

    @property
    def forgetting(self) -> float:
        """In (0, 1)."""
        return 1 - math.exp(-self.gap / self.strength)


def traces(database: Database, runs: Sequence[str]) -> dict[str, Trace]:
    """By fact, from the training texts and exams of the nights whose vectors serve, oldest first."""
    trained, found = _trained(database, runs), _found(database, runs)
    known: dict[str, Trace] = {}
    for night, run in enumerate(runs):
        for fact_id in trained[run]:
            trace = known.get(fact_id)
            known[fact_id] = Trace(trace.strength * GROWTH if trace else _FIRST, len(runs) - night)
        for fact_id, is_right in found[run].items():
            if fact_id in known and not is_right:
                known[fact_id].strength = WEAK
    return known


def _trained(database: Database, runs: Sequence[str]) -> Mapping[str, set[str]]:
    query = select(Example.run_id, Example.meta).where(
        Example.run_id.in_(runs), Example.split == "train", Example.kind.in_(("fact", "replay"))
    )
    by_run: dict[str, set[str]] = defaultdict(set)
    with database.reading() as session:
        for run_id, meta in session.execute(query):
            by_run[run_id].update(meta.get("facts", ()))
    return by_run


def _found(database: Database, runs: Sequence[str]) -> Mapping[str, Mapping[str, bool]]:
    """By run and fact: whether every held-out question about it was answered by the weights alone."""
    query = (
        select(ExamAnswer.run_id, Example.fact_id, ExamAnswer.is_right)
        .join(Example, Example.id == ExamAnswer.example_id)
        .where(
            ExamAnswer.run_id.in_(runs),
            ExamAnswer.condition == "weights",
            Example.kind.in_(("recall_paraphrase", "recall_earlier_nights")),
        )
    )
    by_run: dict[str, dict[str, bool]] = defaultdict(dict)
    with database.reading() as session:
        for run_id, fact_id, is_right in session.execute(query):
            if fact_id is not None:
                by_run[run_id][fact_id] = by_run[run_id].get(fact_id, True) and is_right
    return by_run


def shares(facts: Iterable[str], known: Mapping[str, Trace], texts: int, most: int) -> dict[str, int]:
    """How many texts each fact gets of about `texts`, by how likely it is forgotten; one at least, `most` at most."""
    need = {fact_id: known.get(fact_id, Trace(WEAK)).forgetting for fact_id in facts}
    whole = sum(need.values())
    return {fact_id: max(1, min(most, round(texts * part / whole))) for fact_id, part in need.items()}


def taught_facts(database: Database, runs: Sequence[str]) -> set[str]:
    """Ids of the facts that these nights taught, each by itself or with another."""
    query = select(Example.meta).where(
        Example.run_id.in_(runs), Example.split == "train", Example.kind == "fact"
    )
    with database.reading() as session:
        return {fact_id for meta in session.scalars(query) for fact_id in meta.get("facts", ())}


def texts_taught(database: Database, runs: Sequence[str], holding: set[str]) -> dict[str, list[Row]]:
    """The texts of these nights all of whose facts are among `holding`, as replay rows, by their first fact. Old refusals
    are left out, and so are texts about a value that has changed."""
    query = select(Example).where(Example.run_id.in_(runs), Example.split == "train", Example.kind == "fact")
    by_fact: dict[str, list[Row]] = defaultdict(list)
    with database.reading() as session:
        for example in session.scalars(query.order_by(Example.id)):
            if row := _still_true(example, holding):
                by_fact[row.fact_ids[0]].append(row)
    return by_fact


def _still_true(example: Example, holding: set[str]) -> Row | None:
    """A replay row, or None; a voice is not replayed, because the consent it was trained with may be withdrawn."""
    facts = tuple(example.meta.get("facts", ()))
    form = str(example.meta.get("form", "question"))
    if form == "knowing" or not facts or not holding.issuperset(facts):
        return None
    quoted = {"episodes": example.meta["episodes"]} if "episodes" in example.meta else {}
    return Row("replay", form, tuple(dict(message) for message in example.messages), facts, quoted)
