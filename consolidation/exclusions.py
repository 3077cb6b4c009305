"""Which statements of different predicates exclude each other: a declared table, read from `exclusions.toml`.

A user's file of the same form adds entries and takes the place of those of the same name. Nothing is guessed: what
no entry names excludes nothing.
"""

from __future__ import annotations

import tomllib
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from consolidation.errors import BadExclusions
from memory import values
from memory.types import Fact

_SIDES = ("one", "other")
_FLAGS = ("same_value", "one_first")
_LISTS = ("predicates", "words", "without")


@dataclass(frozen=True, slots=True)
class Side:
    """Values of some predicates: with one of `words` where any are given, and with none of `without`."""

    predicates: frozenset[str]
    words: tuple[str, ...] = ()
    without: tuple[str, ...] = ()

    def takes(self, predicate: str, value: str) -> bool:
        if predicate not in self.predicates:
            return False
        said = f" {values.normal(value)} "
        is_meant = not self.words or any(f" {word} " in said for word in self.words)
        return is_meant and not any(f" {word} " in said for word in self.without)


@dataclass(frozen=True, slots=True)
class Exclusion:
    name: str
    one: Side
    other: Side
    is_same_value: bool = False
    is_one_first: bool = False

    def counterpart(self, predicate: str) -> frozenset[str]:
        """Predicates of what a statement with this one could stand against."""
        found: frozenset[str] = frozenset()
        if predicate in self.one.predicates:
            found |= self.other.predicates
        if predicate in self.other.predicates:
            found |= self.one.predicates
        return found

    def excludes(self, first: Fact, second: Fact) -> bool:
        """Whether the two, about one subject, cannot hold together."""
        return self._fits(first, second) or self._fits(second, first)

    def _fits(self, one: Fact, other: Fact) -> bool:
        if not self.one.takes(one.predicate, one.object) or not self.other.takes(
            other.predicate, other.object
        ):
            return False
        if self.is_same_value and not values.is_same(one.object, other.object, is_strict=True):
            return False
        starts = one.valid_from, other.valid_from
        return not self.is_one_first or (
            starts[0] is not None and starts[1] is not None and starts[0] < starts[1]
        )


class Exclusions:
    """Immutable."""

    def __init__(self, entries: Mapping[str, Exclusion]) -> None:
        by_predicate: dict[str, list[Exclusion]] = defaultdict(list)
        for entry in entries.values():
            for predicate in entry.one.predicates | entry.other.predicates:
                by_predicate[predicate].append(entry)
        self._by_predicate = dict(by_predicate)

    @classmethod
    def load(cls, extra: Path | None = None) -> Exclusions:
        """The shipped table, with the user's entries over it. Raises BadExclusions, which names the entry."""
        found: dict[str, Exclusion] = {}
        for path in (Path(__file__).with_name("exclusions.toml"), *([extra] if extra else [])):
            for name, entry in _read(path).items():
                found[name] = _entry(name, entry, path)
        return cls(found)

    def counterparts(self, predicate: str) -> frozenset[str]:
        """Predicates of the statements that one with this predicate could stand against."""
        entries = self._by_predicate.get(predicate, ())
        return frozenset().union(*(entry.counterpart(predicate) for entry in entries))

    def between(self, first: Fact, second: Fact) -> str | None:
        """The name of the entry by which the two cannot hold together."""
        entries = self._by_predicate.get(first.predicate, ())
        return next((entry.name for entry in entries if entry.excludes(first, second)), None)


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadExclusions(str(path), error.strerror or "it cannot be read") from error
    except ValueError as error:  # no TOML, or no text
        raise BadExclusions(str(path), f"it is no TOML: {error}") from error


def _entry(name: str, entry: Any, path: Path) -> Exclusion:
    if not isinstance(entry, Mapping) or not all(isinstance(entry.get(side), Mapping) for side in _SIDES):
        raise BadExclusions(str(path), f"[{name}] needs [{name}.one] and [{name}.other]")
    unknown = set(entry) - {*_SIDES, *_FLAGS}
    if unknown or not all(isinstance(entry.get(flag, False), bool) for flag in _FLAGS):
        raise BadExclusions(str(path), f"[{name}] may set {' and '.join(_FLAGS)}, each true or false")
    one, other = (_side(f"{name}.{side}", entry[side], path) for side in _SIDES)
    return Exclusion(name, one, other, entry.get("same_value", False), entry.get("one_first", False))


def _side(name: str, entry: Mapping[str, Any], path: Path) -> Side:
    is_sound = all(
        key in _LISTS and isinstance(found, list) and all(isinstance(item, str) and item for item in found)
        for key, found in entry.items()
    )
    if not is_sound or not entry.get("predicates"):
        raise BadExclusions(
            str(path), f"[{name}] takes lists of text: {', '.join(_LISTS)}, predicates at least"
        )
    words, without = (tuple(map(values.normal, entry.get(key, ()))) for key in ("words", "without"))
    return Side(frozenset(entry["predicates"]), words, without)
