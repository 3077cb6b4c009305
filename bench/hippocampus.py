"""What the first half of the night makes of a chat's facts: `python -m bench.hippocampus --chat DIR`.

`--candidates gold` (the default) makes the folder's facts and traps the candidates, in the order in which they would have become known
(`bench/claims.py`), with one night after each day on which something arrives; `extracted` imports the chat, lets the
rules read it and holds one night, and counts only the gold that was read. The stages score, check and decide are the
product's own, with its rule judge and its embedder. Two rules of other memories see the same candidates
(`bench/rivals.py`).

- `changes_right`: updates and corrections after which the new value is accepted and the old one is over by the day the new
  one began, or withdrawn.
- `traps_out`: traps that do not hold at the end. `stored_true`: true facts that were accepted.
- `over_invalidation`: of the accepted facts that are true at the end of the chat, those that do not hold at its end.
- `stale_answers`: of the questions about changed values (one per change in the product's own plainest wording, and those of
  questions.json that ask for the present), those answered with the old value as if it held.
- `salience_auroc`: facts that questions.json asks and messages that constitution.json names, against chit-chat: text
  messages that no question, fact, trap or principle names. A message's salience is that of the facts resting on it, or of
  its own words where there are none.
- `confusion`: expected by decided. Null stands where the folder has nothing to measure by.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import rivals
from bench.ask import is_right
from bench.claims import Change, changes_of
from bench.gold import said
from bench.nights import Nights, Ours
from bench.outcomes import (
    Memory,
    Stated,
    auroc,
    changes_right,
    confusion,
    in_order,
    over_invalidated,
    share,
)
from bench.report import print_result
from memory import values
from memory.ask import ask
from memory.embedders.minilm import MiniLM
from memory.facts import HOLDING, list_decisions
from memory.index import Index
from memory.types import Answer
from memory.wordings import Wordings, fill

ASKS_FOR_NOW = ("current", "correction")


@dataclass(frozen=True, slots=True)
class Asked:
    """A question whose right answer changed, with the values that answer it now and that did before."""

    text: str
    now: tuple[str, ...]
    before: tuple[str, ...]


def questions_of(changes: Sequence[Change], questions: Sequence[dict[str, Any]]) -> list[Asked]:
    """One per change in the product's own plainest wording, and those of the question set that ask for the present."""
    wordings, found = Wordings.load(), []
    for change in changes:
        new = _forms(change.new)
        old = (*_forms(change.old or {}), *([change.withdrawn] if change.withdrawn else []))
        row = change.old or change.new
        template = wordings.questions(said(row, "predicate"))[0]
        found.append(Asked(fill(template, said(row, "subject"), predicate=said(row, "predicate")), new, old))
        told = set(map(str, change.new.get("evidence") or ()))
        found += [
            Asked(str(question["question"]), (*new, *_answers(question)), old)
            for question in questions
            if question.get("kind") in ASKS_FOR_NOW
            and not question.get("persona_view")
            and not question.get("as_of")
            and told & set(map(str, question.get("evidence") or ()))
        ]
    return [asked for asked in found if not _is_same(asked)]


def _is_same(asked: Asked) -> bool:
    """Whether the old value says the new one as well ("partner Duarte", "husband Duarte")."""
    return bool({values.normal(form) for form in asked.now} & {values.normal(form) for form in asked.before})


def _forms(row: dict[str, Any]) -> tuple[str, ...]:
    return tuple(map(str, filter(None, (row.get("object"), *(row.get("object_aliases") or ())))))


def _answers(question: dict[str, Any]) -> tuple[str, ...]:
    answer = question.get("answer")
    given = answer if isinstance(answer, list) else [answer]
    return tuple(str(form) for form in (*given, *(question.get("answer_aliases") or ())) if form)


def _says(text: str, forms: Sequence[str]) -> bool:
    answer = Answer(text, not text, 1.0, (), ())
    return is_right({"kind": "current", "answer": None, "answer_aliases": list(forms)}, answer)


def is_stale(answer: Answer, asked: Asked) -> bool:
    """Whether the answer gives the old value as one that holds."""
    if answer.abstained or not _says(answer.text, asked.before) or _says(answer.text, asked.now):
        return False
    cited = [fact for fact in answer.facts if _says(fact.object, asked.before)]
    return not cited or any(fact.status in HOLDING for fact in cited)


