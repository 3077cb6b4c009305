"""What people say of themselves: "i never ...", "i'd rather ...", "... matters to me", as lines about them.

English patterns over single sentences. A question, an if, a joke or a quotation makes no line. The line keeps the
speaker's own words, turned from "my" to "their", cut at the end of the clause.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from agents import cues
from agents.pasted import is_pasted
from memory.types import Episode, Principle

MIN_WORDS, MAX_WORDS = 2, 14  # of the part that says what
MAX_PER_PATTERN = 3
_I = r"(?:^|(?<=[\s,;:(]))(?:i|I)\s+"
_MAYBE_I = r"(?:^\W*|(?:^|(?<=[\s,;:(]))(?:i|I)\s+)"
_WHAT = r"(?P<what>[^.!?;,\n()]+)"


@dataclass(frozen=True, slots=True)
class _Pattern:
    regex: re.Pattern[str]
    kind: str  # value | principle | limit
    text: str
    weight: float  # how much such words say about a person

    def fits(self, what: str) -> bool:
        """Not so "never heard of it", which tells of one time, or "never wash it", which says nothing alone."""
        words = what.lower().split()
        is_bare = not any(word not in _BARE for word in words[1:])
        return not (
            self.text.startswith(("Never:", "Always:", "Would never"))
            and (is_bare or cues.is_past(words[:1]))
        )


def _pattern(regex: str, kind: str, text: str, weight: float) -> _Pattern:
    return _Pattern(re.compile(regex, re.IGNORECASE), kind, text, weight)


_PATTERNS = (
    _pattern(rf"{_WHAT}\s+(?:matters?|means? (?:a lot|everything|so much|the world)|is (?:so |very |really )?important) to me\b", "value", "Holds dear: {what}", 3.0),
    _pattern(rf"\bthe most important (?:thing )?(?:for me |to me |in life )?is\s+{_WHAT}", "value", "Thinks most important: {what}", 3.0),
    _pattern(rf"{_I}(?:(?:really|strongly|still|truly|do) )?believe (?:in )?{_WHAT}", "value", "Believes in or that: {what}", 2.6),
    _pattern(rf"{_I}care (?:a lot |deeply |so much )?about\s+{_WHAT}", "value", "Cares about {what}", 2.6),
    _pattern(r"\b(?P<what>(?:everyone|everybody|people|children|kids|nobody|no one|friends|family|parents|animals|(?:every|a) (?:child|kid|person|man|woman)) (?:should|shouldn't|deserves?|must|has a right|have a right)\b[^.!?;,\n()]*)", "value", "Says that {what}", 2.6),
    _pattern(rf"\blife is too short\s+{_WHAT}", "value", "Says that life is too short {what}", 2.4),
    _pattern(rf"{_I}(?:am|'m)\s+(?:so |very |really )?proud of\s+{_WHAT}", "value", "Is proud of {what}", 1.6),
    _pattern(rf"{_I}(?:would|'d|will|'ll) (?:never|not ever)\s+{_WHAT}", "principle", "Would never {what}", 2.6),
    _pattern(rf"(?:{_I}am|\bi'?m)\s+not (?:going to give|giving) up (?:on )?{_WHAT}", "limit", "Does not give up {what}", 2.4),
    _pattern(rf"\bi'?(?:d|ll) never\s+{_WHAT}", "principle", "Would never {what}", 2.6),
    _pattern(rf"{_I}refuse to\s+{_WHAT}", "principle", "Refuses to {what}", 2.6),
    _pattern(rf"(?:{_I}would|\bi'?d) rather\s+{_WHAT}", "principle", "Would rather {what}", 2.4),
    _pattern(rf"{_MAYBE_I}(?:always |much |still )?prefer\s+{_WHAT}", "principle", "Prefers {what}", 2.4),
    _pattern(rf"{_I}(?:promised|swore)\s+{_WHAT}", "principle", "Promised {what}", 1.7),
    _pattern(r"\b(?:don't|do not|dont|never) tell (?P<what>my (?:mother|mum|mom|father|dad|parents|sister|brother|wife|husband|partner|boss|kids|children|family|son|daughter|gran\w*))\b", "principle", "Keeps some things from {what}", 1.7),
    _pattern(rf"{_I}(?:do not|don't|dont) believe in\s+{_WHAT}", "value", "Does not believe in {what}", 2.2),
    _pattern(rf"{_I}never\s+{_WHAT}", "principle", "Never: {what}", 2.2),
    _pattern(rf"{_I}always\s+{_WHAT}", "principle", "Always: {what}", 2.2),
    _pattern(rf"{_I}(?:really )?(?:try|tried|am trying|'m trying) (?:hard )?(?P<what>(?:to|not to)\s+[^.!?;,\n()]+)", "principle", "Tries {what}", 1.2),
    _pattern(rf"{_I}(?:really |just )?(?:hate|can't stand|cannot stand|cant stand|detest|despise)\s+{_WHAT}", "limit", "Cannot stand {what}", 2.2),
    _pattern(rf"(?:{_I}am|\bi'?m)\s+(?:so |really |more |a bit |a little |also |still |just )?(?:scared|afraid|terrified|frightened)\s+(?P<what>(?:of|that)\s+[^.!?;,\n()]+)", "limit", "Is afraid {what}", 2.0),
    _pattern(r"^\W*(?:more |so |really )?(?:scared|afraid|terrified)\s+(?P<what>(?:of|that)\s+[^.!?;,\n()]+)", "limit", "Is afraid {what}", 2.0),
    _pattern(rf"{_I}love it when\s+{_WHAT}", "value", "Loves it when {what}", 1.8),
    _pattern(rf"(?:{_I}am|\bi'?m)\s+(?:just )?(?:not )?(?P<what>(?:the kind of|the type of|someone who|somebody who)\s+[^.!?;,\n()]+)", "value", "Of themselves: {what}", 2.4),
    _pattern(rf"{_I}miss\s+{_WHAT}", "value", "Misses {what}", 1.0),
)  # fmt: skip

_HINT = re.compile(  # a message without any of these makes no line, and most are
    r"\bi\b|\bi'?(?:m|d|ll|ve)\b|\bmy\b|\bto me\b|\bshould|\bdeserve|\bmust\b|\bright\b|\blife is\b|\bprefer|\btell\b|\b(?:scared|afraid|terrified)\b",
    re.IGNORECASE,
)
_THIRD = {
    "i": "they", "i'm": "they are", "im": "they are", "i've": "they have", "i'd": "they would", "i'll": "they will",
    "me": "them", "my": "their", "mine": "theirs", "myself": "themselves", "am": "are", "our": "their", "us": "them",
    "we": "they", "we're": "they are", "ourselves": "themselves",
}  # fmt: skip
_EMPTY = """it that this so them him her you not to do have had be been was too again any more well"""
_BARE = frozenset((*_EMPTY.split(), "up", "out", "off", "down", "there", "here", "theirs", "one", "me"))
_POINTING = ("it", "this", "them", "him", "you", "what", "how")  # says nothing without the message before
_SIGNS = re.compile(r"[^\w\s'’\"%&/+:-]+")


def convictions(own: Sequence[Episode]) -> list[tuple[float, Principle]]:
    """Lines with their weight, strongest first; the same line said again gains weight and evidence."""
    found: dict[tuple[str, str], list[str]] = defaultdict(list)
    weights: dict[tuple[str, str], float] = {}
    taken: dict[_Pattern, set[str]] = defaultdict(set)
    for episode in own:
        for pattern, text in _lines(episode.text):
            line = (pattern.kind, text)
            if text not in taken[pattern] and len(taken[pattern]) >= MAX_PER_PATTERN:
                continue
            taken[pattern].add(text)
            weights[line] = pattern.weight
            if episode.id not in found[line]:
                found[line].append(episode.id)
    scored = [
        (weights[line] + 0.5 * (len(ids) - 1), Principle(line[0], line[1], tuple(ids[:5])))
        for line, ids in found.items()
    ]
    return sorted(scored, key=lambda item: (-item[0], item[1].text))


def strength(message: str) -> float:
    """How much the message's strongest line says about who wrote it; 0 where it makes none."""
    return max((pattern.weight for pattern, _ in _lines(message)), default=0.0)


