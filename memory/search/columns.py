"""The indexed units as columns of fixed width, each one memory-mapped file: what filters and features read.

A unit's number is its row. Beside episodes and facts there is a row for every node and every conversation, so that
other columns name them by a number of four bytes. Only the first `n` rows count; the files are longer, so that they
rarely grow. Everything here can be made again from the tables.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from memory.errors import UnusableId

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

EPISODE, FACT, NODE, CONVERSATION = 0, 1, 2, 3
KIND_NAMES = ("episode", "fact", "node", "conversation")
QUESTION, RETIRED, SPEAKS = (
    1,
    2,
    4,
)  # bits of `flags`; SPEAKS marks the node of a speaker or of a fact's subject
NOBODY = -1

_SPEC: Mapping[str, str] = {
    "owner": "<u8",  # the id's 16 hex digits
    "kind": "u1",
    "flags": "u1",
    "n_words": "<u4",  # content words
    "speaker": "<i4",  # number of the speaker's node; of a fact: its subject's; of a node: that of the node it went into
    "conversation": "<i4",
    "position": "<i4",
    "time": "<f8",  # seconds since 1970; of a fact: when it was first said
    "session": "<i4",  # the first unit of its session; of a fact: itself
    "before": "<i4",
    "after": "<i4",
    "tail": "<i4",  # of a session's first unit: the last one
    "digest": "<u8",  # of the text that the vector was made from
}
_REFERENCES = ("speaker", "conversation", "session", "tail")  # to rows that may be newer than a reader's last
_SPARE = 4096  # rows that a file grows by at least


class Columns:
    """The mapped files of one build. Columns have `n` rows; writing to a row writes to the file."""

    owner: npt.NDArray[np.uint64]
    kind: npt.NDArray[np.uint8]
    flags: npt.NDArray[np.uint8]
    n_words: npt.NDArray[np.uint32]
    speaker: npt.NDArray[np.int32]
    conversation: npt.NDArray[np.int32]
    position: npt.NDArray[np.int32]
    time: Floats
    session: npt.NDArray[np.int32]
    before: npt.NDArray[np.int32]
    after: npt.NDArray[np.int32]
    tail: npt.NDArray[np.int32]
    digest: npt.NDArray[np.uint64]
    vector: npt.NDArray[np.float16]  # (n, width), what is searched

    def __init__(self, folder: Path, n: int, width: int) -> None:
        """Map the files. Raises ValueError where one has fewer than `n` rows, OSError where one is missing."""
        self.folder, self.width = folder, width
        self._spec: dict[str, tuple[str, tuple[int, ...]]] = {name: (t, ()) for name, t in _SPEC.items()}
        self._spec["vector"] = ("<f2", (width,))
        self._files: dict[str, npt.NDArray[Any]] = {}
        self._numbers: _Numbers | None = None
        self.n = n
        self._map()
        self._cut()

    @classmethod
    def create(cls, folder: Path, width: int) -> Columns:
        for name in (*_SPEC, "vector"):
            (folder / f"{name}.col").touch()
        return cls(folder, 0, width)

    def successor(self) -> Columns:
        """The same rows, to be written to; these here keep the references that they have.

        What else is written to a row shows in both: a new vector, state or time of a unit that was there.
        """
        made = copy(self)
        made._files = dict(self._files)
        made._numbers = None if self._numbers is None else self._numbers.copy()
        for name in _REFERENCES:
            setattr(self, name, np.array(getattr(self, name)))
        return made

    def extend(self, rows: Mapping[str, npt.ArrayLike], n: int) -> Ints:
        """Append `n` rows, the columns not named being zero; their numbers."""
        first = self.n
        if first + n > self._capacity:
            self._grow(first + n)
        self.n = first + n
        self._cut()
        added = np.arange(first, self.n)
        for name in self._spec:  # what a killed writer left behind is overwritten
            getattr(self, name)[first:] = rows.get(name, 0)
        if self._numbers is not None:
            self._numbers.add(self.owner[first:], first)
        return added

    def find(self, ids: npt.NDArray[np.uint64]) -> Ints:
        """Numbers of these ids, -1 for those that have none."""
        if self._numbers is None:
            self._numbers = _Numbers(np.array(self.owner))
        return self._numbers.find(ids)

    def id(self, number: int) -> str:
        return f"{int(self.owner[number]):016x}"

    def ids(self, numbers: npt.ArrayLike) -> list[str]:
        return [f"{int(owner):016x}" for owner in self.owner[np.asarray(numbers, np.int64)]]

    def of_kind(self, *kinds: int) -> Bools:
        """Which rows are of one of these kinds."""
        wanted = np.zeros(4, bool)
        wanted[list(kinds)] = True
        return wanted[self.kind]

    def flush(self) -> None:
        for mapped in self._files.values():
            if isinstance(mapped, np.memmap):
                mapped.flush()

    def _map(self) -> None:
        self._capacity = 2**62
        for name, (dtype, shape) in self._spec.items():
            path = self.folder / f"{name}.col"
            row_bytes = np.dtype(dtype).itemsize * int(np.prod(shape, dtype=np.int64))
            n_rows = path.stat().st_size // row_bytes
            if n_rows < self.n:
                raise ValueError(f"{path.name} of the index is too short")
            self._capacity = min(self._capacity, n_rows)
            if n_rows:
                self._files[name] = np.memmap(path, dtype, "r+", shape=(n_rows, *shape))
            else:
                self._files[name] = np.zeros((0, *shape), dtype)

    def _cut(self) -> None:
        for name, mapped in self._files.items():
            setattr(self, name, np.asarray(mapped)[: self.n])

    def _grow(self, n: int) -> None:
        n_rows = max(n + _SPARE, n + n // 4)
        for name, (dtype, shape) in self._spec.items():
            row_bytes = np.dtype(dtype).itemsize * int(np.prod(shape, dtype=np.int64))
            with (self.folder / f"{name}.col").open("r+b") as file:
                file.truncate(n_rows * row_bytes)
        self._map()


class _Numbers:
    """From ids to numbers: sorted runs, of which two of like size become one."""

    def __init__(self, owners: npt.NDArray[np.uint64]) -> None:
        self._runs: list[tuple[npt.NDArray[np.uint64], Ints]] = []
        self.add(owners, 0)

    def copy(self) -> _Numbers:
        made = copy(self)
        made._runs = list(self._runs)
        return made

    def add(self, owners: npt.NDArray[np.uint64], first: int) -> None:
        self._push(np.array(owners), np.arange(first, first + len(owners)))
        while len(self._runs) > 1 and len(self._runs[-2][0]) < 2 * len(self._runs[-1][0]):
            (ids, numbers), (more, places) = self._runs.pop(-2), self._runs.pop()
            self._push(np.concatenate([ids, more]), np.concatenate([numbers, places]))

    def find(self, ids: npt.NDArray[np.uint64]) -> Ints:
        found = np.full(len(ids), -1, np.int64)
        for known, numbers in self._runs:
            place = np.minimum(np.searchsorted(known, ids), len(known) - 1)
            found = np.where(known[place] == ids, numbers[place], found)
        return found

    def _push(self, ids: npt.NDArray[np.uint64], numbers: Ints) -> None:
        if len(ids):
            order = np.argsort(ids, kind="stable")
            self._runs.append((ids[order], numbers[order]))


def as_number(owner_id: str) -> int:
    """The id as an integer. Raises UnusableId for one that is not 16 hex digits."""
    if len(owner_id) == 16:
        try:
            return int(owner_id, 16)
        except ValueError:
            pass
    raise UnusableId(owner_id)


def as_numbers(ids: list[str]) -> npt.NDArray[np.uint64]:
    return np.fromiter(map(as_number, ids), np.uint64, len(ids))


def digest_of(text: str) -> int:
    """Eight bytes that tell texts apart."""
    return int.from_bytes(blake2b(text.encode(errors="replace"), digest_size=8).digest(), "little")
