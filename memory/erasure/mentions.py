"""The names of an erased person in other people's words: which forms count, where they stand, and their removal.

Forms are the full name, the aliases, and the first name where nobody else in the space has it. They are whole words,
compared as `memory.names.key` compares (case and accents aside). A form that is also a word of grammar ("Will", "May")
counts with a capital letter only; one that is an ordinary word here can be spared by whoever asks for the erasure.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from db.tables import Alias, Node
from memory import names
from memory.erasure.needles import Needle
from memory.search.words import STOP

MARK = "[erased]"  # stands where a name or a text stood


@dataclass(frozen=True, slots=True)
class Form:
    """One name as it may be said; `key` is what is compared."""

    text: str
    key: str
    is_cased: bool = False


@dataclass(frozen=True)
class Forms:
    """The forms that are looked for, and those that are left out: shared with somebody, or spared."""

    forms: tuple[Form, ...] = ()
    left_out: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.forms)

    def needles(self) -> list[Needle]:
        return [Needle(form.text, is_name=True, is_cased=form.is_cased) for form in self.forms]

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        longest_first = sorted({form.key for form in self.forms}, key=lambda key: (-len(key), key))
        spelled = (r"[\W_]+".join(map(re.escape, key.split())) for key in longest_first)
        return re.compile(rf"(?<![^\W_])(?:{'|'.join(spelled)})(?![^\W_])")

    @cached_property
    def _cased(self) -> frozenset[str]:
        return frozenset(form.key for form in self.forms if form.is_cased)

    def find(self, text: str) -> list[tuple[int, int, str]]:
        """(begin, end, key of the form) of each place in the text, in order."""
        if not self.forms:
            return []
        folded, origin = _folded(text)
        places = []
        for match in self._pattern.finditer(folded):
            begin, end = origin(match.start()), origin(match.end())
            key = " ".join(re.split(r"[\W_]+", match[0]))
            if key not in self._cased or text[begin : begin + 1].isupper():
                places.append((begin, end, key))
        return places

    def name(self, text: str) -> bool:
        """Whether the text names the person."""
        return bool(self.find(text))

    def redact(self, text: str) -> str:
        """The text with MARK in place of each name; what was said around them stays."""
        parts, last = [], 0
        for begin, end, _ in self.find(text):
            parts += [text[last:begin], MARK]
            last = end
        return "".join([*parts, text[last:]])

    def redact_all(self, value: Any) -> Any:
        """The same for every string of a JSON value, keys included."""
        if isinstance(value, str):
            return self.redact(value)
        if isinstance(value, list):
            return [self.redact_all(item) for item in value]
        if isinstance(value, dict):
            return {self.redact(key): self.redact_all(item) for key, item in value.items()}
        return value


def forms_of(session: Session, space_id: str, node_ids: Collection[str], spare: Iterable[str] = ()) -> Forms:
    """Every form of these people's names that means nobody else."""
    rows = session.execute(select(Node.id, Node.name, Node.kind).where(Node.space_id == space_id)).all()
    aliases = session.execute(select(Alias.node_id, Alias.name).where(Alias.space_id == space_id)).all()
    named = [(node_id, name) for node_id, name, kind in rows if kind == "person"] + [
        tuple(row) for row in aliases
    ]
    own = {name: None for node_id, name in named if node_id in node_ids}
    others = [name for node_id, name in named if node_id not in node_ids]
    taken = {names.key(name) for name in others} | {names.first(name) for name in others}
    firsts = {names.first(name): None for name in own}
    spared = {names.key(word) for word in spare}
    forms: dict[str, Form] = {}
    left_out: dict[str, None] = {}
    for text in (*own, *firsts):
        key = " ".join(re.split(r"[\W_]+", names.key(text))).strip()
        if not key:
            continue
        if key in spared or (key in taken and text not in own) or names.key(text) in taken:
            left_out[text] = None
        else:
            forms.setdefault(key, Form(text, key, is_cased=key in STOP))
    return Forms(tuple(forms.values()), tuple(left_out))


def _folded(text: str) -> tuple[str, Callable[[int], int]]:
    """The text as names are compared, and a function from a place in it to the place in the text."""
    if text.isascii():
        return text.lower(), int
    folded: list[str] = []
    origin: list[int] = []
    for place, char in enumerate(text):
        if char.isascii():
            plain = char.lower()
        else:  # an accent that stands alone, or an invisible mark, leaves nothing
            plain = names.key(char) if char.isalnum() else names.key(f"a{char}a")[1:-1]
        folded.append(plain)
        origin += [place] * len(plain)
    origin.append(len(text))
    return "".join(folded), origin.__getitem__
