"""Rows from elsewhere that wait in the home for the nights to come, and what one night takes of them.

They lie in `curriculum/<space>.jsonl`, one row a line as `consolidation.rows` writes them. Nothing is taken out when a
night uses them: a row counts as trained once a night that trained it is part of the recipe that serves, so that a night
that was killed, refused or rolled back loses none. The graph is asked anew every night (`consolidation.row_check`).
Every erasure removes the file whole (`memory.erasure.files`); backups do not hold it.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from consolidation.curriculum import Course, Row
from consolidation.row_check import CONTRADICTS, FORM, HELD_OUT, PARTIAL, SOUND, UNKNOWN, RowCheck
from consolidation.rows import BadRow, TrainingRow, as_json, row_of
from consolidation.slots import Names, make_slots, now_and_before
from db.engine import Database
from db.tables import Example
from memory.facts import ALL_STATUSES, list_facts
from memory.people import list_people
from memory.ports import Clock, utc_now
from memory.registry import Registry
from memory.sensitive import kinds_of_fact
from memory.whole import keep as keep_file
from memory.whole import on_disk
from memory.wordings import Wordings

if TYPE_CHECKING:
    from consolidation.dream import Graph
    from consolidation.stage import NightContext

FOLDER = "curriculum"
MAX_WAITING = 20_000  # rows of one space
PER_FACT = 8  # texts that one night takes
PER_NIGHT = 480
_REFUSED = (CONTRADICTS, UNKNOWN, PARTIAL, HELD_OUT)


@dataclass(frozen=True, slots=True)
class Kept:
    n_new: int
    n_known: int  # were waiting already
    n_over: int  # beyond MAX_WAITING, and so not kept


def waiting_file(home: Path, space_id: str) -> Path:
    return home / FOLDER / f"{space_id}.jsonl"


def keep(home: Path, space_id: str, rows: Iterable[TrainingRow]) -> Kept:
    """Add rows behind those that wait. Killed half-way it leaves whole rows, and a broken one that nobody reads."""
    path = waiting_file(home, space_id)
    known = {row.key for row in waiting(home, space_id)}
    n_new = n_known = n_over = 0
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as output:
        if path.stat().st_size:
            output.write(b"\n")  # behind a line that was cut off
        for row in rows:
            if row.key in known:
                n_known += 1
            elif len(known) >= MAX_WAITING:
                n_over += 1
            else:
                known.add(row.key)
                output.write(json.dumps(as_json(row, "qa"), ensure_ascii=False).encode("utf-8", "replace"))
                output.write(b"\n")
                n_new += 1
    on_disk(path)
    keep_file(path)
    return Kept(n_new, n_known, n_over)


def waiting(home: Path, space_id: str) -> Iterator[TrainingRow]:
    """The rows in the order in which they came, each once."""
    path = waiting_file(home, space_id)
    if not path.exists():
        return
    seen: set[str] = set()
    with path.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            try:
                row = row_of(json.loads(line))
            except (BadRow, ValueError):
                continue
            if row.key not in seen:
                seen.add(row.key)
                yield row


def clear(home: Path, space_id: str) -> int:
    """Forget the rows that wait; how many there were. What nights have trained stays trained."""
    n = sum(1 for _ in waiting(home, space_id))
    waiting_file(home, space_id).unlink(missing_ok=True)
    return n


def imported_rows(
    context: NightContext, graph: Graph, runs: Sequence[str], asked: Collection[tuple[str, ...]]
) -> tuple[list[Row], dict[str, int]]:
    """What tonight trains of the rows that wait, and counts {imported, imported_refused}.

    `runs` are the nights whose vectors serve; `asked` are the prompts that tonight has already, in small letters.
    Texts about what earlier nights taught are replay. The same night takes the same.
    """
    found = list(waiting(context.home, context.space_id))
    if not found:
        return [], {}
    check = RowCheck(graph.course, graph.registry, graph.everything, graph.told)
    trained = _trained(context, runs)
    tonight = {slot.key for slot in graph.tonight}
    counts: Counter[str] = Counter()
    by_fact: dict[str, list[Row]] = defaultdict(list)
    taken = set(asked)
    for text in (text for row in found for text in check.texts(row)):
        counts[text.finding] += 1
        if text.row is None or (prompt := prompt_of(text.row)) in taken or _words(text.row) in trained:
            continue
        taken.add(prompt)
        is_new = text.row.kind == "negative" or text.row.meta.get("slot") in tonight
        row = text.row if is_new else replace(text.row, kind="replay")
        by_fact[row.fact_ids[0] if row.fact_ids else ""].append(row)
    chosen: list[Row] = []
    for fact_id, rows in by_fact.items():
        dice = graph.course.dice("imported", rows[0].messages[0]["content"])
        n_most = PER_FACT if fact_id else PER_NIGHT // 4
        chosen += dice.sample(rows, min(n_most, len(rows)))
    chosen = chosen[:PER_NIGHT]
    return chosen, {"imported": len(chosen), "imported_refused": sum(counts[name] for name in _REFUSED)}


def prompt_of(row: Row) -> tuple[str, ...]:
    """What comes before the answer, in small letters; no two texts of a night share it."""
    return tuple(message["content"].casefold() for message in row.messages[:-1])


def _words(row: Row) -> tuple[str, ...]:
    return tuple(message["content"] for message in row.messages)


def _trained(context: NightContext, runs: Sequence[str]) -> set[tuple[str, ...]]:
    """The imported texts that the nights of the serving recipe trained."""
    query = select(Example.messages, Example.meta).where(Example.run_id.in_(runs), Example.split == "train")
    with context.database.reading() as session:
        return {
            tuple(str(message["content"]) for message in messages)
            for messages, meta in session.execute(query)
            if meta.get("form") == FORM
        }


def what_waits(
    database: Database,
    space_id: str,
    home: Path,
    registry: Registry,
    *,
    leave_out: frozenset[str] = frozenset(),
    clock: Clock = utc_now,
) -> dict[str, Any]:
    """`{rows, texts: {finding: n}}`: what the graph says today of everything that waits; reads only."""
    rows = list(waiting(home, space_id))
    counts: Counter[str] = Counter()
    if rows:
        facts = list_facts(database, space_id, registry, statuses=ALL_STATUSES, clock=clock)
        shown = [fact for fact in facts if leave_out.isdisjoint(kinds_of_fact(fact))]
        current, past = now_and_before(shown)
        course = Course(Wordings.load(), Names(list_people(database, space_id)), 0)
        told = {(fact.subject_id, fact.predicate) for fact in facts}
        check = RowCheck(course, registry, make_slots(current, past, registry), told)
        counts.update(text.finding for row in rows for text in check.texts(row))
    return {"rows": len(rows), "texts": {name: counts[name] for name in (SOUND, *_REFUSED)}}
