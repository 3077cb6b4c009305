"""Counting the rows of an export while they pass: messages, people, dates, and what was left out and why."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime

from memory.types import BY_BOT, SYSTEM, Message, Row, SkipCount, Skipped

N_PLACES = 5  # of each reason that are named
N_SHOWN = 3  # messages of each conversation that a preview shows


@dataclass(slots=True)
class ChatTally:
    """One conversation: `people` in the order in which they first speak."""

    n_messages: int = 0
    n_simulated: int = 0
    people: dict[str, None] = field(default_factory=dict)
    first: datetime | None = None
    last: datetime | None = None
    shown: list[Message] = field(default_factory=list)

    def add(self, message: Message) -> None:
        self.n_messages += 1
        self.n_simulated += message.origin == "simulated"
        self.people[message.speaker] = None
        self.first = message.time if self.first is None or message.time < self.first else self.first
        self.last = message.time if self.last is None or message.time > self.last else self.last
        if len(self.shown) < N_SHOWN:
            self.shown.append(message)


@dataclass(slots=True)
class Tally:
    """All rows: conversations in the order in which they begin; grows with them and their people, not with messages."""

    chats: dict[str, ChatTally] = field(default_factory=dict)
    n_system: int = 0
    _skipped: dict[str, tuple[int, list[str]]] = field(default_factory=dict)

    def add(self, row: Row) -> None:
        if isinstance(row, Message):
            chat = self.chats.get(row.conversation)
            if chat is None:
                chat = self.chats[row.conversation] = ChatTally()
            chat.add(row)
        else:
            self._skip(row)

    def _skip(self, row: Skipped) -> None:
        if row.reason == SYSTEM:
            self.n_system += 1
            return
        n, places = self._skipped.setdefault(row.reason, (0, []))
        if len(places) < N_PLACES:
            places.append(row.place)
        self._skipped[row.reason] = (n + 1, places)

    @property
    def is_whole(self) -> bool:
        """Whether nothing that people wrote was left out."""
        return not self._skipped.keys() - {BY_BOT}

    @property
    def n_messages(self) -> int:
        return sum(chat.n_messages for chat in self.chats.values())

    @property
    def people(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(name for chat in self.chats.values() for name in chat.people))

    @property
    def first(self) -> datetime | None:
        return min((chat.first.astimezone(UTC) for chat in self.chats.values() if chat.first), default=None)

    @property
    def last(self) -> datetime | None:
        return max((chat.last.astimezone(UTC) for chat in self.chats.values() if chat.last), default=None)

    @property
    def skipped(self) -> tuple[SkipCount, ...]:
        """What was left out, system lines aside, by reason; the most frequent first."""
        counts = [SkipCount(reason, n, tuple(places)) for reason, (n, places) in self._skipped.items()]
        return tuple(sorted(counts, key=lambda count: -count.n))
