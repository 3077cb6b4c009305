"""The words of a statement that tell its value, and whether a text says them.

Chats word relations in their own way, so the words that say which relation it is do not count, and neither does whom
the statement is about; what is left is looked for: as it stands, as another word of its family ("cello", "cellist"),
or as one of the ways of saying it in `data/equivalents.toml`.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from agents import cues
from memory.names import key
from memory.types import Episode
from memory.wordings import MONTHS, Wordings

# Words that statements share whatever their value; those of the shipped wordings are added.
_COMMON = """a an the is are was were be been am has have had do does did of in on at to for from by with and or as it its
his her their he she they that this now there who whose name called new longer more any yes no not never which over january
february march april may june july august september october november december"""
_SUBJECT = re.compile(r"(?:[A-ZÀ-Þ][\w'’-]*\s+){1,4}")
_POSSESSED = re.compile(r"[^.]+?['’]s (?P<relation>[^.]+?) (?:is|was|are|were) (?P<value>.+)$")
_DATE = re.compile(r"\b\d{1,2} [A-Z][a-z]+ \d{4}\b")
_MONTH = re.compile(r"\b(\d{4})-(0[1-9]|1[0-2])\b(?!-)")
_YEAR = re.compile(r"(?:19|20)\d\d")
_FAMILY = 5  # letters from which words of one beginning can be a family
_NAME_WEIGHT = 2.0


@dataclass(frozen=True, slots=True)
class Telling:
    """Stems. `plain` are those that are no names: only they have families. `relation` says what the value is to the
    subject ("sister"), where the statement has a word for it."""

    words: frozenset[str]
    plain: frozenset[str]
    relation: frozenset[str] = frozenset()

    def said_in(self, text: str) -> frozenset[str]:
        """Those of the words that the text says."""
        plain, said = _said(text)
        found = self.words & said
        missing = (self.words - found) & self.plain
        return found | {
            word for word in missing if _says(plain, word) or any(_is_family(word, s) for s in said)
        }

    def share(self, words: frozenset[str]) -> float:
        """How much of what tells the value is among the words; names tell more than others."""
        return self._weight(words) / max(self._weight(self.words), 1.0)

    def _weight(self, words: frozenset[str]) -> float:
        return sum(1.0 if word in self.plain else _NAME_WEIGHT for word in words & self.words)


def telling_of(statement: str, episodes: Sequence[Episode]) -> Telling:
    """The stems that carry the value: no frame words, no subject, no names of those who speak."""
    if month := _MONTH.search(statement):
        return Telling(cues.stems(MONTHS[int(month[2]) - 1].lower()), frozenset())
    speakers = frozenset(
        stem for name in {episode.speaker for episode in episodes} for stem in cues.stems(key(name))
    )
    subject = cues.stems(key(match[0])) if (match := _SUBJECT.match(statement)) else frozenset()
    possessed = _POSSESSED.match(statement)
    said = cues.stems(key(statement)) - subject
    value = cues.stems(key(possessed["value"])) - subject if possessed else said
    # a statement of nothing but names and common words ("her witness is Tomas") is told by the words of its relation
    words = value - speakers - _frame() or said - speakers - _frame() or said - speakers - _common()
    if _DATE.search(statement):
        words = frozenset(word for word in words if not _YEAR.fullmatch(word))  # few say the year of a day
    lowered = {stem for word in statement.split() if word[:1].islower() for stem in cues.stems(key(word))}
    kept = words - subject or words
    relation = cues.stems(key(possessed["relation"])) - _common() if possessed else frozenset[str]()
    return Telling(kept, kept & lowered, relation - kept)


@lru_cache(maxsize=1)
def _frame() -> frozenset[str]:
    """Words that say which relation, not which value."""
    wordings = Wordings.load()
    templates = [text for name in wordings.names() for text in wordings.statements(name)]
    return _common() | frozenset(cues.stems(re.sub(r"\{[^}]*\}", " ", " ".join(templates))))


@lru_cache(maxsize=1)
def _common() -> frozenset[str]:
    return frozenset(cues.stems(_COMMON))


@lru_cache(maxsize=1)
def _equivalents() -> dict[str, re.Pattern[str]]:
    path = Path(__file__).parent / "data" / "equivalents.toml"
    found = tomllib.loads(path.read_text(encoding="utf-8"))
    return {stem: re.compile("|".join(patterns)) for stem, patterns in found.items()}


@lru_cache(maxsize=cues.CACHED)
def _said(text: str) -> tuple[str, frozenset[str]]:
    plain = key(text)
    return plain, cues.stems(plain)


def _says(text: str, stem: str) -> bool:
    pattern = _equivalents().get(stem)
    return pattern is not None and bool(pattern.search(text.replace("’", "'")))


def says_otherwise(text: str, stems: frozenset[str]) -> bool:
    """Whether the text says one of these in words of its own, in which a negation may be part of the saying."""
    return any(_says(_said(text)[0], stem) for stem in stems)


def _is_family(a: str, b: str) -> bool:
    short, long = sorted((a, b), key=len)
    if len(short) < _FAMILY or len(long) - len(short) > 4:
        return False
    return long.startswith(short[:-1])
