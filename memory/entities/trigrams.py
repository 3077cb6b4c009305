"""Which of many texts hold a string, by the three bytes of it that are rarest among them.

Equal to looking through every text, and much faster where texts are many and the string is long enough to be rare: all
places of each three bytes in a row stand sorted, and only those of the rarest are compared (after Zobel, Moffat and
Sacks-Davis 1993, "Searching large lexicons for partially specified terms using compressed inverted files").
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

LEAST = 3  # characters; what is shorter is looked through
MOST = 2000  # places that are compared one by one; where there are more, looking through all of it is as fast


class Trigrams:
    """Nine bytes of memory for each byte of text, twice that while they are sorted, which takes a tenth of a second a megabyte."""

    def __init__(self, texts: Sequence[str]) -> None:
        pieces = [text.encode("utf-8", "surrogatepass") for text in texts]
        self._held = b"".join(pieces)
        self._starts = np.concatenate([[0], np.cumsum([len(piece) for piece in pieces], dtype=np.int64)])
        codes = _codes(self._held)
        self._places = np.argsort(codes, kind="stable").astype(np.uint32)
        self._codes = codes[self._places]

    def find(self, wanted: str) -> list[int] | None:
        """Numbers of the texts that hold the string, in order; it must not reach over the end of one. None where it is too
        short, or nowhere rare enough, for this to be the faster way."""
        needle = wanted.encode("utf-8", "surrogatepass")
        codes = _codes(needle)
        if not len(codes):
            return None
        first = np.searchsorted(self._codes, codes, side="left")
        count = np.searchsorted(self._codes, codes, side="right") - first
        rarest = int(count.argmin())
        if count[rarest] > MOST:
            return None
        begins = self._places[first[rarest] : first[rarest] + count[rarest]].astype(np.int64) - rarest
        held = self._held
        hits = [begin for begin in begins.tolist() if begin >= 0 and held.startswith(needle, begin)]
        return np.unique(np.searchsorted(self._starts, hits, side="right") - 1).tolist() if hits else []


def _codes(held: bytes) -> npt.NDArray[np.uint32]:
    """Each three bytes in a row as a number."""
    raw = np.frombuffer(held, np.uint8).astype(np.uint32)
    return (raw[:-2] << np.uint32(16)) | (raw[1:-1] << np.uint32(8)) | raw[2:]
