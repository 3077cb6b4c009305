"""Truth of a kind: whether a statement can change at all, changes slowly, or tells of a passing state.

A predicate has a volatility of its own (`predicates.toml`). The words of one statement may say otherwise: "staying with
my sister for now" is a home for days, "allergic since birth" is for ever. `volatility_of` reads those words (English);
`of_name` judges a predicate that no registry knows by the words of its name. `permanence` is the coarser kind people are
shown. Nothing here decides what is true; it decides for how long it counts as fresh.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal, cast

from memory.registry import Predicate, Volatility

Permanence = Literal["fixed", "slow", "passing"]
PERMANENCE: Mapping[Volatility, Permanence] = {
    "never": "fixed",
    "years": "slow",
    "months": "slow",
    "days": "passing",
}

_PASSING = re.compile(
    r"\b(?:for now|for the (?:moment|time being|week|weekend|summer|night)|at the moment|right now|as of today|temporar(?:y|ily)|"
    r"for a (?:few|couple of) (?:days|nights|weeks)|for (?:two|three|four|[2-9]) (?:days|nights|weeks)|"
    r"this (?:week|weekend|afternoon|evening|morning)|tonight|today only|just passing|crash(?:ing|ed)?|couch|sofa|"
    r"house[- ]?sitting|cat[- ]?sitting|dog[- ]?sitting|sublet(?:ting)?|staying with|staying at|on (?:holiday|vacation)|filling in|"
    r"covering for|stand(?:ing)? in for|until (?:mon|tues|wednes|thurs|fri|satur|sun)day|till (?:mon|tues|wednes|thurs|fri|satur|sun)day|"
    r"these few days|a bit of a cold|have a cold|jet[- ]?lagged|hungover)\b",
    re.IGNORECASE,
)
_FOR_EVER = re.compile(
    r"\b(?:since birth|since (?:i|he|she|they) (?:was|were) born|born (?:with|in|on)|always (?:been|was|has been|have been)|"
    r"all (?:my|his|her|their) life|my whole life|from birth|for life|for ever|forever|runs in the family)\b",
    re.IGNORECASE,
)
_FIXED_NAME = re.compile(
    r"(?:^|_)(?:born|birth|birthday|birthplace|origin|died|death|maiden|named_after|blood_type|native|ancestry|ethnicity|first|met|"
    r"founded|graduated|proposal|honeymoon|married_on|divorced_on|divorced_in|launched|built|won|result|weight_at_birth|eye_colour|"
    r"eye_color|height)(?:_|$)|_(?:on|date|year)$"
)
_PASSING_NAME = re.compile(
    r"(?:^|_)(?:mood|feeling|feels|weather|today|tonight|currently|doing|status|wants|craving|plan|plans|weekend|shift|location|"
    r"progress|watching|reading|listening|waiting|cold|tired|errand|interview)(?:_|$)"
)
_MONTHS_NAME = re.compile(
    r"(?:^|_)(?:dose|medication|project|team|goal|diet|training|habit|schedule|phone|number|rent|price|cost|salary|car|transport|"
    r"course|class|target|average|score|level)(?:_|$)"
)
_CHANGEABLE: frozenset[Volatility] = frozenset({"years", "months"})


def permanence(volatility: Volatility) -> Permanence:
    """The kind of truth that a volatility stands for."""
    return PERMANENCE[volatility]


def of_name(name: str) -> Volatility:
    """How often a predicate changes, by the words of its name alone."""
    if _FIXED_NAME.search(name):
        return "never"
    if _PASSING_NAME.search(name):
        return "days"
    return "months" if _MONTHS_NAME.search(name) else "years"


def held(predicate: Predicate, stated: str | None) -> Volatility:
    """The volatility of a stored statement: what its words said, else its predicate's."""
    if stated is not None:
        return cast(Volatility, stated)
    return predicate.volatility if predicate.is_known else of_name(predicate.name)


def as_stated(predicate: Predicate, stated: str | None) -> Predicate:
    """The predicate as one statement has it: with the statement's own volatility."""
    volatility = held(predicate, stated)
    return predicate if volatility == predicate.volatility else replace(predicate, volatility=volatility)


def volatility_of(predicate: Predicate, value: str, messages: Sequence[str]) -> Volatility:
    """Of one statement: the predicate's own, unless the sentences that name its value say that it passes or stays.

    `messages` are the texts it rests on. What never changes and what changes within days is as its predicate says.
    """
    own = held(predicate, None)
    if own not in _CHANGEABLE:
        return own
    said = " ".join(_around(value, messages))
    if _FOR_EVER.search(said) and predicate.topic in ("health", "habits", "tastes", "identity", "other"):
        return "never"
    return "days" if _PASSING.search(said) else own


def _around(value: str, messages: Sequence[str]) -> list[str]:
    """The sentences that name the value or a word of it; what stands beside them is about something else."""
    wanted = {word for word in _WORD.findall(value.lower()) if len(word) > 2}
    sentences = [part for message in messages for part in _SENTENCE.split(message) if part.strip()]
    return [part for part in sentences if wanted & set(_WORD.findall(part.lower()))]


_WORD = re.compile(r"\w+")
_SENTENCE = re.compile(r"[.!?;\n]+")
