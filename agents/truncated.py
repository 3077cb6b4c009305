"""Closing JSON that was cut off: what stands after the last whole item of a list goes, the brackets are closed.

A list of which not one item is whole is not closed: an empty list would say that there is nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from agents.structured import Schema, misfit

_CLOSERS = {"{": "}", "[": "]"}


def closed(text: str, schema: Schema) -> str | None:
    """The longest beginning of the text that, closed, fits the schema; None where there is none."""
    for end, closers in reversed(list(_ends(text))):
        whole = text[:end] + closers
        try:
            value = json.loads(whole)
        except ValueError:
            continue
        if misfit(value, schema) is None:
            return whole
    return None


def _ends(text: str) -> Iterator[tuple[int, str]]:
    """Places behind whole items, shortest first, each with what closes the brackets that are open there."""
    open_brackets: list[str] = []
    in_string = is_escaped = False
    for place, sign in enumerate(text):
        if in_string:
            if is_escaped:
                is_escaped = False
            elif sign == "\\":
                is_escaped = True
            elif sign == '"':
                in_string = False
            continue
        if sign == '"':
            in_string = True
        elif sign in "}]" and open_brackets:
            open_brackets.pop()
        if sign == "," and open_brackets and open_brackets[-1] == "[":
            yield place, _closing(open_brackets)
        if sign in _CLOSERS:
            open_brackets.append(sign)
        if sign in "}]":
            yield place + 1, _closing(open_brackets)


def _closing(open_brackets: list[str]) -> str:
    return "".join(_CLOSERS[bracket] for bracket in reversed(open_brackets))
