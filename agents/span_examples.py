"""Examples for the reader of spans, written down with marks: what is said, what of it is a fact, and whose.

A line of `data/span_examples*.txt` is one message, or two with ` || ` between them (another speaker's, then the one
that is read) or ` |+ ` (both of one speaker). In it `{predicate@subject>change:words}` marks the object of a fact.
Without `@subject` it is the speaker's own; `you` is the addressee, `them` somebody whom neither message names, and
anything else a word that stands in one of the two. Without `>change` it is a state. `[a|b]` is one of both, `$city`
any word of a list in `data/span_words.toml`; `$city` twice is the same one, `$city2` another. A line without a mark
states no fact, and most lines are such. `render` draws one wording of a line; the same generator state gives the same.
"""

from __future__ import annotations

import random
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from agents.span_head import ME, THEM, YOU
from memory.types import Change

DATA = Path(__file__).parent / "data"
EXAMPLES = "span_examples*.txt"  # several files, so that several hands can write
WORDS = DATA / "span_words.toml"
OTHER, SAME = " || ", " |+ "
_CHOICE = re.compile(r"\[([^\[\]]*\|[^\[\]]*)\]")
_SLOT = re.compile(r"\$([a-z]+)(\d?)")
_MARK = re.compile(r"\{([a-z_]+)(?:@([^:>{}]+))?(?:>([a-z]+))?:([^{}]+)\}")
_LONG_WORD = re.compile(r"(?<![{@>_$\w])[a-z]{5,}(?![\w:@>])")
_SPOKEN = re.compile(r"(?<![@{])\b(?:you|are|your|because|please|with|tomorrow|people|okay|thanks|about)\b")
_SHORT = {
    "you": "u", "are": "r", "your": "ur", "because": "cos", "please": "pls", "with": "w", "tomorrow": "tmrw", "people": "ppl",
    "okay": "ok", "thanks": "thx", "about": "abt",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Mark:
    """An object in a message. `subject` is ME, YOU, THEM, or where its first word stands: (is in the message before, place)."""

    start: int
    end: int
    predicate: str
    change: Change
    subject: str | tuple[bool, int]


@dataclass(frozen=True, slots=True)
class Example:
    """`before` is empty where nothing was said before; `is_same` where the same person said it."""

    before: str
    is_same: bool
    text: str
    marks: tuple[Mark, ...]


class BadExample(ValueError):
    """A line whose marks do not hold together: says which and why."""


@dataclass(frozen=True, slots=True)
class Material:
    lines: tuple[str, ...]
    words: Mapping[str, tuple[str, ...]]
    leads: tuple[str, ...]  # sentences that say nothing, put in front
    tails: tuple[str, ...]
    before: tuple[str, ...]  # messages that may precede anything


@cache
def read_material() -> Material:
    """The shipped lines; `#` begins a comment."""
    found = [
        line for path in sorted(DATA.glob(EXAMPLES)) for line in path.read_text(encoding="utf-8").splitlines()
    ]
    words = tomllib.loads(WORDS.read_text(encoding="utf-8"))
    lists = {name: tuple(values) for name, values in words.items()}
    own = {name: lists.pop(name) for name in ("leads", "tails", "before")}
    lines = tuple(line for line in map(str.strip, found) if line and not line.startswith("#"))
    return Material(lines, lists, **own)


def render(line: str, material: Material, rng: random.Random, *, is_plain: bool = False) -> Example:
    """One wording of a line; `is_plain` leaves out the noise (typos, small talk around it). Raises BadExample."""
    text = _CHOICE.sub(lambda m: rng.choice(m[1].split("|")), line)
    text = re.sub(r" {2,}", " ", _fill(text, material.words, rng)).strip()
    separator = next((s for s in (OTHER, SAME) if s in text), None)
    before, _, current = text.rpartition(separator) if separator else ("", "", text)
    is_same = separator == SAME
    if not is_plain:
        current = _noisy(current, material, rng)
        if separator is None and rng.random() < 0.6:
            before, is_same = rng.choice(material.before), rng.random() < 0.35
    return _parse(before.strip(), is_same, current.strip())


def _fill(text: str, words: Mapping[str, Sequence[str]], rng: random.Random) -> str:
    filled: dict[str, str] = {}

    def pick(match: re.Match[str]) -> str:
        if match[0] not in filled:
            if match[1] not in words:
                raise BadExample(f"no list of words {match[1]!r}: {text}")
            taken = {value for name, value in filled.items() if name.rstrip("0123456789") == "$" + match[1]}
            filled[match[0]] = rng.choice([w for w in words[match[1]] if w not in taken])
        return filled[match[0]]

    return _SLOT.sub(pick, text)


def _noisy(text: str, material: Material, rng: random.Random) -> str:
    if rng.random() < 0.25:
        text = text.replace("'", "")
    if rng.random() < 0.2:
        text = text.replace(", ", " ")
    if rng.random() < 0.3:
        text = text.rstrip(".!")
    if rng.random() < 0.1:
        text = _SPOKEN.sub(lambda m: _SHORT[m[0]], text)
    if rng.random() < 0.12:
        text = _misspelt(text, rng)
    if rng.random() < 0.2:
        text = f"{rng.choice(material.leads)} {text}"
    if rng.random() < 0.2:
        text = f"{text} {rng.choice(material.tails)}"
    return text


def _misspelt(text: str, rng: random.Random) -> str:
    """One long word with two letters swapped or one left out; never a word that a mark names as a subject."""
    subjects = tuple(word.lower() for m in _MARK.finditer(text) for word in (m[2] or "").split())
    places = [m for m in _LONG_WORD.finditer(text) if not m[0].startswith(subjects)]
    if not places:
        return text
    match = rng.choice(places)
    word, at = match[0], rng.randrange(1, len(match[0]) - 2)
    wrong = (
        word[:at] + word[at + 1] + word[at] + word[at + 2 :]
        if rng.random() < 0.5
        else word[:at] + word[at + 1 :]
    )
    return text[: match.start()] + wrong + text[match.end() :]


def _parse(before: str, is_same: bool, marked: str) -> Example:
    plain, at, spans = "", 0, []
    for match in _MARK.finditer(marked):
        plain += marked[at : match.start()]
        spans.append((len(plain), len(plain) + len(match[4]), match[1], match[2] or ME, match[3] or "state"))
        plain += match[4]
        at = match.end()
    plain += marked[at:]
    if set(plain + before) & set("{}[]$|"):
        raise BadExample(f"a mark or choice that is not closed: {marked}")
    marks = tuple(
        Mark(start, end, predicate, _change(change, marked), _subject(subject, before, plain, start))
        for start, end, predicate, subject, change in spans
    )
    return Example(before, is_same, plain, marks)


def _change(word: str, line: str) -> Change:
    if word not in ("state", "update", "correct", "end"):
        raise BadExample(f"no change {word!r}: {line}")
    return word  # type: ignore[return-value]


def _subject(word: str, before: str, text: str, at: int) -> str | tuple[bool, int]:
    """The nearest place before the object, else after it, else in the message before."""
    if word in (ME, YOU, THEM):
        return word
    pattern = re.compile(rf"(?<!\w){re.escape(word)}", re.IGNORECASE)
    here = [m.start() for m in pattern.finditer(text)]
    if earlier := [place for place in here if place < at]:
        return False, earlier[-1]
    if here:
        return False, here[0]
    there = [m.start() for m in pattern.finditer(before)]
    if not there:
        raise BadExample(f"the subject {word!r} stands nowhere: {before} || {text}")
    return True, there[-1]


def draw(lines: Sequence[str], material: Material, seed: int) -> Iterator[Example]:
    """One wording of every line; one is left out where noise hit the word that a mark names as its subject."""
    rng = random.Random(seed)
    for line in lines:
        try:
            yield render(line, material, rng)
        except BadExample:
            continue
