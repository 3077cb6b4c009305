"""The filter that ends a reply at the next speaker's tag (`[INES] `).

A tag is never a special token, so it may arrive split over any number of pieces. The filter therefore holds back
every piece that could still become a tag; what it has given out never contains a part of one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

_FOREIGN = re.compile(r"\[[^\[\]\n]{1,40}\]")
_CONTROL = re.compile(r"<\|[a-z_]{1,24}\|>")
_UNFINISHED = re.compile(r"(\[[^\[\]\na-z]{0,40}|<(\|[a-z_]{0,24}\|?)?)$")


class TagFilter:
    """Passes a streamed reply on, message by message, until somebody else's tag or a control token begins.

    The own tag separates messages and comes out as a line break. `is_done` turns true at the end of the reply.
    """

    def __init__(self, own_tag: str) -> None:
        self._own = own_tag
        self._held = ""
        self._is_message_start = True
        self.is_done = False

    def feed(self, piece: str) -> str:
        """What may be shown after this piece; the empty string while a tag may be under way."""
        if self.is_done:
            return ""
        self._held += piece
        return self._take(is_last=False)

    def finish(self) -> str:
        """What was held back, when the model has ended; an unfinished tag is dropped."""
        if self.is_done:
            return ""
        out = self._take(is_last=True)
        self.is_done = True
        return out

    def _take(self, *, is_last: bool) -> str:
        out = ""
        while not self.is_done:
            found = _first_match(self._held)
            if found is None:
                break
            start, end, text = found
            out += self._show(self._held[:start])
            self._held = self._held[end:]
            if text != self._own:
                self.is_done = True
                self._held = ""
                return out.rstrip()
            out = out.rstrip() + "\n"
            self._is_message_start = True
        safe = _safe_length(self._held)
        out += self._show(self._held[:safe])
        self._held = "" if is_last else self._held[safe:]
        return out

    def _show(self, text: str) -> str:
        if self._is_message_start:
            text = text.lstrip()
        self._is_message_start = self._is_message_start and not text
        return text

    def run(self, pieces: Iterable[str]) -> Iterator[str]:
        """The filtered stream; stops reading from `pieces` as soon as the reply has ended."""
        for piece in pieces:
            if out := self.feed(piece):
                yield out
            if self.is_done:
                return
        if out := self.finish():
            yield out


def _first_match(text: str) -> tuple[int, int, str] | None:
    tags = (match for match in _FOREIGN.finditer(text) if match.group().upper() == match.group())
    found = [match for match in (next(tags, None), _CONTROL.search(text)) if match]
    if not found:
        return None
    first = min(found, key=lambda match: match.start())
    return first.start(), first.end(), first.group()


def _safe_length(text: str) -> int:
    """How much of `text` cannot be the beginning of a tag, less trailing blanks."""
    held = _UNFINISHED.search(text)
    return len((text[: held.start()] if held else text).rstrip())
