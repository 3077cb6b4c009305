"""What was said: the sentence that told a fact, and questions of its words.

Where a predicate has no wordings of its own the sentence answers for it: "Dmitri's much money owe sunniva is £340." teaches nobody
what is meant; "Dmitri Vasko still owes Sunniva £340." does. Where it has, what the sentence says beside the fact leads to it: "Ines runs her
own practice, Fala Comigo." is asked for by the practice too. Only sentences that can be said by anybody: they name the subject, give the value,
speak of nobody as I or you, and hold nothing more delicate than the fact does.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from agents.cues import sentences
from consolidation.scoring import gives_any, holds_any
from consolidation.slots import Names, Slot, accepted_values
from memory import sensitive
from memory.registry import Registry
from memory.wordings import Wordings, content_words

MAX_WORDS = 30
MAX_BYTES = 240
KEYWORDS = 8  # of a sentence, that questions are made with
_SPEAKER = re.compile(r"\b(?:i|me|my|mine|myself|we|us|our|ours|you|your|yours)\b", re.IGNORECASE)
_WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")
_MONEY = re.compile(r"[£$€¥]|\d")
_ABOUT_WORD = (
    "What do you know about {s} and {w}?",
    "{s} and {w}: what was that?",
    "What was said about {s} and {w}?",
    "What has {s} to do with {w}?",
)
_ABOUT_WORDS = (
    "{s}: {w}, {v}, what was it?",
    "Something about {s}, {w} and {v}?",
    "Who or what is it with {s}, {w} and {v}?",
)


@dataclass(frozen=True, slots=True)
class Retold:
    """`sentence` as it was said, with its full stop; `value` the words of it that give the fact's value."""

    sentence: str
    value: str
    episode_id: str


def retell(
    slots: Iterable[Slot],
    texts: Mapping[str, str],
    wordings: Wordings,
    called: Names,
    registry: Registry,
) -> dict[str, Retold]:
    """By the key of the slot, for those of one fact; `texts` are messages by id. Where the predicate has wordings, only
    sentences that say more than these do."""
    found = {}
    for slot in slots:
        told = _of_slot(slot, texts, called, registry) if len(slot.facts) == 1 else None
        if told is not None and (
            not wordings.covers(slot.predicate)
            or keywords(told, called.forms(slot.subject_id, slot.subject), wordings.words(slot.predicate))
        ):
            found[slot.key] = told
    return found


def _of_slot(slot: Slot, texts: Mapping[str, str], called: Names, registry: Registry) -> Retold | None:
    """From the newest message that tells it so."""
    fact = slot.facts[0]
    accepted = accepted_values(fact.object, registry.get(slot.predicate).object)
    allowed = set(sensitive.kinds_of_fact(fact))
    for episode_id in reversed(fact.evidence):
        for part in sentences(texts.get(episode_id, "")):
            text = " ".join(part.text.split())
            value = next((one for one in accepted if one.casefold() in text.casefold()), None)
            if (
                value is not None
                and gives_any(text, [value])
                and any(holds_any(text, [name]) for name in called.forms(slot.subject_id, slot.subject))
                and not _SPEAKER.search(text)
                and not any(old.casefold() in text.casefold() for old in slot.old)
                and len(text.split()) <= MAX_WORDS
                and len(text.encode()) <= MAX_BYTES
                and allowed.issuperset(sensitive.kinds(text))
            ):
                return Retold(text if text[-1] in ".!?" else f"{text}.", value, episode_id)
    return None


def gap_question(told: Retold) -> str:
    """The sentence with a question word for the value: "Dmitri Vasko still owes Sunniva how much?"."""
    instead = "how much" if _MONEY.search(told.value) else "what"
    gap = re.sub(re.escape(told.value), instead, told.sentence, count=1, flags=re.IGNORECASE)
    return gap[0].upper() + gap[1:].rstrip(".!?") + "?"


def keywords(told: Retold, names: Iterable[str], known: frozenset[str] = frozenset()) -> list[str]:
    """Words of the sentence that carry meaning, in their order, but for the value, whom it is about and `known` stems."""
    taken = content_words(" ".join([told.value, *names])) | known
    rest = re.sub(re.escape(told.value), " ", told.sentence, count=1, flags=re.IGNORECASE)
    words = [
        word for word in _WORD.findall(rest) if content_words(word) and taken.isdisjoint(content_words(word))
    ]
    return list(dict.fromkeys(words))[:KEYWORDS]


def word_questions(told: Retold, names: Iterable[str], known: frozenset[str] = frozenset()) -> list[str]:
    """Questions that name one or two words of the sentence, `known` stems aside, with {s} for the subject."""
    words = keywords(told, names, known)
    one = [_ABOUT_WORD[i % len(_ABOUT_WORD)].replace("{w}", word) for i, word in enumerate(words)]
    pairs = itertools.pairwise(words)
    two = [
        _ABOUT_WORDS[i % len(_ABOUT_WORDS)].replace("{w}", first).replace("{v}", second)
        for i, (first, second) in enumerate(pairs)
    ]
    return one + two


def nearby_words(slot: Slot, told: Retold | None) -> frozenset[str]:
    """Stems that a question about an unworded slot may hold: of its predicate, and of the sentence that told it."""
    return content_words(slot.predicate.replace("_", " ")) | (
        content_words(told.sentence) if told else frozenset()
    )
