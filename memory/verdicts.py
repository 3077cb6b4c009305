"""Yes or no, where a fact about the question's value or slot decides it; nothing where none does."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime

from memory import replies, timing
from memory.asked import Asked
from memory.confidence import VERDICT_WEIGHTS, probability
from memory.lookup import Match
from memory.nouns import is_relation
from memory.scoring import UNSAID, objects_in, share_said
from memory.types import Answer, Fact

LEAST = 0.6  # of a match's score
SAID_OBJECT = 0.2  # added to a match whose value the question says
_HAVE = re.compile(
    r"^(?:does|do|did|has|have|had)\s+.*?\b(?:have|has|had|got|own|keep)?\s*(?:an?|any|some|the)?\s*"
    r"(?:\w+\s+)??(\w+)\s*\??$",
    re.IGNORECASE,
)
_EVER = re.compile(r"\bever\b", re.IGNORECASE)


def decide(asked: Asked, matches: list[Match]) -> Answer | None:
    """The verdict, or None where nothing decides."""
    moment = (asked.question.time.moment if asked.question.time else None) or asked.now
    withdrawn = _withdrawn(asked, matches)
    if withdrawn is not None:
        return withdrawn
    said = [
        (match.score + SAID_OBJECT * share, match)
        for match in matches
        if (share := objects_in(asked.question, match.fact)) >= 0.5 and not _contradicts(asked, match.fact)
    ]
    score, match = max(said, key=lambda item: (item[0], item[1].fact.id), default=(0.0, matches[0]))
    if score >= max(LEAST + SAID_OBJECT / 2, matches[0].score):
        return _verdict(asked, match, score, moment)
    return _other_value(asked, matches, moment) or _has(asked, matches, moment)


def _contradicts(asked: Asked, fact: Fact) -> bool:
    """Whether the question says only part of the value, and in place of the rest a number or name of its own."""
    if objects_in(asked.question, fact) == 1.0:
        return False
    own = set(re.findall(r"\w+", fact.object.casefold()))
    named = {word for m in asked.question.mentions for word in re.findall(r"\w+", m.text.casefold())}
    dated = {word for t in asked.question.times for word in re.findall(r"\w+", t.text.casefold())}
    strange = set(re.findall(r"\b(?:[A-ZÀ-Þ]\w+|\d+)\b", asked.question.text[1:]))
    return any(word.casefold() not in own | named | dated for word in strange)


def _withdrawn(asked: Asked, matches: list[Match]) -> Answer | None:
    """The question says the value that a correction took back, and not the right one."""
    for match in matches[:10]:
        fact = match.fact
        if not fact.corrects or match.score < LEAST - SAID_OBJECT or fact.status in timing.TIMELESS:
            continue
        wrong = share_said(asked.question, fact.corrects)
        if wrong == 1.0 and share_said(asked.question, fact.object) < 1.0:
            return asked.answer(replies.taken_back(fact, [fact]), _sure(match.score + SAID_OBJECT), [fact])
    return None


def _verdict(asked: Asked, match: Match, score: float, moment: datetime) -> Answer | None:
    slot = asked.slot(match)
    holding = timing.at(slot, moment, asked.registry)
    same = [fact for fact in holding if objects_in(asked.question, fact) >= 0.5]
    if same:
        return asked.answer(replies.yes(same[0], asked.now), _sure(score), [*match.reading.hops, same[0]])
    if match.fact.status == "retracted":
        return asked.answer(replies.taken_back(match.fact, holding), _sure(score), holding or [match.fact])
    if match.fact.valid_to is None or match.fact.valid_to > moment:
        return None
    if _asks_of_the_past(asked):
        return asked.answer(
            replies.yes(match.fact, asked.now), _sure(score), [*match.reading.hops, match.fact]
        )
    return asked.answer(replies.no_longer(match.fact, holding), _sure(score), [match.fact, *holding])


def _asks_of_the_past(asked: Asked) -> bool:
    """ "Did she ever live in Rome?", "Was he a teacher?": that it is over is no reason for a no."""
    question = asked.question
    if question.time is not None or question.is_still:
        return False
    return bool(_EVER.search(question.text)) or question.is_past


def _other_value(asked: Asked, matches: list[Match], moment: datetime) -> Answer | None:
    """ "Does she live in Rome?" where she lives in Turin; only for what can have one value at a time."""
    top = next((match for match in matches if match.fact.status not in timing.TIMELESS), None)
    if top is None or top.score < LEAST or top.reading.is_reverse or top.reading.is_near:
        return None
    if asked.registry.get(top.fact.predicate).cardinality != "one" or not _names_a_value(asked):
        return None
    if top.parts["unsaid"] < UNSAID / 2:
        return None
    holding = timing.at(asked.slot(top), moment, asked.registry)
    return asked.answer(replies.no_but(holding), _sure(top.score), holding) if holding else None


def _names_a_value(asked: Asked) -> bool:
    """Whether the question has a name or number besides whom it is about: otherwise it asks for no value."""
    named = {word for m in asked.question.mentions[:1] for word in re.findall(r"\w+", m.text.casefold())}
    strange = re.findall(r"(?<=\s)(?:[A-ZÀ-Þ]\w+|\d+)\b", asked.question.text)
    return any(word.casefold() not in named for word in strange) or len(asked.question.mentions) > 1


def _has(asked: Asked, matches: list[Match], moment: datetime) -> Answer | None:
    """ "Does Lena have a sister?": yes where one is known; whether there is none, nobody can tell."""
    found = _HAVE.search(asked.question.masked())
    if found is None or not is_relation(found[1]):
        return None
    top = [m for m in matches if m.parts["shared"] > 0 and m.score >= LEAST and not m.reading.is_reverse]
    if not top:
        return None
    holding: Sequence[Fact] = timing.at(asked.slot(top[0]), moment, asked.registry)
    return asked.answer(replies.yes(holding[0], asked.now), _sure(top[0].score), holding) if holding else None


def _sure(score: float) -> float:
    return probability(VERDICT_WEIGHTS, {"score": score})
