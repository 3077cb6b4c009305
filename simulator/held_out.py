"""Real replies that a persona is held against: a run of messages by one speaker, with the conversation just before it.

Nothing of a reply's own time or later stands before it, and nothing across a pause.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np

from agents.measures import in_order
from agents.turns import Persona, Turn
from consolidation.voices import stretches
from memory.types import Episode, Principle

MAX_BEFORE = 8  # messages before a reply


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
    episodes: Sequence[Episode], person: str, *, since: datetime | None = None, hidden: Collection[str] = ()
) -> list[Exchange]:
    """Every reply of that person (a name) from `since` on, in time order; each of their messages is in one reply.

    `episodes`: of whole conversations. No reply and no context holds a `hidden` message (ids).
    """
    talk = [episode for episode in in_order(episodes) if since is None or episode.time >= since]
    everybody = tuple(dict.fromkeys(episode.speaker for episode in talk if episode.speaker != person))
    found = []
    for stretch in stretches(talk):
        for start, end in _runs(stretch, person):
            if any(episode.id in hidden for episode in stretch[start:end]):
                continue
            before = [e for e in stretch[max(0, start - MAX_BEFORE) : start] if e.id not in hidden]
            partners = dict.fromkeys(e.speaker for e in reversed(before) if e.speaker != person)
            lines = [line.strip() for e in stretch[start:end] for line in e.text.splitlines()]
            if any(lines) and (partners or everybody):
                found.append(
                    Exchange(
                        stretch[start].id,
                        person,
                        tuple(partners) or everybody[:1],
                        tuple(Turn(e.speaker, e.text) for e in before),
                        tuple(line for line in lines if line),
                        stretch[start].time,
                    )
                )
    return sorted(found, key=lambda one: (one.at, one.id))


def _runs(stretch: Sequence[Episode], person: str) -> Iterator[tuple[int, int]]:
    """[start, end) of each run of that person's messages."""
    start = 0
    while start < len(stretch):
        end = start
        while end < len(stretch) and stretch[end].speaker == person:
            end += 1
        if end > start:
            yield start, end
        start = max(end, start + 1)


def shuffled(found: Sequence[Exchange], seed: int) -> list[Exchange]:
    """Each reply after the conversation before another one: what is left of a context's use then is chance.

    A single exchange stays as it is. The others move round a random circle, so that none keeps its own context.
    """
    order = np.random.default_rng(seed).permutation(len(found))
    source = dict(zip(order.tolist(), np.roll(order, 1).tolist(), strict=True))
    return [
        replace(exchange, before=found[source[place]].before, partners=found[source[place]].partners)
        for place, exchange in enumerate(found)
    ]
