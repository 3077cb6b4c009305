"""The registry of predicates: cardinality, volatility, kind of object, topic, inverse.

Read from `predicates.toml` beside this file and, where a user gives one, from a file of the same form whose
entries win. A predicate that is in neither is `many`, changes over years and has free text as its object; a strict
registry is one that facts with such a predicate are refused under.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal, get_args

from memory import names
from memory.errors import BadPredicates, UnknownPredicate

Cardinality = Literal["one", "many"]
Volatility = Literal["never", "years", "months", "days"]
ObjectKind = Literal["person", "place", "organisation", "thing", "text", "date", "number"]

MAX_NAME = 64  # characters

# How long after it was last said a value counts as fresh (docs/adr/0011).
LASTING: Mapping[Volatility, timedelta | None] = {
    "never": None,
    "years": timedelta(days=3650),
    "months": timedelta(days=365),
    "days": timedelta(days=30),
}


@dataclass(frozen=True, slots=True)
class Predicate:
    name: str
    cardinality: Cardinality = "many"
    volatility: Volatility = "years"
    object: ObjectKind = "text"
    topic: str = "other"
    inverse: str | None = None
    is_known: bool = True


class Registry:
    def __init__(self, predicates: Mapping[str, Predicate], *, is_strict: bool = False) -> None:
        self._predicates = dict(predicates)
        self.is_strict = is_strict

    @classmethod
    def load(cls, extra: Path | None = None, *, is_strict: bool = False) -> Registry:
        """The shipped registry, with the user's entries over it. Raises BadPredicates, which names the entry."""
        found: dict[str, Predicate] = {}
        for path in (Path(__file__).with_name("predicates.toml"), *([extra] if extra else [])):
            for name, entry in _read(path).items():
                found[name] = _predicate(name, entry, path)
        return cls(found, is_strict=is_strict)

    def get(self, name: str) -> Predicate:
        return self._predicates.get(name) or Predicate(name=name, is_known=False)

    def require(self, name: str) -> Predicate:
        """The predicate of that name. Raises UnknownPredicate with the nearest known ones."""
        if name not in self._predicates:
            raise UnknownPredicate(name, self.nearest(name))
        return self._predicates[name]

    def nearest(self, name: str) -> tuple[str, ...]:
        return names.nearest(name, self._predicates)

    def names(self) -> tuple[str, ...]:
        return tuple(self._predicates)

    def topics(self) -> tuple[str, ...]:
        return tuple(sorted({predicate.topic for predicate in self._predicates.values()}))

    def of_topic(self, topic: str) -> frozenset[str]:
        """Names of the predicates under that topic."""
        return frozenset(item.name for item in self._predicates.values() if item.topic == topic)


def as_name(said: str) -> str:
    """The predicate's name as it is stored: lower case, accents stripped, words joined by underscores."""
    return re.sub(r"\W+", "_", names.key(said)).strip("_")


def predicate_json(predicate: Predicate) -> dict[str, Any]:
    """The predicate as other programs get it."""
    return {
        "name": predicate.name,
        "cardinality": predicate.cardinality,
        "volatility": predicate.volatility,
        "object": predicate.object,
        "topic": predicate.topic,
        "inverse": predicate.inverse,
    }


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadPredicates(str(path), error.strerror or "it cannot be read") from error
    except ValueError as error:  # no TOML, or no text
        raise BadPredicates(str(path), f"it is no TOML: {error}") from error


_KEYS = tuple(item.name for item in fields(Predicate) if item.name not in ("name", "is_known"))
_CHOICES = {"cardinality": Cardinality, "volatility": Volatility, "object": ObjectKind}


def _predicate(name: str, entry: Any, path: Path) -> Predicate:
    def bad(why: str) -> BadPredicates:
        return BadPredicates(str(path), f"[{name}] {why}")

    if name != as_name(name) or not 0 < len(name) <= MAX_NAME:
        raise bad(
            f"is no name; write it in lower case with underscores, such as {as_name(name)[:MAX_NAME] or 'likes'}"
        )
    if not isinstance(entry, Mapping):
        raise bad("is no table; write it as [name] with keys under it")
    for key, value in entry.items():
        if key not in _KEYS:
            raise bad(f"sets {key!r}, which is no key; the keys are {', '.join(_KEYS)}")
        if not isinstance(value, str) or not value:
            raise bad(f"sets {key} to {value!r}, which is no text")
        if key == "inverse" and value != as_name(value):
            raise bad(f"sets inverse to {value!r}, which is no predicate's name")
        allowed = get_args(_CHOICES.get(key, str))
        if allowed and value not in allowed:
            raise bad(f"sets {key} to {value!r}, which is not one of {', '.join(allowed)}")
    return Predicate(name=name, **entry)
