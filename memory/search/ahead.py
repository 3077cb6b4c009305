"""Vectors of what is about to be written: made before its transaction, stored within it.

Whoever searches next would otherwise have to make and store them first, behind everybody who encodes and writes (ADR 68).
What turns out to be worded otherwise than was thought is left to the index, as ever.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from sqlalchemy.orm import Session

from memory.ports import Embedder
from memory.search import embeddings, units

MOST = 64  # texts; what is more waits its turn


class Ahead:
    """The vectors of some texts, kept until their rows are there."""

    def __init__(self, space_id: str, embedder: Embedder, texts: Sequence[str]) -> None:
        self._space_id, self._embedder = space_id, embedder
        said = list(dict.fromkeys(texts))
        self._vectors = dict(zip(said, embedder.encode(said), strict=True))

    def keep(self, session: Session, *, episodes: Collection[str] = (), facts: Collection[str] = ()) -> None:
        """Store the vectors of those of these rows whose texts were expected. Ask once they are flushed."""
        texts = units.encoded_texts(session, self._space_id, episodes, facts)
        made = {owner: self._vectors[text] for owner, text in texts.items() if text in self._vectors}
        if made:
            embeddings.store(session, self._space_id, self._embedder, made)


Prepare = Callable[[Sequence[str]], Ahead | None]
