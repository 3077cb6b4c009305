"""How far one set of replies is from another in manner: a named number for each side of style, all zero for the same.

A number alone says little: two halves of one person's own messages differ as well, the more the fewer they are. So each
stands beside a floor (two random halves of the person's own replies) and a ceiling (their replies and their partner's),
drawn with as many replies on each side as the replies in question. `relative` is 0 at the floor and 1 at the ceiling.
Numpy only, no language: words are runs of letters and digits, and what is too common to be a topic is counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from agents.measures import EMOJI, WORD, ending, is_lowercase

Floats = npt.NDArray[np.float64]
UNITS: Mapping[str, str] = {
    "words_per_message": "words (earth mover's distance)",
    "messages_per_turn": "messages (earth mover's distance)",
    "case": "share of messages (total variation)",
    "emoji": "share of messages (total variation)",
    "emoji_choice": "bits (Jensen-Shannon divergence)",
    "punctuation": "bits (Jensen-Shannon divergence)",
    "word_use": "bits (Jensen-Shannon divergence)",
    "character_use": "bits (Jensen-Shannon divergence)",
    "topic_latency": "turns (earth mover's distance)",
}
DRAWS = 20
MOST = 200  # replies on each side of a draw
GRAM = 3  # characters
SMOOTHING = 0.5  # added to each count over the joint vocabulary (Krichevsky & Trofimov 1981)
COMMON = 0.05  # share of all turns from which a word is no topic
MAX_LATENCY = 8  # turns; what is spoken of longer counts as this
_MARKS = frozenset(".,;:!?…-–—()[]\"'’“”*/&+=~^<>")


@dataclass(frozen=True, slots=True)
class Reply:
    """One reply, as messages; `heard`: what others had said before it, a text for each of their turns, the last last."""

    lines: tuple[str, ...]
    heard: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Distance:
    """One number with its bounds; each a mean over DRAWS. `noise`: standard deviation of the floor from draw to draw."""

    name: str
    value: float
    floor: float
    ceiling: float
    noise: float

    @property
    def relative(self) -> float | None:
        """0 at the floor, 1 at the ceiling; None where so few replies do not tell the two people apart by it."""
        span = self.ceiling - self.floor
        return (self.value - self.floor) / span if span > max(self.noise, 1e-9) else None

    def as_json(self) -> dict[str, Any]:
        relative = self.relative
        return {
            "value": round(self.value, 4),
            "floor": round(self.floor, 4),
            "ceiling": round(self.ceiling, 4),
            "relative": None if relative is None else round(relative, 3),
            "unit": UNITS[self.name],
        }


def distances(
    replies: Sequence[Reply], own: Sequence[Reply], partners: Sequence[Reply], seed: int = 0
) -> list[Distance]:
    """Of `replies` to the person's `own` real ones, in the order of UNITS; empty where a side has too few.

    Each side of each comparison is half of the person's own replies, or the fewest there are.
    """
    size = min(len(own) // 2, len(replies), len(partners), MOST)
    if size < 1:
        return []
    common = common_words([*own, *partners])
    rng = np.random.default_rng(seed)
    values, floors, ceilings = (np.zeros((DRAWS, len(UNITS))) for _ in range(3))
    for draw in range(DRAWS):
        order = rng.permutation(len(own))
        half = Counts.of([own[i] for i in order[:size]], common)
        other_half = Counts.of([own[i] for i in order[size : 2 * size]], common)
        asked = Counts.of([replies[i] for i in rng.permutation(len(replies))[:size]], common)
        foreign = Counts.of([partners[i] for i in rng.permutation(len(partners))[:size]], common)
        values[draw], floors[draw], ceilings[draw] = (
            half.distance(side) for side in (asked, other_half, foreign)
        )
    means = (np.nanmean(rows, axis=0) for rows in (values, floors, ceilings))
    columns = np.array([*means, np.nanstd(floors, axis=0)])
    return [Distance(name, *column) for name, column in zip(UNITS, columns.T.tolist(), strict=True)]


def common_words(turns: Sequence[Reply]) -> frozenset[str]:
    """Words in more than COMMON of the turns, and in at least three: they stand for no topic."""
    seen = Counter(word for turn in turns for word in set(_words(turn.lines)))
    least = max(3.0, COMMON * len(turns))
    return frozenset(word for word, n in seen.items() if n >= least)


@dataclass(frozen=True, slots=True)
class Counts:
    """What a set of replies is made of, counted: each a histogram."""

    words: Counter[int]
    messages: Counter[int]
    case: Counter[str]
    emoji: Counter[int]
    emoji_choice: Counter[str]
    marks: Counter[str]
    word_use: Counter[str]
    character_use: Counter[str]
    latency: Counter[int]

    @classmethod
    def of(cls, turns: Sequence[Reply], common: frozenset[str]) -> Counts:
        lines = [line for turn in turns for line in turn.lines]
        signs = [EMOJI.findall(line) for line in lines]
        return cls(
            words=Counter(len(WORD.findall(line)) for line in lines),
            messages=Counter(len(turn.lines) for turn in turns),
            case=Counter(map(_case, lines)),
            emoji=Counter(min(3, len(found)) for found in signs),
            emoji_choice=Counter(sign for found in signs for sign in found),
            marks=Counter(mark for line in lines for mark in _marks(line)),
            word_use=Counter(_words(lines)),
            character_use=Counter(gram for line in lines for gram in _grams(line)),
            latency=Counter(lag for turn in turns for lag in latencies(turn, common)),
        )

    def distance(self, other: Counts) -> Floats:
        """In the order of UNITS."""
        return np.array(
            [
                earth_mover(self.words, other.words),
                earth_mover(self.messages, other.messages),
                total_variation(self.case, other.case),
                total_variation(self.emoji, other.emoji),
                jensen_shannon(self.emoji_choice, other.emoji_choice),
                jensen_shannon(self.marks, other.marks),
                jensen_shannon(self.word_use, other.word_use),
                jensen_shannon(self.character_use, other.character_use),
                earth_mover(self.latency, other.latency),
            ]
        )


def latencies(turn: Reply, common: frozenset[str]) -> list[int]:
    """For each topic of a reply that somebody else had brought up: how many of their turns ago they first did, from 1.

    A topic is a word that is not common. A reply that takes up nothing has one latency of 0.
    """
    spoken = set(_words(turn.lines)) - common
    heard = [set(_words((text,))) for text in turn.heard]
    lags = [
        min(MAX_LATENCY, len(heard) - next(place for place, words in enumerate(heard) if topic in words))
        for topic in sorted(spoken)
        if any(topic in words for words in heard)
    ]
    return lags or [0]


def earth_mover(one: Counter[int], other: Counter[int]) -> float:
    """Mean distance that mass has to move to make one distribution of the other: the area between their cumulative
    shares (Vallender 1974). NaN where one is empty."""
    return _between(one, other, lambda a, b: float(np.abs(np.cumsum(a - b)).sum()), _steps)


def total_variation(one: Counter[Any], other: Counter[Any]) -> float:
    """The share of mass that lies elsewhere, in [0, 1]. NaN where one is empty."""
    return _between(one, other, lambda a, b: float(np.abs(a - b).sum() / 2), _joint)


def jensen_shannon(one: Counter[str], other: Counter[str]) -> float:
    """In bits, in [0, 1] (Lin 1991, eq. 4.1), of counts smoothed over what either has. Nothing is as nothing, and all
    different from something."""
    if not one or not other:
        return float(bool(one) != bool(other))
    names = _joint(one, other)
    p, q = (_shares(side, names, SMOOTHING) for side in (one, other))
    middle = (p + q) / 2
    return float((p * np.log2(p / middle) + q * np.log2(q / middle)).sum() / 2)


def _between(
    one: Counter[Any],
    other: Counter[Any],
    formula: Callable[[Floats, Floats], float],
    names: Callable[[Counter[Any], Counter[Any]], Sequence[Hashable]],
) -> float:
    if not one or not other:
        return float("nan")
    over = names(one, other)
    return formula(_shares(one, over), _shares(other, over))


def _joint(one: Counter[Any], other: Counter[Any]) -> list[Hashable]:
    return sorted({*one, *other})


def _steps(one: Counter[int], other: Counter[int]) -> list[int]:
    return list(range(max(*one, *other) + 1))


def _shares(counts: Counter[Any], names: Sequence[Hashable], added: float = 0.0) -> Floats:
    found = np.array([counts[name] for name in names], dtype=np.float64) + added
    shares: Floats = found / found.sum()
    return shares


def _case(line: str) -> str:
    """small: no capital; shout: a whole word of them; capital: begins with one; other: neither, or a script without."""
    if is_lowercase(line):
        return "small"
    words = [word for word in WORD.findall(line) if len(word) >= 3]
    if any(word.isupper() and word.lower() != word for word in words):
        return "shout"
    return "capital" if line[:1].isupper() else "other"


def _marks(line: str) -> list[str]:
    """Each mark, and how the message ends."""
    return [*(char for char in line if char in _MARKS), f"end: {ending(line)}"]


def _words(lines: Iterable[str]) -> list[str]:
    return [word for line in lines for word in WORD.findall(line.lower())]


def _grams(line: str) -> list[str]:
    """Runs of GRAM characters, case kept, with the message's edges."""
    text = f"\n{line}\n"
    return [text[i : i + GRAM] for i in range(max(1, len(text) - GRAM + 1))]
