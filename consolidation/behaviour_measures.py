"""How a reply is measured for a behaviour: a small closed set of rules, each a pure function of the reply's text.

The rules read English where they read words. They say what a reply looks like and not whether it is any good.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from agents.measures import EMOJI, LAUGHTER, is_lowercase
from consolidation.errors import BadBehaviour

_SENTENCE_END = re.compile(r"(?<=[.!?…])[\"'”’)\]]*\s+|\n+")
_IS_WHOLE = re.compile(r"[.!?…][\"'”’)\]*]*$")
_ITEM = re.compile(r"^\s*(?:\d{1,2}[.)]|[-*•])\s+\S", re.MULTILINE)
_FORWARD = re.compile(
    r"^(?:(?:first|then|also|next|finally|instead|maybe|perhaps|please|so|and|but|or)\b,?\s+)*", re.IGNORECASE
)
_ADVICE = re.compile(
    r"\b(?:you (?:should|could|can|might|must|need to|have to|may want|ought)|(?:try|consider)(?: to\b|\s+\w+ing\b|\s+(?:a|the|an|some|out)\b)|"
    r"i(?:'d| would)? (?:suggest|recommend|advise)|my advice|it(?:'s| is) (?:important|essential|best|crucial|helpful|a good idea) to|"
    r"if i were you|here (?:are|is) (?:some|a few|a|the|\d+|several)|(?:one|another|the best|a good) (?:way|option|idea|thing) (?:is|to|would))\b",
    re.IGNORECASE,
)
_ADVICE_THAT_ASKS = re.compile(
    r"\b(?:why (?:not|don'?t you)|how about|what about \w+ing|have you (?:tried|considered|thought (?:of|about))|could(?:n'?t)? you (?:not )?try)\b",
    re.IGNORECASE,
)
# fmt: off
_ORDERS = frozenset((
    "add", "ask", "avoid", "begin", "be", "book", "bring", "buy", "call", "check", "choose", "clean",
    "consider", "contact", "cut", "discuss", "do", "don't", "drink", "eat", "encourage", "ensure",
    "establish", "explore", "find", "focus", "follow", "get", "give", "go", "have", "keep", "learn",
    "leave", "let", "listen", "look", "make", "meet", "move", "offer", "plan", "practice", "practise",
    "prepare", "put", "read", "remember", "research", "rest", "save", "schedule", "see", "seek", "set",
    "share", "show", "sit", "sleep", "speak", "start", "stay", "stick", "stop", "take", "talk", "tell",
    "think", "try", "turn", "use", "visit", "wait", "walk", "watch", "work", "write",
))
# fmt: on


def words(reply: str) -> float:
    """How many words it has."""
    return float(len(reply.split()))


def words_in_a_sentence(reply: str) -> float:
    """How many words a sentence or line of it has, on the average; a last one that breaks off counts where it is the only one."""
    said = _sentences(reply)
    whole = said if len(said) < 2 or _IS_WHOLE.search(said[-1]) else said[:-1]
    return fmean(len(sentence.split()) for sentence in whole) if whole else 0.0


def asks(reply: str) -> float:
    """1 where its last sentence is a question."""
    return float(bool(said := _sentences(reply)) and _is_question(said[-1]))


def suggests(reply: str) -> float:
    """1 where it tells what to do: in a list, by an order at the beginning of a sentence, or in a phrase of advice."""
    return float(bool(_ITEM.search(reply)) or any(map(_is_advice, _sentences(reply))))


def asks_over_suggests(reply: str) -> float:
    """1 where it asks and does not suggest, -1 where it suggests and does not ask, 0 where it does both or neither."""
    return asks(reply) - suggests(reply)


def laughs(reply: str) -> float:
    """1 where it laughs in writing."""
    return float(bool(LAUGHTER.search(reply)))


def shows_emoji(reply: str) -> float:
    """1 where an emoji stands in it."""
    return float(bool(EMOJI.search(reply)))


def without_capitals(reply: str) -> float:
    """1 where it has letters that could be capitals, and none is."""
    return float(is_lowercase(reply))


@dataclass(frozen=True, slots=True)
class Measure:
    """`says` goes behind the number."""

    name: str
    says: str
    of: Callable[[str], float]
    is_share: bool = True

    def over(self, replies: Sequence[str]) -> float:
        """The mean."""
        return fmean(map(self.of, replies))

    def shown(self, value: float) -> str:
        return f"{100 * value:.0f} %" if self.is_share else f"{value:.1f}"


MEASURES: Mapping[str, Measure] = {
    measure.name: measure
    for measure in (
        Measure("words_per_reply", "words per reply", words, is_share=False),
        Measure("asks", "of the replies end in a question", asks),
        Measure("suggests", "of the replies tell what to do", suggests),
        Measure(
            "asks_over_suggests",
            "of the replies ask, less those that tell what to do",
            asks_over_suggests,
        ),
        Measure("words_per_sentence", "words per sentence", words_in_a_sentence, is_share=False),
        Measure("laughs", "of the replies laugh", laughs),
        Measure("emoji", "of the replies have an emoji", shows_emoji),
        Measure("lowercase", "of the replies have no capitals", without_capitals),
    )
}


def measure_of(name: str, behaviour: str) -> Measure:
    """Raises BadBehaviour for a name that is none."""
    try:
        return MEASURES[name]
    except KeyError:
        raise BadBehaviour(
            behaviour, f"there is no measure {name!r}; take one of {', '.join(MEASURES)}"
        ) from None


def _sentences(text: str) -> list[str]:
    return [part.strip() for part in _SENTENCE_END.split(text) if part.strip()]


def _is_question(sentence: str) -> bool:
    return sentence.rstrip("\"'”’)] ").endswith("?")


def _is_advice(sentence: str) -> bool:
    if _is_question(sentence):
        return bool(_ADVICE_THAT_ASKS.search(sentence))
    first = _FORWARD.sub("", sentence).split(" ", 1)[0].strip(",:*\"'").lower()
    return first in _ORDERS or bool(_ADVICE.search(sentence))
