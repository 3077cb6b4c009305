"""Lists a page at a time, the same everywhere: `limit`, `after`, and in the answer `next`, the `after` of what follows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, Query

from service.errors import UnknownPlace

MAX_SEQ = 2**63 - 1  # the largest number that a store holds


@dataclass(frozen=True, slots=True)
class Page:
    limit: int
    after: str | None


async def _page(
    limit: Annotated[int, Query(ge=1, le=1000, description="How many at most.")] = 100,
    after: Annotated[
        str | None, Query(min_length=1, max_length=128, description="The `next` of the page before.")
    ] = None,
) -> Page:
    return Page(limit, after)


Paged = Annotated[Page, Depends(_page)]


def found_page(name: str, rows: Sequence[dict[str, Any]], page: Page, key: str) -> dict[str, Any]:
    """The same of rows that were read from the page's place on, one more than its limit."""
    shown = list(rows[: page.limit])
    return {name: shown, "next": str(shown[-1][key]) if len(rows) > page.limit else None}


def page_of(
    name: str, rows: Sequence[dict[str, Any]], page: Page, key: str | Callable[[dict[str, Any]], str]
) -> dict[str, Any]:
    """`{name: rows, next}`: the rows behind the one whose `key` is the page's `after`, or the first of them.

    Raises UnknownPlace where no row has that key any more.
    """
    find = (lambda row: str(row[key])) if isinstance(key, str) else key
    start = 0
    if page.after is not None:
        start = next((place for place, row in enumerate(rows, 1) if find(row) == page.after), 0)
        if not start:
            raise UnknownPlace(page.after)
    shown = rows[start : start + page.limit]
    is_more = start + page.limit < len(rows)
    return {name: list(shown), "next": find(shown[-1]) if is_more else None}
