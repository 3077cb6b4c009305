"""The interface of the MCP memory server (release 2026.8.31): its nine tools as they describe themselves, and how it
words what is wrong with a call. `memory_server.json` is what its `tools/list` answers; the words in it are its own, since
whoever changes from it to us has to find the same tools.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import mcp_types as types

RESOURCE = "memory://knowledge-graph"

_NAMES = {bool: "boolean", int: "number", float: "number", str: "string", list: "array", dict: "object"}
_MISSING = object()


class BadCall(ValueError):
    """What the memory server says of such a call."""


@cache
def tools() -> dict[str, types.Tool]:
    """By name, in the order in which they are shown."""
    described = json.loads(Path(__file__).with_name("memory_server.json").read_text("utf-8"))
    return {item["name"]: types.Tool.model_validate(item) for item in described}


def check(name: str, given: Any) -> None:
    """Raises BadCall for a tool that is not there, or arguments that are not of its schema."""
    tool = tools().get(name)
    if tool is None:
        raise BadCall(f"MCP error -32602: Tool {name} not found")
    wrong = list(_wrong(given, tool.input_schema, ""))
    if wrong:
        said = "\n".join(wrong)
        raise BadCall(f"MCP error -32602: Input validation error: Invalid arguments for tool {name}: {said}")


def _wrong(value: Any, schema: dict[str, Any], place: str) -> Iterator[str]:
    """Each thing that is not of its type, in the order of the schema."""
    kind, wanted = _kind(value), schema["type"]
    if kind != wanted:
        yield f"Invalid input: expected {wanted}, received {kind}{f' at {place}' if place else ''}"
    elif wanted == "object":
        for key, inner in schema.get("properties", {}).items():
            if key in schema.get("required", ()) or key in value:
                yield from _wrong(value.get(key, _MISSING), inner, f"{place}.{key}" if place else key)
    elif wanted == "array":
        for number, item in enumerate(value):
            yield from _wrong(item, schema["items"], f"{place}[{number}]")


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    return "undefined" if value is _MISSING else _NAMES[type(value)]
