"""Words and signs of feeling: what a text says of itself, and how loudly.

Read from `data/emotion_lexicon.toml`. The lexicon finds concepts that the trained head has no label for, and
measures loudness (capitals, exclamation marks, intensifiers, stretched letters), which moves every intensity.
It knows nothing of context beyond a negation shortly before a phrase.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

_PATH = Path(__file__).parent / "data" / "emotion_lexicon.toml"
_WORD = re.compile(r"\w+(?:'\w+)*")
_SHOUT = re.compile(r"\b[^\W\d_]{3,}\b")
_STRETCHED = re.compile(r"([^\W\d_])\1{2,}")
_CLAUSE_END = re.compile(r"[.!?;,\n]")
NEGATION_WORDS = 3  # how many words before a phrase a negation may stand
MAX_LOUDNESS = 2.5
GLAD = frozenset({"joy", "excitement", "amusement", "pride", "relief"})
SAD = frozenset({"sadness", "loneliness", "disappointment", "anxiety"})


class Lexicon:
    def __init__(self, data: Mapping[str, Any]) -> None:
        self._concepts: dict[str, dict[str, float]] = {}
        for concept, levels in data["phrases"].items():
            for level, phrases in levels.items():
                for phrase in phrases:
                    self._concepts.setdefault(phrase.lower(), {})[concept] = float(level)
        self._starts: dict[str, list[tuple[re.Pattern[str], str]]] = {}
        for phrase in sorted(self._concepts, key=lambda phrase: (-len(phrase), phrase)):
            self._starts.setdefault(_start(phrase), []).append((_bordered(phrase), phrase))
        self._signs: dict[str, dict[str, float]] = {**data["emoji"], **data["emoticons"]}
        self._beside_joy: dict[str, dict[str, float]] = data["beside_joy"]
        self._sign = re.compile("|".join(_sign(sign) for sign in sorted(self._signs, key=len, reverse=True)))
        modifiers = data["modifiers"]
        self._stronger = _any_of(modifiers["stronger"])
        self._weaker = _any_of(modifiers["weaker"])
        self._negation = _any_of(modifiers["negation"])

    @classmethod
    def load(cls, path: Path = _PATH) -> Lexicon:
        return cls(tomllib.loads(path.read_text(encoding="utf-8")))

    def concepts(self) -> frozenset[str]:
        tables = [*self._concepts.values(), *self._signs.values()]
        return frozenset(concept for table in tables for concept in table)

    def find(self, text: str) -> dict[str, float]:
        """Concept -> intensity 0-10 before loudness. Several finds of one concept add half a point each."""
        plain = text.replace("’", "'").lower()
        found: dict[str, list[float]] = {}
        for start, phrase in self._phrases(plain):
            if not self._is_negated(plain, start):
                _add(found, self._concepts[phrase])
        signs = [match.group() for match in self._sign.finditer(text)]
        for sign in signs:
            if sign not in self._beside_joy:
                _add(found, self._signs[sign])
        moved = bool(GLAD & found.keys()) and not SAD & found.keys()
        for sign in signs:
            if sign in self._beside_joy:
                _add(found, (self._beside_joy if moved else self._signs)[sign])
        return {
            concept: min(10.0, max(levels) + 0.5 * min(len(levels) - 1, 3))
            for concept, levels in found.items()
        }

    def loudness(self, text: str) -> float:
        """Points that the manner adds to an intensity, from -1.5 (hedged) to MAX_LOUDNESS."""
        plain = text.replace("’", "'").lower()
        words = _SHOUT.findall(text)
        shouted = [word for word in words if word.isupper()]
        points = 1.0 if shouted and (len(shouted) >= 2 or len(words) <= 4) else 0.5 if shouted else 0.0
        points += min(1.5, 0.4 * text.count("!"))
        points += 0.5 if _STRETCHED.search(plain) else 0.0
        points += 0.5 if self._stronger.search(plain) else 0.0
        points -= 1.5 if self._weaker.search(plain) else 0.0
        return max(-1.5, min(MAX_LOUDNESS, points))

    def _phrases(self, plain: str) -> Iterator[tuple[int, str]]:
        """Where phrases begin, from left to right, the longest of each place, none inside another."""
        end = 0
        for word in _WORD.finditer(plain):
            if word.start() < end:
                continue
            starts = (*self._starts.get(word.group(), ()), *self._starts.get(word.group()[:3] + "*", ()))
            for pattern, phrase in starts:
                if match := pattern.match(plain, word.start()):
                    end = match.end()
                    yield word.start(), phrase
                    break

    def _is_negated(self, plain: str, start: int) -> bool:
        """A negation among the words before, in the same clause."""
        clause = _CLAUSE_END.split(plain[:start])[-1]
        return bool(self._negation.search(" ".join(clause.split()[-NEGATION_WORDS:])))


def _add(found: dict[str, list[float]], table: Mapping[str, float]) -> None:
    for concept, level in table.items():
        found.setdefault(concept, []).append(float(level))


def _start(phrase: str) -> str:
    """The key a phrase is looked up by: its first word, or for an open word its first three letters and a *."""
    word = _WORD.match(phrase)
    first = word.group() if word else phrase
    return f"{phrase[:3]}*" if phrase.endswith("*") and " " not in phrase else first


def _bordered(phrase: str) -> re.Pattern[str]:
    """The phrase up to a word border; a trailing * takes the rest of the word."""
    stem = phrase.endswith("*")
    body = re.escape(phrase[:-1] if stem else phrase).replace(r"\ ", r"\s+")
    return re.compile(body + (r"\w*" if stem else r"(?!\w)" if phrase[-1].isalnum() else ""))


def _sign(sign: str) -> str:
    """An emoji anywhere; an emoticon made of letters only where no letter touches it."""
    return re.escape(sign) if not any(c.isascii() for c in sign) else rf"(?<!\w){re.escape(sign)}(?!\w)"


def _any_of(phrases: list[str]) -> re.Pattern[str]:
    return re.compile(r"(?<!\w)(?:" + "|".join(re.escape(p) for p in phrases) + r")(?!\w)")
