"""A back-end that answers from what it answered before, where the very same was asked at temperature 0."""

from __future__ import annotations

import json as json_format
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from agents.answers import Answers, key_of
from agents.backends import Backend
from agents.structured import SchemaModel, fits


class RememberingChat:
    """Implements ChatModel and SchemaModel. Only what can be used is kept: no empty answer, none that is no JSON or
    breaks the schema. Warm answers and streams are always asked for anew."""

    def __init__(self, model: Backend, answers: Answers) -> None:
        self.name = model.name
        self._model = model
        self._answers = answers

    @property
    def identity(self) -> dict[str, Any]:
        return self._model.identity

    def complete(
        self,
        messages: Sequence[dict[str, str]],
        *,
        max_tokens: int = 512,
        temperature: float = 0.0,
        json: bool = False,
    ) -> str:
        def ask() -> str:
            return self._model.complete(messages, max_tokens=max_tokens, temperature=temperature, json=json)

        if temperature > 0:
            return ask()
        key = self._key(messages, max_tokens, form="json" if json else "text")
        return self._remembered(key, ask, lambda text: _is_json(text) if json else bool(text.strip()))

    def complete_json(
        self, messages: Sequence[dict[str, str]], schema: Mapping[str, Any], *, max_tokens: int = 1024
    ) -> str:
        def ask() -> str:
            if isinstance(self._model, SchemaModel):
                return self._model.complete_json(messages, schema, max_tokens=max_tokens)
            return self._model.complete(messages, max_tokens=max_tokens, json=True)

        key = self._key(messages, max_tokens, form=schema)
        return self._remembered(key, ask, lambda text: fits(text, schema))

    def stream(
        self, messages: Sequence[dict[str, str]], *, max_tokens: int = 512, temperature: float = 0.0
    ) -> Iterator[str]:
        return self._model.stream(messages, max_tokens=max_tokens, temperature=temperature)

    def _key(self, messages: Sequence[dict[str, str]], max_tokens: int, form: Any) -> str:
        return key_of(
            backend=self._model.identity,
            messages=list(messages),
            max_tokens=max_tokens,
            temperature=0,
            form=form,
        )

    def _remembered(self, key: str, ask: Callable[[], str], is_usable: Callable[[str], bool]) -> str:
        kept = self._answers.get(key)
        if kept is not None:
            return kept
        text = ask()
        if is_usable(text):
            self._answers.put(key, text)
        return text


def _is_json(text: str) -> bool:
    try:
        json_format.loads(text)
    except ValueError:
        return False
    return True
