"""What a scan looks for: stretches of erased texts and names, in every form in which bytes may hold them.

Needles live in memory only and are never written. A text becomes consecutive stretches, so that one that a page or a
block cuts in two is still found by the next. Looking is one pass: every 16 bytes of a block are looked up in a table of
all needles' first 16 bytes, and only what is in the table is compared in full. ASCII is compared without case; other
letters are looked for in each case. Forms: UTF-8 composed and decomposed, UTF-16, and as JSON, HTML and URLs escape.
"""

from __future__ import annotations

import codecs
import html
import json
import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal
from urllib.parse import quote, quote_plus

import numpy as np
import numpy.typing as npt

from memory import names

STRETCH = 32  # characters of a text that are looked for together
SHORTEST = 20  # a text or remainder that is shorter says nothing by itself ("ok", "see you tomorrow")
OVERLAP = 4096  # bytes of a block that the next one begins with; no needle is longer
_CONTINUED = bytes(range(0x80, 0xC0))  # bytes within a letter of UTF-8
_WORD = 8  # bytes; an anchor is two words
_ANCHOR = 2 * _WORD
_FACTOR = np.uint64(0x9E3779B97F4A7C15)  # 2^64 / golden ratio: spreads anchors over the table
_TWIST = np.uint64(0xC2B2AE3D27D4EB4F)  # odd as well, and unlike it: tells the two words of an anchor apart
_LOWER = bytes(range(65)) + bytes(range(97, 123)) + bytes(range(91, 256))

# What a block is: words; a file of any kind, in which numbers may spell a short name by chance; or pages of a store,
# where values also follow each other without anything between them, so that a name of several words counts anywhere.
Held = Literal["text", "bytes", "packed"]


@dataclass(frozen=True, slots=True)
class Needle:
    """A stretch of an erased text, or a name that counts as a whole word only."""

    text: str
    is_name: bool = False
    is_cased: bool = False  # an ordinary word too ("Will"): counts with a capital only

    @property
    def is_single(self) -> bool:
        """A name of one word, which tokenizers and chance hold as well."""
        return self.is_name and len(self.text.split()) == 1


def stretches(texts: Iterable[str]) -> list[Needle]:
    """Consecutive stretches of the texts, each once; texts under SHORTEST characters give none.

    A text of several lines gives those of its one-line form too, in which it is quoted.
    """
    found: dict[str, None] = {}
    for tidy in (form for text in texts for form in dict.fromkeys((text.strip(), " ".join(text.split())))):
        for start in range(0, len(tidy), STRETCH):
            piece = tidy[start : start + STRETCH].strip()
            if len(piece) < SHORTEST and start:
                piece = tidy[-STRETCH:].strip()
            if len(piece) >= SHORTEST:
                found[piece] = None
    return [Needle(piece) for piece in found]


def encoded(text: str) -> set[bytes]:
    """Every form of the text in bytes, ASCII in lower case."""
    forms: set[bytes] = set()
    for shape in _shapes(text):
        forms.add(shape.encode("utf-8", "surrogatepass"))
        if "\x00" not in shape:
            forms |= {shape.encode("utf-16-le", "surrogatepass"), shape.encode("utf-16-be", "surrogatepass")}
        forms |= {
            json.dumps(shape)[1:-1].encode(),
            json.dumps(shape, ensure_ascii=False)[1:-1].encode("utf-8", "surrogatepass"),
            html.escape(shape).encode("utf-8", "surrogatepass"),
            html.escape(shape).replace("&#x27;", "&#39;").encode("utf-8", "surrogatepass"),
            quote(shape, safe="", errors="replace").encode(),
            quote_plus(shape, errors="replace").encode(),
        }
    return {form.translate(_LOWER) for form in forms}


def _shapes(text: str) -> set[str]:
    if text.isascii():
        return {text.lower()}
    cased = {text, text.lower(), text.upper(), text.casefold()}
    return cased | {unicodedata.normalize(form, shape) for shape in cased for form in ("NFC", "NFD")}


@dataclass(frozen=True, slots=True)
class Found:
    """One place: which needle, and the offset within the block."""

    needle: int
    offset: int


