"""What a persona says against its own constitution: `python -m bench.denials [--chat DIR] [--locomo FILE] [--show]`.

`denials_unseen.tsv` and `denials_developed.tsv`: sentences that deny a line of somebody's constitution and sentences that
fit it, by writers who did not know how they are told apart; patterns were added after reading the second file.
`found` is the share of the first kind that count as denials, `wrong` of the second.
`false_alarms`: of the sentences that people of a chat (and of LoCoMo's dialogues) really said and that claim something,
how many count as denials of the lines that `agents.constitutions` writes of the first four fifths; `later`: of the rest.
`entailment` is the same by the shipped entailment head, at a probability of contradiction of LEAST_AGAINST.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from agents.constitutions import HabitWriter
from agents.entailment import CONTRADICTION, EntailmentHead
from bench.chats import open_chat
from bench.locomo import read_locomo
from bench.report import ROOT, print_result
from memory.embedders.minilm import MiniLM
from memory.revision import Line
from memory.types import Episode, Person, Principle
from simulator.claims import claims_of
from simulator.denials import KINDS, Convictions

FILES = ("unseen", "developed")
LEAST_AGAINST = 0.9
PERSON, PARTNER = "Ada Lund", "Bo Rask"
_NAMES = ("Ines", "Tomas", "Maren", "Olga", "Henk", "Bo")
_SEEN = 0.8  # of a chat, from which the lines are written


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m bench.denials",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--chat", type=Path, help="a folder with one export")
    parser.add_argument("--locomo", type=Path, help="dialogues")
    parser.add_argument("--show", action="store_true", help="print what is got wrong, on standard error")
    parser.add_argument("--seed", type=int, default=0, help="nothing here is drawn by lot")
    args = parser.parse_args(argv)
    started = time.perf_counter()
    head = EntailmentHead.load(MiniLM.load())
    numbers: dict[str, Any] = {file: on_rows(file, head, show=args.show) for file in FILES}
    talks = []
    if args.chat:
        talks.append([(one.speaker, one.text) for one in open_chat(args.chat).messages() if one.text])
    if args.locomo:
        talks += [[(turn.speaker, turn.text) for turn in one.turns] for one in read_locomo(args.locomo)]
    if talks:
        numbers["false_alarms"] = on_talks(talks, head, show=args.show)
    print_result(numbers, seed=args.seed, started=started)
    return 0


def on_rows(file: str, head: EntailmentHead, *, show: bool = False) -> dict[str, Any]:
    """Shares by label; each line stands alone."""
    counts: Counter[tuple[str, str]] = Counter()
    for row in (ROOT / "bench" / f"denials_{file}.tsv").read_text(encoding="utf-8").splitlines():
        label, text, sentence = row.split("\t")
        about = next((name for name in _NAMES if name in text.split()), None)
        line = Line("1", Principle("view" if about else "value", text, (), about))
        people = [Person(name, name) for name in _NAMES]
        is_denied = Convictions(PERSON, PARTNER, people, [line]).denied_by(sentence) is not None
        counts[label, "all"] += 1
        counts[label, "ours"] += is_denied
        counts[label, "entailment"] += _n_against(head, PERSON, [text], [sentence])
        if show and is_denied != (label == "denies"):
            print(f"{label}: {text} <> {sentence}", file=sys.stderr)
    return {
        by: {
            "found": round(counts["denies", by] / counts["denies", "all"], 4),
            "wrong": round(counts["fits", by] / counts["fits", "all"], 4),
        }
        for by in ("ours", "entailment")
    } | {"n": [counts["denies", "all"], counts["fits", "all"]]}


def on_talks(
    talks: Sequence[Sequence[tuple[str, str]]], head: EntailmentHead, *, show: bool = False
) -> dict[str, Any]:
    """Counts over all that was said, and over the part that no line was written from."""
    counts: Counter[str] = Counter()
    for talk in talks:
        for convictions, sentences, later in _held_and_said(talk):
            for suffix, part in (("", sentences), ("_later", later)):
                for sentence in part:
                    denied = convictions.denied_by(sentence)
                    counts[f"ours{suffix}"] += denied is not None
                    if show and denied is not None:
                        print(f"real: {denied.principle.text} <> {sentence}", file=sys.stderr)
            counts["sentences"] += len(sentences) + len(later)
            counts["later"] += len(later)
            held = [line.principle.text for line in convictions.lines if line.principle.kind in KINDS]
            counts["entailment_later"] += _n_against(head, convictions.person, held, later)
    counts["ours"] += counts["ours_later"]
    return dict(counts)


def _held_and_said(
    talk: Sequence[tuple[str, str]],
) -> Iterator[tuple[Convictions, list[str], list[str]]]:
    """Of each speaker the lines that their messages give, what they claim in these, and what later."""
    names = sorted({speaker for speaker, _ in talk})
    people = [Person(name, name) for name in names]
    begun, cut = datetime(2024, 1, 1, tzinfo=UTC), int(_SEEN * len(talk))
    episodes = [
        Episode(str(place), "talk", place, speaker, speaker, begun + timedelta(minutes=place), text)
        for place, (speaker, text) in enumerate(talk)
    ]
    for name in names:
        written = HabitWriter().write(name, episodes[:cut], people)
        lines = [Line(str(place), principle) for place, principle in enumerate(written)]
        partner = next((other for other in names if other != name), name)
        claims = [
            [claim for speaker, text in part if speaker == name for claim in claims_of(text)]
            for part in (talk[:cut], talk[cut:])
        ]
        yield Convictions(name, partner, people, lines), claims[0], claims[1]


def _n_against(head: EntailmentHead, person: str, lines: Sequence[str], sentences: Sequence[str]) -> int:
    """How many of the sentences the head holds to contradict one of the lines or more."""
    if not lines or not sentences:
        return 0
    premises = [f"{person}: {line}" for _ in sentences for line in lines]
    said = [f"{person}: {sentence}" for sentence in sentences for _ in lines]
    against = np.asarray(head.judge(premises, said))[:, CONTRADICTION] >= LEAST_AGAINST
    return int(against.reshape(len(sentences), len(lines)).any(axis=1).sum())


if __name__ == "__main__":
    sys.exit(main())
