"""What a conversation of personas leaves in the graph: its turns, and a digest of every so many of them.

Everything has the origin `simulated`: no fact rests on it, and no night reads it.
"""

from __future__ import annotations

from collections.abc import Sequence

from db.engine import Database
from memory import sessions
from memory.episodes import conversation_id_of, count_episodes, list_episodes
from memory.ports import Clock, Embedder
from memory.sessions import NewSession, NewTurn
from memory.types import Episode, Person
from simulator.spoken_digests import SpokenDigests

REPLAYED = 48  # turns that are heard again when a conversation goes on


def conversation_of(people: Sequence[Person]) -> str:
    """The conversation's name: the same whoever is named first."""
    return "simulated: " + " and ".join(sorted(person.name for person in people))


class Record:
    """One session of one conversation. `n_turns` are all of the conversation, kept up to date."""

    def __init__(
        self,
        database: Database,
        space_id: str,
        people: Sequence[Person],
        session: NewSession,
        *,
        embedder: Embedder,
        clock: Clock,
    ) -> None:
        self._database, self._space_id, self._clock = database, space_id, clock
        self.conversation = session.conversation
        self.session_id = sessions.begin(database, space_id, session, clock=clock)
        self.n_turns = count_episodes(database, space_id, self._conversation_id(), origin="simulated")
        self.digests = SpokenDigests(
            database, space_id, session.conversation, people, embedder=embedder, clock=clock
        )

    def last_said(self) -> list[Episode]:
        """The turns that the conversation follows, the oldest first."""
        return list_episodes(
            self._database,
            self._space_id,
            conversation_id=self._conversation_id(),
            origins=("simulated",),
            newest=REPLAYED,
        )

    def keep(self, turn: NewTurn) -> Episode:
        """Write a turn that is not empty, and where it is time a digest of what lies before; the message it became."""
        kept = sessions.keep_turn(self._database, self._space_id, self.session_id, turn, clock=self._clock)
        assert kept.reply is not None
        self.n_turns += 1
        self.digests.heard(kept.reply)
        return kept.reply

    def end(self) -> None:
        sessions.end(self._database, self._space_id, self.session_id, clock=self._clock)

    def _conversation_id(self) -> str:
        conversation_id = conversation_id_of(self._database, self._space_id, self.conversation)
        assert conversation_id is not None
        return conversation_id
