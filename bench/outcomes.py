"""What became of a chat's gold: the shares that `bench.hippocampus` prints, for our nights and for other rules alike."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from bench.claims import Change
from bench.gold import as_moment, said
from memory.registry import Registry
from memory.types import Fact

DECISIONS = ("STORE", "MERGE", "CORRECT", "REJECT", "QUARANTINE")
_DAY = timedelta(days=1)


class Memory(Protocol):
    """What a rule made of the statements, asked by the ids of those that say one thing."""

    def accepted(self, fact_ids: Sequence[str]) -> bool: ...

    def holds(self, fact_ids: Sequence[str]) -> bool: ...

    def is_over_by(self, fact_ids: Sequence[str], moment: datetime | None) -> bool: ...


@dataclass(frozen=True, slots=True)
class Stated:
    """Ids of the candidates that state a gold row (`rows`) or the value it withdraws (`withdrawn`), by the row's id()."""

    rows: Mapping[int, Sequence[str]]
    withdrawn: Mapping[int, Sequence[str]]

    def of(self, row: Mapping[str, Any]) -> Sequence[str]:
        return self.rows.get(id(row), ())

    def wrong(self, row: Mapping[str, Any]) -> Sequence[str]:
        return self.withdrawn.get(id(row), ())


def share(outcomes: Iterable[bool]) -> float | None:
    """None where there was nothing to count."""
    rows = list(outcomes)
    return round(sum(rows) / len(rows), 4) if rows else None


def changes_right(memory: Memory, stated: Stated, changes: Sequence[Change], last: datetime) -> list[bool]:
    """Per change whose sides were both stated."""
    ended = {id(change.old) for change in changes if change.old is not None}
    outcomes = []
    for change in changes:
        new = stated.of(change.new)
        old = stated.of(change.old) if change.old is not None else ()
        if not new or (change.old is not None and not old):
            continue
        is_past = id(change.new) in ended or not is_open(change.new, last)
        is_new_right = memory.accepted(new) and (is_past or memory.holds(new))
        start = as_moment(change.new.get("valid_from"))
        is_old_right = not old or (memory.accepted(old) and memory.is_over_by(old, start))
        outcomes.append(is_new_right and is_old_right and not memory.holds(stated.wrong(change.new)))
    return outcomes


def is_open(row: Mapping[str, Any], last: datetime) -> bool:
    """Whether the gold says that it is true at the end of the chat, and of more than a day."""
    stop = as_moment(row.get("valid_to"))
    return not said(dict(row), "valid_to") or (stop is not None and stop > last)


def over_invalidated(
    memory: Memory, stated: Stated, facts: Sequence[dict[str, Any]], changes: Sequence[Change], last: datetime
) -> list[bool]:
    """Per accepted fact that is true at the end of the chat. Gold that leaves an earlier value of a slot open where one
    holds at a time does not say which of the two is true, and is not counted."""
    ended = {id(change.old) for change in changes if change.old is not None}
    current = [row for row in facts if is_open(row, last) and id(row) not in ended]
    newest = _newest_of_one(current)
    counted = [row for row in current if newest.get(_slot(row), row) is row]
    return [not memory.holds(stated.of(row)) for row in counted if memory.accepted(stated.of(row))]


def _newest_of_one(rows: Sequence[dict[str, Any]]) -> dict[tuple[str, str], dict[str, Any]]:
    """Of each slot in which one value holds at a time, the row that begins last."""
    registry = Registry.load()
    ones = [row for row in rows if registry.get(said(row, "predicate")).cardinality == "one"]
    return {_slot(row): row for row in sorted(ones, key=lambda row: said(row, "valid_from"))}


def _slot(row: Mapping[str, Any]) -> tuple[str, str]:
    return said(dict(row), "subject"), said(dict(row), "predicate")


def confusion(expected: Mapping[str, str], decided: Mapping[str, str]) -> dict[str, dict[str, int]]:
    """expected -> decided -> number."""
    pairs = Counter((expected[fact_id], decided[fact_id]) for fact_id in expected if fact_id in decided)
    return {
        wanted: {kind: pairs[wanted, kind] for kind in DECISIONS}
        for wanted in DECISIONS
        if any(pairs[wanted, kind] for kind in DECISIONS)
    }


def auroc(positives: Sequence[float], negatives: Sequence[float]) -> float | None:
    """The chance that one of the first lies above one of the second, ties counting half."""
    if not positives or not negatives:
        return None
    above = sum((p > n) + 0.5 * (p == n) for p in positives for n in negatives)
    return round(above / (len(positives) * len(negatives)), 4)


def in_order(facts: Sequence[Fact]) -> list[Fact]:
    """Each once."""
    return list({fact.id: fact for fact in facts}.values())
