"""A chat model that is shown nothing of the kinds that are left out: each stretch is put as its kind, "call (phone)".

The one gate before every back-end, whoever asks: extractor, judge, referee, teacher, digester, constitution writer.
System messages are the program's own words there and pass as they are; a persona's hold lines about people.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from agents.structured import Schema, SchemaModel
from memory.ports import ChatModel
from memory.sensitive import masked


class MaskingChat:
    """Implements ChatModel and SchemaModel around another model."""

    def __init__(self, inner: ChatModel, left_out: Collection[str]) -> None:
        self.name = inner.name
        self._inner = inner
        self._left_out = frozenset(left_out)

    def complete(
        self,
        messages: Sequence[dict[str, str]],
        *,
        max_tokens: int = 512,
        temperature: float = 0.0,
        json: bool = False,
    ) -> str:
        shown = self._masked(messages)
        return self._inner.complete(shown, max_tokens=max_tokens, temperature=temperature, json=json)

    def complete_json(
        self, messages: Sequence[dict[str, str]], schema: Schema, *, max_tokens: int = 1024
    ) -> str:
        shown = self._masked(messages)
        if isinstance(self._inner, SchemaModel):
            return self._inner.complete_json(shown, schema, max_tokens=max_tokens)
        return self._inner.complete(shown, max_tokens=max_tokens, json=True)

    def stream(
        self, messages: Sequence[dict[str, str]], *, max_tokens: int = 512, temperature: float = 0.0
    ) -> Iterator[str]:
        return self._inner.stream(self._masked(messages), max_tokens=max_tokens, temperature=temperature)

    def _masked(self, messages: Sequence[dict[str, str]]) -> list[dict[str, str]]:
        return masked_messages(messages, self._left_out)


def masked_messages(
    messages: Sequence[dict[str, str]], left_out: Collection[str], *, but: Collection[str] = ("system",)
) -> list[dict[str, str]]:
    """The messages as a back-end may see them, line by line. `but`: roles that pass as they are."""
    return [
        message
        if message["role"] in but
        else {
            **message,
            "content": "\n".join(masked(line, left_out) for line in message["content"].split("\n")),
        }
        for message in messages
    ]
