"""The loop guard: what `simulator.circles` finds is drawn again, then answered with a change of topic, then ends the reply."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from statistics import fmean, median
from typing import Literal

from simulator.circles import (
    LEAST_TURNS,
    Written,
    block,
    cycle,
    falls_in_reply,
    falls_over_turns,
    normal_words,
    said_before,
    said_often,
    turn_words,
    worn,
)
from simulator.ports import Objection, Piece

Step = Literal["again", "topic", "end"]
MOST_TURNS = 48  # whose words are kept
MOST_TRIPLES = 4096
_REASONS = {
    "block": "a block repeats within the reply",
    "turns": "turns repeat",
    "worn": "a word that most of the last turns hold",
    "verbatim": "a long stretch of what they really wrote",
    "entropy": "the entropy falls away",
}


@dataclass(frozen=True, slots=True)
class Remedies:
    """What follows on the n-th objection in a row (from 1) to the same reply."""

    draws: int = 3  # objections that are answered with another draw

    def step(self, n: int, *, stands: bool) -> Step:
        """`stands`: something of the reply was let pass already; it then ends there, rather than change its topic."""
        if n < self.draws:
            return "again"
        return "end" if stands or n > self.draws else "topic"


@dataclass(slots=True)
class LoopGuard:
    """A `Guard` for one persona, told every turn of the conversation. `change_topic` gives an opening in its words.

    Keeps the words of the last MOST_TURNS turns and hashes of MOST_TRIPLES: what it holds is bounded.
    """

    person: str  # name
    written: Written | None = None
    change_topic: Callable[[], str | None] = lambda: None
    remedies: Remedies = field(default_factory=Remedies)
    name: str = "loops"
    found: Counter[str] = field(default_factory=Counter)  # detector -> objections so far
    _turns: deque[tuple[str, ...]] = field(default_factory=lambda: deque(maxlen=MOST_TURNS))
    _names: set[str] = field(default_factory=set)  # of who speaks
    _triples: dict[int, None] = field(default_factory=dict)  # oldest first
    _first: list[float] = field(default_factory=list)  # mean entropies of the persona's first turns
    _means: deque[float] = field(default_factory=lambda: deque(maxlen=2 * LEAST_TURNS))
    _drawn: dict[str, list[float]] = field(default_factory=dict)  # beginning of this reply -> its entropies
    _n_in_a_row: int = 0

    def objection(self, said: str, part: str, pieces: Sequence[Piece]) -> Objection | None:
        """The reason names the detector: block, turns, worn, verbatim or entropy."""
        entropies = self._drawn.get(said, []) + [one.entropy for one in pieces if one.entropy is not None]
        detector = self._detector(said, part, entropies)
        if detector is None:
            self._drawn[said + part] = entropies
            self._n_in_a_row = 0
            return None
        self.found[detector] += 1
        self._n_in_a_row += 1
        step = self.remedies.step(self._n_in_a_row, stands=bool(said.strip()))
        reason = f"{detector}: {_REASONS[detector]}"
        if step == "again":
            return Objection(self.name, reason)
        self._n_in_a_row = 0
        return Objection(self.name, reason, (self.change_topic() or "") if step == "topic" else "")

    def heard(self, speaker: str, text: str) -> None:
        words = turn_words(text)
        if not words:
            return
        self._names.update(normal_words(speaker))
        if (key := self._triple(words)) is not None:
            self._triples[key] = None
            if len(self._triples) > MOST_TRIPLES:
                del self._triples[next(iter(self._triples))]
        self._turns.append(words)
        if speaker == self.person:
            self._keep_level(text)
        self._drawn.clear()
        self._n_in_a_row = 0

    @property
    def level(self) -> float | None:
        """Median of the mean entropies (nats a token) of the persona's first turns; None until there are enough."""
        return median(self._first) if len(self._first) == LEAST_TURNS else None

    def _detector(self, said: str, part: str, entropies: Sequence[float]) -> str | None:
        whole = said + part
        if any(block(whole[:end]) for end in _ends(whole, len(said))):
            return "block"
        if self._is_again(turn_words(whole), normal_words(part)):
            return "turns"
        if not worn(list(self._turns), self._names).isdisjoint(normal_words(part)):
            return "worn"
        if self.written is not None and self.written.repeated(whole):
            return "verbatim"
        if falls_in_reply(entropies, self.level):
            return "entropy"
        if entropies and falls_over_turns([*self._means, fmean(entropies)], self.level):
            self._means.clear()  # looked at anew after as many turns again
            return "entropy"
        return None

    def _is_again(self, whole: tuple[str, ...], part: tuple[str, ...]) -> bool:
        turns = list(self._turns)
        if said_before(whole, turns) or said_before(part, turns) or cycle([*turns, whole]):
            return True
        if said_often(whole, turns, self._names):
            return True
        return self._triple(whole) in self._triples

    def _triple(self, words: tuple[str, ...]) -> int | None:
        """A hash of the turn with the two before it; None where there are none."""
        three = (*list(self._turns)[-2:], words)
        return hash(three) if len(three) == 3 else None

    def _keep_level(self, text: str) -> None:
        """The entropies of the draw that became this turn; a turn with a guard's own words has none."""
        entropies = next((row for said, row in self._drawn.items() if said.strip() == text.strip()), None)
        if not entropies:
            return
        self._means.append(fmean(entropies))
        if len(self._first) < LEAST_TURNS:
            self._first.append(fmean(entropies))


def _ends(text: str, start: int) -> Iterator[int]:
    """Where a block is looked for in what is new: at each 16th character and at the end of the text."""
    yield from (at for at in range(start + 16, len(text), 16))
    yield len(text)
