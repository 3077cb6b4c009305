"""The OpenAPI document: what FastAPI knows of the routes, and what it cannot know - how one is let in, what errors look like,
which answers are the main ones, and an example of them. The people in it are invented."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute

from service.http.shapes import ANSWERS, SCHEMAS
from service.problems import MEDIA_TYPE

TAGS = {
    "answers": "Ask and search.",
    "people": "Who is known, what is known of them, and what they felt.",
    "facts": "What holds, held and was taken back; stated, corrected and undone by hand.",
    "episodes": "What was said, message by message.",
    "review": "What waits for a person, and the record of every decision.",
    "chats": "Personas that speak, all of it simulated.",
    "personas": "Consent, style and likeness of a persona.",
    "nights": "Sleep: begin, follow, read, go back.",
    "recipes": "The history of what a persona wears.",
    "readouts": "What is read in a model's activations, and what it is steered by.",
    "reading": "What waits for a language model, and what that has cost.",
    "forgetting": "Erasure, and the proof of it.",
    "space": "A space as a whole: what leaves it and comes in.",
    "imports": "What is uploaded, previewed and imported.",
    "jobs": "Long work: what waits, runs and has ended.",
    "access": "Tokens, logins, and the record of who did what.",
    "daemon": "How the daemon is.",
}
_TAG_OF = {  # of routes whose router has none, by how their path begins
    "/v1/spaces": "space",
    "/v1/graph": "space",
    "/v1/imports": "space",
    "/v1/jobs": "space",
    "/v1/": "access",
    "/": "daemon",
}
_HEADERS = {
    "Slowwave-Space": "The space that the request is about, percent-encoded where it is not ASCII.",
}
_CONDITIONAL = {
    "If-None-Match": ("get", "The `ETag` of an answer; 304 where it has not changed."),
    "Idempotency-Key": (
        "post",
        "A key of this request: repeated within a day, it is answered and not done again.",
    ),
}
_UNKEYED = (
    "/v1/forget",
    "/v1/load",
    "/v1/imports",
    "/v1/uploads",
    "/v1/tokens",
    "/v1/log",
    "/v1/spaces",
    "/v1/jobs",
)


def operation_id(route: APIRoute) -> str:
    """The name of its function; a test holds that no two share one."""
    return route.name


def describe(app: FastAPI) -> None:
    """Let the application serve the whole description."""

    def described() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _document(app)
        return app.openapi_schema

    app.openapi = described  # type: ignore[method-assign]


def _document(app: FastAPI) -> dict[str, Any]:
    from importlib.metadata import version

    found = get_openapi(
        title="slowwave",
        version=version("slowwave"),
        summary="A long-term memory for conversations that sleeps.",
        description="The routes of one daemon; docs/http.md has them in words, docs/json.md the shapes of the command line.",
        openapi_version="3.1.0",
        routes=app.routes,
        tags=[{"name": name, "description": said} for name, said in TAGS.items()],
        servers=[{"url": "/", "description": "the daemon that serves this"}],
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
    )
    parts = found.setdefault("components", {})
    schemas = parts.setdefault("schemas", {})
    if both := sorted(SCHEMAS.keys() & schemas.keys()):
        raise ValueError(f"a request and an answer share the name {both[0]}; rename the request's")
    schemas.update(SCHEMAS)
    parts["securitySchemes"] = {
        "token": {
            "type": "http",
            "scheme": "bearer",
            "description": "Needed everywhere but on loopback; `slowwave token add` makes one.",
        }
    }
    found["security"] = [{"token": []}, {}]
    for path, operations in found["paths"].items():
        for method, operation in operations.items():
            _complete(path, method, operation)
    for unused in ("HTTPValidationError", "ValidationError"):
        parts["schemas"].pop(unused, None)
    return found


def _complete(path: str, method: str, operation: dict[str, Any]) -> None:
    responses = operation["responses"]
    if not operation.get("tags"):
        operation["tags"] = [next(tag for begin, tag in _TAG_OF.items() if path.startswith(begin))]
    responses.pop("422", None)
    responses["default"] = {
        "description": "What is wrong, and what to do about it.",
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
    operation.setdefault("parameters", []).extend(_headers(path, method))
    answer = ANSWERS.get(operation["operationId"])
    good = next((code for code in responses if code.startswith("2")), None)
    if answer is not None and good is not None:
        responses[good].setdefault("content", {})["application/json"] = answer
    if good == "200" and method == "get" and "application/json" in responses[good].get("content", {}):
        responses["304"] = {"description": "It has not changed since."}


def _headers(path: str, method: str) -> list[dict[str, Any]]:
    if not path.startswith("/v1/"):
        return []
    wanted = dict(_HEADERS)
    for name, (kind, said) in _CONDITIONAL.items():
        if method == kind and not (kind == "post" and path.startswith(_UNKEYED)):
            wanted[name] = said
    return [
        {"name": name, "in": "header", "required": False, "schema": {"type": "string"}, "description": said}
        for name, said in wanted.items()
    ]
