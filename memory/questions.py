"""What a question asks, as far as its words tell: kind of answer, tense, time, order, and whom it is about.

English rules over whole words; no model and no database. Which predicate is meant is decided in `memory.matching`, by
meaning. `masked` is the question with its time phrases cut out and the asked-about name replaced, so that it can be
compared with the wordings of a predicate whoever it is about.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from memory.search.mentions import Mention
from memory.search.timephrases import TimePhrase

Kind = Literal["who", "where", "when", "number", "duration", "source", "yes_no", "what"]
Order = Literal["earliest", "previous", "before", "after"]

STAND_IN = "Alex"  # the name under which every subject is compared; wordings are filled with it too

_AUXILIARY = (
    "is|are|was|were|am|do|does|did|has|have|had|can|could|will|would|should|may|might|isn't|aren't|wasn't|"
    "weren't|doesn't|don't|didn't|hasn't|haven't|hadn't|won't"
)
_POLITE = re.compile(
    r"^\W*(?:(?:please|so|and|but|ok|okay|hey|hi)\b[, ]*)*"
    r"(?:(?:do you (?:know|remember)|can you (?:tell me|say)|could you (?:tell me|say)|tell me|remind me|"
    r"i(?:'d| would) like to know|i wonder|any idea)\b[,: ]*(?=wh|how|if|in|on|at|to|from))?",
    re.IGNORECASE,
)
_KIND_PATTERNS: tuple[tuple[Kind, str], ...] = (
        ("source", r"^who (?:has |have )?(?:told|said|says|say|mentioned|claims|claimed|wrote)\b"),
        ("duration", r"^(?:for |since )?how long\b(?! ago| is the | are the)"),
        ("when", r"^(?:since |until |till |by |from |on |in |at |up to )?(?:when|what (?:date|day|year|month|time)|which (?:date|day|year|month|weekday)|what day|how long ago)\b"),
        ("number", r"^(?:at |for |to )?how (?:many|much|old|tall|heavy|long|big|often|far)\b|^(?:at )?what (?:age|number)\b"),
        ("where", r"^(?:from |to |in |at |on |near )?(?:where|wherea?bouts|(?:what|which) (?:city|town|village|country|place|street|part|area|school|university|company|port|island|region))\b"),
        ("who", r"^(?:to |with |for |from |by |of )?(?:who|whom|whose|who's|which person|which people)\b"),
        ("yes_no", rf"^(?:{_AUXILIARY})\b"),
)  # fmt: skip
_KINDS = tuple((kind, re.compile(pattern, re.IGNORECASE)) for kind, pattern in _KIND_PATTERNS)
_PAST = re.compile(r"\b(?:was|were|did|had|used? to|wasn't|weren't|didn't|hadn't)\b", re.IGNORECASE)
_ORDER_PATTERNS: tuple[tuple[Order, str], ...] = (
        ("earliest", r"\b(?:(?:as |at )?first(?:ly)?(?= planned| (?:job|home|flat|house|dog|cat|boss|plan|date|idea)|[?.,]|$)|originally|initially|in the beginning|to begin with|original|initial)\b"),
        ("previous", r"\b(?:previous(?:ly)?|former(?:ly)?|used? to|ex-?|old (?=job|boss|flat|house|home|phone|number|car|address|dog|cat|school|workplace|employer)|last one before|until recently)\b"),
)  # fmt: skip
_ORDERS = tuple((order, re.compile(pattern, re.IGNORECASE)) for order, pattern in _ORDER_PATTERNS)
_ANCHOR = re.compile(
    r"\b(before|after|until|instead of|since|prior to|when|while|during)\s+(?!when\b|which\b|what\b|(?:do|does|did|is|was|are|were|"
    r"will|has|had|can|should)\b)([^?.,;]+)",
    re.IGNORECASE,
)
_STRANGER = re.compile(r"(?<=[\s(])[A-ZÀ-Þ][^\W\d_]+(?:-[^\W\d_]+)*")
_CALENDAR = frozenset(
    [
        "january",
        "february",
        "march",
        "april",
        "may",
        "june",
        "july",
        "august",
        "september",
        "october",
        "november",
        "december",
        "monday",
        "tuesday",
        "wednesday",
        "thursday",
        "friday",
        "saturday",
        "sunday",
        "christmas",
        "easter",
        "i",
        "god",
        "english",
        "mum",
        "mom",
        "mam",
        "dad",
        "grandma",
        "grandpa",
    ]
)
_ME = r"(?<!tell )(?<!remind )(?<!give )(?<!show )(?<!ask )(?<!let )\b"
_NOISE = re.compile(
    r"\b(?:still|any ?more|now|nowadays|currently|current|latest|at the time|back then|then|"
    r"according to [^?.,;]+|as (?:first |originally )?(?:planned|known|said|told)|originally|initially|previously)\b",
    re.IGNORECASE,
)

# phrases whose words mislead: what they mean, in words that the wordings of predicates use
_IDIOMS = (
    (re.compile(r"\bfor a living\b", re.IGNORECASE), "for work"),
    (
        re.compile(r"\b(?:seeing|dating|going out with)(?=\s*(?:\?|$|these|at ))", re.IGNORECASE),
        "together with",
    ),
    (re.compile(r"\bdo(?=\s*(?:now)?\s*\?*$)", re.IGNORECASE), "do for work"),
    (re.compile(r"\bget(?:s|ting)? (?:around|about|to work)\b", re.IGNORECASE), "travel"),
)


_RELATIONS: Mapping[str, Literal["before", "after", "during"]] = {
    "after": "after",
    "since": "after",
    "when": "during",
    "while": "during",
    "during": "during",
}


@dataclass(frozen=True, slots=True)
class Anchor:
    """ "before she moved": the relation and the words of the event or of the other value."""

    relation: Literal["before", "after", "during"]
    text: str
    begin: int
    stop: int


@dataclass(frozen=True, slots=True)
class Question:
    text: str
    kind: Kind
    is_past: bool
    is_still: bool
    order: Order | None
    times: tuple[TimePhrase, ...]
    anchor: Anchor | None
    mentions: tuple[Mention, ...]  # those of the question proper, then those of the anchor
    strangers: tuple[str, ...] = ()  # names that the graph does not know

    @property
    def time(self) -> TimePhrase | None:
        """The date that the question names, if any."""
        return next((phrase for phrase in self.times if phrase.relation != "now"), None)

    @property
    def main_mentions(self) -> tuple[Mention, ...]:
        """Names outside the anchor's clause."""
        return tuple(m for m in self.mentions if not self.anchor or m.begin < self.anchor.begin)

    def masked(self, begin: int = -1, stop: int = -1, *, name: str = STAND_IN) -> str:
        """The question without phrases of time and noise, and with the stretch replaced by a stand-in name."""
        cuts = [(phrase.begin, phrase.stop, "") for phrase in self.times]
        if self.anchor:
            cuts.append((self.anchor.begin, self.anchor.stop, ""))
        if begin >= 0:
            cuts.append((begin, stop, name))
        return tidy(_cut(self.text, cuts))


