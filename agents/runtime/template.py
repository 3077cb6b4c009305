"""Messages to token ids, and which of them are the answer.

ChatML is rendered here, piece by piece, without the system prompt that SmolLM2's own template adds: 24 tokens a
row that say nothing. Pieces are tokenised apart, so training and answering see the same ids by construction.
A model with another chat template uses its own; one with none gets plain ChatML text.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

Message = dict[str, str]

_PLAIN_CHATML = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


class Template:
    """How one tokenizer's model is spoken to. `sha256` names template and vocabulary size together."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        own = tokenizer.chat_template or ""
        self.is_chatml = not own or "<|im_start|>" in own
        self.name = "chatml-plain" if self.is_chatml else "own"
        self.sha256 = hashlib.sha256(f"{self.name}\n{own}\n{len(tokenizer)}".encode()).hexdigest()
        self._start = self.encode("<|im_start|>")
        self._end = self.encode("<|im_end|>")
        self._newline = self.encode("\n")
        ends = {tokenizer.eos_token_id} | (
            {self._end[0]} if self.is_chatml and len(self._end) == 1 else set()
        )
        self.stop_ids = frozenset(int(i) for i in ends if i is not None)

    @property
    def jinja(self) -> str:
        """The template by which other programs speak to the model as it is spoken to here."""
        return _PLAIN_CHATML if self.is_chatml else str(self._tokenizer.chat_template)

    def encode(self, text: str) -> list[int]:
        return list(self._tokenizer.encode(text, add_special_tokens=False))

    def chat_ids(self, messages: Sequence[Message], add_generation_prompt: bool = True) -> list[int]:
        """The conversation as ids, with the header of the assistant's turn at the end where asked for."""
        if not self.is_chatml:
            return self._own(messages, add_generation_prompt)
        ids = [i for message in messages for piece in self._pieces(message) for i in piece]
        return ids + self._header("assistant") if add_generation_prompt else ids

    def supervised(self, messages: Sequence[Message]) -> tuple[list[int], list[bool]]:
        """Ids of a training row, and for each whether it is of an answer (its end token included)."""
        if not self.is_chatml:
            return self._own_supervised(messages)
        ids: list[int] = []
        is_answer: list[bool] = []
        for message in messages:
            header, content, tail = self._pieces(message)
            answers = message["role"] == "assistant"
            ids += header + content + tail
            is_answer += [False] * len(header) + [answers] * (len(content) + len(self._end))
            is_answer += [False] * (len(ids) - len(is_answer))
        return ids, is_answer

    def user_header(self) -> list[int]:
        """Ids before the content of a user's turn; at least one, so that content is never at position 0."""
        if self.is_chatml:
            return self._header("user")
        marker = "\u2060content"
        own = self._tokenizer.apply_chat_template([{"role": "user", "content": marker}], tokenize=False)
        return self.encode(own.split(marker)[0]) or self._newline

    def _pieces(self, message: Message) -> tuple[list[int], list[int], list[int]]:
        return self._header(message["role"]), self.encode(message["content"]), self._end + self._newline

    def _header(self, role: str) -> list[int]:
        return self._start + self.encode(f"{role}\n")

    def _own(self, messages: Sequence[Message], add_generation_prompt: bool) -> list[int]:
        text = self._tokenizer.apply_chat_template(
            list(messages), tokenize=False, add_generation_prompt=add_generation_prompt
        )
        return self.encode(text)

    def _own_supervised(self, messages: Sequence[Message]) -> tuple[list[int], list[bool]]:
        """The last message only: what the generation prompt leaves over of the whole."""
        whole = self._own(messages, add_generation_prompt=False)
        prompt = self._own(messages[:-1], add_generation_prompt=True) if len(messages) > 1 else []
        n_prompt = next(
            (i for i, (a, b) in enumerate(zip(prompt, whole, strict=False)) if a != b), len(prompt)
        )
        return whole, [False] * n_prompt + [True] * (len(whole) - n_prompt)
