"""Small numbers as people write them: digits, words, "a couple of"."""

from __future__ import annotations

import re

_ONES = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
]
_TENS = dict(
    zip(
        ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"],
        range(20, 100, 10),
        strict=True,
    )
)
_LOOSE = {"a": 1, "an": 1, "a couple of": 2, "couple of": 2, "a few": 3, "half a dozen": 6, "a dozen": 12}

_WORDS = "|".join([*_TENS, *reversed(_ONES)])
NUMBER = rf"(?:\d{{1,4}}|(?:{'|'.join(_TENS)})[- ](?:{'|'.join(_ONES[1:10])})|(?:{_WORDS})(?![a-z]))"
COUNT = rf"(?:{NUMBER}|a couple of|couple of|a few|an|a)"
"""NUMBER, or a loose count that only makes sense before a unit of time."""


def to_int(text: str) -> int | None:
    """The value of a match of NUMBER or COUNT; None for anything else."""
    words = re.sub(r"[\s-]+", " ", text.strip().lower())
    if words.isdigit():
        return int(words)
    if words in _LOOSE:
        return _LOOSE[words]
    if words in _ONES:
        return _ONES.index(words)
    tens, _, ones = words.partition(" ")
    if tens not in _TENS or (ones and ones not in _ONES[1:10]):
        return None
    return _TENS[tens] + (_ONES.index(ones) if ones else 0)
