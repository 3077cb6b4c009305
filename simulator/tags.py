"""The automaton that ends a reply at the next speaker's tag (`[INES] `), and that lets nothing of a tag be seen.

A tag is plain text: it may arrive split over any number of tokens. The automaton goes through what comes character by
character and holds back only what may still become a tag, a control token, or the prompt's own notes. Characters that
are split over tokens (emoji in byte-level BPE) arrive whole, see `agents.runtime.decoding.Detokenizer`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from enum import Enum

_CONTROL = re.compile(r"<\|[A-Za-z0-9_]{1,32}\|>")
_BEGUN_CONTROL = re.compile(r"<(\|([A-Za-z0-9_]{1,32}\|?)?)?")
_OTHER_CONTROL = ("</s>", "<end_of_turn>", "<start_of_turn>")
_MAX_TAG = 42  # characters of a tag nobody announced, brackets included


class _Verdict(Enum):
    TAG = "tag"
    OPEN = "open"  # it may still become one
    TEXT = "text"


class TagFilter:
    """Passes a streamed reply on, message by message, until somebody else's tag or a control token begins.

    The own tag separates messages and comes out as a line break; so does any blank stretch with a line break in it.
    `others` are the tags of the conversation; any other tag in capitals ends the reply as well. `notes` are beginnings
    of lines that the prompt writes and nobody says. With `is_begun` it goes on in the middle of a message. `is_done`
    turns true at the end of the reply.
    """

    def __init__(
        self, own_tag: str, others: Sequence[str] = (), *, notes: Sequence[str] = (), is_begun: bool = False
    ) -> None:
        self._own = own_tag.upper()
        self._tags = tuple(tag.upper() for tag in (own_tag, *others))
        self._notes = tuple(notes)
        self._held = ""  # what may become a tag
        self._blank = ""  # shown once something follows it
        self._is_empty = not is_begun  # nothing was shown yet
        self._is_line_start = not is_begun
        self.is_done = False

    def feed(self, piece: str) -> str:
        """What may be shown after this piece; the empty string while a tag may be under way."""
        shown = []
        for char in piece:
            if self.is_done:
                break
            shown.append(self._step(char))
        return "".join(shown)

    def finish(self) -> str:
        """What was held back, when the model has ended; an unfinished tag is dropped."""
        held, self._held = self._held, ""
        out = "" if self.is_done or held[:1] in ("[", "<") else "".join(map(self._show, held))
        self.is_done = True
        return out

    def run(self, pieces: Iterable[str]) -> Iterator[str]:
        """The filtered stream; stops reading from `pieces` as soon as the reply has ended."""
        for piece in pieces:
            if out := self.feed(piece):
                yield out
            if self.is_done:
                return
        if out := self.finish():
            yield out

    def _step(self, char: str) -> str:
        if not self._held and char not in "[<" and not (self._is_line_start and self._notes):
            return self._show(char)
        held = self._held + char
        verdict = self._verdict(held)
        if verdict is _Verdict.OPEN:
            self._held = held
            return ""
        self._held = ""
        if verdict is _Verdict.TAG:
            self._end_message(held)
            return ""
        # its first character is text, the others may begin a tag of their own
        out = [self._show(held[0])]
        for later in held[1:]:
            out.append("" if self.is_done else self._step(later))
        return "".join(out)

    def _show(self, char: str) -> str:
        if char.isspace():
            self._blank = "\n" if "\n" in self._blank + char else self._blank + char
            self._is_line_start = self._is_line_start or char == "\n"
            return ""
        out = char if self._is_empty else self._blank + char
        self._blank, self._is_empty, self._is_line_start = "", False, False
        return out

    def _end_message(self, tag: str) -> None:
        if tag.upper() != self._own:
            self.is_done = True
            return
        self._blank, self._is_line_start = "\n", True

    def _verdict(self, held: str) -> _Verdict:
        """Of what was held back: a whole tag, the beginning of one, or neither."""
        if held[0] == "[":
            return self._bracket(held)
        if held[0] == "<":
            if _CONTROL.fullmatch(held) or held in _OTHER_CONTROL:
                return _Verdict.TAG
            begun = _BEGUN_CONTROL.fullmatch(held) or any(one.startswith(held) for one in _OTHER_CONTROL)
            return _Verdict.OPEN if begun else _Verdict.TEXT
        if held in self._notes:
            return _Verdict.TAG
        return _Verdict.OPEN if any(note.startswith(held) for note in self._notes) else _Verdict.TEXT

    def _bracket(self, held: str) -> _Verdict:
        upper = held.upper()
        if upper in self._tags:
            return _Verdict.TAG
        inner = held[1:-1] if held.endswith("]") else held[1:]
        may_be_foreign = (
            len(held) <= _MAX_TAG and _is_capital(inner) and not any(char in "[]\n" for char in inner)
        )
        if held.endswith("]"):
            return _Verdict.TAG if may_be_foreign and inner else _Verdict.TEXT
        begun = may_be_foreign or any(tag.startswith(upper) for tag in self._tags)
        return _Verdict.OPEN if begun else _Verdict.TEXT


def _is_capital(text: str) -> bool:
    """Whether it begins with a letter and no letter is a small one; true of nothing at all."""
    return text.upper() == text and (not text or text[0].isalpha())
