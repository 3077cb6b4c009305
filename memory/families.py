"""Predicates that speak of one thing under several names, and so share one slot in time.

The table below is the whole of it. A family's `ladder` ranks stages with the same object: the higher stage ends
the lower (a husband was the fiance), whoever it is said in which order; with another object they exclude each
other. `ending` values end every stage of the ladder and every member of `ended`, and are ended by them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from memory import values

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
            "job": frozenset({"retired", "unemployed", "jobless", "out of work", "between jobs"}),
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


def excludes(predicate: str, value: str, other_predicate: str, other_value: str) -> bool:
    """Whether values of two different predicates of one family cannot hold at once (stages of the ladder aside)."""
    if is_ending(predicate, value):
        return _is_endable(other_predicate) and not is_ending(other_predicate, other_value)
    return _is_endable(predicate) and is_ending(other_predicate, other_value)


def _is_endable(predicate: str) -> bool:
    family = _OF[predicate]
    return predicate in family.ladder or predicate in family.ended


def sharing(predicate: str) -> tuple[str, ...]:
    """Every predicate of the slot, the given one among them."""
    family = _OF.get(predicate)
    return family.predicates if family else (predicate,)
