"""Conditions over many ids, in parts that fit into one query."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from sqlalchemy import ColumnElement
from sqlalchemy.orm import InstrumentedAttribute

CHUNK = 500  # ids per query; SQLite bounds the number of parameters


def chunked(column: InstrumentedAttribute[Any], ids: Collection[str]) -> Iterator[ColumnElement[bool]]:
    """Conditions that together say `column in ids`."""
    ordered = sorted(ids)
    for start in range(0, len(ordered), CHUNK):
        yield column.in_(ordered[start : start + CHUNK])
