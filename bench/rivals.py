"""Two rules that other memories decide by, over the same candidates, so that a benchmark can stand beside them.

`cosine_band` stores everything and takes a new statement whose cosine with a stored one of the same subject lies in a
band for its contradiction, which retires the older one; nearer than the band is a repeat, added to what is stored.
`last_writer` stores everything and lets the newest value of a subject and predicate take the place of the older one.
Neither looks at the messages. Asked, both answer with the statement nearest to the question among those not retired.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np

from memory import values
from memory.facts import sentence
from memory.ports import Embedder, FloatMatrix
from memory.types import Fact

BAND = (0.4, 0.75)  # of the neighbours' rule; from above it on, two statements say the same


@dataclass(slots=True)
class Kept:
    """What a rule made of the candidates, as `bench.outcomes` asks it. It knows no days: what is retired is over."""

    home: dict[str, str] = field(default_factory=dict)  # candidate -> stored statement that holds it
    retired_by: dict[str, str] = field(default_factory=dict)  # stored statement -> what it gave way to

    def is_live(self, fact_id: str) -> bool:
        return fact_id in self.home and self.home[fact_id] not in self.retired_by

    def accepted(self, fact_ids: Sequence[str]) -> bool:
        return any(fact_id in self.home for fact_id in fact_ids)

    def holds(self, fact_ids: Sequence[str]) -> bool:
        return any(map(self.is_live, fact_ids))

    def is_over_by(self, fact_ids: Sequence[str], moment: datetime | None) -> bool:
        return not self.holds(fact_ids)


def cosine_band(facts: Sequence[Fact], vectors: FloatMatrix) -> Kept:
    """`facts` in the order of saying, `vectors` their sentences as unit rows."""
    kept, stored = Kept(), list[int]()
    for place, fact in enumerate(facts):
        live = [i for i in stored if kept.is_live(facts[i].id) and facts[i].subject_id == fact.subject_id]
        near = {i: float(vectors[i] @ vectors[place]) for i in live}
        repeated = max(near, key=lambda i: near[i], default=None)
        if repeated is not None and near[repeated] > BAND[1]:
            kept.home[fact.id] = facts[repeated].id
            continue
        kept.home[fact.id] = fact.id
        stored.append(place)
        for i, cosine in near.items():
            if cosine >= BAND[0]:
                kept.retired_by[facts[i].id] = fact.id
    return kept


def last_writer(facts: Sequence[Fact]) -> Kept:
    kept = Kept()
    newest: dict[tuple[str, str], Fact] = {}
    for fact in facts:
        slot = fact.subject_id, fact.predicate
        before = newest.get(slot)
        if before is not None and values.normal(before.object) == values.normal(fact.object):
            kept.home[fact.id] = before.id
            continue
        kept.home[fact.id] = fact.id
        if before is not None:
            kept.retired_by[before.id] = fact.id
        newest[slot] = fact
    return kept


class NearestAnswer:
    """Answers a question with the nearest of the statements that a rule has not retired."""

    def __init__(self, facts: Sequence[Fact], vectors: FloatMatrix, kept: Kept, embedder: Embedder) -> None:
        live = [
            place
            for place, fact in enumerate(facts)
            if kept.home.get(fact.id) == fact.id and kept.is_live(fact.id)
        ]
        self._facts, self._vectors = [facts[place] for place in live], vectors[live]
        self._embedder = embedder

    def value(self, question: str) -> str:
        """The value of the nearest statement; empty where nothing is stored."""
        if not self._facts:
            return ""
        cosines = self._vectors @ self._embedder.encode([question])[0]
        return self._facts[int(np.argmax(cosines))].object


def sentences(facts: Sequence[Fact]) -> list[str]:
    return [sentence(fact) for fact in facts]
