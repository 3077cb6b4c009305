"""Values that a fact might have had: the controls beside the value of an erased fact.

They are of the same kind: from the pools of `control_values.toml`, names of people that nobody has, made days and numbers.
Where others have the very value, its controls are values that others have too: weights may know both. Pure functions.
"""

from __future__ import annotations

import random
import re
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, timedelta
from functools import lru_cache
from itertools import chain, islice
from pathlib import Path
from typing import Any

from consolidation.negatives import invented
from consolidation.scoring import gives_any
from memory import names
from memory.registry import Registry

N_CONTROLS = 24  # so that one fact alone can reach p = 0.04
_MANY = 4000  # values tried before a kind is held to have no more
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_FIRST_DAY = date(1950, 1, 1)


def control_values(
    predicate: str,
    value: str,
    registry: Registry,
    *,
    own: Iterable[str],
    others: Sequence[str],
    dice: random.Random,
    n: int = N_CONTROLS,
) -> tuple[str, ...]:
    """`n` values of the predicate that are none of `own`, which are the subject's at any time, in any order of `dice`.

    `others` are what stands in other slots of such values. Fewer than `n` only where the kind has no more.
    """
    mine = [value, *own]
    held = [other for other in dict.fromkeys(others) if _is_apart(other, mine)]
    dice.shuffle(held)
    is_held = any(not _is_apart(value, [other]) for other in others)
    taken = {names.key(other) for other in others}
    made = islice(_values(predicate, value, registry, dice), _MANY)
    free = (one for one in made if names.key(one) not in taken and _is_apart(one, mine))
    found: dict[str, str] = {}
    for one in chain(held if is_held else (), free, held):
        found.setdefault(names.key(one), one)
        if len(found) == n:
            break
    return tuple(found.values())


def _is_apart(value: str, others: Iterable[str]) -> bool:
    """Whether the value neither gives one of the others nor is given by it."""
    return not any(gives_any(value, [other]) or gives_any(other, [value]) for other in others)


def _values(predicate: str, value: str, registry: Registry, dice: random.Random) -> Iterator[str]:
    """Values of the predicate's kind, shaped like `value` where it has a shape."""
    kind, name = registry.get(predicate).object, pool_of(predicate, registry)
    has_pool = predicate in _pools()["of"] or kind not in ("text", "date", "number")
    if kind == "number" and value.strip().isdecimal():
        yield from _numbers(value.strip(), dice)
    elif "@" in value:
        yield from _addresses(value, dice)
    elif predicate == "address":
        while True:
            yield f"{dice.randint(1, 180)} {dice.choice(pool('street'))}"
    elif re.search(r"\d", value) and not has_pool:
        yield from _like(value, dice)
    else:
        drawn = list(_people(value) if name == "person" else pool(name))
        dice.shuffle(drawn)
        yield from drawn


def pool(name: str) -> tuple[str, ...]:
    """The values of one of the pools."""
    return tuple(_pools()["pools"][name])


def pool_of(predicate: str, registry: Registry) -> str:
    """The name of the pool that the predicate draws from, "person" where its values are people's names."""
    pools = _pools()
    return str(pools["of"].get(predicate) or pools["by_kind"].get(registry.get(predicate).object, "taste"))


def _people(value: str) -> list[str]:
    """Names that nobody has and nothing was trained with, in full where the value is."""
    firsts, lasts = invented("exam", "first"), invented("exam", "last")
    if names.is_single(value):
        return list(firsts)
    return [f"{first} {lasts[(7 * place) % len(lasts)]}" for place, first in enumerate(firsts)]


def _numbers(value: str, dice: random.Random) -> Iterator[str]:
    """Whole numbers of about that size."""
    most = max(60, 3 * int(value))
    while True:
        yield str(dice.randint(1, most))


def _addresses(value: str, dice: random.Random) -> Iterator[str]:
    """Of mail, at the same place."""
    firsts, lasts = invented("exam", "first"), invented("exam", "last")
    while True:
        yield f"{dice.choice(firsts)}.{dice.choice(lasts)}".lower() + value[value.index("@") :]


def _like(value: str, dice: random.Random) -> Iterator[str]:
    """The value with other digits; its days stay days."""

    def other_day(_: re.Match[str]) -> str:
        return (_FIRST_DAY + timedelta(days=dice.randrange(27_000))).isoformat()

    def other_digit(match: re.Match[str]) -> str:
        return str(dice.randint(1 if match.start() == 0 else 0, 9))

    while True:
        yield "".join(
            _DAY.sub(other_day, part) if _DAY.fullmatch(part) else re.sub(r"\d", other_digit, part)
            for part in re.split(rf"({_DAY.pattern})", value)
        )


@lru_cache(maxsize=1)
def _pools() -> dict[str, Any]:
    return tomllib.loads(Path(__file__).with_name("control_values.toml").read_text(encoding="utf-8"))
