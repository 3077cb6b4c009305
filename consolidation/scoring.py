"""Mark answers: any-of matching of accepted values, word by word, and whether an answer refuses.

Case, accents, punctuation, articles, number words, thousands separators and the way a date or a range is written
make no difference; word boundaries do ("know" does not contain "no"). A value that the answer denies ("not in
Porto") is not given. No model takes part.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

_UNITS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
    "seventeen eighteen nineteen"
)
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
_NUMBERS = {word: number for number, word in enumerate(_UNITS.split())} | {
    word: 20 + 10 * number for number, word in enumerate(_TENS.split())
}
_MONTH_NAMES = "january february march april may june july august september october november december"
_MONTHS = {form: n for n, name in enumerate(_MONTH_NAMES.split(), 1) for form in (name, name[:3])} | {
    "sept": 9
}
_MONTH = rf"(?P<month>{'|'.join(sorted(_MONTHS, key=len, reverse=True))})\.?"
_YEAR = r"(?:,?\s+(?:of\s+)?(?P<year>[12]\d{3}))?"
_DATES = (
    re.compile(
        r"\b(?P<year>\d{4})-(?P<month>\d{2})-(?P<day>\d{2})(?:[t ]00:00(?::00)?(?:z|\+00:00)?)?(?!\d)"
    ),
    re.compile(rf"\b(?P<day>\d{{1,2}})(?:st|nd|rd|th)?\s+(?:of\s+)?{_MONTH}(?![a-z]){_YEAR}"),
    re.compile(rf"\b{_MONTH}\s+(?:the\s+)?(?P<day>\d{{1,2}})(?:st|nd|rd|th)?(?!\d|:){_YEAR}"),
)
_RANGE = re.compile(r"(?<![-\d<.])(\d{1,4})\s*(?:-|to|until|till)\s*(\d{1,4})\b(?![-\d])")
_TOKEN = re.compile(r"<[\d-]+>|\d+(?:[.:]\d+)*|[^\W\d_]+|[.,;:!?]")
_MARKS = frozenset(".,;:!?")
_CLAUSE_ENDS = _MARKS | {"but", "because", "instead"}
_ARTICLES = frozenset(("a", "an", "the"))
_OWNERS = frozenset(("my", "your", "his", "her", "its", "our", "their"))
_DENIALS = frozenset(
    ("not", "never", "no", "dont", "doesnt", "didnt", "isnt", "wasnt", "wont", "nor", "neither")
)
_REFUSAL = re.compile(
    r"\b(?:i|we) (?:do not|dont|cannot|cant|could not|couldnt) (?:know|tell|say|remember|recall)\b"
    r"|\b(?:have|got) no (?:idea|information|record|knowledge|clue)\b|^no idea\b"
    r"|\b(?:i am|im|we are|were) not (?:sure|aware|certain|familiar)\b"
    r"|\b(?:nobody|no one|noone) (?:told|mentioned|said)\b|\b(?:not|never) (?:been )?(?:told|mentioned|known)\b"
    r"|\b(?:is|that|it) unknown\b|\b(?:i have|ive) never heard\b|\bhavent (?:been told|heard)\b"
    r"|\bnot (?:something|anything) i know\b"
)


@dataclass(frozen=True, slots=True)
class Day:
    """A date as said; `year` is None where it was left out."""

    month: int
    day: int
    year: int | None

    def fits(self, other: Day) -> bool:
        is_year_open = self.year is None or other.year is None
        return (self.month, self.day) == (other.month, other.day) and (
            is_year_open or self.year == other.year
        )


Token = str | Day


@lru_cache(maxsize=16384)
def tokens(text: str) -> tuple[Token, ...]:
    """The text as words, numbers, dates and clause marks, in a form where equal values are equal."""
    folded = _fold(text)
    for pattern in _DATES:
        folded = pattern.sub(_mark_date, folded)
    folded = re.sub(r"(?<=\d)[,  '](?=\d{3}(?!\d))", "", folded)
    folded = _RANGE.sub(r"\1 to \2", folded)
    found = [_as_day(token) or token for token in _TOKEN.findall(folded)]
    return tuple(_digits([token for token in found if token not in _ARTICLES]))


def _fold(text: str) -> str:
    decomposed = unicodedata.normalize("NFKD", text)
    plain = "".join(char for char in decomposed if not unicodedata.combining(char)).casefold()
    plain = re.sub(r"[‐‑‒–—−]", "-", plain.replace("’", "'"))
    plain = re.sub(r"(?<=\w)'s\b", "", plain)
    return plain.replace("n't", "nt").replace("'", "")


def _mark_date(match: re.Match[str]) -> str:
    month = match["month"]
    number = int(month) if month.isdecimal() else _MONTHS[month]
    return f" <{number}-{int(match['day'])}-{match['year'] or 0}> "


def _as_day(token: str) -> Day | None:
    if not token.startswith("<"):
        return None
    month, day, year = (int(part) for part in token[1:-1].split("-"))
    return Day(month, day, year or None)


def _digits(found: Sequence[Token]) -> list[Token]:
    """Number words as digits: "thirty eight" and "thirty-eight" are "38", "two hundred" is "200"."""
    out: list[Token] = []
    was: str | None = None  # the number word before, while a number is being said
    for token in found:
        number = _NUMBERS.get(token) if isinstance(token, str) else None
        last = out[-1] if out else None
        if number is not None and was in _TENS.split() and 0 < number < 10 and isinstance(last, str):
            out[-1] = str(int(last) + number)
        elif token in ("hundred", "thousand") and was is not None and isinstance(last, str):
            out[-1] = str(int(last) * (100 if token == "hundred" else 1000))
        else:
            out.append(token if number is None else str(number))
            was = None
        was = str(token) if number is not None else None
    return out


def gives(answer: str, accepted: str) -> bool:
    """Whether the answer gives the accepted value, and not to deny it."""
    wanted = _without_lead([token for token in tokens(accepted) if token not in _MARKS])
    if not wanted:
        return False
    return _is_among(wanted, tokens(answer)) or _has_number(answer, accepted)


def _is_among(wanted: Sequence[Token], said: Sequence[Token]) -> bool:
    """Whether the words stand in the answer, side by side and undenied; clause marks between them are passed."""
    places = [i for i, token in enumerate(said) if token not in _MARKS]
    words = [said[i] for i in places]
    return any(
        all(_same(a, b) for a, b in zip(words[start : start + len(wanted)], wanted, strict=True))
        and not _denied(said, places[start])
        for start in range(len(words) - len(wanted) + 1)
    )


def _has_number(answer: str, accepted: str) -> bool:
    """Whether a telephone number (seven digits or more, and nothing else) stands in the answer, however spaced."""
    digits = re.sub(r"\D", "", accepted)
    if (
        len(digits) < 7
        or not re.fullmatch(r"[\d\s().+/-]+", accepted)
        or isinstance(tokens(accepted)[0], Day)
    ):
        return False
    return any(digits in re.sub(r"\D", "", run) for run in re.findall(r"[\d\s().+/-]{7,}", answer))


def gives_any(answer: str, accepted: Iterable[str]) -> bool:
    """Whether the answer gives at least one of the accepted values."""
    return any(gives(answer, value) for value in accepted)


def refuses(answer: str) -> bool:
    """Whether the answer says that it does not know."""
    return bool(_REFUSAL.search(" ".join(re.sub(r"[^\w\s]", " ", _fold(answer)).split())))


def _same(a: Token, b: Token) -> bool:
    if isinstance(a, Day) and isinstance(b, Day):
        return a.fits(b)
    return a == b


def _without_lead(found: list[Token]) -> list[Token]:
    """A leading "her" or "my" does not belong to the value, where more follows."""
    return found[1:] if len(found) > 1 and found[0] in _OWNERS else found


def _denied(said: Sequence[Token], start: int) -> bool:
    """Whether a denial stands before the value in its own clause."""
    for token in reversed(said[:start]):
        if token in _CLAUSE_ENDS:
            return False
        if token in _DENIALS:
            return True
    return False
