"""How a server is held to a JSON schema: by the strictest form that it takes, which its refusals teach."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from agents.errors import BackendRefused

Schema = Mapping[str, Any]
Form = dict[str, Any]  # what is added to a request
_OFTEN_REFUSED = ("maxLength", "minLength", "maxItems", "minItems", "minimum", "maximum")
_NAMES = ("response_format", "response_json_schema", "responsejsonschema", "json_schema", "schema")


class Forms:
    """The ways to ask for a schema, the strictest first; what was refused once is not tried again."""

    def __init__(self, *ways: Callable[[Schema], Form]) -> None:
        self._ways = ways
        self._n_refused = 0

    def ask(self, schema: Schema, ask: Callable[[Form], str]) -> str:
        """What `ask` gives with the strictest form that is taken. Raises what it raises for any other reason."""
        while True:
            n_refused = self._n_refused
            try:
                return ask(self._ways[n_refused](schema))
            except BackendRefused as exc:
                if n_refused + 1 == len(self._ways) or not _is_about_the_form(exc):
                    raise
                self._n_refused = max(self._n_refused, n_refused + 1)


def bare(schema: Any) -> Any:
    """The schema without the keywords that hosted servers refuse."""
    if isinstance(schema, Mapping):
        return {name: bare(part) for name, part in schema.items() if name not in _OFTEN_REFUSED}
    return [bare(part) for part in schema] if isinstance(schema, list) else schema


def _is_about_the_form(exc: BackendRefused) -> bool:
    return any(name in str(exc).lower() for name in _NAMES)
