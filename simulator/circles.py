"""What tells that a conversation turns in circles: detectors, each a plain function of words or numbers.

A block that repeats in one reply; turns that repeat in a cycle, also nearly, also said by another persona; a word that most
turns hold; long stretches of what the person really wrote; an entropy that falls away. Which texts are ordinary chat and may
repeat is in the thresholds; docs/results.md has how often they fire on real messages. What is done: `simulator.loops`.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean

import numpy as np
import numpy.typing as npt

from memory.search.words import STOP, content_words

WINDOW = 512  # units of a reply that are searched for a block

_UNIT = re.compile(
    r"[\u3040-\u30ff\u3400-\u9fff]|[^\W_\u3040-\u30ff\u3400-\u9fff]+(?:['’][^\W_]+)*|[^\w\s]|_"
)
_LONG = 12  # characters of a word beyond which it is read in pieces: a wail, a laugh, a script without blanks
_PIECE = 4


# ---- a block that repeats in a reply


@dataclass(frozen=True, slots=True)
class Period:
    """`length` units that follow each other `repeats` times (a broken last one counts as its share)."""

    length: int
    repeats: float


def units(text: str) -> list[str]:
    """Words, marks, emoji, kana and Han signs in lower case, long words in pieces: what a reply is searched by.

    The same whatever tokenizer drew it, and where a server sends no tokens.
    """
    found: list[str] = []
    for unit in _UNIT.findall(text.casefold()):
        if len(unit) <= _LONG:
            found.append(unit)
        else:
            found += [
                unit[max(0, at) : at + _PIECE] for at in range(len(unit) % _PIECE - _PIECE, len(unit), _PIECE)
            ]
    return found


def block(text: str) -> Period | None:
    """The block with which a text ends again and again; its last unit may be one that broke off."""
    found = units(text)
    return period(found) or period(found[:-1])


def period(sequence: Sequence[object]) -> Period | None:
    """The block with which the sequence ends again and again, or None.

    Of all suffixes the most repeated one that is a loop: 3 times and 24 units together, 3 times a block of 4 and more, or
    twice one of 12 and more. Laughter and rows of marks are shorter. O(n) by the failure function of the reversed tail
    (Knuth, Morris and Pratt, SIAM J. Comput. 6, 1977), n at most WINDOW.
    """
    tail = list(sequence[-WINDOW:])[::-1]
    best: Period | None = None
    failure = [0] * len(tail)
    length = 0
    for at in range(1, len(tail)):
        while length and tail[at] != tail[length]:
            length = failure[length - 1]
        length += tail[at] == tail[length]
        failure[at] = length
        found = Period(at + 1 - length, (at + 1) / (at + 1 - length))
        if _is_loop(found) and (best is None or found.repeats > best.repeats):
            best = found
    return best


def _is_loop(found: Period) -> bool:
    if found.repeats < 2:
        return False
    if found.repeats < 3:
        return found.length >= 12
    return found.length >= 4 or found.length * found.repeats >= 24


# ---- turns that repeat


LIKE = 0.75  # share of the smaller turn's pairs of words that both have, from which turns are the same again
SUBSTANTIAL = 4  # words from which a turn or cycle says something; less is a greeting, a laugh, a yes
LONGEST_CYCLE = 3  # turns
CONTAINED = 6  # words from which a part is looked for within longer turns
WITHIN = 0.85  # share of its pairs that such a turn has
WORDLESS = ""  # stands for the words of a turn that has none
OFTEN_TURNS = 12  # last turns of all
OFTEN = 3  # times that a turn of less than SUBSTANTIAL words stands among them, from which on it is not said again for a while


def normal_words(text: str) -> tuple[str, ...]:
    """What counts as the same words: case, marks, accents, stretched letters and emoji aside."""
    plain = unicodedata.normalize("NFKD", text.casefold())
    plain = "".join(char for char in plain if not unicodedata.combining(char))
    plain = re.sub(r"([^\W\d_])\1{2,}", r"\1", plain)
    return tuple(re.findall(r"[^\W_]+", plain.replace("'", "").replace("’", "")))


def turn_words(text: str) -> tuple[str, ...]:
    """`normal_words` of a turn, WORDLESS where it holds nothing but marks and emoji; () for a blank one.

    Two turns without a word say the same, whatever their marks.
    """
    return normal_words(text) or ((WORDLESS,) if text.strip() else ())


def alike(one: Sequence[str], other: Sequence[str]) -> bool:
    """Whether two turns say the same again: equal words, or of turns of 4 and more words mostly equal pairs of them.

    The overlap is taken over the shorter, which may be at most a third shorter: "so tired today" is not "I am so tired today
    that I slept in the tram".
    """
    if tuple(one) == tuple(other):
        return True
    few, many = sorted((len(one), len(other)))
    if few < SUBSTANTIAL or few < many * 2 / 3:
        return False
    pairs, others = _pairs(one), _pairs(other)
    return len(pairs & others) >= LIKE * min(len(pairs), len(others))


def _pairs(words: Sequence[str]) -> frozenset[tuple[str, str]]:
    return frozenset(pairwise(words))


def cycle(turns: Sequence[Sequence[str]]) -> int | None:
    """The length of the cycle of 1, 2 or 3 turns (as normal words) that the last turns go round in, or None.

    A cycle that says something counts when it comes twice, one of a few words when it comes three times: two people who
    both say good night do not go in circles.
    """
    for length in range(1, LONGEST_CYCLE + 1):
        n_words = sum(len(turn) for turn in turns[-length:])
        times = 2 if n_words >= SUBSTANTIAL * length else 3
        if n_words and len(turns) >= times * length and _goes_round(turns[-times * length :], length):
            return length
    return None


def _goes_round(turns: Sequence[Sequence[str]], length: int) -> bool:
    return all(alike(turns[at], turns[at + length]) for at in range(len(turns) - length))


def said_before(words: Sequence[str], earlier: Iterable[Sequence[str]]) -> bool:
    """Whether a stretch that says something was said before, by anybody: as a turn, or in one from CONTAINED words on."""
    if len(words) < SUBSTANTIAL:
        return False
    return any(alike(words, other) or _is_within(words, other) for other in earlier)


def _is_within(words: Sequence[str], other: Sequence[str]) -> bool:
    if len(words) < CONTAINED or len(other) < len(words):
        return False
    pairs = _pairs(words)
    return len(pairs & _pairs(other)) >= WITHIN * len(pairs)


def said_often(words: Sequence[str], turns: Sequence[Sequence[str]], but: Collection[str] = ()) -> bool:
    """Whether a turn of a few words was said OFTEN times among the last turns, whoever was called by name in it (`but`)."""
    short = _without(words, but)
    if len(short) >= SUBSTANTIAL:
        return False
    return sum(_without(turn, but) == short for turn in turns[-OFTEN_TURNS:]) >= OFTEN


def _without(words: Sequence[str], but: Collection[str]) -> tuple[str, ...]:
    return tuple(word for word in words if word not in but and word != WORDLESS)


WORN_TURNS = 12  # last turns of all
WORN = 7  # of them that hold a word, from which on it is not said again for a while


def worn(turns: Sequence[Sequence[str]], but: Collection[str] = ()) -> frozenset[str]:
    """Content words that WORN of the last turns hold; `but`: words that may be said as often as one likes, such as names."""
    held = Counter(
        word
        for turn in turns[-WORN_TURNS:]
        for word in frozenset(turn)
        if len(word) >= SUBSTANTIAL and word not in STOP and word not in but
    )
    return frozenset(word for word, n in held.items() if n >= WORN)


# ---- what the person really wrote


VERBATIM = 8  # words in a row
TELLING = 3  # content words among them: else it is a phrase that anybody says
HABIT = 3  # messages of one person that share a stretch make it their way of speaking


class Written:
    """Stretches of VERBATIM words of a person's messages, as sorted hashes: 8 bytes a word."""

    def __init__(self, messages: Iterable[str]) -> None:
        parts = [np.fromiter(_stretches(normal_words(text)), np.int64) for text in messages]
        every = np.concatenate([np.unique(part) for part in parts] or [np.empty(0, np.int64)])
        hashes, times = np.unique(every, return_counts=True)
        self._hashes: npt.NDArray[np.int64] = hashes[times < HABIT]

    def __len__(self) -> int:
        return len(self._hashes)

    def repeated(self, text: str) -> bool:
        """Whether the text holds such a stretch, in the person's very words."""
        words = normal_words(text)
        found = np.fromiter(_stretches(words), np.int64)
        places = np.searchsorted(self._hashes, found)
        places[places == len(self._hashes)] = 0
        hits = np.flatnonzero(self._hashes[places] == found) if len(self._hashes) else ()
        return any(
            len(content_words(" ".join(words[first : last + VERBATIM]))) >= TELLING
            for first, last in _runs(hits)
        )


