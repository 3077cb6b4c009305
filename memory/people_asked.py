"""Answers about people: who somebody is to whom, who said something, and what is known of each who shares a name."""

from __future__ import annotations

import re
from dataclasses import replace

from memory import counts, replies, timing
from memory.asked import MAX_LISTED, Asked
from memory.lookup import Match
from memory.questions import STAND_IN
from memory.scoring import objects_in
from memory.types import Answer, Fact

SOURCED = 1.3  # of a match's score and the share of its value that the question says
_WHO_IS = re.compile(rf"^(?:who|what)(?:'s|’s| is| was)\s+{STAND_IN}\s*(?:again)?\W*$", re.IGNORECASE)
_TO_WHOM = re.compile(
    rf"^(?:who|what)(?:'s|’s| is| was)\s+{STAND_IN}\s+(?:to|for)\b|\brelat(?:ed|ive|ion)", re.IGNORECASE
)


def identity(asked: Asked) -> Answer | None:
    """ "Who is Femi?", "What is Femi to Idris?": whose relation somebody is."""
    mentions = asked.question.main_mentions
    if not mentions:
        return None
    masked = asked.question.masked(mentions[0].begin, mentions[0].stop)
    if not _WHO_IS.search(masked) and not (len(mentions) > 1 and _TO_WHOM.search(masked)):
        return None
    ends = [frozenset(mention.node_ids) for mention in mentions[:2]]
    found = [fact for fact in asked.live if _links(asked, fact, ends) or _links(asked, fact, ends[::-1])]
    found = [fact for fact in found if timing.holds(fact, asked.now)] or found
    if not found:
        return None
    return asked.answer(
        replies.who_is(found[:MAX_LISTED], asked.wordings, asked.now), counts.SURE, found[:MAX_LISTED]
    )


def _links(asked: Asked, fact: Fact, ends: list[frozenset[str]]) -> bool:
    """Whether the fact says that the first is a relation of the second, or of anybody where there is no second."""
    is_theirs = len(ends) == 1 or fact.subject_id in ends[1]
    return is_theirs and fact.object_id in ends[0] and asked.registry.get(fact.predicate).object == "person"


def namesakes(asked: Asked, matches: list[Match], sure: float) -> Answer | None:
    """Where several people share the name that was asked about, what is known of each: none is guessed."""
    top = matches[0]
    if top.reading.hops or top.reading.is_reverse or top.reading.is_near:
        return None
    mention = next((m for m in asked.question.mentions if m.begin == top.reading.begin), None)
    if mention is None or len(mention.node_ids) < 2:
        return None
    of_each = {
        match.fact.subject_id: asked.alive(asked.timed(asked.slot(match)))
        for match in reversed(matches)
        if match.fact.predicate == top.fact.predicate and match.fact.subject_id in mention.node_ids
    }
    known = [facts for _, facts in sorted(of_each.items()) if facts]
    if len(known) < 2 or objects_in(asked.question, top.fact) >= 0.5:
        return None
    text = replies.of_namesakes(mention.text, known, asked.now)
    return asked.answer(text, sure, [fact for facts in known for fact in facts])


def source(asked: Asked, matches: list[Match]) -> Answer | None:
    """ "Who told us that Ana lives in Kotor?": who said the messages that the fact rests on."""
    said = [(match.score + objects_in(asked.question, match.fact), match.fact.id, match) for match in matches]
    score, _, match = max(said, key=lambda item: item[:2], default=(0.0, "", None))
    if match is None or score < SOURCED:
        return None
    answer = asked.answer("", counts.SURE, [match.fact])
    return replace(answer, text=replies.told_by(match.fact, answer.evidence)) if answer.evidence else None
