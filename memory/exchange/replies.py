"""What personas of a space replied, to know it again in what an agent notes down.

Text that a model wrote supports no fact (DESIGN, section 2), also when it comes back as a note: one that is a reply,
or has a sentence of one word for word, is known here. One that tells a reply in other words is not.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from db import tables

_SHORTEST = 4  # words of a sentence that is known by itself; shorter ones are anybody's
_ENDS = re.compile(r"[.!?:;…\"“”„«»\n]+")


@dataclass(frozen=True, slots=True)
class Replies:
    """Words alone count: not case, not punctuation."""

    whole: frozenset[str] = frozenset()
    sentences: frozenset[str] = frozenset()

    @classmethod
    def of(cls, session: Session, space_id: str) -> Replies:
        turn, said = tables.ChatTurn, tables.Episode
        query = select(said.text).join(turn, turn.episode_id == said.id).where(turn.space_id == space_id)
        texts = session.scalars(query).all()
        sentences = (sentence for text in texts for sentence in _sentences(text))
        return cls(frozenset(map(_words, texts)) - {""}, frozenset(sentences))

    def are_in(self, note: str) -> bool:
        """Whether the note is a reply or has a sentence of one."""
        if not self.whole:
            return False
        return _words(note) in self.whole or not self.sentences.isdisjoint(_sentences(note))


def _words(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.casefold()))


def _sentences(text: str) -> Iterator[str]:
    for part in _ENDS.split(text):
        words = _words(part)
        if words.count(" ") + 1 >= _SHORTEST:
            yield words
