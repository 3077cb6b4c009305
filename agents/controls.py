"""A judge that is asked questions with known answers before it is believed, and again and again after.

One that agrees with everything, with nothing, or at random gets them wrong; from then on its verdicts have no label,
until it gets them right. What a judge said between two rounds of questions stands.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count

from agents.judges import SUPPORTED
from memory.ports import Judge
from memory.types import Episode, Verdict

EVERY = 100  # verdicts between two rounds
_SENT = datetime(2024, 3, 4, 18, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Control:
    statement: str
    lines: tuple[tuple[str, str], ...]  # speaker, text
    is_supported: bool

    @property
    def episodes(self) -> list[Episode]:
        return [
            Episode(
                f"control-{place}", "control", place, speaker, speaker, _SENT + timedelta(minutes=place), text
            )
            for place, (speaker, text) in enumerate(self.lines)
        ]


_MOVE = (
    ("Nela Varga", "we moved to Brno in may, boxes everywhere"),
    ("Otis Kern", "send photos of the flat"),
)
_CELLO = (("Otis Kern", "i play the cello now, lesson twelve today"), ("Nela Varga", "your poor neighbours"))
_YACHT = (("Otis Kern", "if i ever get rich i buy a yacht"), ("Nela Varga", "and i sail it"))
_ROUNDS = (
    (
        Control("Nela Varga lives in Brno.", _MOVE, True),
        Control("Nela Varga works as a pilot.", _MOVE, False),
    ),
    (Control("Otis Kern plays the cello.", _CELLO, True), Control("Otis Kern owns a yacht.", _YACHT, False)),
    (Control("Nela Varga moved to Brno.", _MOVE, True), Control("Otis Kern is divorced.", _CELLO, False)),
)


class ControlledJudge:
    """Implements Judge around another one."""

    def __init__(self, judge: Judge, *, every: int = EVERY) -> None:
        self.name = judge.name
        self._judge, self._every = judge, every
        self._left = 0  # verdicts until the next round
        self._rounds = count()

    def supports(
        self, statement: str, episodes: Sequence[Episode], evidence: Collection[str] = ()
    ) -> Verdict:
        """Verdict(None, why) where the judge gets a control question wrong or cannot be asked."""
        if self._left == 0:
            if (failed := self._failure()) is not None:
                return failed
            self._left = self._every
        self._left -= 1
        return self._judge.supports(statement, episodes, evidence)

    def _failure(self) -> Verdict | None:
        for control in _ROUNDS[next(self._rounds) % len(_ROUNDS)]:
            verdict = self._judge.supports(control.statement, control.episodes)
            if verdict.label is None:
                return verdict
            if (verdict.label == SUPPORTED) != control.is_supported:
                return Verdict(None, "the judge got a control question wrong: nothing it says is believed")
        return None
