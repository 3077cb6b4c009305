"""A model that answers from a list or from a function: for tests, demos without a model, and replays.

It keeps what it was asked in `calls`, so that a test can look at the very request another back-end would get.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from agents.backends.meter import Meter
from agents.errors import BackendUnreachable

Messages = Sequence[dict[str, str]]


class ScriptedChat:
    """Answers in the given order, or whatever the function makes of the messages.

    Raises BackendUnreachable when the list is used up: a script that is too short is a model that is away.
    """

    def __init__(
        self,
        answers: Sequence[str] | Callable[[Messages], str],
        name: str = "scripted",
        *,
        meter: Meter | None = None,
    ) -> None:
        self.name = name
        self.calls: list[list[dict[str, str]]] = []
        self._meter = meter or Meter()
        self._answer = answers if callable(answers) else self._from_list(answers)

    @property
    def identity(self) -> dict[str, Any]:
        return {"kind": "scripted", "name": self.name}

    def _from_list(self, answers: Sequence[str]) -> Callable[[Messages], str]:
        left = iter(answers)

        def take(messages: Messages) -> str:
            for answer in left:
                return answer
            raise BackendUnreachable(self.name, "the script holds no more answers")

        return take

    def complete(
        self, messages: Messages, *, max_tokens: int = 512, temperature: float = 0.0, json: bool = False
    ) -> str:
        with self._meter.request(self.name, messages, max_tokens) as bill:
            self.calls.append([dict(message) for message in messages])
            answer = self._answer(messages)
            bill.settle(None, None, answer=answer)
        return answer

    def stream(self, messages: Messages, *, max_tokens: int = 512, temperature: float = 0.0) -> Iterator[str]:
        """The same answer, word by word; the pieces joined are the answer."""
        words = self.complete(messages, max_tokens=max_tokens, temperature=temperature).split(" ")
        for index, word in enumerate(words):
            yield word if index == 0 else f" {word}"
