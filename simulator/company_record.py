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


def conversation_of(personas: Sequence[Person], human: Person | None = None) -> str:
    """The conversation's name: the same whichever persona is named first."""
    name = "simulated: " + " and ".join(sorted(person.name for person in personas))
    return f"{name} with {human.name}" if human else name


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
        self.n_turns = self._n_kept()
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

    def keep(self, turn: NewTurn) -> Episode | None:
        """Write a persona's turn, and where it is time a digest of what lies before; the message it became, None of an empty one."""
        kept = sessions.keep_turn(self._database, self._space_id, self.session_id, turn, clock=self._clock)
        if kept.reply is not None:
            self._add(kept.reply)
        return kept.reply

    def hear(self, human: Person, text: str) -> Episode:
        """Write what a human says to the personas, with a digest as `keep` does; the message it became."""
        said = sessions.keep_said(
            self._database, self._space_id, self.session_id, (human.id, text), clock=self._clock
        )
        self._add(said)
        return said

    def is_complete(self) -> bool:
        """Whether all that the conversation holds went through this record, or was there before it."""
        return self.n_turns == self._n_kept()

    def end(self) -> None:
        sessions.end(self._database, self._space_id, self.session_id, clock=self._clock)

    def _add(self, said: Episode) -> None:
        self.n_turns += 1
        self.digests.heard(said)

    def _n_kept(self) -> int:
        """None are kept of a conversation that was erased."""
        kept = conversation_id_of(self._database, self._space_id, self.conversation)
        return count_episodes(self._database, self._space_id, kept, origin="simulated") if kept else 0

    def _conversation_id(self) -> str:
        conversation_id = conversation_id_of(self._database, self._space_id, self.conversation)
        assert conversation_id is not None
        return conversation_id
