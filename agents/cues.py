"""Signs that a sentence does not assert what its words contain: questions, ifs, jokes, quotations, hearsay.

A judge's eyes, written apart from the extractor's rules so that one does not repeat the other's mistakes. Each
sign is a reason in words. What a sentence is about is not decided here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

_I = re.IGNORECASE
_SPLIT = re.compile(r"(?<=[.!?…])[\"”']?\s+|\n+")
_QUOTED = re.compile(r"[\"“«]([^\"“”«»]{8,})[\"”»]|(?<!\w)'([^'\n]{8,})'(?!\w)")

_QUESTION = re.compile(r"\?\W*$")
_ASKED = re.compile(
    r"^\W*(?:(?:and|so|but|wait|ok|hey|btw)\W+)?(?:(?:who|what|where|when|why|how|which|whose)\b(?!.*\b(?:is|was) that\b)"
    r"|(?:do|does|did|are|is|was|were|have|has|can|could|will|would|should)\s+(?:you|he|she|they|it|we|i|your|his|her)\b)",
    _I,
)
_UNREAL = re.compile(
    r"\b(?:if|imagine|suppose|supposing|pretend|what if|would|could|might|wish|as if|as though|in theory|"
    r"one day|some\s?day|dream(?:t|ed|ing)? (?:of|about|that)|thinking (?:of|about)|considering|"
    r"maybe|perhaps|possibly|tempted to|threatening to|i should|we should|almost|nearly)\b|\b(?:i|we|you|he|she|they)'d\b",
    _I,
)
_HOPED = re.compile(
    r"\b(?:want(?:s|ed)?|hop(?:e|es|ing)|plan(?:s|ning)?|trying|tr(?:y|ies)|would like|'d like|look(?:ed|ing) (?:at|into))\b",
    _I,
)
_OPEN = re.compile(r"\b(?:applied|application|let's see|we'?ll see|fingers crossed|if all goes well)\b", _I)
_CALLED_OFF = re.compile(
    r"\b(?:is|are|was|were) (?:off|over|cancell?ed|not happening)\b|\bfell through\b|\bcalled (?:it )?off\b|\bgave up on\b",
    _I,
)
_HEARSAY = re.compile(
    r"\b(?:rumou?rs?|gossip|apparently|allegedly|supposedly|they say|people say|word is|heard (?:that|from)|"
    r"did you hear|someone said|somebody said|according to|claims?|claimed|swears|reckons)\b",
    _I,
)
_JOKE = re.compile(
    r"[🙃🤡🤥🤪😜😝]|\b(?:just kidding|only kidding|only joking|jk|yeah right|as if|in my dreams|not really|sure,? because|"
    r"effective immediately|plot twist|obviously not|lol no|just love how)\b|(?:^|\s)/s\b|\bof course,? (?:because|since)\b",
    _I,
)
_LOVE_TO_COMPLAIN = re.compile(
    r"\bjust (?:LOVE|ADORE)\b|\b(?:how|so) (?:lovely|wonderful|fantastic), (?:another|more)\b"
)
_PASTED = re.compile(
    r"\b(?:ignore|disregard|forget|override)\s+(?:\w+\s+){0,3}(?:instructions?|prompts?|rules|messages)\b"
    r"|\b(?:ai|language|chat)\s*-?\s*(?:assistants?|models?|bots?|agents?)\b|\bassistants?\s+(?:reading|must|should)\b"
    r"|\bsystem\s+prompt\b|<\|?(?:im_start|system|assistant)|\bdo not (?:mention|reveal) this\b"
    r"|\b(?:store|record|save|remember|repeat)\s+(?:that|this|the following)\s+(?:fact|as|in|his|her|their|password)",
    _I,
)
_NEGATED = re.compile(
    r"\b(?:not|no|never|n't|nobody|none|neither|nor|without|hardly|no longer|isn't|isnt|aren't|wasn't|don't|dont|"
    r"doesn't|doesnt|didn't|didnt|won't|can't|cannot|haven't|hasn't)\b",
    _I,
)
_TAKEN_BACK = re.compile(
    r"\b(?:no,? wait|wait,? no|actually,? no|scratch that|i mean|correction|sorry,? i meant|i was wrong|not true|"
    r"(?:that|it) was (?:only |just )?(?:a joke|autocorrect)|nobody is|is not happening|isn't happening|called (?:it )?off|"
    r"cancell?ed|fell through|said no|false alarm|turned out (?:not|to be wrong)|none of it is true)\b",
    _I,
)
_AGREED = re.compile(
    r"^\W*(?:yes|yeah|yep|yup|ya|sure|exactly|correct|right|true|indeed|of course|absolutely|definitely|it is|she is|"
    r"he is|i am|we are|i do|i did|we did|si|sí|sim|oui|ja|jo)\b",
    _I,
)
QUESTION = "it is a question"
NOT_MEANT = "it is not meant"
NEAR_WORDS = 4  # how many words before a value a negation may stand


@dataclass(frozen=True, slots=True)
class Sentence:
    text: str
    message: str  # the whole message it stands in
    following: str = ""  # the next sentence of it: jokes give themselves away late


def sentences(message: str) -> list[Sentence]:
    """In order; a message without sentence marks is one sentence."""
    parts = [part for part in _SPLIT.split(message.replace("’", "'")) if part and part.strip()]
    return [Sentence(part, message, after) for part, after in zip(parts, [*parts[1:], ""], strict=True)]


def objections(sentence: Sentence, values: Iterable[str], *, is_denial: bool = False) -> list[str]:
    """Why the sentence does not assert the `values` (lower-cased words) in it; empty where nothing speaks against.

    `is_denial`: the statement to support itself says that something is not so, and a negation is no objection.
    """
    wanted = frozenset(values)
    found = [reason for reason, applies in _WHOLE if applies(sentence)]
    before = _up_to(sentence.text, wanted)
    found += [reason for reason, pattern in _BEFORE if pattern.search(before)]
    if _is_quoted(sentence, wanted):
        found.append("it quotes somebody")
    if not is_denial and _is_negated(sentence.text, wanted):
        found.append("it is negated")
    return found


def is_pasted(message: str) -> bool:
    """Whether the message gives orders to machines."""
    return bool(_PASTED.search(message))


def is_question(text: str) -> bool:
    return bool(_QUESTION.search(text) or _ASKED.search(text))


def agrees(message: str) -> bool:
    """Whether a reply begins with a yes."""
    return bool(_AGREED.search(message))


def denies(text: str) -> bool:
    """Whether a negation or a cancellation is anywhere in it."""
    return bool(_NEGATED.search(text) or _TAKEN_BACK.search(text))


def takes_back(message: str) -> bool:
    return bool(_TAKEN_BACK.search(message))


def _up_to(text: str, wanted: frozenset[str]) -> str:
    """The sentence up to and with its first value: what follows seldom changes how that was meant."""
    for match in re.finditer(r"[\w']+", text):
        if _stem(match.group().lower()) in wanted:
            return text[: match.end()]
    return text


def _is_negated(text: str, wanted: frozenset[str]) -> bool:
    """A negation in the few words before one of the values, in the same clause."""
    for clause in re.split(r"[,;:.!?]|\bbut\b", text):
        words = re.findall(r"[\w']+", clause.lower())
        for index, word in enumerate(words):
            if _stem(word) in wanted and _NEGATED.search(" ".join(words[max(0, index - NEAR_WORDS) : index])):
                return True
    return False


def _is_quoted(sentence: Sentence, wanted: frozenset[str]) -> bool:
    """All of the values that the message holds stand inside quotation marks."""
    message = sentence.message
    inside = " ".join(a or b for a, b in _QUOTED.findall(message))
    outside = _QUOTED.sub(" ", message)
    return bool(inside) and bool(wanted & stems(inside)) and not wanted & stems(outside)


def stems(text: str) -> set[str]:
    """Lower-cased words and numbers, without possessive, plural and ordinal endings."""
    return {_stem(word) for word in re.findall(r"[\w']+", text.replace("’", "'").lower())}


def _stem(word: str) -> str:
    plain = word.removesuffix("'s").strip("'")
    if plain[:1].isdigit():
        return re.sub(r"(?<=\d)(?:st|nd|rd|th)$", "", plain)
    for ending in ("ing", "ed", "es", "s"):
        if plain.endswith(ending) and len(plain) - len(ending) >= (3 if ending == "s" else 4):
            return plain[: -len(ending)]
    return plain.removesuffix("e") if len(plain) > 4 else plain


_WHOLE: tuple[tuple[str, Callable[[Sentence], bool]], ...] = (
    ("it gives orders to machines", lambda s: is_pasted(s.message)),
    (QUESTION, lambda s: is_question(s.text)),
    ("it is hypothetical", lambda s: bool(re.search(r"\b(?:if|unless)\b", s.text, _I))),
    (NOT_MEANT, lambda s: bool(_JOKE.search(s.text) or _JOKE.search(s.following))),
    ("it is not settled", lambda s: bool(_OPEN.search(s.text) or _OPEN.search(s.following))),
    ("it is called off", lambda s: bool(_CALLED_OFF.search(s.text))),
    (NOT_MEANT, lambda s: bool(_LOVE_TO_COMPLAIN.search(s.text))),
)
_BEFORE: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("it is hypothetical", _UNREAL),
    ("it is a wish or a plan", _HOPED),
    ("it passes on hearsay", _HEARSAY),
)
