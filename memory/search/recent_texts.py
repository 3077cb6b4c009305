"""The texts that were put since the text engine's last commit: searched in memory, kept as lines of a file.

A commit of the engine waits for the disk several times; a line that is appended does not. What stands here hides the
engine's document of the same number. Scores are BM25 as the engine computes them, with the averages and counts of both
together; of the engine's own the weight of a rare word is set right, and the average length is not.
Robertson, Zaragoza 2009 (https://doi.org/10.1561/1500000019), equation 3.20 with tantivy's constants.
"""

from __future__ import annotations

import json
import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from memory.search.columns import Floats, Ints
from memory.search.documents import Doc, Field, Scope, Which, which_of

Entry = tuple[Which, int, Doc | None]  # None: the document of that number is gone

K1, B = 1.2, 0.75
MOST = 512  # documents that are kept beside the engine's
# lengths as the engine keeps them, in a byte: exact up to 40, then four bits of them
LENGTHS = tuple(
    i if i < 24 else 24 + (i - 24 if i < 32 else ((i - 24) & 7 | 8) << ((i - 24 >> 3) - 1))
    for i in range(256)
)


@dataclass(frozen=True, slots=True)
class Statistics:
    """Of one field: how many documents, and how many words they have together."""

    n: int = 0
    length: float = 0.0

    def __add__(self, other: Statistics) -> Statistics:
        return Statistics(self.n + other.n, self.length + other.length)

    @property
    def average(self) -> float:
        return self.length / self.n if self.n else 1.0

    def rarity(self, n_with: int) -> float:
        """How much a word counts that so many documents have."""
        return math.log(1 + (self.n - n_with + 0.5) / (n_with + 0.5))


@dataclass(frozen=True, slots=True)
class _Held:
    """A document as it is searched: how often each of its fields has each stem."""

    kind: int
    known_from: int
    audience: frozenset[int]
    lengths: Mapping[Field, int]

    def is_in(self, scope: Scope, which: Which) -> bool:
        if scope.audience is not None and self.audience.isdisjoint(scope.audience):
            return False
        if which == "session":
            return True
        return (scope.kinds is None or self.kind in scope.kinds) and (
            scope.until is None or self.known_from <= math.floor(scope.until)
        )


_Postings = Mapping[tuple[Field, str], Mapping[int, int]]  # field and stem -> number -> how often


@dataclass(frozen=True, slots=True)
class RecentTexts:
    """Immutable: `put` gives another one, and whoever searches keeps the one that they have."""

    entries: Mapping[tuple[Which, int], Doc | None] = field(default_factory=dict)
    _held: Mapping[tuple[Which, int], _Held] = field(default_factory=dict)
    _postings: _Postings = field(default_factory=dict)
    _totals: Mapping[Field, Statistics] = field(default_factory=dict)

    def put(self, entries: Iterable[Entry], stems: Callable[[str], list[str]]) -> RecentTexts:
        """These documents in place of those of the same numbers; `stems` are a text's words, repeated as often as it has them."""
        kept, held = dict(self.entries), dict(self._held)
        postings, totals = _Draft(self._postings), dict(self._totals)
        for which, number, doc in entries:
            key = (which, number)
            before, kept[key] = kept.get(key), doc
            if before is not None:
                gone = held.pop(key)
                for name, text in before.texts:
                    totals[name] = totals[name] + Statistics(-1, -gone.lengths[name])
                    postings.remove(name, number, stems(text))
            if doc is not None:
                lengths = {}
                for name, text in doc.texts:
                    words = stems(text)
                    lengths[name] = len(words)
                    totals[name] = totals.get(name, Statistics()) + Statistics(1, len(words))
                    postings.add(name, number, words)
                held[key] = _Held(doc.kind, doc.known_from, frozenset(doc.audience), lengths)
        return RecentTexts(kept, held, postings.made, totals)

    def __len__(self) -> int:
        return len(self.entries)

    def hides(self, which: Which) -> Ints:
        """Numbers whose documents in the engine do not count."""
        return np.array([number for of, number in self.entries if of == which], np.int64)

    def statistics(self, name: Field) -> Statistics:
        return self._totals.get(name, Statistics())

    def n_with(self, name: Field, stem: str) -> int:
        return len(self._postings.get((name, stem), ()))

    def numbers(self, which: Which) -> Ints:
        """Numbers of the documents that are here."""
        return np.array([number for of, number in self._held if of == which], np.int64)

    def search(
        self, name: Field, rarity: Mapping[str, float], average: float, scope: Scope
    ) -> tuple[Ints, Floats]:
        """Numbers and scores of the documents that have any of these stems, in no order."""
        which = which_of(name)
        scores: dict[int, float] = {}
        for stem, weight in rarity.items():
            for number, times in self._postings.get((name, stem), {}).items():
                held = self._held[which, number]
                if held.is_in(scope, which):
                    length = LENGTHS[bisect_right(LENGTHS, held.lengths[name]) - 1]
                    share = times / (times + K1 * (1 - B + B * length / average))
                    scores[number] = scores.get(number, 0.0) + weight * (K1 + 1) * share
        return np.fromiter(scores, np.int64, len(scores)), np.fromiter(
            scores.values(), np.float64, len(scores)
        )

    def holds(self, number: int, name: Field, stems: Iterable[str]) -> bool | None:
        """Whether the document has all of these; None where it is not here to say."""
        which = which_of(name)
        if (which, number) not in self.entries:
            return None
        return all(number in self._postings.get((name, stem), ()) for stem in stems)


