"""JSON read piece by piece: step into the parts that are wanted, decode one element at a time, pass over the rest.

    stream = JsonStream(file)
    for key in stream.members():
        if key == "messages":
            for message in stream.elements(): ...

What is not stepped into is passed over when the next key is asked for. Memory is bounded by the largest single value
that is decoded. Damage is JsonDamage, with line and column. Written for RFC 8259; the decoder is the standard library's.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from types import TracebackType
from typing import Any

from memory.importers.files import File
from memory.importers.values import whole

_READ = 1 << 16
_SPACE = re.compile(r"[ \t\r\n\ufeff\0]*")
_DECODE = json.JSONDecoder(strict=False).raw_decode
_BEHIND = frozenset(",]}: \t\r\n")  # what can stand behind a value that has ended
MAX_VALUE = 64 << 20  # characters of one element; a larger one is damage, not a message


class JsonDamage(Exception):
    """The JSON breaks off or is malformed; the text says where, never what stands there."""

    def __init__(self, line: int, column: int, why: str) -> None:
        self.place, self.why = f"line {line}, column {column}", why
        super().__init__(f"{self.place}: {why}")


class JsonStream:
    """A cursor over one JSON text. Every method expects the cursor before a value and leaves it behind one."""

    def __init__(self, file: File) -> None:
        self.file = file
        self._text = file.text()
        self._buffer = ""
        self._at = 0
        self._line, self._line_start = 1, 0  # of the buffer's begin: line number, and column it has there
        self._n_dropped = 0  # characters that left the buffer
        self._is_ended = False

    def __enter__(self) -> JsonStream:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._text.close()

    def peek(self) -> str:
        """The next character that is no space; "" at the end."""
        while True:
            match = _SPACE.match(self._buffer, self._at)
            self._at = match.end() if match else self._at
            if self._at < len(self._buffer):
                return self._buffer[self._at]
            if not self._more():
                return ""

    def value(self) -> Any:
        """The next value, decoded, with every string made fit for the store."""
        if not self.peek():
            raise self._damage("it ends where a value is expected")
        while True:
            try:
                found, end = _DECODE(self._buffer, self._at)
            except json.JSONDecodeError as error:
                if not self._more():
                    raise self._damage(error.msg, error.pos) from error
                continue
            except RecursionError as error:
                raise self._damage("it is nested too deeply") from error
            if self._buffer[end : end + 1] in _BEHIND or not self._more():  # a number may go on
                raw = self._buffer[self._at : end]
                self._at = end
                return whole(found) if "\\ud" in raw or "\\uD" in raw else found

    def elements(self) -> Iterator[Any]:
        """The elements of the array that comes next, decoded one by one; nothing where it is no array."""
        for _ in self.places():
            yield self.value()

    def places(self) -> Iterator[int]:
        """Stand before each element of the array that comes next; what the caller does not read is passed over."""
        if self.peek() != "[":
            self.value()
            return
        self._at += 1
        number = 0
        if self.peek() == "]":
            self._at += 1
            return
        while True:
            before = self._place()
            yield number
            if self._place() == before:
                self.value()
            number += 1
            if not self._goes_on("]"):
                return

    def members(self) -> Iterator[str]:
        """Stand before the value of each key of the object that comes next; nothing where it is no object."""
        if self.peek() != "{":
            self.value()
            return
        self._at += 1
        if self.peek() == "}":
            self._at += 1
            return
        while True:
            if self.peek() != '"':
                raise self._damage("a key is expected")
            key = str(self.value())
            if self.peek() != ":":
                raise self._damage("a colon is expected")
            self._at += 1
            before = self._place()
            yield key
            if self._place() == before:
                self.value()
            if not self._goes_on("}"):
                return

    def _goes_on(self, closing: str) -> bool:
        sign = self.peek()
        if sign not in (",", closing) or not sign:
            raise self._damage(f"a comma or {closing} is expected")
        self._at += 1
        return sign == ","

    def _place(self) -> int:
        self.peek()
        return self._n_dropped + self._at

    def _more(self) -> bool:
        """Read on; False at the end. What lies behind the cursor is dropped."""
        if self._is_ended or len(self._buffer) - self._at > MAX_VALUE:
            return False
        part = self._text.read(max(_READ, len(self._buffer) - self._at))
        if not part:
            self._is_ended = True
            return False
        gone = self._buffer[: self._at]
        n_lines = gone.count("\n")
        if n_lines:
            self._line += n_lines
            self._line_start = len(gone) - gone.rindex("\n") - 1
        else:
            self._line_start += len(gone)
        self._n_dropped += self._at
        self._buffer, self._at = self._buffer[self._at :] + self.file.mend(part), 0
        return True

    def _damage(self, why: str, at: int | None = None) -> JsonDamage:
        before = self._buffer[: self._at if at is None else at]
        line = self._line + before.count("\n")
        column = len(before) - before.rindex("\n") if "\n" in before else self._line_start + len(before) + 1
        return JsonDamage(line, column, why)
