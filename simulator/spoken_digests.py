"""Digests of a conversation with or among personas: one of every so many messages, and the sentence that a prompt has of it.

Everything has the origin `simulated`, digests too: no fact rests on it, and no night reads it. A digest links to messages,
and its sentence is made of them anew whenever it is told: words that were erased since, by whatever process, are not in it.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence
from datetime import datetime

import numpy as np

from agents.pasted import pasted
from agents.turns import MAX_RECENT_CHARS
from consolidation.digests import FULL, Read, lines_of, most_telling
from db.engine import Database
from memory import digests
from memory.digests import Digest, Stretch
from memory.episodes import conversation_id_of, list_episodes
from memory.erasure.mentions import MARK
from memory.ports import Clock, Embedder
from memory.search.words import content_words
from memory.types import Episode, Person

DIGESTED = 32  # messages of one digest
MOST_NAMED = 5  # words of the sentence about what came before
_TAKEN_UP = 3 * DIGESTED  # newest messages that are looked at for what has no digest yet
_LEAST_CHARS = 4  # of a word that tells what something was about
_MOST_CHARS = 4000  # of a message that are looked at for its words


class SpokenDigests:
    """Of one conversation, by its name, which need not be there yet. `n_written`: digests that this process wrote.

    No words stay in memory, only when the newest messages were said.
    """

    def __init__(
        self,
        database: Database,
        space_id: str,
        conversation: str,
        people: Sequence[Person],
        *,
        embedder: Embedder,
        clock: Clock,
    ) -> None:
        """Writes what is due already: a process that was killed could not."""
        self._database, self._space_id = database, space_id
        self._conversation_id = conversation_id_of(database, space_id, conversation)
        self._embedder, self._clock = embedder, clock
        self._names = [person.name for person in people]
        self.n_written = 0
        newest = self._newest()
        self._times = deque((one.time for one in newest), maxlen=MAX_RECENT_CHARS)  # a prompt holds no more
        self._n_waiting = self._write_due(newest)

    def heard(self, said: Episode) -> None:
        """A message was kept; where it is time, a digest of it and of those before is written."""
        self._conversation_id = said.conversation_id
        self._times.append(said.time)
        self._n_waiting += 1
        if self._n_waiting >= DIGESTED:
            self._n_waiting = self._write_due(self._newest())

    def summary_before(self, n_held: int) -> str:
        """What came before the newest messages, so many of which the prompt still holds, in one sentence.

        "" where no digest ended before them, or no word of it stands out.
        """
        n_held = min(n_held, len(self._times))
        found = self._newest_digest(before=self._times[-n_held] if n_held else None)
        return summary_of(found, self._names) if found else ""

    def _newest(self) -> list[Episode]:
        if self._conversation_id is None:
            return []
        return list_episodes(
            self._database,
            self._space_id,
            conversation_id=self._conversation_id,
            origins=("simulated",),
            newest=_TAKEN_UP,
        )

    def _newest_digest(self, *, before: datetime | None = None) -> Digest | None:
        if self._conversation_id is None:
            return None
        return digests.newest_of_personas(
            self._database, self._space_id, self._conversation_id, before=before
        )

    def _write_due(self, newest: Sequence[Episode]) -> int:
        """Write a digest of each DIGESTED of these that follow the newest one; how many messages are left."""
        last = self._newest_digest()
        waiting = [one for one in newest if last is None or one.time > last.ended_at]
        while len(waiting) >= DIGESTED:
            self._write(waiting[:DIGESTED])
            del waiting[:DIGESTED]
        return len(waiting)

    def _write(self, said: Sequence[Episode]) -> None:
        stretch = Stretch(
            said[0].conversation_id,
            f"turns {said[0].position}-{said[-1].position}",
            said[0].time,
            said[-1].time,
            tuple(one.id for one in said),
        )
        lines = [said[row].id for row in self._telling(said)]
        with self._database.transaction() as session:
            digests.write(session, self._space_id, stretch, lines, run_id=None, clock=self._clock)
        self.n_written += 1

    def _telling(self, said: Sequence[Episode]) -> list[int]:
        """Rows of the lines: as a night chooses them, but that nothing said here has salience; at least the fullest."""
        orders = pasted(said)
        words = [content_words(one.text[:_MOST_CHARS]) if one.id not in orders else [] for one in said]
        n_words = np.array([len(found) for found in words], np.float32)
        talk = Read(
            said,
            self._embedder.encode([one.text for one in said]),
            np.zeros(len(said), np.float32),
            n_words,
            [row for row, n in enumerate(n_words) if n >= FULL],
        )
        return most_telling(talk, lines_of(len(said))) or [int(n_words.argmax())]


def summary_of(digest: Digest, names: Sequence[str]) -> str:
    """What came before, in one sentence to whoever speaks; "" where no word of it stands out."""
    unnamed = {word for name in (*names, MARK) for word in content_words(name)}
    words = [
        word
        for line in digest.lines
        for word in content_words(line.text[:_MOST_CHARS])
        if len(word) >= _LEAST_CHARS and word not in unnamed and not word.isdecimal()
    ]
    counted = Counter(words)
    named = sorted(counted, key=lambda word: (-counted[word], words.index(word)))[:MOST_NAMED]
    return f"Before this you talked about {', '.join(named)}." if named else ""
