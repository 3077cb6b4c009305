"""Which rows share a step's chunks, and which worker computes them.

Rows of like length stand together and are padded to the longest of their chunk; workers get like amounts of tokens.
Order depends on lengths and input order only, so a step is the same whenever it is computed again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from consolidation.trainer.blocks import Chunk

_MIN_FILL = 0.75  # a row shorter than this share of its chunk's longest opens a new chunk


@dataclass(frozen=True, slots=True)
class Layout:
    """Chunks of one worker and, chunk after chunk, the indices of their rows."""

    chunks: tuple[Chunk, ...]
    rows: tuple[int, ...]

    @property
    def n_tokens(self) -> int:
        return sum(chunk.b * chunk.t for chunk in self.chunks)

    def starts(self) -> list[int]:
        """First token of each row, in the order of `rows`."""
        return [chunk.start + i * chunk.t for chunk in self.chunks for i in range(chunk.b)]


def deal(lengths: Sequence[int], workers: int) -> list[Layout]:
    """Split rows over at most `workers`, long ones dealt first to whoever has least."""
    order = sorted(range(len(lengths)), key=lambda i: (-lengths[i], i))
    hands: list[list[int]] = [[] for _ in range(max(1, min(workers, len(lengths))))]
    loads = [0] * len(hands)
    for i in order:
        least = loads.index(min(loads))
        hands[least].append(i)
        loads[least] += lengths[i]
    return [lay_out(hand, lengths) for hand in hands]


def lay_out(rows: Sequence[int], lengths: Sequence[int]) -> Layout:
    """Chunks for rows that are sorted by falling length."""
    chunks: list[Chunk] = []
    start = first = 0
    for i in range(1, len(rows) + 1):
        longest = lengths[rows[first]]
        if i == len(rows) or lengths[rows[i]] < _MIN_FILL * longest:
            chunks.append(Chunk(start, i - first, longest))
            start += (i - first) * longest
            first = i
    return Layout(tuple(chunks), tuple(rows))


def passes(lengths: Sequence[int], max_tokens: int) -> list[Layout]:
    """All rows in stretches of like length, each of at most `max_tokens` (or one row)."""
    order = sorted(range(len(lengths)), key=lambda i: (-lengths[i], i))
    layouts, stretch, load = [], list[int](), 0
    for i in order:
        if stretch and load + lengths[i] > max_tokens:
            layouts.append(lay_out(stretch, lengths))
            stretch, load = [], 0
        stretch.append(i)
        load += lengths[i]
    return layouts + ([lay_out(stretch, lengths)] if stretch else [])