class Scanner:
    """All needles at once. `find` says where they are in a block of bytes."""

    def __init__(self, needles: Iterable[Needle]) -> None:
        self.needles = list(needles)
        self._by_anchor: dict[bytes, list[tuple[bytes, int]]] = defaultdict(list)
        self._short: list[tuple[bytes, int]] = []
        for number, needle in enumerate(self.needles):
            for form in self._forms(needle):
                if len(form) >= _ANCHOR:
                    self._by_anchor[form[:_ANCHOR]].append((form, number))
                else:
                    self._short.append((form, number))

    @staticmethod
    def _forms(needle: Needle) -> set[bytes]:
        if not needle.is_name:
            return encoded(needle.text)
        spellings = {needle.text, names.key(needle.text)}
        if not needle.is_single:
            spellings |= {joint.join(spelling.split()) for spelling in set(spellings) for joint in "_-."}
        return {form for spelling in spellings for form in encoded(spelling) if len(form) > 1}

    def __len__(self) -> int:
        return len(self.needles)

    @cached_property
    def _table(self) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.uint64], np.uint64]:
        """Whether any anchor falls in a cell, the anchors' keys in order, and the shift from a key to its cell."""
        words = np.frombuffer(b"".join(self._by_anchor), "<u8").reshape(-1, 2)
        keys = np.unique(_key(words[:, 0], words[:, 1]))
        bits = int(np.clip(np.ceil(np.log2(max(1, len(keys)))) + 5, 12, 22))
        shift = np.uint64(64 - bits)
        cells = np.zeros(1 << bits, dtype=np.bool_)
        cells[keys >> shift] = True
        return cells, keys, shift

    def find(
        self, block: bytes, counts: Callable[[Needle], bool] = lambda _: True, *, held: Held = "text"
    ) -> Iterator[Found]:
        """Every place of the needles that count; overlapping places of one needle are all given."""
        folded = block.translate(_LOWER)
        for offset in self._anchored(folded):
            for form, number in self._by_anchor.get(folded[offset : offset + _ANCHOR], ()):
                if folded.startswith(form, offset) and counts(self.needles[number]):
                    yield from self._if_word(block, number, offset, form, held)
        for form, number in self._short:
            if counts(self.needles[number]):
                offset = folded.find(form)
                while offset >= 0:
                    yield from self._if_word(block, number, offset, form, held)
                    offset = folded.find(form, offset + 1)

    def _anchored(self, folded: bytes) -> list[int]:
        """Offsets at which some needle may begin, in order."""
        if not self._by_anchor:
            return []
        cells, keys, shift = self._table
        places: list[int] = []
        for start in range(min(_WORD, max(0, len(folded) - _ANCHOR + 1))):
            words = np.frombuffer(folded, "<u8", (len(folded) - start) // _WORD, start)
            seen = _key(words[:-1], words[1:])
            near = np.flatnonzero(cells[seen >> shift])
            if len(near):
                at = np.searchsorted(keys, seen[near])
                is_there = keys[np.minimum(at, len(keys) - 1)] == seen[near]
                places += (near[is_there] * _WORD + start).tolist()
        return sorted(places)

    def _if_word(self, block: bytes, number: int, offset: int, form: bytes, held: Held) -> Iterator[Found]:
        needle, stop = self.needles[number], offset + len(form)
        if needle.is_name and not (held == "packed" and not needle.is_single):
            wide = _width(form)
            if _is_inside_word(block, offset, stop, wide):
                return
            if needle.is_cased and not _text(block[offset : offset + 2 * wide.size], wide)[:1].isupper():
                return
            if held != "text" and len(form) <= _SHORT and not _is_text_around(block, offset, stop, wide):
                return
        yield Found(number, offset)


_SHORT = 4  # bytes of a name that come up by chance in some megabytes of numbers
_RUN = 12  # characters of text around such a name; bytes at random give as many in 1 of 30,000 places
AROUND = 4 * _RUN  # bytes that so many characters take at most
_CONTROL = frozenset(map(chr, {*range(32), 127} - set(b"\t\n\r")))


def _is_text_around(block: bytes, start: int, stop: int, width: _Width) -> bool:
    """Whether the place stands in a run of text, and not between numbers that happen to spell a name."""
    edge = max(0, start - AROUND)
    before, is_open = _run(reversed(_characters(block[edge:start], width, is_cut=edge > 0)))
    after, is_open_after = _run(_characters(block[stop : stop + AROUND], width))
    return before + after >= _RUN or (is_open and is_open_after)


def _characters(raw: bytes, width: _Width, *, is_cut: bool = False) -> str:
    """The bytes as text, with U+FFFD for what is none; a letter that the end cuts (or with `is_cut` the begin) is left out."""
    if is_cut and width.size == 1:
        raw = raw.lstrip(_CONTINUED)
    return codecs.getincrementaldecoder(width.name)("replace").decode(raw)


def _run(characters: Iterable[str]) -> tuple[int, bool]:
    """How many of the first characters are text, and whether all are."""
    number = 0
    for character in characters:
        if character in _CONTROL or character == "\ufffd":
            return number, False
        number += 1
    return number, True


def _key(first: npt.NDArray[np.uint64], second: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """64 bits for the 16 of each pair of words; wraps around on purpose."""
    return np.asarray(first * _FACTOR + second * _TWIST, dtype=np.uint64)


@dataclass(frozen=True, slots=True)
class _Width:
    name: str
    size: int  # bytes of a letter


_UTF8, _LE, _BE = _Width("utf-8", 1), _Width("utf-16-le", 2), _Width("utf-16-be", 2)


def _width(form: bytes) -> _Width:
    if len(form) >= 4 and form[1] == 0 == form[3]:
        return _LE
    return _BE if len(form) >= 4 and form[0] == 0 == form[2] else _UTF8


def _text(raw: bytes, width: _Width) -> str:
    return raw.decode(width.name, "ignore")


_ESCAPE = re.compile(r"(?:\\[nrtbf\"/\\]|%[0-9a-f]{2}|\\u(?P<unit>[0-9a-f]{4}))$", re.IGNORECASE)


def _is_inside_word(block: bytes, start: int, stop: int, width: _Width) -> bool:
    """Whether a letter or digit touches the place; an escaped line break or space before it is none."""
    if width.size == 2:
        before, after = _text(block[max(0, start - 2) : start], width), _text(block[stop : stop + 2], width)
        return before[-1:].isalnum() or after[:1].isalnum()
    before = _text(block[max(0, start - 6) : start], width)
    escape = _ESCAPE.search(before)
    if escape is None:
        is_joined = before[-1:].isalnum()
    else:
        is_joined = escape["unit"] is not None and chr(int(escape["unit"], 16)).isalnum()
    if is_joined:
        return True
    after = _text(block[stop : stop + 6], width)
    if re.match(r"\\u[0-9a-f]{4}", after, re.IGNORECASE):
        return chr(int(after[2:6], 16)).isalnum()
    return after[:1].isalnum()
