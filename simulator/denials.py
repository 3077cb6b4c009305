"""A statement against the lines of a constitution: "i don't trust Ines" of somebody whose line is that they trust her.

What a sentence claims of who speaks is read as nights read it from real messages (`agents.constitutions`): once as it was
said, and once as if it denied nothing, or denied what it says. A line is denied where the second reading says the same as
it, or the first one its opposite. English patterns, for precision: most of what contradicts somebody's values does so in
words of its own, and is not noticed. Of the manner of writing nothing is looked at.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from agents import cues
from agents.constitutions import convictions_and_views
from memory.revision import Line
from memory.types import Episode, Person
from memory.wordings import content_words
from simulator.claims import ANY_MORE, tells_of_past

LEAST_SHARED = 0.5  # of the content words of two lines, more than which say the same
KINDS = frozenset(("value", "principle", "limit", "view"))
_DENYING = re.compile(r"^(?:Never:|Would never|Refuses to|Does not|(?=Cannot stand))\s*", re.IGNORECASE)
_SAYING = re.compile(r"^(?:Always:|Thinks that)\s+", re.IGNORECASE)
_BEGINNINGS = (  # of lines, and of what somebody never does: what the rest is held to
    (re.compile(r"^believes? (?:in )?(?:or that:)?\s*", re.IGNORECASE), "belief"),
    (re.compile(r"^(?:holds dear:|cares? (?:a lot )?about)\s+", re.IGNORECASE), "care"),
    (re.compile(r"^(?:loves?|adores?|cannot stand)\s+", re.IGNORECASE), "love"),
)
_NOT = re.compile(r"\b(?:not|never|no|cannot|without|\w+n't)\b", re.IGNORECASE)
_DEGREES = frozenset(content_words("so too such very really always absolutely totally completely real total"))
_DENIALS = (  # and what a sentence says without them
    (re.compile(r"\b(?:do|does|did)(?:n't| not|nt) (?:really )?", re.IGNORECASE), ""),
    (re.compile(r"\b(am|is|are|was|were|have|has)(?:n't| not) ", re.IGNORECASE), r"\1 so "),
    (re.compile(r"(?<=\w)('m|'re|'s|'ve) not ", re.IGNORECASE), r"\1 so "),
    (re.compile(r"\b(?:can't|cant|cannot|couldn't) (?=(?:always )?(?:count|rely|depend)\b)", re.IGNORECASE), "can "),
    (re.compile(r"\bnever ", re.IGNORECASE), ""),
    (re.compile(r"\bno longer ", re.IGNORECASE), ""),
    (re.compile(r"\bcould(?:n't| not|nt) care less\b", re.IGNORECASE), "care"),
    (re.compile(r"\b(means?) nothing to me\b", re.IGNORECASE), r"\1 everything to me"),
    (re.compile(r"\bashamed of\b", re.IGNORECASE), "proud of"),
    (re.compile(r"\bi (?:really |just )?(?:hate|can't stand|cannot stand|detest|despise)\b", re.IGNORECASE), "i love"),
    (re.compile(r"\bi (?:really |do |just )?(?:love|like|adore|enjoy)\b", re.IGNORECASE), "i can't stand"),
)  # fmt: skip
_I_DO = re.compile(
    r"^\W*i(?:'m going to|'ll|'d)? (?:(?:always|often|usually|sometimes|still|do|will|would|really) )*",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class _Meaning:
    """What a line says, for comparing: its beginning, its content words, and whether it denies them."""

    beginning: str
    words: frozenset[str]
    is_denied: bool

    def says(self, line: _Meaning, *, is_opposite: bool) -> bool:
        if self.beginning != line.beginning or not line.words:
            return False
        if (self.is_denied == line.is_denied) is is_opposite:
            return False
        shared = len(self.words & line.words)
        return line.words <= self.words or shared > LEAST_SHARED * len(self.words | line.words)


@dataclass(slots=True)
class Convictions:
    """The lines of somebody's constitution that a sentence of theirs may deny. `people`: whom they may speak of."""

    person: str
    partner: str
    people: Sequence[Person]
    lines: Sequence[Line]
    _meanings: list[tuple[Line, _Meaning]] = field(init=False)
    _seen: list[Person] = field(init=False)  # who has a view of theirs: others need not be looked for

    def __post_init__(self) -> None:
        held = [line for line in self.lines if line.principle.kind in KINDS]
        self._meanings = [(line, _meaning(line.principle.text)) for line in held]
        about = {line.principle.about for line in held}
        self._seen = [one for one in self.people if one.name in about]

    def denied_by(self, sentence: str) -> Line | None:
        """The first line that the sentence denies, said by the person to the partner."""
        if not self._meanings or cues.is_question(sentence):
            return None
        sentence = sentence.replace("’", "'")
        said, unsaid = [*self._read(sentence)], self._read_otherwise(sentence)
        for line, held in self._meanings:
            if any(one.says(held, is_opposite=True) for one in said):
                return line
            if any(one.says(held, is_opposite=False) for one in unsaid):
                return line
        return None

    def _read_otherwise(self, sentence: str) -> list[_Meaning]:
        """The sentence as if it were not so: without each of its denials, or with one where it has none."""
        found = [
            ANY_MORE.sub("", pattern.sub(instead, sentence, count=1))
            for pattern, instead in _DENIALS
            if pattern.search(sentence)
        ]
        unsaid = [meaning for text in found for meaning in self._read(text)]
        if not _NOT.search(sentence) and not tells_of_past(sentence):
            denied = _I_DO.sub("i never ", sentence, count=1)
            unsaid += [meaning for meaning in self._read(denied) if meaning.is_denied]
        return unsaid

    def _read(self, sentence: str) -> Iterator[_Meaning]:
        when = datetime.min
        said = Episode("0", "", 0, self.person, self.person, when, sentence)
        heard = Episode("1", "", 1, self.partner, self.partner, when, "")
        for principle in convictions_and_views(self.person, [said], [heard], self._seen):
            yield _meaning(principle.text)


def _meaning(text: str) -> _Meaning:
    is_denied = bool(_DENYING.search(text))
    text, beginning = _begun(_SAYING.sub("", _DENYING.sub("", text)))
    is_denied ^= len(_NOT.findall(text)) % 2 == 1
    return _Meaning(beginning, content_words(_NOT.sub(" ", text)) - _DEGREES, is_denied)


def _begun(text: str) -> tuple[str, str]:
    """The text without its beginning, and which one that was."""
    for pattern, beginning in _BEGINNINGS:
        if match := pattern.search(text):
            return text[match.end() :], beginning
    return text, ""
