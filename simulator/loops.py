"""The loop guard: a persona does not say again, word for word, what it has just said.

While a reply is still the beginning of one of the persona's earlier turns it is held back; once it differs it flows.
A reply that ends as a repetition is drawn again, a few times, with other seeds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

MAX_DRAWS = 4


def normal(text: str) -> str:
    """What counts as the same words: case, spaces and closing marks aside."""
    return " ".join(text.lower().split()).rstrip(".!? ")


def without_repetition(draw: Callable[[int], Iterator[str]], earlier: Sequence[str]) -> Iterator[str]:
    """The first draw (called with 0, 1, ...) that repeats none of `earlier`; the last one is passed on as it is."""
    said = {normal(text) for text in earlier}
    for attempt in range(MAX_DRAWS):
        held = ""
        pieces = draw(attempt)
        for piece in pieces:
            held += piece
            if not _may_repeat(held, said):
                yield held
                yield from pieces
                return
        if normal(held) not in said or attempt == MAX_DRAWS - 1:
            yield held
            return


def _may_repeat(text: str, said: set[str]) -> bool:
    begun = normal(text)
    return any(known.startswith(begun) for known in said)
