"""Answers quoted from a message: whether the best hit answers the question, by what it says and whom it is about."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from memory import names
from memory.confidence import PASSAGE_WEIGHTS, probability
from memory.questions import Question
from memory.scoring import stems
from memory.search.words import words
from memory.types import Episode, Hit

MAX_LEAD = 3.0  # in a small store one message may stand alone
_NUMBER = re.compile(
    r"\d|\b(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|twenty|thirty|forty|fifty|hundred|thousand|"
    r"half|dozen)\b",
    re.IGNORECASE,
)
_MONEY = re.compile(
    r"[€£$¥]|\b(?:euros?|pounds?|dollars?|quid|bucks|kr|grand|thousand|cents?|k)\b", re.IGNORECASE
)
_PRICED = re.compile(
    r"\bhow much\b.*\b(?:cost|pa(?:y|id)|earn|get|got|sell|sold|spend|spent|owe|rent|salary|for)\b", re.I
)
_CAPITAL = re.compile(r"(?<![.!?]\s)(?<!^)\b[A-ZÀ-Þ]\w+")


def features(
    question: Question, asked: Sequence[str], hits: Sequence[Hit], first: Episode
) -> dict[str, float]:
    """What the model of passages looks at; `asked` are the words that the index looked for."""
    named = {word for mention in question.mentions for word in words(mention.text)}
    wanted = stems(" ".join(word for word in asked if word not in named))
    covered = len(wanted & stems(first.text))
    lead = hits[0].score - hits[1].score if len(hits) > 1 else 0.0
    return {
        "covered": covered / len(wanted) if wanted else 0.0,
        "n_covered": float(min(covered, 4)),
        "lead": min(lead, MAX_LEAD),
        "dense": hits[0].parts.get("dense", 0.0),
        "question": float(first.text.rstrip().endswith("?")),
        "unnamed": _unnamed(question, first),
        "unfit": float(not _fits(question, first, named)),
    }


def confidence(found: Mapping[str, float]) -> float:
    """How likely such a message answers."""
    return probability(PASSAGE_WEIGHTS, found) if is_quotable(found) else 0.0


def is_quotable(found: Mapping[str, float]) -> bool:
    """None that shares no asked word answers, nor one about others, nor one that cannot hold such an answer."""
    return bool(found["n_covered"]) and found["unnamed"] < 1 and not found["unfit"]


def _unnamed(question: Question, first: Episode) -> float:
    """Share of the question's names that the message neither says nor has as its speaker."""
    said = f" {names.key(first.text)} "
    missing = [
        mention
        for mention in question.mentions
        if first.speaker_id not in mention.node_ids and names.key(mention.text) not in said
    ]
    strange = [name for name in question.strangers if names.key(name) not in said]
    n = len(question.mentions) + len(question.strangers)
    return (len(missing) + len(strange)) / n if n else 0.0


def _fits(question: Question, first: Episode, named: set[str]) -> bool:
    """Whether the message can hold an answer of the asked kind."""
    if question.kind in ("number", "duration"):
        if _PRICED.search(question.text):
            return bool(_NUMBER.search(first.text) and _MONEY.search(first.text))
        return bool(_NUMBER.search(first.text))
    if question.kind == "who":
        found = {word.casefold() for word in _CAPITAL.findall(first.text)}
        return bool(found - named)
    return True
