"""What every reader takes and gives: an opened export, whose rows can be read again and again, one at a time.

A reader is a function from a file (or several) and `ReadOptions` to a `Reading`. It may look through the file first, to
find out what holds for all of it, but it keeps no messages; `Reading.rows` begins anew at each call.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Protocol

from memory import names
from memory.importers.bots import NO_BOTS, Bots
from memory.importers.files import File, Meter
from memory.importers.json_stream import JsonDamage
from memory.types import Message, Row, Skipped


@dataclass(frozen=True, slots=True)
class ReadOptions:
    zone: tzinfo  # of times that carry no zone of their own
    now: datetime  # messages of a later day are left out
    me: str = "Me"  # the name of who made the export, in formats that do not give it
    bots: Bots = NO_BOTS


@dataclass(frozen=True, slots=True)
class Reading:
    """A file understood. `notes` say what was found out before the first message: form, order of dates."""

    kind: str
    notes: tuple[str, ...]
    rows: Callable[[], Iterator[Row]]


class Chats(Protocol):
    """Chats that are understood: what an import stores. Rows come from the beginning at each call."""

    @property
    def kind(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def size_bytes(self) -> int: ...
    @property
    def notes(self) -> tuple[str, ...]: ...
    @property
    def meter(self) -> Meter: ...
    def rows(self) -> Iterator[Row]: ...
    def messages(self) -> Iterator[Message]: ...
    def sha256(self) -> str: ...


Reader = Callable[[File, ReadOptions], Reading]

# what a value of a kind that its format never holds raises, wherever a reader meets it
DAMAGE = (AttributeError, LookupError, TypeError, ValueError, OverflowError)


def people_of(speakers: Iterable[str], otherwise: str = "") -> str:
    """The name of a chat that has none of its own: who is in it."""
    return " & ".join(sorted(speakers, key=names.key)) or otherwise


def broken_off(damage: JsonDamage) -> Skipped:
    """The row in place of everything that damage made unreadable."""
    return Skipped(
        damage.place, f"the JSON breaks off or is malformed ({damage.why}); nothing after it is read"
    )