def _runs(places: Iterable[int]) -> Iterator[tuple[int, int]]:
    """First and last of each row of places that follow each other."""
    row: list[int] = []
    for place in places:
        if row and place != row[-1] + 1:
            yield row[0], row[-1]
            row = []
        row.append(int(place))
    if row:
        yield row[0], row[-1]


def _stretches(words: Sequence[str]) -> Iterator[int]:
    """A hash of each stretch; within one process the same for the same words."""
    return (hash(tuple(words[at : at + VERBATIM])) for at in range(len(words) - VERBATIM + 1))


# ---- entropy that falls away


LEAST_TOKENS = 16  # of a reply, from which its course is looked at
LEAST_TURNS = 6  # from which a conversation has a level of its own
FALLEN = 0.25  # of that level: below it a reply is not chosen any more, it runs by itself
FALLEN_TURNS = 0.5  # of that level, for the mean of the last turns
TREND = -0.4  # Kendall's tau


def trend(values: Sequence[float]) -> float:
    """Kendall's tau-a against the order of the values, in [-1, 1]; -1 where each is below the one before. O(n^2)."""
    n = len(values)
    if n < 2:
        return 0.0
    row = np.asarray(values, dtype=np.float64)
    above = np.sign(row[None, :] - row[:, None])[np.triu_indices(n, 1)]
    return float(above.sum() / (n * (n - 1) / 2))


def falls_in_reply(entropies: Sequence[float], level: float | None) -> bool:
    """Whether a reply's entropies (nats, one a token) fall and end far below the conversation's level.

    One number is blurred over four tokens: in every text the end of a word is surer than its beginning.
    """
    if level is None or len(entropies) < LEAST_TOKENS:
        return False
    last = entropies[-LEAST_TOKENS // 2 :]
    blurred = [fmean(entropies[at : at + 4]) for at in range(0, len(entropies) - 3, 4)]
    return fmean(last) < FALLEN * level and trend(blurred) <= TREND


def falls_over_turns(means: Sequence[float], level: float | None) -> bool:
    """Whether the mean entropies of the last turns fall, and the last three lie far below the conversation's level."""
    if level is None or len(means) < 2 * LEAST_TURNS:
        return False
    recent = means[-2 * LEAST_TURNS :]
    return fmean(recent[-3:]) < FALLEN_TURNS * level and trend(recent) <= TREND
