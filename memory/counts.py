"""How many and how long: counted from facts and from their intervals."""

from __future__ import annotations

import re
from datetime import datetime

from memory import names, replies, timing
from memory.asked import Asked
from memory.lookup import Match
from memory.nouns import Relations, singular
from memory.scoring import UNSAID, is_number
from memory.types import Answer, Fact

_MANY = re.compile(
    r"\bhow many\s+((?:\w+\s+)??)(\w+)\s+(?:do|does|did|has|have|had|are|were|is)\b", re.IGNORECASE
)
LEAST = 0.6  # of a match's score, for a fact that says the number itself
SURE = 0.9  # of a count over facts whose predicate the question names


def count(asked: Asked, matches: list[Match]) -> Answer | None:
    """ "How many cats does Noor have?": the facts that the noun names; a fact that says the number goes before."""
    found = _MANY.search(asked.question.text)
    if found is None or not asked.question.main_mentions:
        return None
    if matches and _says_the_number(matches[0]):
        return None
    subjects = set(asked.question.main_mentions[0].node_ids)
    predicates = Relations(asked.live, asked.wordings).of(singular(found[2]))
    moment = (asked.question.time.moment if asked.question.time else None) or asked.now
    held = [
        fact
        for fact in asked.live
        if fact.subject_id in subjects and fact.predicate in predicates and timing.holds(fact, moment)
    ]
    different = list({names.key(fact.object): fact for fact in held}.values())
    if not different:
        return None
    return asked.answer(replies.counted(different, found[2]), SURE, different)


def _says_the_number(match: Match) -> bool:
    """Whether a fact such as number_of_children is what the question asks for."""
    return match.score >= LEAST and is_number(match.fact.object) and match.parts["unsaid"] > UNSAID / 2


def duration(asked: Asked, match: Match) -> Answer | None:
    """ "How long has she lived in Leeds?": from the fact's interval, up to now where it is open."""
    fact = match.fact
    named = [other for other in asked.slot(match) if _is_named(asked, other)]
    fact = named[0] if named else fact
    if fact.valid_from is None:
        return None
    end = fact.valid_to if fact.valid_to is not None and fact.valid_to <= asked.now else asked.now
    if end <= fact.valid_from:
        return None
    return asked.answer(replies.lasted(fact, length(fact.valid_from, end), asked.now), SURE, [fact])


def _is_named(asked: Asked, fact: Fact) -> bool:
    said = re.findall(r"\w+", names.key(asked.question.text))
    return any(word in said for word in re.findall(r"\w{3,}", names.key(fact.object)))


def length(start: datetime, end: datetime) -> str:
    """In years, months or days, whole ones."""
    days = (end - start).days
    months = (end.year - start.year) * 12 + end.month - start.month - (end.day < start.day)
    for unit, n in (("year", months // 12), ("month", months), ("day", days)):
        if n >= (2 if unit == "year" and months % 12 > 1 else 1):
            return f"{n} {unit}{'s' if n != 1 else ''}"
    return "less than a day"