def stale_answers(nights: Nights, asked: Sequence[Asked]) -> list[bool]:
    """Through `memory.ask`, after the last night."""
    index = Index.open(nights.database, nights.space_id, nights.home, nights.embedder)
    index.refresh()
    try:
        answers = [
            ask(nights.database, nights.space_id, index, nights.registry, row.text, clock=nights.clock)
            for row in asked
        ]
    finally:
        index.close()
    return [is_stale(answer, row) for answer, row in zip(answers, asked, strict=True)]


def measure(nights: Nights, source: str, *, is_verbose: bool = False) -> dict[str, Any]:
    """The keys of the result line."""
    gold, stated = nights.gold, Stated(nights.stated, nights.wrong)
    changes = changes_of(gold.facts)
    asked = questions_of(changes, gold.questions or ())
    ours = _shares(nights, Ours(nights), stated, changes, stale_answers(nights, asked))
    facts = in_order(nights.seen)
    vectors = nights.embedder.encode(rivals.sentences(facts))
    numbers: dict[str, Any] = {"candidates": source, "ours": ours}
    for name, kept in (
        ("cosine_band", rivals.cosine_band(facts, vectors)),
        ("last_writer", rivals.last_writer(facts)),
    ):
        nearest = rivals.NearestAnswer(facts, vectors, kept, nights.embedder)
        values_ = [nearest.value(row.text) for row in asked]
        stale = [
            _says(v, row.before) and not _says(v, row.now) for v, row in zip(values_, asked, strict=True)
        ]
        numbers[name] = _shares(nights, kept, stated, changes, stale)
    positives, negatives = nights.salience()
    decided = {
        row.fact_id: row.kind
        for row in list_decisions(nights.database, nights.space_id)
        if row.undone_at is None
    }
    if is_verbose:
        _print_wrong(nights, stated, changes, decided)
    return numbers | {
        "salience_auroc": auroc(positives, negatives) if gold.questions or gold.principles else None,
        "confusion": confusion(nights.expected, decided),
        "n": {
            "facts": sum(bool(stated.of(row)) for row in gold.facts),
            "changes": len(changes),
            "traps": None if gold.traps is None else len(gold.traps),
            "questions_about_changes": len(asked),
            "salient": len(positives),
            "chit_chat": len(negatives),
        },
    }


def _shares(
    nights: Nights, memory: Memory, stated: Stated, changes: Sequence[Change], stale: Sequence[bool]
) -> dict[str, float | None]:
    gold, last = nights.gold, max(episode.time for episode in nights.episodes.values())
    return {
        "changes_right": share(changes_right(memory, stated, changes, last)),
        "traps_out": share(not memory.holds(stated.of(trap)) for trap in gold.traps or ()),
        "over_invalidation": share(over_invalidated(memory, stated, gold.facts, changes, last)),
        "stale_answers": share(stale),
        "stored_true": share(memory.accepted(stated.of(row)) for row in gold.facts if stated.of(row)),
    }


def _print_wrong(nights: Nights, stated: Stated, changes: Sequence[Change], decided: dict[str, str]) -> None:
    """What went wrong, for whoever works on the rules; on standard error, for folders that may be looked into."""
    memory, last = Ours(nights), max(episode.time for episode in nights.episodes.values())
    reasons = {row.fact_id: row.reasons for row in list_decisions(nights.database, nights.space_id)}
    rows = [
        ("lost", row) for row in nights.gold.facts if stated.of(row) and not memory.accepted(stated.of(row))
    ]
    rows += [("trap kept", trap) for trap in nights.gold.traps or () if memory.holds(stated.of(trap))]
    rows += [("change", c.new) for c in changes if changes_right(memory, stated, [c], last) == [False]]
    rows += [
        ("retired", row)
        for row in nights.gold.facts
        if True in over_invalidated(memory, stated, [row], changes, last)
    ]
    for kind, row in rows:
        claim = row.get("tempting_claim", row)
        print(
            kind,
            claim.get("subject"),
            claim.get("predicate"),
            claim.get("object"),
            sep=" | ",
            file=sys.stderr,
        )
        for fact_id in stated.of(row):
            print("   ", decided.get(fact_id), *reasons.get(fact_id, ()), file=sys.stderr)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--chat", type=Path, required=True, help="a chat folder with facts.json")
    parser.add_argument("--candidates", choices=("gold", "extracted"), default="gold")
    parser.add_argument("--wrong", action="store_true", help="list what went wrong on standard error")
    options = parser.parse_args()
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as home:
        nights = Nights(options.chat, Path(home), MiniLM.load())
        nights.hold(options.candidates)
        numbers = measure(nights, options.candidates, is_verbose=options.wrong)
        nights.database.close()
    print_result(numbers, seed=0, started=started)


if __name__ == "__main__":
    main()
