"""The indexed units as arrays: what filters and features read without touching the database."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt

from memory.search.sidecar import Sidecar

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Rows:
    """One entry per unit, in the order of their numbers. `session` is the number of the session's first unit."""

    kind: tuple[str, ...]
    owner_id: tuple[str, ...]
    speaker_id: tuple[str, ...]  # of a fact: its subject
    time: Floats  # seconds since 1970; of a fact: when it was first said
    session: Ints
    after: Ints  # the next unit of the session, -1 for none
    n_words: Floats
    is_question: Bools
    number: dict[tuple[str, str], int]

    @classmethod
    def load(cls, sidecar: Sidecar) -> Rows:
        found: list[Any] = sidecar.connection.execute(
            "SELECT kind, owner_id, speaker_id, time, coalesce(session, number), coalesce(after, -1), n_words, "
            "is_question FROM row ORDER BY number"
        ).fetchall()
        kind, owner_id, speaker_id, time, session, after, n_words, is_question = (
            zip(*found, strict=True) if found else ((),) * 8
        )
        return cls(
            kind=tuple(kind),
            owner_id=tuple(owner_id),
            speaker_id=tuple(speaker_id),
            time=np.array(time, np.float64),
            session=np.array(session, np.int64),
            after=np.array(after, np.int64),
            n_words=np.array(n_words, np.float64),
            is_question=np.array(is_question, bool),
            number={key: n for n, key in enumerate(zip(kind, owner_id, strict=True))},
        )

    def __len__(self) -> int:
        return len(self.kind)

    def allowed(
        self, kinds: Collection[str], as_of: datetime | None, visible: Collection[str] | None
    ) -> Bools:
        """Which units may be found: of these kinds, not later than `as_of`, and episodes among the visible."""
        mask = np.fromiter((kind in kinds for kind in self.kind), bool, len(self))
        if as_of is not None:
            mask &= self.time <= as_of.timestamp()
        if visible is not None:
            seen = (
                kind != "episode" or owner in visible
                for kind, owner in zip(self.kind, self.owner_id, strict=True)
            )
            mask &= np.fromiter(seen, bool, len(self))
        return mask

    def spoken_by(self, people: Collection[str]) -> Bools:
        return np.fromiter((speaker in people for speaker in self.speaker_id), bool, len(self))
