"""What an exam will ask, kept out of what trains: questions that ask a held-out one over again, the name aside.

Two questions are one where they have the same words but for names, articles and polite openings, or the same words that carry meaning
and ask for the same (who, when, where, why, how). A text is looked at whole, by sentences, and by clauses that name somebody.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from sqlalchemy import delete, select

from consolidation.negatives import Half, invented
from db.engine import Database
from db.tables import Example
from memory.wordings import content_words, words

_HALVES: tuple[Half, ...] = ("train", "exam")
_DROPPED = frozenset(("a", "an", "the", "s"))
_ASKING = frozenset(("who", "whose", "whom", "when", "where", "why", "how"))
_SENTENCES, _CLAUSES = re.compile(r"[.?!\n]+"), re.compile(r"[.?!\n:;,]+")
_NAME = re.compile(r"(?<=\s)[A-ZÀ-Þ][\w-]*|^[A-ZÀ-Þ][\w-]*(?=['’]s\b)")
_OPENING = re.compile(
    r"^\W*(?:(?:(?:can|could|would|will) you )?(?:please |kindly )?(?:tell|remind) me|do you (?:happen to )?know)\b",
    re.IGNORECASE,
)

Key = tuple[str, ...]


class Unseen:
    """The held-out questions of an exam. `names` are those of the people that it knows of."""

    def __init__(self, questions: Iterable[str], names: Iterable[str]) -> None:
        known = {word for name in names for word in words(name)}
        for half in _HALVES:
            known |= {name.casefold() for name in (*invented(half, "first"), *invented(half, "last"))}
        self._names = frozenset(known - _ASKING)
        self._keys = frozenset(key for question in questions for key in self._keys_of(question))

    def asks(self, text: str) -> bool:
        """Whether the text, or a sentence of it, asks what is held out."""
        clauses = (part for part in _CLAUSES.split(text) if not self._names.isdisjoint(words(part)))
        parts = (text, *_SENTENCES.split(text), *clauses)
        return any(not self._keys.isdisjoint(self._keys_of(part)) for part in parts)

    def _keys_of(self, text: str) -> Iterable[Key]:
        bare = _NAME.sub(" ", _OPENING.sub(" ", text.strip()))
        said = [word for word in words(bare) if word not in self._names and word not in _DROPPED]
        meaning = content_words(" ".join(said))
        if not meaning:
            return ()
        return ("same words", *sorted(said)), ("same meaning", *sorted(meaning | _ASKING.intersection(said)))


def drop_rows(database: Database, run_id: str, unseen: Unseen) -> tuple[int, int]:
    """Take the night's training rows in which somebody asks what is held out; how many went, and how many are left."""
    query = select(Example.id, Example.messages).where(Example.run_id == run_id, Example.split == "train")
    with database.transaction() as session:
        rows = session.execute(query).all()
        gone = [row.id for row in rows if _asks(unseen, row.messages)]
        for start in range(0, len(gone), 500):
            session.execute(delete(Example).where(Example.id.in_(gone[start : start + 500])))
    return len(gone), len(rows) - len(gone)


def _asks(unseen: Unseen, messages: Sequence[dict[str, str]]) -> bool:
    return any(message["role"] == "user" and unseen.asks(message["content"]) for message in messages)
