"""Texts as words, numbers, dates and clause marks, in a form where equal values are equal.

Case, accents, punctuation, articles, number words ("twenty-one", "a hundred", "third"), thousands separators, dates and
ranges are read here and nowhere else. "2015-03" is a month, as ISO has it, and "2009-17" a range; of "03/04/2015" nobody
knows which day it is, so it stays what is written.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache


def word_set(spaced: str) -> frozenset[str]:
    return frozenset(spaced.split())


_UNITS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
    "seventeen eighteen nineteen"
)
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
_NUMBERS = {word: number for number, word in enumerate(_UNITS.split())} | {
    word: 20 + 10 * number for number, word in enumerate(_TENS.split())
}
_SCALES = {"million": 1_000_000, "thousand": 1000, "hundred": 100, "dozen": 12}
_ORDINAL_UNITS = (
    "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth "
    "fifteenth sixteenth seventeenth eighteenth nineteenth"
)
_ORDINALS = (
    {word: number for number, word in enumerate(_ORDINAL_UNITS.split(), 1)}
    | {f"{word[:-1]}ieth": _NUMBERS[word] for word in _TENS.split()}
    | {"hundredth": 100, "thousandth": 1000}
)
_ORDINAL = re.compile(
    rf"\b(?:(?P<tens>{'|'.join(_TENS.split())})[ -])?(?P<unit>{'|'.join(_ORDINAL_UNITS.split()[:9])})\b"
    rf"|\b(?P<whole>{'|'.join(list(_ORDINALS)[9:])})\b"
)
_MONTH_NAMES = "january february march april may june july august september october november december"
_MONTHS = {form: n for n, name in enumerate(_MONTH_NAMES.split(), 1) for form in (name, name[:3])} | {
    "sept": 9
}
_MONTH = rf"(?P<month>{'|'.join(sorted(_MONTHS, key=len, reverse=True))})\.?"
_DAY = r"(?P<day>\d{1,2})(?:st|nd|rd|th)?"
_YEAR = r"(?:(?:,?\s+(?:of\s+)?|-)(?P<year>[12]\d{3})(?!\d))?"
_DATES = (
    re.compile(
        r"(?<![-\d/.])(?P<year>\d{4})([-/.])(?P<month>\d{1,2})\2(?P<day>\d{1,2})"
        r"(?:[t ]00:00(?::00)?(?:z|\+00:00)?)?(?![-\d/])"
    ),
    re.compile(
        r"(?<![-\d/.])(?P<first>\d{1,2})([-/.])(?P<second>\d{1,2})\2(?P<year>[12]\d{3})(?![-\d/]|\.\d)"
    ),
    re.compile(rf"\b{_DAY}(?:\s+(?:of\s+)?|-){_MONTH}(?![a-z]){_YEAR}"),
    re.compile(rf"\b{_MONTH}\s+(?:the\s+)?{_DAY}(?!\d|:){_YEAR}"),
    re.compile(rf"\b{_MONTH}(?:,?\s+(?:of\s+)?|-)(?P<year>[12]\d{{3}})(?![-\d/]|\.\d)"),
    re.compile(r"(?<![-\d/.])(?P<year>[12]\d{3})-(?P<month>0[1-9]|1[0-2])(?![-\d/]|\.\d)"),
    re.compile(r"(?<![-\d/.])(?P<month>0?[1-9]|1[0-2])/(?P<year>[12]\d{3})(?![-\d/]|\.\d)"),
)
_TYPED_RANGE = re.compile(r"(?<![\d–-])(\d{1,4})\s*–\s*(\d{1,4})(?![\d–-])")
_HYPHENED = re.compile(r"(?<![-\d<.])(\d{1,4})\s*-\s*(\d{1,4})\b(?![-\d])")
_RANGE_WORDS = frozenset(("to", "until", "till", "til", "through", "thru"))
_SHORT_FORMS = re.compile(r"\b(mr|mrs|ms|dr|st|prof|[a-z])\.(?= ?[a-z])")
_TOKEN = re.compile(r"<[\d-]+>|\d+(?:st|nd|rd|th)\b|\d+(?:[.:]\d+)*|[^\W\d_]+|[.,;:!?]")
_DIGIT = re.compile(r"\d")
MARKS = frozenset(".,;:!?")
_ARTICLES = frozenset(("a", "an", "the"))


@dataclass(frozen=True, slots=True)
class Day:
    """A date as said: `day` is None of a month, `year` where it was left out."""

    month: int
    day: int | None
    year: int | None

    def fits(self, wanted: Day) -> bool:
        """Whether this is the wanted day, or lies in the wanted month."""
        is_year_open = wanted.day is not None and None in (self.year, wanted.year)
        return (
            self.month == wanted.month
            and wanted.day in (None, self.day)
            and (is_year_open or self.year == wanted.year)
        )

    def gives(self, word: str) -> bool:
        """Whether the word is its year or the name of its month."""
        return word in (str(self.year), _MONTH_NAMES.split()[self.month - 1])


Token = str | Day


@lru_cache(maxsize=16384)
def tokens(text: str) -> tuple[Token, ...]:
    """The text as words, numbers, dates and clause marks. A dash between clauses is a semicolon, a new line a comma."""
    folded = _ORDINAL.sub(_as_digits, fold(text))
    if _DIGIT.search(folded):
        for pattern in _DATES:
            folded = pattern.sub(_mark_date, folded)
        folded = re.sub(r"(?<=\d)[,  '](?=\d{3}(?!\d))", "", folded)
        folded = _HYPHENED.sub(r"\1 to \2", folded)
    folded = re.sub(r"\s-+\s|--+", " ; ", folded)
    found = [_as_day(token) or token for token in _TOKEN.findall(folded)]
    return tuple(_ranges(_digits([token for token in found if token not in _ARTICLES])))


@lru_cache(maxsize=16384)
def fold(text: str) -> str:
    """Without case, accents and apostrophes: "n't" is "nt", and the 's of an owner is dropped."""
    text = re.sub("[’‘ʼ′`´]", "'", text)
    plain = text.casefold()
    if not plain.isascii():
        decomposed = unicodedata.normalize("NFKD", text)
        plain = "".join(char for char in decomposed if not unicodedata.combining(char)).casefold()
    plain = _TYPED_RANGE.sub(r"\1 to \2", plain)
    plain = re.sub(r"(?<!\d)\s*[—―]\s*|\s*[—―]\s*(?!\d)|\s–\s", " - ", plain)
    plain = re.sub(r"[‐‑‒–—−]", "-", plain)
    plain = re.sub(r"\s*\n\s*(?:[-*•]\s+)?", " , ", plain)
    plain = re.sub(r"(?<=\w)'s (?=(?:not|never|no longer|now|wrong|false|incorrect|untrue)\b)", " is ", plain)
    plain = re.sub(r"[()\[\]]", " , ", re.sub(r"\.{2,}", " ; ", plain))
    plain = re.sub(r"(?<=\w)'s\b", "", plain)
    return _SHORT_FORMS.sub(r"\1", plain.replace("n't", "nt").replace("'", ""))


