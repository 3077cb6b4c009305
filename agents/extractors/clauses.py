"""Subjects and what follows them: each place in a sentence where a verb pattern may be tried.

"my brother dan is studying" yields (Dan, "is studying"); a sentence that opens with its verb belongs to the
speaker, or, in the third person form, to whoever the talk was about.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from agents.extractors.discourse import Discourse, Mention, relation
from agents.extractors.lexicon import lexicon
from agents.extractors.names import take_name
from agents.extractors.numbers import to_int
from agents.extractors.patterns import spell
from agents.extractors.sentences import Sentence

_ADJECTIVES = (
    r"(?:(?:little|big|baby|older|younger|elder|old|new|best|late|dear|poor|twin|great|other|eldest|youngest|"
    r"only|whole|lovely|stupid|beloved|favourite|first|second) )*"
)
_CAP = r"(?-i:[A-ZÀ-ÖØ-Þ])[\w'-]*\w"
POSSESSIVE = rf"(?:my|your|his|her|our|their|{_CAP}'s|{_CAP}s')"
RELATIVE = rf"(?P<poss>{POSSESSIVE}) {_ADJECTIVES}(?P<rel>@REL@)\b"
SUBJECT = re.compile(
    spell(
        rf"\b{RELATIVE}(?!'s (?:@REL@)\b)(?:,? (?P<relname>{_CAP}(?: {_CAP})?))?,?"
        rf"|\b(?P<pron>i|we|you|he|she|they|it)\b"
        r"|\b(?P<expert>the (?:doctor|gp|vet|cardiologist|consultant|hospital|specialist|dentist|nurse|neurologist|psychiatrist))\b"
        r"|(?<![\w'] )\b(?P<kin>mum|mom|mam|mama|mamã|mamá|dad|papa|papá|nan|nana|gran|grandma|grandpa|grandad|granddad|granny|avó|avô|oma|opa|"
        r"abuela|abuelo|mormor|farmor|morfar|farfar)\b(?! (?:and|or) |(?-i: [A-ZÀ-Þ]))(?='s (?!@REL@)|[ ,.!]|$)"
        rf"|\b(?P<name>(?:Dr |Mr |Mrs |Ms )?{_CAP}(?: (?:{_CAP}|de|da|van|von|la)){{0,3}}(?<!'s))"
    ),
    re.IGNORECASE,
)
_OPENING = re.compile(
    r"(?:(?:so|and|but|well|oh|ok|okay|yes|yeah|yep|no|btw|by the way|also|actually|ha|haha|lol|fyi|news|guess what|"
    r"anyway|still|ps|omg|ah|ugh|honestly|sorry|seriously|now|then|because|plus|finally|good|great|fine|survived|done|"
    r"funny thing|random thing|today|yesterday|tonight|last night|this morning|this week|since \w+|confession|update|"
    r"good news|bad news|big news|big one)\b[\s,:.!-]*)*",
    re.IGNORECASE,
)
_ADVERBS = re.compile(
    r"^((?:(?:am|is|are|was|were|have|has|had|will|been|have been|has been)\s+)?)"
    r"(?:still|now|also|just|finally|actually|already|really|currently|officially|only|even|both|apparently|basically|recently|"
    r"kind of|sort of|all|then|slowly|secretly|totally|so)\s+",
    re.IGNORECASE,
)
_THIRD = re.compile(
    r"(?!is\b|was\b|has been\b|this|his|us\b|yes|as\b)(?:has|[a-z]{2,}(?:[^s'u\W]s|es))\b", re.IGNORECASE
)
_PAIR = re.compile(
    rf"\b(?P<one>{_CAP}) and (?:{_CAP}|(?:her|his) (?:wife|husband|boyfriend|girlfriend|partner))\b"
)
_VERB_AFTER = re.compile(r",\s+(?:and |but |then |now |so )?|\s+(?:and|but|then)\s+")


@dataclass(frozen=True, slots=True)
class Clause:
    """`verb` starts at the verb, adverbs in front of it taken off; `adverbs` keeps them."""

    subject: str
    verb: str
    before: str
    adverbs: str = ""
    is_elided: bool = False
    is_second: bool = False  # said to the subject's face


def clauses(sentence: Sentence, talk: Discourse, topic: str | None = None) -> Iterator[Clause]:
    """Left to right. `topic` is whom a bare third person verb is about when this message has named nobody."""
    text = sentence.text
    opening = _OPENING.match(text)
    start = opening.end() if opening else 0
    current: str | None = None
    first = True
    for at, end, subject, is_second in _subjects(sentence, talk, start):
        if first and at > start:
            yield from _elided(text, start, talk, topic)
        if first:
            talk.doers[text] = subject
        first = False
        current = subject
        verb, adverbs = _verb(text[end:])
        if verb:
            yield Clause(subject, verb, text[:at], adverbs, is_second=is_second)
    if first:
        yield from _elided(text, start, talk, topic)
    for match in _VERB_AFTER.finditer(text):
        verb, adverbs = _verb(" " + text[match.end() :])
        is_third = bool(_THIRD.match(verb))
        about = current or (topic if is_third else talk.speaker)
        if (
            about
            and verb
            and (is_third or not re.match(r"(?:i|you|he|she|it|we|they)\b", verb, re.IGNORECASE))
        ):
            yield Clause(about, verb, text[: match.start()], adverbs, is_elided=True)


def _elided(text: str, start: int, talk: Discourse, topic: str | None) -> Iterator[Clause]:
    verb, adverbs = _verb(" " + text[start:])
    is_third = bool(_THIRD.match(verb))
    subject = topic if is_third else _continued(verb, talk) or talk.speaker
    if verb and subject:
        lead = text[:start] if re.search(r"\bno\b", text[:start], re.IGNORECASE) is None else ""
        yield Clause(subject, verb, lead, adverbs, is_elided=True)


def _continued(verb: str, talk: Discourse) -> str | None:
    """ "my mother fell on the ice. broke her ankle": the verb goes on about the subject of the sentence before."""
    doer = list(talk.doers.values())[-1] if talk.doers else talk.speaker
    match = _OF_THEIRS.match(verb)
    if talk.is_speaker(doer) or not (match or _GOES_ON.match(verb)):
        return None
    if match is None:
        return doer
    return doer if talk.gender(doer) in ("?", {"his": "m", "her": "f"}[match[1].lower()]) else None


_GOES_ON = re.compile(r"(?:landing|arriving|staying|starting|flying|moving|coming)\b", re.IGNORECASE)
_OF_THEIRS = re.compile(r"[a-z]+ (?:up |down |off )?(his|her) ", re.IGNORECASE)


def _subjects(sentence: Sentence, talk: Discourse, start: int) -> Iterator[tuple[int, int, str, bool]]:
    text = sentence.text
    if not sentence.is_cased and text[start : start + 1].islower():
        name = take_name(text[start:], False, most=2)
        if name and (_NAMED_DOES.match(text[start + len(name) :]) or name in talk.people):
            at = start + len(name)
            person = talk.person(name)
            talk.note(person)
            yield start, at, person, False
            start = at
    if pair := _PAIR.search(text):
        talk.pair = Mention(talk.person(pair["one"]), talk.at)
    for match in SUBJECT.finditer(text, start):
        subject = subject_of(match, talk)
        if subject:
            yield match.start(), match.end(), subject, _is_second(match)


_NAMED_DOES = re.compile(
    r"(?:'s)? (?:is|was|has|had|and|just|also|still|never|always|will|can|got|says|said|told|came|left|moved|wants|\w+s|\w+ed)\b",
    re.IGNORECASE,
)


def _is_second(match: re.Match[str]) -> bool:
    return (match["pron"] or "").lower() == "you"


def subject_of(match: re.Match[str], talk: Discourse) -> str | None:
    """Who a subject is; mentions are noted on the way."""
    if match["pron"]:
        return talk.pronoun(match["pron"])
    if match["rel"]:
        owner, kin = talk.owner(match["poss"]), relation(match["rel"])
        if owner is None or kin is None:
            return None
        name = talk.person(match["relname"]) if match["relname"] else talk.relative(owner, kin)
        talk.note(name, gender=kin.gender, is_animal=kin.is_animal, is_thing=kin.is_thing)
        return name
    if match["expert"]:
        return str(match["expert"].lower())
    if match["kin"]:
        kin = relation(match["kin"])
        if kin is None:
            return None
        name = talk.relative(talk.speaker, kin)
        talk.note(name, gender=kin.gender)
        return name
    name = match["name"]
    words = name.split()
    while (
        words
        and words[0].lower() in lexicon().classes["not_names"]
        and words[0].rstrip(".") not in ("Dr", "Mr", "Mrs", "Ms")
    ):
        words = words[1:]
    if not words or to_int(words[0]) is not None or _is_loose_word(words, match, talk):
        return None
    person = talk.person(" ".join(words))
    if (
        re.search(r"(.)\1\1", person)
        or words[0].lower() in talk.places
        or (lexicon().is_in(person, "gazetteer") and words[0].lower() not in lexicon().given)
        or _LOOSE.match(match.string[match.end() :])
    ):
        return None
    before = match.string[: match.start()].rstrip().lower()
    if re.search(r"\b(?:in|at|to|from|near|of|for|the|into|called|de|da|do)$", before):
        return person  # a place as likely as a person: it may be a subject, but no pronoun points at it
    talk.note(person)
    return person


_LOOSE = re.compile(
    r"(?:street|road|school|hospital|terminal|port|university|station|airport|house|flat)\b", re.IGNORECASE
)
_MENTIONED = re.compile(
    r"\b(?:remember|called|about|with|and|met|saw|tell|ask|told|poor|love|thank|is|was|when|that|but|so)\s+(?P<name>[^\W\d_A-Z][\w-]{2,})\b"
    r"|\b(?P<name2>[^\W\d_A-Z][\w-]{2,})\s+(?:is|was|has|says|said|will|and i|moved|got|told|wants|loves|thinks|came|left)\b"
)


def note_lowercase(sentence: Sentence, talk: Discourse) -> None:
    """Names typed in lowercase that nobody else has written: an uncommon word where a name would stand."""
    if sentence.is_cased:
        return
    for match in _MENTIONED.finditer(sentence.text):
        name = take_name(match["name"] or match["name2"], False, most=1)
        if name and name.lower() not in talk.places:
            talk.note(talk.person(name))


def _is_loose_word(words: list[str], match: re.Match[str], talk: Discourse) -> bool:
    """A capital that only opens a sentence, or an ordinary word that is shouted."""
    if len(words) > 1 or words[0] in talk.people or not lexicon().is_ordinary(words[0]):
        return False
    return match.start() == 0 or words[0].isupper()


def _verb(tail: str) -> tuple[str, str]:
    """The tail from its verb on, and the adverbs that stood before it."""
    if tail.startswith("'s "):
        tail = " is " + tail[3:]
    verb = tail.lstrip(" ,")
    adverbs: list[str] = []
    while match := _ADVERBS.match(verb):
        adverbs.append(verb[match.end(1) : match.end()].strip().lower())
        verb = match[1] + verb[match.end() :]
    return verb, " ".join(adverbs)