class _Draft:
    """Postings that share with the ones before what is not changed."""

    def __init__(self, before: _Postings) -> None:
        self.made: dict[tuple[Field, str], Mapping[int, int]] = dict(before)
        self._own: dict[tuple[Field, str], dict[int, int]] = {}

    def add(self, name: Field, number: int, words: Sequence[str]) -> None:
        for stem, times in Counter(words).items():
            self._of((name, stem))[number] = times

    def remove(self, name: Field, number: int, words: Sequence[str]) -> None:
        for stem in set(words):
            key = (name, stem)
            left = self._of(key)
            del left[number]
            if not left:
                del self.made[key], self._own[key]

    def _of(self, key: tuple[Field, str]) -> dict[int, int]:
        if key not in self._own:
            self.made[key] = self._own[key] = dict(self.made.get(key, {}))
        return self._own[key]


def write(path: Path, at: int, entries: Iterable[Entry]) -> int:
    """Append lines after the first `at` bytes, which are all that count; how many count then."""
    lines = "".join(f"{json.dumps(_line(*entry), ensure_ascii=False)}\n" for entry in entries)
    with path.open("r+b" if path.exists() else "w+b") as file:
        file.truncate(at)
        file.seek(at)
        file.write(lines.encode("utf-8", "surrogatepass"))
        return file.tell()


def read(path: Path, n_bytes: int) -> list[Entry]:
    """The entries of the first `n_bytes`. Raises OSError or ValueError where they are not there or damaged."""
    if not n_bytes:
        return []
    with path.open("rb") as file:
        text = file.read(n_bytes)
    if len(text) < n_bytes:
        raise ValueError(f"{path.name} of the index is too short")
    lines = text.decode("utf-8", "surrogatepass").split("\n")
    if lines.pop():
        raise ValueError(f"{path.name} of the index is damaged")
    try:
        return [_entry(*json.loads(line)) for line in lines]
    except (TypeError, KeyError) as error:
        raise ValueError(f"{path.name} of the index is damaged") from error


def _line(which: Which, number: int, doc: Doc | None) -> list[object]:
    said = None if doc is None else [doc.kind, doc.time, sorted(doc.audience), list(doc.texts)]
    return [which, number, said]


def _entry(which: Which, number: int, said: list[object] | None) -> Entry:
    if said is None:
        return which, number, None
    kind, time, audience, texts = said
    return which, number, Doc(number, kind, time, frozenset(audience), tuple((n, t) for n, t in texts))  # type: ignore[arg-type,call-overload,attr-defined]
