"""Writes docs/api.md from the application's own OpenAPI description: `python -m service.api_reference > docs/api.md`.

Every route with what it takes, for whoever writes a client. What answers look like, and why, is written by hand in docs/http.md
and docs/json.md. A test holds the file against the application.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HEAD = """\
# API reference

Made by `python -m service.api_reference > docs/api.md` from the description that the daemon serves at `/v1/openapi.json`; do not
edit it. What routes answer, and the headers that all of them take, is in [http.md](http.md) and [json.md](json.md). `*` marks what
has to be given.
"""
_METHODS = ("get", "post", "put", "delete")
_BOUNDS = {
    "minimum": ">= {}",
    "exclusiveMinimum": "> {}",
    "maximum": "<= {}",
    "exclusiveMaximum": "< {}",
    "minLength": "at least {} characters",
    "maxLength": "at most {} characters",
    "minItems": "at least {}",
    "maxItems": "at most {}",
}


def description() -> dict[str, Any]:
    """The OpenAPI description of the application, of an empty home that is gone afterwards."""
    from service.http.application import create_app
    from service.settings import Settings
    from service.wiring import Services

    with tempfile.TemporaryDirectory() as folder, Services(Settings(home=Path(folder))) as services:
        return dict(create_app(services).openapi())


def reference(openapi: dict[str, Any]) -> str:
    """The page: routes by path, each with its parameters and the fields of its body."""
    parts = [HEAD]
    for path, operations in sorted(openapi["paths"].items()):
        parts += [
            _route(method, path, operations[method], openapi) for method in _METHODS if method in operations
        ]
    return "\n".join(parts)


def _route(method: str, path: str, operation: dict[str, Any], openapi: dict[str, Any]) -> str:
    said = " ".join(str(operation.get("description") or operation.get("summary", "")).split())
    rows = [*_parameters(operation, openapi), *_fields(operation, openapi)]
    table = ["", "| name | in | type | |", "|---|---|---|---|", *rows] if rows else []
    return "\n".join([f"## `{method.upper()} {path}`", "", said, *table, ""])


def _parameters(operation: dict[str, Any], openapi: dict[str, Any]) -> Iterator[str]:
    for one in operation.get("parameters", ()):
        if one["in"] == "header":  # the same on every route
            continue
        schema = one.get("schema", {})
        yield _row(one["name"], one["in"], schema, openapi, is_required=bool(one.get("required")))


def _fields(operation: dict[str, Any], openapi: dict[str, Any]) -> Iterator[str]:
    for media, content in operation.get("requestBody", {}).get("content", {}).items():
        schema = _object(content.get("schema", {}), openapi)
        for name, field in schema.get("properties", {}).items():
            where = "body" if media == "application/json" else f"body, {media}"
            yield _row(name, where, field, openapi, is_required=name in schema.get("required", ()))
        if "properties" not in schema:
            yield f"| the body | {media} | {_type(schema, openapi)} | |"


def _row(name: str, where: str, schema: dict[str, Any], openapi: dict[str, Any], *, is_required: bool) -> str:
    found = [text.format(schema[key]) for key, text in _BOUNDS.items() if key in schema]
    if schema.get("default") is not None:
        found.append(f"default `{schema['default']}`")
    return (
        f"| `{name}`{'*' if is_required else ''} | {where} | {_type(schema, openapi)} | {', '.join(found)} |"
    )


def _object(schema: dict[str, Any], openapi: dict[str, Any]) -> dict[str, Any]:
    """The object's own schema, behind a reference or beside null."""
    if "$ref" in schema:
        return dict(openapi["components"]["schemas"][schema["$ref"].rpartition("/")[2]])
    for one in schema.get("anyOf", ()):
        if "$ref" in one:
            return _object(one, openapi)
    return schema


def _type(schema: dict[str, Any], openapi: dict[str, Any]) -> str:
    if "$ref" in schema:
        fields = _object(schema, openapi).get("properties", {})
        return f"object of {', '.join(f'`{name}`' for name in fields)}" if fields else "object"
    if "anyOf" in schema:
        kinds = [_type(one, openapi) for one in schema["anyOf"] if one.get("type") != "null"]
        return " or ".join(dict.fromkeys(kinds))
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if "const" in schema:
        return f"`{schema['const']}`"
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}), openapi)}"
    return str(schema.get("format") or schema.get("type") or "anything")


if __name__ == "__main__":
    print(reference(description()), end="")