def _as_digits(match: re.Match[str]) -> str:
    number = _NUMBERS.get(match["tens"] or "", 0) + _ORDINALS[match["unit"] or match["whole"]]
    last = 0 if number % 100 in (11, 12, 13) else number % 10
    return f"{number}{ {1: 'st', 2: 'nd', 3: 'rd'}.get(last, 'th') }"


def _mark_date(match: re.Match[str]) -> str:
    found = match.groupdict()
    if "first" in found:
        numbers = _day_and_month(int(found["first"]), int(found["second"]))
    else:
        month = found["month"]
        number = int(month) if month.isdecimal() else _MONTHS[month]
        numbers = (int(found.get("day") or 0), number)
    if numbers is None or not (0 <= numbers[0] <= 31 and 1 <= numbers[1] <= 12):
        return match[0]
    return f" <{numbers[1]}-{numbers[0]}-{found['year'] or 0}> "


def _day_and_month(first: int, second: int) -> tuple[int, int] | None:
    """Of a date in numbers, where only one order makes a date or both make the same."""
    if first == second or second <= 12 < first:
        return first, second
    return (second, first) if first <= 12 < second else None


def _as_day(token: str) -> Day | None:
    if not token.startswith("<"):
        return None
    month, day, year = (int(part) for part in token[1:-1].split("-"))
    return Day(month, day or None, year or None)


