"""What a conversation of personas leaves in the graph: its turns, and a digest of every so many of them.

Everything has the origin `simulated`, digests too: no fact rests on it, and no night reads it. The newest digest gives
the sentence by which a prompt knows what came before the turns that it holds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from consolidation.digests import FULL, Read, lines_of, most_telling
from db.engine import Database
from memory import digests, sessions
from memory.digests import Digest, Stretch
from memory.episodes import conversation_id_of, list_episodes
from memory.ports import Clock, Embedder
from memory.search.words import content_words
from memory.sessions import NewSession, NewTurn
from memory.types import Episode, Person

DIGESTED = 32  # turns of one digest
REPLAYED = 48  # turns that are heard again when a conversation goes on
MOST_NAMED = 5  # words of the sentence about what came before
_LEAST_CHARS = 4  # of a word that tells what something was about


def conversation_of(personas: Sequence[Person], human: Person | None = None) -> str:
    """The conversation's name: the same whichever persona is named first."""
    name = "simulated: " + " and ".join(sorted(person.name for person in personas))
    return f"{name} with {human.name}" if human else name


class Record:
    """One session of one conversation. `n_turns` and `summary` are kept up to date."""

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
        self._database, self._space_id, self._clock, self._embedder = database, space_id, clock, embedder
        self._people = tuple(people)
        self.conversation = session.conversation
        self.session_id = sessions.begin(database, space_id, session, clock=clock)
        self._said = self._before()
        self.n_turns = len(self._said)
        self.n_digests = 0
        whole = self._said[: self.n_turns - self.n_turns % DIGESTED]
        if whole and not any(digest.ended_at == whole[-1].time for digest in self._digests()):
            self._digest(whole[-DIGESTED:])  # it was killed before it could
        del self._said[: -(REPLAYED + DIGESTED)]
        self.summary = self._summary()

    def last_said(self) -> list[Episode]:
        """The turns that the conversation follows, the oldest first."""
        return self._said[-REPLAYED:]

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

    def end(self) -> None:
        sessions.end(self._database, self._space_id, self.session_id, clock=self._clock)

    def _add(self, said: Episode) -> None:
        self._said.append(said)
        self.n_turns += 1
        if self.n_turns % DIGESTED == 0:
            self._digest(self._said[-DIGESTED:])
            del self._said[:-REPLAYED]

    def _before(self) -> list[Episode]:
        conversation_id = conversation_id_of(self._database, self._space_id, self.conversation)
        assert conversation_id is not None
        return list_episodes(
            self._database, self._space_id, conversation_id=conversation_id, origins=("simulated",)
        )

    def _digest(self, said: Sequence[Episode]) -> None:
        """Writing one again changes nothing."""
        first = said[0].position
        stretch = Stretch(
            said[0].conversation_id,
            f"turns {first}-{said[-1].position}",
            said[0].time,
            said[-1].time,
            tuple(turn.id for turn in said),
        )
        lines = [said[row].id for row in self._telling(said)]
        with self._database.transaction() as session:
            digests.write(session, self._space_id, stretch, lines, run_id=None, clock=self._clock)
        self.n_digests += 1
        self.summary = self._summary()

    def _telling(self, said: Sequence[Episode]) -> list[int]:
        """Rows of the lines: as a night chooses them, but that nothing a persona says has salience; at least the fullest."""
        n_words = [len(content_words(turn.text)) for turn in said]
        month = Read(
            said,
            self._embedder.encode([turn.text for turn in said]),
            np.zeros(len(said), np.float32),
            np.array(n_words, np.float32),
            [row for row, n in enumerate(n_words) if n >= FULL],
        )
        return most_telling(month, lines_of(len(said))) or [int(np.argmax(n_words))]

    def _digests(self) -> list[Digest]:
        conversation_id = conversation_id_of(self._database, self._space_id, self.conversation)
        return digests.list_digests(
            self._database, self._space_id, conversation_id=conversation_id, origin="simulated"
        )

    def _summary(self) -> str:
        found = self._digests()
        return summary_of(found[-1], [person.name for person in self._people]) if found else ""


def summary_of(digest: Digest, names: Sequence[str]) -> str:
    """What came before, in one sentence to whoever speaks; "" where no word of it stands out."""
    present = {word for name in names for word in content_words(name)}
    words = [
        word
        for line in digest.lines
        for word in content_words(line.text)
        if len(word) >= _LEAST_CHARS and word not in present and not word.isdecimal()
    ]
    counted = Counter(words)
    named = sorted(counted, key=lambda word: (-counted[word], words.index(word)))[:MOST_NAMED]
    return f"Before this you talked about {', '.join(named)}." if named else ""
