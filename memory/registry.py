"""The registry of predicates: cardinality, volatility, kind of object, topic, inverse.

Read from `predicates.toml` beside this file and, where a user gives one, from a file of the same form whose
entries win. A predicate that is in neither is `many`, changes over years and has free text as its object.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

Cardinality = Literal["one", "many"]
Volatility = Literal["never", "years", "months", "days"]


@dataclass(frozen=True, slots=True)
class Predicate:
    name: str
    cardinality: Cardinality = "many"
    volatility: Volatility = "years"
    object: str = "text"  # person | place | organisation | thing | text | date | number
    topic: str = "other"
    inverse: str | None = None
    is_known: bool = True

    def __post_init__(self) -> None:
        for value, allowed in ((self.cardinality, Cardinality), (self.volatility, Volatility)):
            if value not in get_args(allowed):
                raise ValueError(
                    f"predicate {self.name}: {value!r} is not one of {', '.join(get_args(allowed))}"
                )


class Registry:
    def __init__(self, predicates: Mapping[str, Predicate]) -> None:
        self._predicates = dict(predicates)

    @classmethod
    def load(cls, extra: Path | None = None) -> Registry:
        """The shipped registry, with the user's entries over it."""
        paths = [Path(__file__).with_name("predicates.toml")] + ([extra] if extra else [])
        found: dict[str, Predicate] = {}
        for path in paths:
            for name, entry in tomllib.loads(path.read_text(encoding="utf-8")).items():
                found[name] = Predicate(name=name, **entry)
        return cls(found)

    def get(self, name: str) -> Predicate:
        return self._predicates.get(name) or Predicate(name=name, is_known=False)

    def names(self) -> tuple[str, ...]:
        return tuple(self._predicates)