def _digits(found: Sequence[Token]) -> list[Token]:
    """Number words as digits: "thirty-eight" is "38", "two hundred and five" is "205", "nineteen sixty-one" is "1961"."""
    out: list[Token] = []
    place = 0
    while place < len(found):
        number, n_words = _number(found[place : place + 16])
        out.append(str(number) if n_words else found[place])
        place += n_words or 1
    return out


def _number(found: Sequence[Token]) -> tuple[int, int]:
    """The number that the words begin with, and how many words it takes; (0, 0) where they begin with none."""
    if found[:2] == ["half", "dozen"]:
        return 6, 2
    part, n_words = _below_hundred(found)
    if not n_words and found and found[0] in _SCALES:
        part = 1  # "a hundred": the article is gone
    elif not n_words:
        return 0, 0
    if 11 <= part <= 20:  # a year, as it is said: "nineteen sixty-one"
        rest, n_more = _below_hundred(found[n_words:])
        if rest >= 10 and not any(map(_is_digit, found[: n_words + 1])):
            return 100 * part + rest, n_words + n_more
    total, is_scaled = 0, False
    while (factor := _scale_at(found, n_words)) and part < max(100, factor):
        total, part = (total, part * factor) if factor < 1000 else (total + part * factor, 0)
        n_and = int(found[n_words + 1 : n_words + 2] == ["and"])
        rest, n_more = _below_hundred(found[n_words + 1 + n_and :])
        n_words, is_scaled = n_words + 1, True
        is_digit = n_more and _is_digit(found[n_words + n_and])
        if n_more and rest < factor != _scale_at(found, n_words + n_and + n_more) and not is_digit:
            part, n_words = part + rest, n_words + n_and + n_more
    return (total + part, n_words) if is_scaled or not _is_digit(found[0]) else (0, 0)


def _scale_at(found: Sequence[Token], place: int) -> int:
    word = found[place] if place < len(found) else ""
    return _SCALES.get(word, 0) if isinstance(word, str) else 0


def _is_digit(token: Token) -> bool:
    return isinstance(token, str) and token.isdecimal()


def _below_hundred(found: Sequence[Token]) -> tuple[int, int]:
    if found and isinstance(found[0], str) and found[0].isdecimal() and len(found[0]) < 7:
        return int(found[0]), 1
    words = [_NUMBERS.get(token) if isinstance(token, str) else None for token in found[:2]]
    if not words or words[0] is None:
        return 0, 0
    if words[0] >= 20 and len(words) > 1 and words[1] is not None and 0 < words[1] < 10:
        return words[0] + words[1], 2
    return words[0], 1


def _ranges(found: Sequence[Token]) -> list[Token]:
    """Every range as "A to B": "between A and B", "A until B", "A through B", "A up to B"; "2009 to 17" is "2009 to 2017"."""
    out: list[Token] = []
    place = 0
    while place < len(found):
        if not _is_point(found[place]):
            out.append(found[place])
            place += 1
            continue
        first, rest = found[place], found[place + 1 : place + 4]
        is_between = bool(out) and out[-1] == "between" and rest[:1] == ["and"]
        n_between = (
            2
            if rest[:2] == ["up", "to"]
            else int(is_between or (rest[0:1] != [] and rest[0] in _RANGE_WORDS))
        )
        if not n_between or len(rest) <= n_between or not _is_point(rest[n_between]):
            out.append(first)
            place += 1
            continue
        if is_between:
            out.pop()
        out += [first, "to", _in_full(first, rest[n_between])]
        place += n_between + 2
    return out


def _is_point(token: Token) -> bool:
    return isinstance(token, Day) or token.isdecimal()


def _in_full(first: Token, last: Token) -> Token:
    """The last year of a range with its century, where it was left out."""
    if not (isinstance(first, str) and isinstance(last, str) and len(first) == 4 and len(last) == 2):
        return last
    return first[:2] + last if int(first) >= 1100 and last > first[2:] else last
