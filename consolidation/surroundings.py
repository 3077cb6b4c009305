"""Messages that facts rest on, and what was said around them: read for one batch of facts at a time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import timedelta

from agents.pasted import is_pasted
from db.engine import Database
from memory.episodes import episodes_near
from memory.types import Episode

BEFORE, AFTER = 2, 3  # messages of the same conversation that the judge sees around each piece of evidence
SPAN = timedelta(days=3)  # what was said further away belongs to other talk
MOST_SEEN = 16


class Surroundings:
    """Observed messages by id, each with its place in its conversation."""

    def __init__(self, episodes: Iterable[Episode]) -> None:
        self._by_conversation: dict[str, list[Episode]] = defaultdict(list)
        self._place: dict[str, tuple[str, int]] = {}
        for episode in episodes:
            if episode.id not in self._place:
                line = self._by_conversation[episode.conversation_id]
                self._place[episode.id] = (episode.conversation_id, len(line))
                line.append(episode)

    @classmethod
    def of_evidence(cls, database: Database, space_id: str, ids: Iterable[str]) -> Surroundings:
        """What was said within SPAN of these messages."""
        return cls(episodes_near(database, space_id, set(ids), SPAN))

    def of(self, ids: Iterable[str]) -> list[Episode]:
        places = (self._place[key] for key in ids if key in self._place)
        return [self._by_conversation[conversation][index] for conversation, index in places]

    def around(self, evidence: Sequence[Episode]) -> list[Episode]:
        """The evidence and its neighbours in time order; of too many, the latest."""
        seen: dict[str, Episode] = {}
        for episode in evidence:
            conversation, index = self._place[episode.id]
            line = self._by_conversation[conversation]
            for neighbour in line[max(0, index - BEFORE) : index + AFTER + 1]:
                is_near = abs(neighbour.time - episode.time) <= SPAN
                if is_near and not is_pasted(neighbour.text):
                    seen[neighbour.id] = neighbour
        return sorted(seen.values(), key=lambda item: (item.time, item.position))[-MOST_SEEN:]
