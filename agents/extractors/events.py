"""All rules that look for an event rather than for a subject and its verb, in the order they are tried."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from agents.extractors import births, health, love, things, told
from agents.extractors.discourse import Discourse
from agents.extractors.guards import commitment
from agents.extractors.lexicon import lexicon
from agents.extractors.proposal import Proposal
from agents.extractors.scene import Scene
from agents.extractors.sentences import Sentence
from memory.types import Episode

_Rule = Callable[[Scene], Iterator[Proposal]]
_DIGIT, _AT = "0", "@"  # stand among the words of a message that has a digit, an at sign
# Each rule with words one of which its message must hold; no words: always tried.
_RULES: tuple[tuple[_Rule, frozenset[str]], ...] = tuple(
    (rule, frozenset(words.split()))
    for rule, words in (
        (things.contact, f"{_DIGIT} {_AT}"),
        (love.wedding, "wedding married marry date knot"),
        (love.proposal_place, "proposed"),
        (love.married, "married wife husband"),
        (love.engaged, "engaged"),
        (love.parted, "together broke broken split over off done through finished longer"),
        (
            love.together,
            "years year months together seeing dating couple going item someone somebody met got engaged",
        ),
        (love.honeymoon, "honeymoon"),
        (love.away_after_wedding, "days weeks"),
        (love.witness, "witness man maid bridesmaid"),
        (
            births.birthday,
            "birthday bday day parabéns feliz grattis alles anniversaire returns compleanno gefeliciteerd",
        ),
        (births.age, "today turning turns will turn"),
        (births.expecting, "pregnant due expecting"),
        (births.birth, f"born baby girl boy birth {_DIGIT}"),
        (health.dose, _DIGIT),
        (health.diagnosis, " ".join(lexicon().classes["conditions"])),
        (health.bone, "broken fractured sprained torn dislocated"),
        (health.no_more, "more"),
        (things.first_night, "first"),
        (things.first_day, "first"),
        (things.new_home, "house flat room apartment place cottage studio"),
        (things.hired, ""),
        (things.own_place, "own"),
        (things.address, "address move moving moved live living street"),
        (things.pet, "meet name called named"),
        (things.breed, " ".join(lexicon().classes["breeds"]) + " grey coon"),
        (things.sold, "sold"),
        (things.booked, "booked"),
        (told.whereabouts, "in from"),
        (told.trade, " ".join(lexicon().classes["occupations"])),
        (told.greeted_age, "birthday bday"),
    )
)
_TOPICS = {
    "wedding": re.compile(r"\b(?:wedding|married|marry|proposed|engaged|fiancée?)\b", re.IGNORECASE),
    "married": re.compile(r"\bmarried\b|\bwedding\b", re.IGNORECASE),
    "job": re.compile(
        r"\b(?:job|interview|offer|offered|applied|position|hired|advert|vacancy|audition)\b", re.IGNORECASE
    ),
    "interview": re.compile(r"\binterview\b", re.IGNORECASE),
    "baby": re.compile(r"\b(?:pregnant|baby|due)\b", re.IGNORECASE),
    "opening": re.compile(r"\b(?:opening|opens|open)\b", re.IGNORECASE),
    "flight": re.compile(
        r"\b(?:flight|flights|landing|arrive|arriving|come|visit|coming|tickets?)\b", re.IGNORECASE
    ),
    "doctor": re.compile(
        r"\b(?:doctor|cardiologist|hospital|vet|gp|clinic|scan|diagnosed|diagnosis|blood test|specialist)\b",
        re.IGNORECASE,
    ),
}


def note_topics(episode: Episode, talk: Discourse) -> None:
    """What a message talks of, for fragments that follow it."""
    for topic, pattern in _TOPICS.items():
        if pattern.search(episode.text):
            talk.topics[topic] = talk.at


def events(episode: Episode, sentences: list[Sentence], index: int, talk: Discourse) -> Iterator[Proposal]:
    """All that the rules find in one sentence that is no question."""
    words = frozenset().union(*(s.words for s in sentences))
    if _HAS_DIGIT.search(episode.text):
        words |= {_DIGIT}
    if "@" in episode.text:
        words |= {_AT}
    scene = Scene(episode, sentences, index, talk, words)
    if commitment(scene.text, scene.text) == 0.0:
        yield from things.contact(scene)
        return
    for rule, words in _RULES:
        if not words or not words.isdisjoint(scene.words):
            yield from rule(scene)


_HAS_DIGIT = re.compile(r"\d")