def _lines(message: str) -> list[tuple[_Pattern, str]]:
    """At most one line per sentence: the first pattern that fits."""
    if is_pasted(message):
        return []
    lines = []
    for sentence in cues.sentences(message) if _HINT.search(message) else ():
        for pattern in _PATTERNS:
            match = pattern.regex.search(sentence.text)
            if (
                match
                and (what := _of_them(match["what"]))
                and not _is_idle(sentence, match)
                and pattern.fits(what)
            ):
                lines.append((pattern, pattern.text.format(what=what)))
                break
    return lines


def _is_idle(sentence: cues.Sentence, match: re.Match[str]) -> bool:
    """Whether the words are a question, a joke or somebody else's."""
    around = sentence.text[: match.start()]
    if cues.is_question(sentence.text) or re.search(r"\bif\b", around, re.IGNORECASE):
        return True
    reasons = cues.objections(sentence, cues.stems(match["what"]), is_denial=True)
    return any(reason in (cues.NOT_MEANT, "it quotes somebody") for reason in reasons)


def _of_them(what: str) -> str:
    """In the third person and of a readable length; "" where too little is said."""
    words = _SIGNS.sub(" ", what.replace("’", "'")).split()
    if not MIN_WORDS <= len(words) <= MAX_WORDS or words[0].lower() in _POINTING:
        return ""
    if all(word.lower() in _EMPTY.split() for word in words):
        return ""
    turned = [_THIRD.get(word.lower(), word) for word in words]
    return " ".join(turned).strip(" -:'\"")