def parse(text: str, mentions: Sequence[Mention], times: Sequence[TimePhrase]) -> Question:
    """Read the question; `mentions` and `times` are what `Index.understand` found in it."""
    shown = text.strip()
    anchor = _anchor(text, times)
    bare = _POLITE.sub("", tidy(_cut(text, [(p.begin, p.stop, "") for p in times])))
    kind = next((kind for kind, pattern in _KINDS if pattern.search(bare)), None) or _inner_kind(bare)
    order = next((order for order, pattern in _ORDERS if pattern.search(text)), None)
    if anchor and order is None and anchor.relation != "during":
        order = anchor.relation
    return Question(
        text=text,
        kind=kind,
        is_past=bool(_PAST.search(shown)),
        is_still=bool(re.search(r"\b(?:still|any ?more|no longer)\b", text, re.IGNORECASE)),
        order=order,
        times=tuple(times),
        anchor=anchor,
        mentions=tuple(mentions),
        strangers=_strangers(text, mentions, times),
    )


def speaking_for(text: str, name: str) -> str:
    """The question with its asker named: "Where do I live?" asked by Ana becomes "Where does Ana live?"."""
    bare = _POLITE.sub("", text)
    named = re.sub(rf"{_ME}(?:my|mine)\b", f"{name}'s", bare, flags=re.IGNORECASE)
    named = re.sub(
        r"\b(?:do|have|am|was) I\b|\bI(?: am|'m|'ve| have)\b", lambda m: _agree(m[0], name), named, flags=re.I
    )
    named = re.sub(rf"\bI\b|{_ME}(?:me|myself)\b", name, named)
    return text if named == bare else named


def _agree(said: str, name: str) -> str:
    verb = re.sub(r"\bI\b|'", " ", said, flags=re.IGNORECASE).strip().casefold()
    third = {"do": "does", "have": "has", "ve": "has", "am": "is", "m": "is", "was": "was"}[verb]
    return (
        f"{name} {third}"
        if said[:1] in "iI"
        else f"{third if said[0].islower() else third.capitalize()} {name}"
    )


def _strangers(text: str, mentions: Sequence[Mention], times: Sequence[TimePhrase]) -> tuple[str, ...]:
    """Words written as names, inside the sentence, that are no known name and no word of the calendar."""
    taken = [(m.begin, m.stop) for m in mentions] + [(t.begin, t.stop) for t in times]
    return tuple(
        match[0]
        for match in _STRANGER.finditer(text)
        if match[0].casefold() not in _CALENDAR
        and not any(begin < match.end() and match.start() < stop for begin, stop in taken)
    )


def _inner_kind(bare: str) -> Kind:
    """The kind of "Tomas lives where?" or "the date on which ...": by the first asking word inside."""
    match = re.search(r"\b(who|whom|whose|where|when|how many|how old|how much)\b", bare, re.IGNORECASE)
    if match is None or not re.match(r"^(?:tell|name|say|give|i |what|which)?", bare, re.IGNORECASE):
        return "what"
    if re.match(r"^(?:what|which|how)\b", bare, re.IGNORECASE):
        return "what"
    word = match[1].lower()
    if word.startswith("how"):
        return "number"
    return "who" if word in ("who", "whom", "whose") else "where" if word == "where" else "when"


def _anchor(text: str, times: Sequence[TimePhrase]) -> Anchor | None:
    for match in _ANCHOR.finditer(text):
        if any(phrase.begin < match.end() and match.start() < phrase.stop for phrase in times):
            continue
        word = match[1].lower()
        if word in ("when", "while", "during") and match.start() < 2:
            continue
        relation = _RELATIONS.get(word, "before")
        return Anchor(relation, match[2].strip(), match.start(), match.end())
    return None


def _cut(text: str, cuts: list[tuple[int, int, str]]) -> str:
    for begin, stop, instead in sorted(cuts, reverse=True):
        text = text[:begin] + instead + text[stop:]
    return text


def tidy(text: str) -> str:
    """Without noise words, double spaces and commas that lost their neighbours."""
    text = _NOISE.sub(" ", text)
    for idiom, meant in _IDIOMS:
        text = idiom.sub(meant, text)
    text = re.sub(r"\s+([?.,'’])", r"\1", re.sub(r"\s+", " ", text))
    return re.sub(r"^[\s,]+|(?<=[\s,]),|,(?=\?)", "", text).strip()
