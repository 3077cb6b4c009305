"""Messages of an export on their way into the store: their keys, and the conversations they belong to."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from memory import names
from memory.continuing import Known
from memory.episodes import key_digest, seconds, stamp
from memory.types import Message

BEFORE_ALL = datetime(1900, 1, 1, tzinfo=UTC)
_SLACK = timedelta(days=1)  # by which equal messages may be apart where a clock was changed
_N_REMEMBERED = 40_000  # messages back in which equals are counted without a look into the store


@dataclass(slots=True)
class Chat:
    """A conversation while it is written: its people by the names that the export has for them."""

    id: str
    name: str
    until: datetime  # of its newest message before this import
    known: Known | None = None
    people: dict[str, str] = field(default_factory=dict)
    present: array[int] = field(default_factory=lambda: array("Q"))  # known messages that the export has
    key_names: dict[str, str] = field(default_factory=dict)  # by speaker
    doubtful_until: str = ""  # stamp of the last time at which a message may be known

    def __post_init__(self) -> None:
        self.doubtful_until = stamp(self.until + _SLACK)

    def key_name(self, speaker: str) -> str:
        """The key of the name under which this speaker's messages have their keys here."""
        found = self.key_names.get(speaker)
        if found is None:
            called = self.known.key_names.get(speaker, speaker) if self.known else speaker
            found = self.key_names[speaker] = names.key(called)
        return found

    @property
    def is_followed(self) -> bool:
        """Whether what the export says of known messages is at least as new as what is known."""
        return self.known is not None and self.known.last >= self.known.until

    @property
    def is_outgrown(self) -> bool:
        """Whether the export goes on where what is known ends."""
        return self.known is not None and self.known.last > self.known.until


class Arrival(NamedTuple):
    """A message of the export, its conversation, and what it is known by."""

    message: Message
    chat: Chat
    key: str
    place: int  # in the export
    moment: str  # stamp of its time

    def other_key(self, occurrence: int) -> str:
        """The key that it has as another one of its equals."""
        return _key(self.message, self.chat, self.moment, occurrence)


class Keys:
    """Numbers equal messages from 0, in their order, among the last `_N_REMEMBERED` at least."""

    def __init__(self) -> None:
        self._young: dict[str, int] = {}
        self._old: dict[str, int] = {}
        self._newest_young = self._newest_old = self._newest_forgotten = ""
        self._repeating_until = ""

    def arrival(self, message: Message, chat: Chat, place: int) -> Arrival:
        moment = stamp(message.time)
        key = _key(message, chat, moment, 0)
        n_before = self._young.get(key) or self._old.get(key, 0)
        self._young[key] = n_before + 1
        if moment > self._newest_young:
            self._newest_young = moment
        if len(self._young) >= _N_REMEMBERED:
            self._forget()
        return Arrival(
            message, chat, _key(message, chat, moment, n_before) if n_before else key, place, moment
        )

    def is_doubtful(self, item: Arrival) -> bool:
        """Whether the store may have the message already, or an equal of it that was forgotten here."""
        return item.moment <= item.chat.doubtful_until or item.moment <= self._repeating_until

    def _forget(self) -> None:
        self._newest_forgotten = max(self._newest_forgotten, self._newest_old)
        self._newest_old, self._newest_young = self._newest_young, ""
        self._old, self._young = self._young, {}
        if self._newest_forgotten:
            self._repeating_until = stamp(datetime.fromisoformat(self._newest_forgotten) + _SLACK)


def _key(message: Message, chat: Chat, moment: str, occurrence: int) -> str:
    """A medium counts by its place alone: exports name it differently."""
    said = message.text if message.kind == "text" else f"<{message.kind}>"
    digest = key_digest(chat.id, chat.key_name(message.speaker), moment, said, occurrence)
    return f"{seconds(moment)}{digest}"
