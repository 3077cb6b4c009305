"""Mark answers: any-of matching of accepted values, word by word, and whether an answer refuses.

Case, accents, punctuation, articles, number words, thousands separators and the way a date or a range is written
make no difference; word boundaries do ("know" does not contain "no"). A value that the answer denies ("not in
Porto") is not given. A value that is given beside another one is not settled: "Lisbon or Porto" answers nothing, and
neither does a list of everything (`settles`). "Maybe Lisbon" does answer. No model takes part.
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
_ORDINAL_UNITS = "first second third fourth fifth sixth seventh eighth ninth"
_ORDINALS = {word: number for number, word in enumerate(_ORDINAL_UNITS.split(), 1)}
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
_SENTENCES = re.compile(r"(?<=[.;!?])\s+|\n")
_HEDGE = re.compile(r"\bor\b", re.IGNORECASE)
_CERTAIN = re.compile(r"\b(?:more or less|or so|or thereabouts|whether or not)\b", re.IGNORECASE)


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
    """Number words as digits: "thirty-eight" is "38", "two hundred and five" is "205", "nineteen sixty-one" is "1961",
    "forty-fourth" is "44th"."""
    out: list[Token] = []
    place = 0
    while place < len(found):
        number, n_words = _number(found[place:])
        if not n_words:
            out.append(found[place])
            place += 1
            continue
        out.append(str(number))
        place += n_words
        if place < len(found) and found[place] in _ORDINALS and number >= 20 and not number % 10:
            unit = _ORDINALS[str(found[place])]
            out[-1:] = [str(number + unit), {1: "st", 2: "nd", 3: "rd"}.get(unit, "th")]
            place += 1
    return out


def _number(found: Sequence[Token]) -> tuple[int, int]:
    """The number that the words begin with, and how many words it takes; (0, 0) where they begin with none."""
    number, n_words = _below_hundred(found)
    if not n_words:
        return 0, 0
    if 11 <= number <= 20:  # a year, as it is said: "nineteen sixty-one"
        rest, n_more = _below_hundred(found[n_words:])
        if n_more and rest >= 10:
            return 100 * number + rest, n_words + n_more
    for word, factor in (("thousand", 1000), ("hundred", 100)):
        if n_words < len(found) and found[n_words] == word:
            n_words += 1
            n_and = int(found[n_words : n_words + 1] == ["and"])
            rest, n_more = _number(found[n_words + n_and :])
            if n_more and rest < factor:
                return number * factor + rest, n_words + n_and + n_more
            return number * factor, n_words
    return number, n_words


def _below_hundred(found: Sequence[Token]) -> tuple[int, int]:
    words = [_NUMBERS.get(token) if isinstance(token, str) else None for token in found[:2]]
    if not words or words[0] is None:
        return 0, 0
    if words[0] >= 20 and len(words) > 1 and words[1] is not None and 0 < words[1] < 10:
        return words[0] + words[1], 2
    return words[0], 1


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


def settles(answer: str, accepted: Iterable[str], rivals: Iterable[str] = ()) -> bool:
    """Whether the answer gives an accepted value and stands by it: not as one of several ("Lisbon or Porto"), and
    without a rival, a value of which only one can hold ("Lisbon, Porto, Faro").

    What is said in doubt ("maybe Lisbon") is given; a value in "or" is not, unless it is said again without.
    """
    wanted, others = tuple(accepted), tuple(rivals)
    sentences = _SENTENCES.split(_CERTAIN.sub(" ", answer))
    if not any(_HEDGE.search(value) for value in wanted):
        sentences = [part for part in sentences if not _HEDGE.search(part)]
    is_given = any(gives_any(said, wanted) for said in sentences)
    return is_given and not any(gives_any(said, others) for said in sentences)


def refuses(answer: str) -> bool:
    """Whether the answer says that it does not know."""
    return bool(_REFUSAL.search(" ".join(re.sub(r"[^\w\s]", " ", _fold(answer)).split())))


def _same(said: Token, wanted: Token) -> bool:
    """Whether a token of the answer is that of the value; a day gives its year ("4 August 1961" gives "1961")."""
    if isinstance(said, Day):
        return said.fits(wanted) if isinstance(wanted, Day) else wanted == str(said.year)
    return said == wanted


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
