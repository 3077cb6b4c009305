"""Which rows share a step's chunks, and which worker computes them.

Tokens of a worker's rows lie in one matrix without padding, and a beginning that several rows have in common is there
once: a causal model computes the same state for it in each of them. Attention alone looks at rows: for it, rows of like
length stand together in chunks, padded to the longest of their chunk. Order depends on ids and input order only, so a
step is the same whenever it is computed again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

_MIN_FILL = 0.75  # a row shorter than this share of its chunk's longest opens a new chunk
_POSITION_COST = 0.4  # of a supervised position's logits, in tokens through the trained blocks


@dataclass(frozen=True, slots=True)
class Chunk:
    """Positions `start : start + b * t` are `b` rows of `t`, padded right."""

    start: int
    b: int
    t: int


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the rows of one worker stand.

    `tokens[i][p]`: the token (line of the matrix) of position p of the i-th row in `rows`; `first_own[i]`: its first
    position that no row before it has; its own tokens follow each other. `chunks` take the rows in the order of `rows`.
    """

    chunks: tuple[Chunk, ...]
    rows: tuple[int, ...]
    tokens: tuple[tuple[int, ...], ...]
    first_own: tuple[int, ...]

    @property
    def n_tokens(self) -> int:
        return sum(len(row) - first for row, first in zip(self.tokens, self.first_own, strict=True))

    @property
    def n_positions(self) -> int:
        return sum(chunk.b * chunk.t for chunk in self.chunks)


def deal(
    rows: Sequence[Sequence[int]], workers: int, n_supervised: Sequence[int] | None = None
) -> list[Layout]:
    """Split rows over at most `workers`, costly ones dealt first to whoever has least."""
    costs = [float(len(row)) for row in rows]
    for i, n in enumerate(n_supervised or ()):
        costs[i] += _POSITION_COST * n
    hands: list[list[int]] = [[] for _ in range(max(1, min(workers, len(rows))))]
    loads = [0.0] * len(hands)
    for i in sorted(range(len(rows)), key=lambda i: (-costs[i], i)):
        least = loads.index(min(loads))
        hands[least].append(i)
        loads[least] += costs[i]
    return [lay_out(hand, rows) for hand in hands]


def passes(rows: Sequence[Sequence[int]], max_tokens: int) -> list[Layout]:
    """All rows in stretches of neighbours in the alphabet, each of at most `max_tokens` (or one row)."""
    layouts, stretch, load = [], list[int](), 0
    for i in sorted(range(len(rows)), key=lambda i: (tuple(rows[i]), i)):
        if stretch and load + len(rows[i]) > max_tokens:
            layouts.append(lay_out(stretch, rows))
            stretch, load = [], 0
        stretch.append(i)
        load += len(rows[i])
    return layouts + ([lay_out(stretch, rows)] if stretch else [])


def lay_out(hand: Sequence[int], rows: Sequence[Sequence[int]]) -> Layout:
    """Chunks and tokens of the rows in `hand`."""
    order = tuple(sorted(hand, key=lambda i: (-len(rows[i]), i)))
    tokens, first_own = _share_beginnings(order, rows)
    return Layout(
        tuple(_chunks([len(rows[i]) for i in order])),
        order,
        tuple(tokens[i] for i in order),
        tuple(first_own[i] for i in order),
    )


def _chunks(lengths: Sequence[int]) -> list[Chunk]:
    """Stretches of falling lengths."""
    chunks: list[Chunk] = []
    start = first = 0
    for i in range(1, len(lengths) + 1):
        longest = lengths[first]
        if i == len(lengths) or lengths[i] < _MIN_FILL * longest:
            chunks.append(Chunk(start, i - first, longest))
            start += (i - first) * longest
            first = i
    return chunks


def _share_beginnings(
    order: Sequence[int], rows: Sequence[Sequence[int]]
) -> tuple[dict[int, tuple[int, ...]], dict[int, int]]:
    """Tokens and first own position per row: in the order of the alphabet, a row's neighbour has its longest beginning."""
    tokens: dict[int, tuple[int, ...]] = {}
    first_own: dict[int, int] = {}
    before: int | None = None
    n_tokens = 0
    for i in sorted(order, key=lambda i: (tuple(rows[i]), i)):
        shared = 0 if before is None else _n_common(rows[before], rows[i])
        known = tokens[before][:shared] if before is not None else ()
        n_own = len(rows[i]) - shared
        tokens[i] = (*known, *range(n_tokens, n_tokens + n_own))
        first_own[i] = shared
        n_tokens += n_own
        before = i
    return tokens, first_own


def _n_common(one: Sequence[int], other: Sequence[int]) -> int:
    n = 0
    for a, b in zip(one, other, strict=False):
        if a != b:
            break
        n += 1
    return n
