"""Whether replies keep to the lines of a constitution that can be counted, and which lines cannot.

A line that measurement found in somebody's real messages (`agents.habits`) is looked for in the same way in the
replies. A line that names words or signs is kept where one of them is used. What somebody holds dear, fears or thinks
of others shows in what they mean and not in how they write: no count settles that, and none is given.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from agents.habits import MIN_MESSAGES, habits
from agents.measures import EMOJI
from memory.types import Episode, Principle
from simulator.held_out import Exchange

_QUOTED = re.compile(r'"([^"]+)"')
_CLAIM_END = re.compile(r'[:",]')


@dataclass(frozen=True, slots=True)
class Adherence:
    """`kept`: of the lines that can be counted, by their text, whether the replies show them. None of any is counted
    where the replies are fewer than MIN_MESSAGES messages."""

    kept: dict[str, bool]
    unmeasured: tuple[str, ...]

    @property
    def share(self) -> float | None:
        return sum(self.kept.values()) / len(self.kept) if self.kept else None

    def as_json(self) -> dict[str, Any]:
        share = self.share
        return {
            "share": None if share is None else round(share, 4),
            "kept": sum(self.kept.values()),
            "lines": len(self.kept),
            "by_line": self.kept,
        }


def countable(
    principles: Sequence[Principle], own: Sequence[Episode], others: Sequence[Episode]
) -> frozenset[str]:
    """The lines of a constitution, by their text, that measurement finds in the person's real messages."""
    found = {_claim(line.text) for _, line in habits(own, others)}
    return frozenset(line.text for line in principles if _claim(line.text) in found)


def adherence(
    principles: Sequence[Principle],
    countables: frozenset[str],
    replies: Sequence[Episode],
    others: Sequence[Episode],
) -> Adherence:
    """Of replies (one message an episode), seen against what the others said in the same conversations."""
    unmeasured = tuple(line.text for line in principles if line.text not in countables)
    if len(replies) < MIN_MESSAGES:
        return Adherence({}, unmeasured)
    shown = {_claim(line.text) for _, line in habits(replies, others)}
    said = " ".join(episode.text for episode in replies)
    kept = {line.text: _is_kept(line.text, shown, said) for line in principles if line.text in countables}
    return Adherence(kept, unmeasured)


def _is_kept(line: str, shown: set[str], said: str) -> bool:
    named = [*_QUOTED.findall(line), *EMOJI.findall(line)]
    if named:
        return any(_uses(said, one) for one in named)
    return _claim(line) in shown


def _uses(said: str, words: str) -> bool:
    """As a whole word where it is one."""
    edge = r"\b" if words[:1].isalnum() and words[-1:].isalnum() else ""
    return re.search(f"{edge}{re.escape(words)}{edge}", said, re.IGNORECASE) is not None


def _claim(line: str) -> str:
    """What a line says without the words that it names: those change with every message."""
    return _CLAIM_END.split(line, maxsplit=1)[0].strip()


def as_episodes(exchanges: Iterable[Exchange], replies: Iterable[Sequence[str]]) -> list[Episode]:
    """Made replies as messages at the times of the real ones, one second apart; nothing is stored."""
    found = []
    for place, (exchange, lines) in enumerate(zip(exchanges, replies, strict=True)):
        first = Episode(
            f"{exchange.id}+0", "made", place, exchange.person, exchange.person, exchange.at, "", origin="simulated"
        )  # fmt: skip
        found += [
            replace(first, id=f"{exchange.id}+{i}", time=exchange.at + timedelta(seconds=i), text=line)
            for i, line in enumerate(lines)
        ]
    return found
