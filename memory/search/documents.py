"""What the text side of an index holds and may be asked: documents, and the limits of a search."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

Which = Literal["unit", "session"]
Field = Literal["unit", "window", "session"]


@dataclass(frozen=True, slots=True)
class Scope:
    """What a search may find. None means no limit."""

    kinds: frozenset[int] | None = None
    until: float | None = None  # seconds since 1970, included
    audience: tuple[int, ...] | None = None  # ids of conversations and speakers


@dataclass(frozen=True, slots=True)
class Doc:
    """One unit's or session's texts. `audience` are ids of its conversations and speakers."""

    number: int
    kind: int
    time: float
    audience: Collection[int]
    texts: Sequence[tuple[Field, str]]

    @property
    def known_from(self) -> int:
        """The first full second at which all of it was said."""
        return math.ceil(self.time)


def which_of(field: Field) -> Which:
    """The documents that have the field."""
    return "session" if field == "session" else "unit"
