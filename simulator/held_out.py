"""Real replies that a persona is held against: a run of messages by one speaker, with the conversation just before it.

Nothing of a reply's own time or later stands before it, and nothing across a pause.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np

from agents.turns import Persona, Turn
from consolidation.windows import Bounds, Span, Window, windows_of
from memory.types import Episode, Principle

BOUNDS = Bounds(max_reply_chars=4000)  # what people write in a row is one reply, however long


@dataclass(frozen=True, slots=True)
class Exchange:
    """What somebody really said next. `partners`: who else spoke before, the last first; `lines`: the messages' lines.

    `before` is empty where the reply began a conversation.
    """

    id: str  # of its first message
    person: str
    partners: tuple[str, ...]
    before: tuple[Turn, ...]
    lines: tuple[str, ...]
    at: datetime

    def persona(self, principles: Sequence[Principle] = ()) -> Persona:
        return Persona(self.person, self.partners, tuple(principles))

    @property
    def characters(self) -> int:
        """Unicode characters of the lines; the breaks between them are nobody's words."""
        return sum(map(len, self.lines))


def exchanges(
    episodes: Sequence[Episode],
    person_id: str,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    barred: Collection[str] = (),
) -> list[Exchange]:
    """Every reply of that person within [since, until), in time order; no message is in two of them.

    `episodes`: of whole conversations. Neither reply nor context holds a `barred` message (ids).
    """
    windows = windows_of(episodes, person_id, BOUNDS, Span(since, until), barred=barred)
    return [_exchange(window) for window in windows]


def _exchange(window: Window) -> Exchange:
    return Exchange(
        window.reply[0].id,
        window.speaker,
        window.partners,
        tuple(Turn(episode.speaker, episode.text) for episode in window.before),
        tuple(window.lines),
        window.at,
    )


def shuffled(found: Sequence[Exchange], seed: int) -> list[Exchange]:
    """Each reply after the conversation before another one: what is left of a context's use then is chance.

    No reply gets its own context, nor one in which it was said. Where there is no other, a reply is left out.
    """
    rng = np.random.default_rng(seed)
    mixed = []
    for exchange in found:
        others = (found[place] for place in rng.permutation(len(found)))
        other = next((one for one in others if _is_foreign(exchange, one)), None)
        if other is not None:
            mixed.append(replace(exchange, before=other.before, partners=other.partners))
    return mixed


def _is_foreign(exchange: Exchange, other: Exchange) -> bool:
    said = {line.strip() for turn in other.before for line in turn.text.splitlines()}
    return other.id != exchange.id and other.before != exchange.before and said.isdisjoint(exchange.lines)
