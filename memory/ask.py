"""Answer a question from the graph: facts first, then the best message, else say that nothing answers it.

Everything an answer rests on is among its facts and evidence. `known_to` (a person id) limits facts and messages to
what that person could know, up to `as_of`, and is who "I" means unless `asked_by` is somebody else; without it `as_of`
asks what held on that day. What is below the calibrated thresholds of `memory.confidence` is an abstention.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from db.engine import Database
from memory import counts, fact_rows, matching, passages, people_asked, replies, timing, values, verdicts
from memory.asked import Asked
from memory.confidence import CALIBRATED, FACT_WEIGHTS, Thresholds, probability
from memory.episodes import get_episodes
from memory.facts import fact_json
from memory.gathering import gather
from memory.index import Index
from memory.lookup import Match
from memory.people import get_person
from memory.ports import Clock, utc_now
from memory.questions import STAND_IN, Question, parse, speaking_for
from memory.registry import Registry
from memory.scoring import ENDING, is_date, objects_in
from memory.search.timephrases import find_times
from memory.search.words import words
from memory.sensitive import kinds
from memory.types import Answer, Fact
from memory.wordings import Wordings

SLOT_MARGIN = 0.08  # how far below the best match a slot may be and still answer for its time
N_HITS = 20  # facts of the search whose subjects are considered as well
_HIDDEN = ("quarantined", "rejected")


def ask(
    database: Database,
    space_id: str,
    index: Index,
    registry: Registry,
    question: str,
    *,
    known_to: str | None = None,
    asked_by: str | None = None,
    as_of: datetime | None = None,
    clock: Clock = utc_now,
    thresholds: Thresholds = CALIBRATED,
) -> Answer:
    """The answer with its facts and messages, or an abstention. `index` must have been refreshed."""
    speaker = asked_by or known_to
    text = speaking_for(question, get_person(database, space_id, speaker).name) if speaker else question
    now = as_of or clock()
    understood = index.understand(text)
    with database.reading() as session:
        zone = fact_rows.timezone(session, space_id)
    parsed = parse(text, understood.mentions, find_times(text, now, zone))
    if speaker is None and not parsed.mentions and speaking_for(question, STAND_IN) != question:
        return Answer(
            replies.WHO_ASKS, True, 0.0, (), (), {"understood": _understood(parsed), "kind": parsed.kind}
        )
    hits = index.search(text, N_HITS, as_of=as_of, known_to=known_to, kinds=("fact",))
    facts = gather(
        database,
        space_id,
        registry,
        parsed.mentions,
        hits,
        as_of=as_of,
        known_to=known_to,
        clock=clock,
    )
    asked = Asked(
        database,
        space_id,
        index,
        registry,
        Wordings.load(),
        parsed,
        understood.words,
        [fact for fact in facts if fact.status not in _HIDDEN],
        known_to,
        as_of,
        now,
        thresholds,
        {"understood": _understood(parsed), "kind": parsed.kind},
    )
    return from_facts(asked) or from_messages(asked) or abstain(asked)


def _understood(question: Question) -> dict[str, Any]:
    return {
        "asked": question.text,
        "names": [{"text": m.text, "nodes": list(m.node_ids)} for m in question.mentions],
        "unknown_names": list(question.strangers),
        "times": [
            {
                "text": t.text,
                "relation": t.relation,
                "from": t.start.isoformat() if t.start else None,
                "to": t.end.isoformat() if t.end else None,
            }
            for t in question.times
        ],
        "order": question.order,
        "event": question.anchor.text if question.anchor else None,
    }


def answer_json(answer: Answer) -> dict[str, Any]:
    """The answer as other programs get it."""
    return {
        "answer": answer.text,
        "abstained": answer.abstained,
        "facts": [fact_json(fact) for fact in answer.facts],
        "evidence": [
            {
                "episode": episode.id,
                "speaker": episode.speaker,
                "time": episode.time.isoformat(),
                "text": episode.text,
                "sensitive": list(kinds(episode.text)),
            }
            for episode in answer.evidence
        ],
    }


def explain_json(answer: Answer) -> dict[str, Any]:
    """Why it is this answer: what was understood, the best facts and the message with their terms, the thresholds."""
    return {**answer.explain, "confidence": round(answer.confidence, 3), "abstained_because": _why(answer)}


def _why(answer: Answer) -> str | None:
    if not answer.abstained:
        return None
    if answer.explain.get("understood", {}).get("unknown_names"):
        return "a name of the question is nobody's"
    if answer.explain.get("kind") == "yes_no":
        return "no fact decides between yes and no"
    if "confidence" in answer.explain or "passage" in answer.explain:
        return "the best fact and the best message are below their thresholds"
    return "nothing that may be seen is about it"


# From facts


def from_facts(asked: Asked) -> Answer | None:
    """What the best facts say, where they are sure enough."""
    matches = matching.match(asked)
    asked.explain["facts"] = [
        {"fact": m.fact.id, "predicate": m.fact.predicate, "score": round(m.score, 3), **m.parts}
        for m in matches[:5]
    ]
    asked.explain["threshold"] = asked.thresholds.fact
    if not matches:
        return None
    if asked.question.kind == "yes_no":
        return verdicts.decide(asked, matches)
    matches = [match for match in matches if match.fact.status not in timing.TIMELESS]
    known = people_asked.identity(asked) or counts.count(asked, matches)
    if known is not None:
        return known
    if not matches:
        return None
    if asked.question.kind == "source":
        return people_asked.source(asked, matches)
    sure = asked.explain["confidence"] = fact_confidence(asked, matches)
    if sure < asked.thresholds.fact:
        return None
    if asked.question.kind == "duration":
        return counts.duration(asked, matches[0])
    if asked.question.kind == "when":
        return _day(asked, matches, sure)
    return _value(asked, matches, sure)


def fact_features(asked: Asked, matches: list[Match]) -> dict[str, float]:
    """What the model of facts looks at: the terms of the best match, and how far ahead it is."""
    top = matches[0]
    rival = next((match.score for match in matches if match.slot != top.slot), 0.0)
    return {
        "score": top.score,
        **top.parts,
        "ahead": min(top.score - rival, 0.5),
        "reverse": float(top.reading.is_reverse),
        "anybody": float(top.reading.subjects is None),
        "strangers": float(bool(asked.question.strangers)),
    }


def fact_confidence(asked: Asked, matches: list[Match]) -> float:
    found = fact_features(asked, matches)
    asked.explain["features"] = {name: round(value, 3) for name, value in found.items()}
    return probability(FACT_WEIGHTS, found)


def _value(asked: Asked, matches: list[Match], sure: float) -> Answer | None:
    best = matches[0]
    several = people_asked.namesakes(asked, matches, sure)
    if several is not None:
        return several
    for slot in dict.fromkeys(match.slot for match in matches if match.score >= best.score - SLOT_MARGIN):
        top = next(match for match in matches if match.slot == slot)
        if top.reading.is_reverse and asked.question.kind == "who":
            chosen = asked.timed([top.fact])
        else:
            chosen = asked.timed(asked.slot(top))
        if chosen and not _echoes(asked, top, chosen):
            return _tell(asked, top, chosen, sure)
    return None


def _echoes(asked: Asked, top: Match, chosen: list[Fact]) -> bool:
    """Whether the answer would only say back what the question says: "What colour is her van?" - "A van." """
    if top.reading.is_reverse or top.reading.subjects is None or asked.question.kind == "who":
        return False
    return all(objects_in(asked.question, fact) == 1.0 for fact in chosen)


def _tell(asked: Asked, top: Match, chosen: list[Fact], sure: float) -> Answer:
    shown = asked.alive(chosen)
    is_reverse = top.reading.is_reverse and asked.question.kind == "who"
    text = replies.of_facts(shown, asked.now, is_subject_asked=is_reverse)
    return asked.answer(text, sure, [*top.reading.hops, *shown])


def _day(asked: Asked, matches: list[Match], sure: float) -> Answer | None:
    """The date that a fact has as its value, or on which it began or ended."""
    said = set(words(asked.question.text))
    for match in matches:
        if match.score < matches[0].score - SLOT_MARGIN:
            break
        fact = match.fact
        if values.as_day(fact.object) or is_date(fact, asked.registry.get(fact.predicate).object):
            chosen = asked.timed(asked.slot(match))
            if chosen:
                return _tell(asked, match, chosen, sure)
        elif said & ENDING and fact.valid_to is not None:
            return asked.answer(
                replies.of_day(fact, fact.valid_to, asked.now), sure, [*match.reading.hops, fact]
            )
        elif fact.valid_from is not None and not said & ENDING:
            return asked.answer(
                replies.of_day(fact, fact.valid_from, asked.now), sure, [*match.reading.hops, fact]
            )
    return None


# From messages


def from_messages(asked: Asked) -> Answer | None:
    """The message that the search puts first, quoted, where it is likely to answer."""
    if asked.question.kind in ("yes_no", "source"):
        return None  # a quotation decides nothing
    hits = asked.index.search(
        asked.question.text,
        2,
        as_of=asked.as_of,
        known_to=asked.known_to,
        kinds=("episode",),
        times=asked.times,
    )
    if not hits:
        return None
    (first,) = get_episodes(asked.database, asked.space_id, [hits[0].id])
    found = passages.features(asked.question, asked.words, hits, first)
    sure = passages.confidence(found)
    asked.explain["passage"] = {
        "episode": first.id,
        "confidence": sure,
        "threshold": asked.thresholds.passage,
        "parts": hits[0].parts,
        "features": {name: round(value, 3) for name, value in found.items()},
    }
    if sure < asked.thresholds.passage:
        return None
    return Answer(replies.quoted([first]), False, sure, (), (first,), asked.explain)


def abstain(asked: Asked) -> Answer:
    """Say that nothing answers it, and why as far as that is known."""
    who = None
    if asked.known_to is not None:
        who = get_person(asked.database, asked.space_id, asked.known_to).name
    confidence = max(
        float(asked.explain.get("passage", {}).get("confidence", 0.0)),
        float(asked.explain.get("confidence", 0.0)),
    )
    return Answer(replies.unknown(asked.question, who), True, confidence, (), (), asked.explain)
