"""How well facts are read from a chat: `python -m bench.extraction --chat DIR`.

DIR is a chat folder (see examples/harbor/README.md): an export, `facts.json` and, where there is one,
`not_facts.json`. What was withdrawn by a later correction is not counted for or against; a true statement that
the gold does not list counts against precision. See `bench/matching.py` for what a match is.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from agents.extractors.rules import RuleExtractor
from bench.chats import open_chat
from bench.matching import Said, is_match, is_same_object, is_same_person
from bench.report import print_result
from memory.ports import Extractor, Roster
from memory.types import Episode, FactCandidate

_REPEATS = 3


def read_chat(folder: Path) -> list[Episode]:
    """The export of a chat folder as episodes whose ids are the gold's message indices."""
    return [
        Episode(str(i), m.conversation, i, m.speaker, m.speaker, m.time, m.text, m.kind, m.is_edited)
        for i, m in enumerate(open_chat(folder).messages())
    ]


def standing(candidates: Sequence[FactCandidate]) -> list[FactCandidate]:
    """Candidates less those that a later candidate corrects."""
    taken_back = {
        (c.subject.casefold(), c.predicate, c.corrects.casefold())
        for c in candidates
        if c.corrects is not None
    }
    return [
        c for c in candidates if (c.subject.casefold(), c.predicate, c.object.casefold()) not in taken_back
    ]


def measure(
    candidates: Sequence[FactCandidate], gold: Sequence[dict[str, Any]], traps: Sequence[dict[str, Any]]
) -> dict[str, Any]:
    """The shares of the result line; None where there was nothing to count."""
    kept = standing(candidates)
    pairs = [(c, [g for g in gold if is_match(_said(c), g)]) for c in kept]
    right = [(c, hits) for c, hits in pairs if hits]
    found = {g["id"] for _, hits in right for g in hits}
    precision, recall = _share(len(right), len(kept)), _share(len(found), len(gold))
    both = (precision or 0) + (recall or 0)
    caught = [t for t in traps if any(_falls_for(c, t) for c, hits in pairs if not hits)]
    return {
        "precision": precision,
        "recall": recall,
        "f1": round(2 * (precision or 0) * (recall or 0) / both, 4) if both else 0.0,
        "trap_rate": _share(len(caught), len(traps)),
        "evidence_accuracy": _share(
            sum(any(_shares_evidence(c, g) for g in hits) for c, hits in right), len(right)
        ),
        "interval_accuracy": _share(
            sum(any(_same_start(c, g) for g in hits) for c, hits in right), len(right)
        ),
        "candidates": len(kept),
        "gold": len(gold),
        "matched": len(found),
    }


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 4) if whole else None


def _said(candidate: FactCandidate) -> Said:
    return Said(candidate.subject, candidate.predicate, candidate.object)


def _shares_evidence(candidate: FactCandidate, gold: dict[str, Any]) -> bool:
    return bool({int(i) for i in candidate.episode_ids} & set(gold["evidence"]))


def _same_start(candidate: FactCandidate, gold: dict[str, Any]) -> bool:
    """Starts within a day of the gold's (an end: ends). Starts of long ago are approximate: the year decides."""
    ours = candidate.valid_to if candidate.change == "end" else candidate.valid_from
    theirs = gold["valid_to"] if candidate.change == "end" else gold["valid_from"]
    if ours is None or theirs is None:
        return ours is None and theirs is None
    day = datetime.fromisoformat(theirs).date()
    distance = abs((ours.date() - day).days)
    return distance <= 1 or (day.month == day.day == 1 and ours.year == day.year)


def _falls_for(candidate: FactCandidate, trap: dict[str, Any]) -> bool:
    claim = trap["tempting_claim"]
    cites = {int(i) for i in candidate.episode_ids} & set(trap["evidence"])
    return (
        bool(cites)
        and is_same_person(candidate.subject, claim["subject"])
        and (
            is_same_object(candidate.object, str(claim["object"]))
            or candidate.predicate == claim["predicate"]
        )
    )


def run(extractor: Extractor, folder: Path, *, is_verbose: bool = False) -> dict[str, Any]:
    """Extract from one chat folder and measure against its gold."""
    episodes = read_chat(folder)
    roster = Roster(tuple(dict.fromkeys(e.speaker for e in episodes)))
    extractor.extract(episodes[:1], roster)  # reads the word lists
    best = float("inf")
    for _ in range(_REPEATS):
        began = time.perf_counter()
        candidates = extractor.extract(episodes, roster)
        best = min(best, time.perf_counter() - began)
    gold = json.loads((folder / "facts.json").read_text(encoding="utf-8"))
    traps_file = folder / "not_facts.json"
    traps = json.loads(traps_file.read_text(encoding="utf-8")) if traps_file.exists() else []
    if is_verbose:
        _print_rows(candidates, gold, traps)
    shares = measure(candidates, gold, traps)
    return {**shares, "messages_per_s": round(len(episodes) / best, 1), "backend": extractor.name}


def _print_rows(
    candidates: Sequence[FactCandidate], gold: Sequence[dict[str, Any]], traps: Sequence[dict[str, Any]]
) -> None:
    """What was right, wrong and missed, for whoever tunes the rules."""
    for c in standing(candidates):
        mark = (
            "right"
            if any(is_match(_said(c), g) for g in gold)
            else "TRAP "
            if any(_falls_for(c, t) for t in traps)
            else "wrong"
        )
        day = c.valid_to if c.change == "end" else c.valid_from
        print(
            f"{mark} {c.subject} | {c.predicate} | {c.object} | {day:%Y-%m-%d} | {c.change} | {c.rule} {c.confidence} {c.episode_ids}"
        )
    for g in gold:
        if not any(is_match(_said(c), g) for c in candidates):
            print(f"miss  {g['subject']} | {g['predicate']} | {g['object']} {g['evidence']}")


def open_backend(name: str) -> Extractor:
    """The rules, the trained reader, or both, as the product uses them where no language model is set."""
    if name == "rules":
        return RuleExtractor()
    from agents.extractors.local import local_extractor
    from agents.extractors.spans import SpanReader
    from agents.span_head import SpanHead
    from memory.embedders.minilm import MiniLM
    from memory.registry import Registry

    encoder = MiniLM.load()
    if name == "spans":
        return SpanReader(SpanHead.load(encoder))
    return local_extractor(encoder, Registry.load())


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure fact extraction on a chat folder.")
    parser.add_argument("--chat", type=Path, required=True, help="folder with an export and its gold files")
    parser.add_argument(
        "--seed", type=int, default=0, help="kept for the result line; the rules draw nothing"
    )
    parser.add_argument("--verbose", action="store_true", help="print each fact found and missed")
    parser.add_argument(
        "--backend", choices=("rules", "spans", "both"), default="both", help="both is what the product uses"
    )
    chosen = parser.parse_args()
    started = time.perf_counter()
    numbers = run(open_backend(chosen.backend), chosen.chat, is_verbose=chosen.verbose)
    print_result(numbers, seed=chosen.seed, started=started)


if __name__ == "__main__":
    main()
