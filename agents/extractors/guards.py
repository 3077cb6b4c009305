"""What must not become a fact: hostile pastes, jokes that say so, and words that do not commit their speaker.

`is_untrusted` judges a whole message. `commitment` judges the words in front of a statement and gives a factor for
its confidence, 0 where nothing is asserted. Cues only: a joke without one passes, and is the night's to question.
"""

from __future__ import annotations

import re
from functools import lru_cache

from agents.extractors.sentences import LONGEST_MESSAGE, clean
from agents.pasted import is_pasted

_NOTICE = re.compile(r"\b(?:[A-Z]{3,}[\s,:!]+){4,}[A-Z]{3,}\b.{40,}", re.DOTALL)
_SARCASM = re.compile(
    r"[🙃🤡🤥😜😝🤪😏]|(?:^|\s)/s\b|\bj/?k\b|just kidding|\byeah,? right\b|\bas if\b|in (?:my|your) dreams"
    r"|effective immediately|\bi wish\b|not really\b|\bkidding\b|\bof course not\b|\ballegedly\b|\bhypothetically\b"
)
_UNREAL = re.compile(
    r"\b(?:if|unless|imagine|pretend(?:ing)?|suppose|supposing|whether|as though|would|could|should|might|wish(?:es)?|"
    r"dreamt?|dreamed|dreaming|in theory|one day|some ?day|almost|nearly|instead of|let us|rumou?rs?|gossip|"
    r"thinking (?:of|about)|(?:talk(?:ed|ing)?|joked|joking) about|looking at|considering|"
    r"(?:like|love|hate|hoping|hope|hopes|planning|plan|plans|trying|try|tempted|supposed|threaten(?:s|ing)?|going|want(?:s|ed)?|need(?:s|ed)?) to|"
    r"want(?:s)? (?:me|us|you|him|her|them) to|feel(?:s|ing)? like|looks? like|sounds? like|do not think|does not think|did not say|"
    r"(?:film|movie|episode|series|novel|book|song|play|dream) (?:where|when|in which|about)|"
    r"(?:never|nobody|no one|none of us)|someone's|somebody's|a friend of|ask(?:ed)? (?:me|us|him|her|if)|decide)\b",
    re.IGNORECASE,
)
_IF = re.compile(r"\bif\b", re.IGNORECASE)
_NEGATION = re.compile(
    r"\b(?:not|never|no longer|nobody|neither|nor|hardly)\s*(?:\w+\s+){0,2}$", re.IGNORECASE
)
_LIKENESS = re.compile(r"\b(?:like|as if|than)\s*$", re.IGNORECASE)
_EXPERT = re.compile(
    r"\b(?:doctor|doc|gp|vet|cardiologist|consultant|hospital|midwife|nurse|specialist|scan|test|tests|x-?ray|physio|surgeon|"
    r"dermatologist|neurologist|dentist)\b",
    re.IGNORECASE,
)
_HEARSAY = re.compile(
    r"\b(?:says?|said|saying|claims?|claimed|swears?|reckons?|heard|apparently|according to|they say|supposedly|"
    r"thinks?|thought|believes?|told (?:me|us|everyone|them)|dice|insists?|jokes?|joked|announced|wrote)\b",
    re.IGNORECASE,
)
_DOUBT = re.compile(
    r"\b(?:maybe|perhaps|possibly|not sure|who knows|i guess|i suppose|probably|i think|or something|kind of|sort of|hopefully|"
    r"we(?: will|'ll) see|almost)\b",
    re.IGNORECASE,
)


_TURN = re.compile(r"\bbut\b|\bthough\b|\bhowever\b", re.IGNORECASE)
_SELF_REPORT = re.compile(
    r"\b(he|she|they)(?: just| [^.!?]{1,30} and)? (?:says|said|told (?:me|us)|wrote)(?: that)? ?$",
    re.IGNORECASE,
)


def is_untrusted(text: str) -> bool:
    """Whether a message is pasted or hostile, or says itself that it is not meant: nothing in it is read."""
    text = text[:LONGEST_MESSAGE]
    if is_pasted(text) or _NOTICE.search(text):
        return True
    return bool(_SARCASM.search(clean(text).lower()))


def is_own_word(before: str, sentence: str) -> bool:
    """ "he says he has three": a report of what somebody says of themselves is as good as their word."""
    rest = sentence.rpartition(before)[2] if before else sentence
    teller = _SELF_REPORT.search(before)
    told = re.match(r"\s*(he|she|they)\b", rest, re.IGNORECASE)
    return bool(teller and told and teller[1].lower() == told[1].lower())


def commitment(before: str, sentence: str) -> float:
    """How far a statement binds its speaker, in [0, 1]. `before` is the sentence up to the statement."""
    if not before.strip():
        return _certainty(sentence)
    before = _TURN.split(before)[-1]
    if _UNREAL.search(before) or _NEGATION.search(before) or _LIKENESS.search(before):
        return 0.0
    factor = 1.0
    if _HEARSAY.search(before) and not re.search(r"\bi (?:said|told|heard)\b", before, re.IGNORECASE):
        if not (_EXPERT.search(before) or is_own_word(before, sentence)):
            return 0.0
        factor = 0.9
    return factor * _certainty(sentence)


@lru_cache(maxsize=64)
def _certainty(sentence: str) -> float:
    if _IF.search(sentence):
        return 0.0
    return 0.55 if _DOUBT.search(sentence) else 1.0
