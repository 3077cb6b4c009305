"""What changed in an index since its links and its lists of vectors were last written as a whole.

One small file beside them, replaced by every write. Rows of the base that belong to a unit in `moved` count no
longer; what the unit has now stands here.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from memory.search.columns import Bools, Columns, Ints
from memory.search.graph import Links


@dataclass(frozen=True, slots=True)
class Audience:
    """Which messages facts rest on: rows of four arrays. Conversation and speaker are numbers of the columns."""

    fact: npt.NDArray[np.int32]
    conversation: npt.NDArray[np.int32]
    speaker: npt.NDArray[np.int32]
    time: npt.NDArray[np.float64]

    @classmethod
    def of(cls, rows: list[tuple[int, int, int, float]]) -> Audience:
        made = np.array(rows, np.float64).reshape(-1, 4)
        numbers = made[:, :3].astype(np.int32)
        return cls(numbers[:, 0], numbers[:, 1], numbers[:, 2], made[:, 3])

    @classmethod
    def joined(cls, parts: list[Audience]) -> Audience:
        none = np.zeros(0, np.int32)
        return cls(
            np.concatenate([none, *(part.fact for part in parts)]),
            np.concatenate([none, *(part.conversation for part in parts)]),
            np.concatenate([none, *(part.speaker for part in parts)]),
            np.concatenate([np.zeros(0), *(part.time for part in parts)]),
        )

    def __len__(self) -> int:
        return len(self.fact)

    def only(self, mask: Bools) -> Audience:
        return Audience(self.fact[mask], self.conversation[mask], self.speaker[mask], self.time[mask])

    @classmethod
    def load(cls, folder: Path, name: str) -> Audience:
        mapped = (np.load(folder / f"{name}.{part}.npy", mmap_mode="r") for part in _AUDIENCE)
        return cls(*(np.asarray(part) for part in mapped))

    def save(self, folder: Path, name: str) -> None:
        for part in _AUDIENCE:
            np.save(folder / f"{name}.{part}.npy", getattr(self, part))


_AUDIENCE = ("fact", "conversation", "speaker", "time")


@dataclass(frozen=True, slots=True)
class Recent:
    links: Links
    audience: Audience
    moved: Ints  # numbers of units and nodes
    revised: Ints  # units of the base whose vectors were set again

    @classmethod
    def none(cls) -> Recent:
        nobody = np.zeros(0, np.int64)
        return cls(Links.of([]), Audience.of([]), nobody, nobody)

    def set(self, numbers: Ints, links: Links, audience: Audience, n_base: int) -> Recent:
        """These units have now these links and these messages, and no others."""
        old = self.links.only(~np.isin(self.links.source // 2, numbers))
        heard = self.audience.only(~np.isin(self.audience.fact, numbers))
        return Recent(
            Links.joined([old, links]),
            Audience.joined([heard, audience]),
            np.union1d(self.moved, numbers[numbers < n_base]),
            self.revised,
        )

    def revise(self, numbers: Ints, n_base: int) -> Recent:
        """The vectors of these units are new."""
        revised = np.union1d(self.revised, numbers[numbers < n_base])
        return Recent(self.links, self.audience, self.moved, revised)

    @classmethod
    def load(cls, path: Path, n: int) -> Recent:
        """What the first `n` rows have; what a killed writer left of others is passed over."""
        if not path.exists():
            return cls.none()
        with np.load(path, allow_pickle=False) as stored:
            links = Links(stored["source"], stored["target"], stored["weight"])
            audience = Audience(*(stored[part] for part in _AUDIENCE))
            moved, revised = stored["moved"], stored["revised"]
        inside = (links.source < 2 * n) & (links.target < 2 * n)
        return cls(links.only(inside), audience.only(audience.fact < n), moved, revised)

    def save(self, path: Path) -> None:
        temporary = path.with_suffix(".new.npz")
        np.savez(
            temporary,
            source=self.links.source,
            target=self.links.target,
            weight=self.links.weight,
            fact=self.audience.fact,
            conversation=self.audience.conversation,
            speaker=self.audience.speaker,
            time=self.audience.time,
            moved=self.moved,
            revised=self.revised,
        )
        temporary.replace(path)


def heard_by(
    columns: Columns,
    parts: list[tuple[Audience, Bools | None]],
    conversations: Ints,
    person: Ints,
    until: float | None,
) -> Bools:
    """Which units a person could hear: in these conversations, or said by them; a fact by any of its messages.

    `parts` are audiences, each with the units whose rows do not count.
    """
    in_conversation = np.zeros(columns.n + 1, bool)  # the last entry stands for -1
    in_conversation[conversations] = True
    is_person = np.zeros(columns.n + 1, bool)
    is_person[person] = True
    seen: Bools = in_conversation[columns.conversation] | is_person[columns.speaker]
    seen &= columns.kind == 0
    for audience, passed_over in parts:
        heard = in_conversation[audience.conversation] | is_person[audience.speaker]
        if until is not None:
            heard &= audience.time <= until
        if passed_over is not None:
            heard &= ~passed_over[audience.fact]
        seen[audience.fact[heard]] = True
    if until is not None:
        seen &= columns.time <= until
    return seen
