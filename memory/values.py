"""When two objects of facts are the same value, and which of them says more.

Pure functions over text. Spelling, case, accents, articles, number words and the way a date is written never make
a difference; one value may also be contained in the other ("Matosinhos", "house in Matosinhos"). Whether two names
mean the same person is decided in `memory.people`, not here.
"""

from __future__ import annotations

import re
from functools import lru_cache

from memory import names


def _set(spaced: str) -> frozenset[str]:
    return frozenset(spaced.split())


_TOKEN = re.compile(r"\d+(?:[.,:/]\d+)*|[^\W\d_]+|,")
_ARTICLES = _set("a an the my his her its their our your")
_NEGATIONS = _set("not no never ex former formerly without non instead")
_PREPOSITIONS = _set("in at of on near by for from with to and on behind outside opposite ,")
# words that add nothing to the name of a place
_PLACE_WORDS = _set(
    "house flat apartment room home studio city town village area region centre center district suburb "
    "neighbourhood neighborhood downtown central greater residence place"
)
_UNITS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
    "seventeen eighteen nineteen"
)
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
_NUMBERS = {word: number for number, word in enumerate(_UNITS.split())} | {
    word: 20 + 10 * number for number, word in enumerate(_TENS.split())
}
_MONTHS = "january february march april may june july august september october november december"
_MONTH = {form: n for n, month in enumerate(_MONTHS.split(), 1) for form in (month, month[:3])} | {"sept": 9}
_WEEKDAYS = _set("monday tuesday wednesday thursday friday saturday sunday")
_ISO_DAY = re.compile(r"(\d{4})-(\d\d)-(\d\d)(?:[T ]00:00(?::00)?(?:Z|\+00:00)?)?")


@lru_cache(maxsize=65536)
def tokens(value: str) -> tuple[str, ...]:
    """The words and numbers that make the value; commas are kept as words of their own."""
    found = [token.replace(",", ".") if token != "," else token for token in _TOKEN.findall(names.key(value))]
    kept = [token for token in found if token not in _ARTICLES] or found
    return tuple(_as_digits(kept))


def _as_digits(words: list[str]) -> list[str]:
    """Number words as digits; "thirty" before "eight" is one number."""
    out: list[str] = []
    was_tens = False
    for word in words:
        number = _NUMBERS.get(word)
        if number is None:
            out.append(word)
        elif was_tens and 0 < number < 10:
            out[-1] = str(int(out[-1]) + number)
        else:
            out.append(str(number))
        was_tens = number is not None and number >= 20
    return out


@lru_cache(maxsize=65536)
def normal(value: str) -> str:
    """The form under which values are equal."""
    return " ".join(token for token in tokens(value) if token != ",") or names.key(value)


@lru_cache(maxsize=65536)
def as_day(value: str) -> tuple[int | None, int, int] | None:
    """(year or None, month, day) where the whole value is a date: "2025-10-04", "Saturday 4 October"."""
    if iso := _ISO_DAY.fullmatch(value.strip()):
        return int(iso[1]), int(iso[2]), int(iso[3])
    words = [re.sub(r"^(st|nd|rd|th)$", "", token) for token in tokens(value)]
    words = [word for word in words if word and word not in _WEEKDAYS and word not in (",", "of", "on")]
    months = [_MONTH[word] for word in words if word in _MONTH]
    numbers = [int(word) for word in words if word.isdecimal()]
    if len(months) != 1 or len(months) + len(numbers) != len(words):
        return None
    days = [number for number in numbers if 1 <= number <= 31]
    years = [number for number in numbers if 1000 <= number <= 9999]
    if len(days) != 1 or len(years) > 1 or len(days) + len(years) != len(numbers):
        return None
    return (years[0] if years else None), months[0], days[0]


def is_same(a: str, b: str, *, kind: str = "text", is_strict: bool = False) -> bool:
    """Whether both name one value. `kind` is the registry's kind of object.

    Containment counts where the rest is set off by a preposition or a comma; unless `is_strict`, any whole words
    do (but not for places: "York" is not "New York"), and so does one slip of the pen in a long word.
    """
    day_a, day_b = as_day(a), as_day(b)
    if day_a and day_b:
        return day_a[1:] == day_b[1:] and (None in (day_a[0], day_b[0]) or day_a[0] == day_b[0])
    if normal(a) == normal(b):
        return True
    if day_a or day_b:
        return False
    short, long = sorted((tokens(a), tokens(b)), key=len)
    if _contains(long, short, is_strict=is_strict or kind == "place"):
        return True
    return not is_strict and kind != "person" and _is_slip(normal(a), normal(b))


def _contains(long: tuple[str, ...], short: tuple[str, ...], *, is_strict: bool) -> bool:
    width = len(short)
    if not width or _NEGATIONS & (set(long) - set(short)):
        return False
    for start in range(len(long) - width + 1):
        if long[start : start + width] != short:
            continue
        before, after = long[:start], long[start + width :]
        if not is_strict or (_is_set_off(before, before[-1:]) and _is_set_off(after, after[:1])):
            return True
    return False


def _is_set_off(rest: tuple[str, ...], border: tuple[str, ...]) -> bool:
    return not rest or border[0] in _PREPOSITIONS or set(rest) <= _PLACE_WORDS


def _is_slip(a: str, b: str) -> bool:
    """One letter changed, dropped, doubled or swapped with its neighbour, in a value of seven letters or more."""
    if min(len(a), len(b)) < 7 or abs(len(a) - len(b)) > 1 or any(char.isdigit() for char in a + b):
        return False
    start = next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
    rest_a, rest_b = a[start:], b[start:]
    return start > 0 and (
        rest_a[1:] == rest_b[1:]
        or rest_a[1:] == rest_b
        or rest_a == rest_b[1:]
        or (rest_a[:2] == rest_b[1::-1] and rest_a[2:] == rest_b[2:])
    )


def fuller(a: str, b: str) -> str:
    """The one that says more: a date with its year, more words; the first where they say the same."""
    day_a, day_b = as_day(a), as_day(b)
    if day_a and day_b:
        return b if day_b[0] and not day_a[0] else a
    return b if len(tokens(b)) > len(tokens(a)) else a
