"""Messages that a program wrote: told by who sent them, or by a pattern in their words.

They are stored with origin `simulated`, so that they never become evidence of anything and are never trained on.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from memory import names
from memory.errors import BadPattern
from memory.types import Message

SIMULATED = " (simulated)"  # behind the speaker's name in an export of a chat with a persona


@dataclass(frozen=True, slots=True)
class Bots:
    """`speakers` as keys of names; a pattern counts wherever in the words it is found."""

    speakers: frozenset[str] = frozenset()
    patterns: tuple[re.Pattern[str], ...] = ()

    @classmethod
    def of(cls, speakers: tuple[str, ...], patterns: tuple[str, ...]) -> Bots:
        """Raises BadPattern."""
        return cls(frozenset(map(names.key, speakers)), tuple(map(_compiled, patterns)))

    def wrote(self, message: Message) -> bool:
        if self.speakers and names.key(message.speaker) in self.speakers:
            return True
        return bool(self.patterns) and any(pattern.search(message.text) for pattern in self.patterns)


NO_BOTS = Bots()


def _compiled(pattern: str) -> re.Pattern[str]:
    try:
        return re.compile(pattern)
    except re.error as error:
        raise BadPattern(pattern, str(error)) from error
