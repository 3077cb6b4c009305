"""Predicates that speak of one thing under several names, and so share one slot in time.

The table below is the whole of it. A family's `ladder` ranks stages with the same object: the higher stage ends
the lower (a husband was the fiance), whoever it is said in which order; with another object they exclude each
other. `ending` values end every stage of the ladder and every member of `ended`, and are ended by them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from memory import names, values

ANY: frozenset[str] = frozenset()  # every value of the predicate


@dataclass(frozen=True, slots=True)
class Family:
    name: str
    ladder: Mapping[str, int] = field(default_factory=dict)
    ended: tuple[str, ...] = ()
    ending: Mapping[str, frozenset[str]] = field(default_factory=dict)

    @property
    def predicates(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*self.ladder, *self.ended, *self.ending)))


FAMILIES = (
    Family(
        "couple",
        ladder={
            "partner": 1,
            "boyfriend": 1,
            "girlfriend": 1,
            "fiance": 2,
            "fiancee": 2,
            "spouse": 3,
            "husband": 3,
            "wife": 3,
        },
        ending={
            "relationship_status": frozenset(
                {
                    "single",
                    "alone",
                    "divorced",
                    "separated",
                    "widowed",
                    "broken up",
                    "split up",
                    "unattached",
                    "single again",
                    "not together any more",
                    "not together anymore",
                }
            )
        },
    ),
    Family(
        "work",
        ended=("job", "workplace", "boss"),
        ending={
            "retired_on": ANY,
            "job": frozenset(
                {
                    "retired",
                    "retiree",
                    "pensioner",
                    "in retirement",
                    "unemployed",
                    "jobless",
                    "out of work",
                    "out of job",
                    "without job",
                    "between jobs",
                    "not working",
                    "laid off",
                }
            ),
        },
    ),
)

_OF: dict[str, Family] = {predicate: family for family in FAMILIES for predicate in family.predicates}


def slot(predicate: str) -> str:
    """The name of the slot that the predicate's values share: its family, or itself."""
    family = _OF.get(predicate)
    return f"family {family.name}" if family else predicate


def is_ending(predicate: str, value: str) -> bool:
    """Whether the value says that what its family tells of is over."""
    family = _OF.get(predicate)
    if family is None or predicate not in family.ending:
        return False
    listed = family.ending[predicate]
    return not listed or values.normal(value) in listed


def stage(predicate: str) -> int | None:
    """The rank on the family's ladder; None where it is on none."""
    family = _OF.get(predicate)
    return family.ladder.get(predicate) if family else None


@dataclass(frozen=True, slots=True)
class Value:
    predicate: str
    text: str

    @property
    def is_ending(self) -> bool:
        return is_ending(self.predicate, self.text)


def excludes(first: Value, second: Value, *, is_news: bool) -> bool:
    """Whether values of two different predicates of one family cannot hold at once (stages of the ladder aside).

    `second` began later; `is_news` says that it was told as a change, and not in passing.
    """
    if first.is_ending or second.is_ending:
        return first.is_ending != second.is_ending and _is_endable(
            second.predicate if first.is_ending else first.predicate
        )
    if (first.predicate, second.predicate) == ("boss", "workplace"):
        return is_news  # who changes the place changes the boss
    if second.predicate == "job":
        return is_own_business(second.text) or _is_elsewhere(second.text, first, is_news=is_news)
    if first.predicate == "job":
        if is_own_business(first.text):
            return is_news  # in passing it may be the name of the business
        return _is_elsewhere(first.text, second, is_news=is_news)
    return False


def _is_elsewhere(job: str, workplace: Value, *, is_news: bool) -> bool:
    """Whether the job says that it is done somewhere else. Two names are two places; mere words only as news are."""
    employer = employer_of(job) if workplace.predicate == "workplace" else None
    if employer is None or values.is_same(employer, workplace.text, kind="organisation"):
        return False
    if _NAME.search(employer) and _NAME.search(workplace.text):
        return True
    return is_news and not _words(employer) & _words(workplace.text)


_NAME = re.compile(r"(?:^|\s)(?:[A-ZÀ-ÖØ-Þ]|\d)")


def _words(place: str) -> set[str]:
    return {word for word in values.tokens(place) if len(word) > 2}


_NO_EMPLOYER = frozenset(
    {"home", "sea", "night", "nights", "present", "moment", "heart", "large", "weekends", "work"}
)
_AT = re.compile(r"(?:^|\s)(?:at|@)\s+(.+)$", re.IGNORECASE)
_FOR = re.compile(r"(?:^|\s)(?:for|with)\s+((?:the\s+|an?\s+)?[A-ZÀ-ÖØ-Þ].*)$")
_TAIL = re.compile(r"\s*(?:[,;(]|\b(?:in|since|from|until|as|on)\b).*$", re.IGNORECASE)


def employer_of(job: str) -> str | None:
    """Where the job says that it is done: "nurse at Santa Maria", "driver for Kestrel"; None where it does not."""
    found = _AT.search(job) or _FOR.search(job)
    if found is None:
        return None
    place = _TAIL.sub("", found[1]).strip()
    words = [word for word in values.tokens(place) if word != ","]
    return place if words and words[0] not in _NO_EMPLOYER else None


_OWN = re.compile(
    r"\b(?:self[- ]?employed|free[- ]?lanc\w*|sole trader|own boss|work(?:s|ing)? for (?:him|her|them|my|your)sel\w+|"
    r"own (?:\w+ )?(?:business|company|firm|shop|studio|practice|bakery|cafe|restaurant|salon|workshop|agency|startup)|"
    r"entrepreneur|independent (?:consultant|contractor)|business owner)\b"
)


def is_own_business(job: str) -> bool:
    """Whether the job is done for oneself: then there is no employer and no boss."""
    return bool(_OWN.search(names.key(job)))


def _is_endable(predicate: str) -> bool:
    family = _OF[predicate]
    return predicate in family.ladder or predicate in family.ended


def sharing(predicate: str) -> tuple[str, ...]:
    """Every predicate of the slot, the given one among them."""
    family = _OF.get(predicate)
    return family.predicates if family else (predicate,)
