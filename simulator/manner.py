"""How somebody begins and ends messages, for the plain words that a guard puts in their mouth.

A reply that the model drew has their manner from the weights or not at all; a plain sentence ("I live in Kotor.") is
written as nearly all of their own messages are: small at the beginning, with a small i, without the full stop.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from memory.search.words import STOP
from memory.types import Episode

LEAST = 20  # messages, below which nothing is changed
NEARLY_ALL = 0.7
_BEGIN = re.compile(r"(?:^|(?<=[.!?…] )|(?<=\n))([^\W\d_])((?:['’]?[^\W\d_])*)")
_NAMES = frozenset({"I", "Will", "May"})  # that are also words of every day
_SMALL_I = re.compile(r"\bi\b(?!\.)")
_GREAT_I = re.compile(r"\bI\b(?!\.)")
_OPEN_END = re.compile(r"(?<![.])\.\s*$")


@dataclass(frozen=True, slots=True)
class Manner:
    """What nearly all of a person's messages do."""

    begins_small: bool = False
    has_small_i: bool = False
    ends_open: bool = False

    def __call__(self, text: str) -> str:
        """The text as they write; a word that may be a name keeps its capital."""
        if self.begins_small:
            text = _BEGIN.sub(_small, text)
        if self.has_small_i:
            text = _GREAT_I.sub("i", text)
        return _OPEN_END.sub("", text) if self.ends_open else text


def manner_of(episodes: Iterable[Episode], person_id: str) -> Manner:
    """Measured on the person's own messages; of fewer than LEAST of a kind nothing is taken."""
    own = [text for one in episodes if one.speaker_id == person_id and (text := one.text.strip())]
    letters = [text for text in own if text[0].isalpha() and text[0].lower() != text[0].upper()]
    with_i = [text for text in own if _SMALL_I.search(text) or _GREAT_I.search(text)]
    spoken = [text for text in own if text[-1].isalnum() or text[-1] == "."]
    return Manner(
        _nearly_all(text[0].islower() for text in letters),
        _nearly_all(bool(_SMALL_I.search(text)) for text in with_i),
        _nearly_all(text[-1] != "." for text in spoken),
    )


def _nearly_all(claims: Iterable[bool]) -> bool:
    found = list(claims)
    return len(found) >= LEAST and sum(found) >= NEARLY_ALL * len(found)


def _small(match: re.Match[str]) -> str:
    word = match[0]
    first = re.split("['’]", word)[0]
    return word if first in _NAMES or first.lower() not in STOP else word.lower()
