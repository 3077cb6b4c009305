"""Word classes the rules lean on, read once from `lexicon.toml` and the list of ordinary words beside it."""

from __future__ import annotations

import tomllib
from collections.abc import Container, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Relation:
    """What a word like "sister" says: the predicate it fills, and the gender it gives away (m, f, ?)."""

    word: str
    predicate: str
    gender: str

    @property
    def is_animal(self) -> bool:
        return self.predicate in ("dog", "cat", "pet")

    @property
    def is_thing(self) -> bool:
        return self.predicate == "owns_boat"


@dataclass(frozen=True, slots=True)
class Lexicon:
    classes: dict[str, frozenset[str]]
    relations: dict[str, Relation]
    common: frozenset[str]
    given: Mapping[str, str]  # given name in lowercase -> m, f, or ? where both bear it

    def is_in(self, word: str, name: str) -> bool:
        """Whether a word, or its singular, is in a class of `lexicon.toml`."""
        plain = word.lower()
        members = self.classes[name]
        return plain in members or (plain.endswith("s") and plain[:-1] in members)

    def is_ordinary(self, word: str) -> bool:
        """Whether people type this word in lowercase: an English word or a simple form of one."""
        plain = word.lower().strip("'’")
        if plain in self.common or plain in self.classes["not_names"] or plain in self.relations:
            return True
        for ending in ("'s", "s", "es", "ed", "d", "ing", "er", "ers", "ly", "y", "ish", "al"):
            stem = plain.removesuffix(ending)
            if len(stem) >= 3 and stem != plain and (stem in self.common or stem + "e" in self.common):
                return True
        if "-" in plain:
            return any(part in self.common for part in plain.split("-"))
        known = ("occupations", "conditions", "breeds", "sports", "instruments", "habits", "body", "vehicles")
        return any(self.is_in(plain, name) for name in (*known, "subjects"))

    def relation_words(self) -> str:
        """An alternation of all relation words, longest first, for use inside a pattern."""
        return "|".join(sorted(map(_escape, self.relations), key=len, reverse=True))

    def alternation(self, name: str) -> str:
        return "|".join(sorted(map(_escape, self.classes[name]), key=len, reverse=True))


def _escape(word: str) -> str:
    return word.replace("-", "[- ]")


@cache
def lexicon() -> Lexicon:
    """The shipped word classes; read on first use and shared, as they never change."""
    raw = tomllib.loads((_HERE / "lexicon.toml").read_text(encoding="utf-8"))
    relations = {
        word: Relation(word, *entry.split())  # "predicate gender"
        for word, entry in raw.pop("relations").items()
    }
    phrases = {p.strip() for p in raw.pop("condition_phrases").replace("\n", "").split("|") if p.strip()}
    classes = {name: frozenset(words.lower().split()) for name, words in raw.items()}
    classes["conditions"] |= phrases
    lines = (_HERE / "common_words.txt").read_text(encoding="utf-8").splitlines()
    common = frozenset(line for line in lines if not line.startswith("#"))
    return Lexicon(classes, relations, common, _given_names(common))


def _given_names(common: Container[str]) -> dict[str, str]:
    """Given names of many peoples: what makes a word a person, and how that person is most likely spoken of."""
    found: dict[str, str] = {}
    for gender in ("f", "m"):
        lines = (_HERE / f"given_names_{gender}.txt").read_text(encoding="utf-8").splitlines()
        for name in (word for line in lines if not line.startswith("#") for word in line.lower().split()):
            found[name] = gender if found.get(name, gender) == gender else "?"
    return {name: gender for name, gender in found.items() if name not in common}
