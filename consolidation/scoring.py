"""Mark answers: any-of matching of accepted values, word by word, and whether an answer refuses.

Case, accents, punctuation, articles, number words, thousands separators and the way a date or a range is written
make no difference (`consolidation.answer_words`); word boundaries do ("know" does not contain "no"). A value that the
answer denies ("not in Porto") is not given (`consolidation.clauses`). A value that is given beside another one is not
settled: "Lisbon or Porto" answers nothing, and neither does a list of everything (`settles`). "Maybe Lisbon" does
answer. No model takes part.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache

from consolidation.answer_words import MARKS, Day, Token, tokens, word_set
from consolidation.clauses import Reading, read
from consolidation.refusals import refuses

__all__ = ["gives", "gives_any", "holds_any", "refuses", "settles", "tokens"]

_OWNERS = frozenset(("my", "your", "his", "her", "its", "our", "their"))
_STOPS = frozenset(".;:!?")
# behind an "or" these name no other value: "Lisbon or so", "Lisbon, or more exactly Alfama"
_NO_RIVAL = word_set(
    "so thereabouts more less nearby near around close not something similar whatever better as to somewhere"
)
# between an "or" and a value these make it no other thing: "or perhaps in Lisbon"
_BETWEEN = word_set(
    "in at to on from with of for by near my your his her its our their he she they it i is was be are could might may maybe "
    "perhaps possibly probably else even rather think believe guess lives works either just"
)
_VERBS = word_set("is was lives lived works worked has had plays moved he she they it i")


def gives(answer: str, accepted: str) -> bool:
    """Whether the answer gives the accepted value, and not to deny it."""
    reading = read(answer)
    return any(not reading.denied[start] for start, _ in _places(reading, accepted)) or _has_number(
        answer, accepted
    )


def gives_any(answer: str, accepted: Iterable[str]) -> bool:
    """Whether the answer gives at least one of the accepted values."""
    return any(gives(answer, value) for value in accepted)


def holds_any(answer: str, values: Iterable[str]) -> bool:
    """Whether the answer gives one of the values as one that holds, and not as what was ("used to live in Oslo")."""
    reading = read(answer)
    return any(
        not (reading.denied[start] or reading.past[start])
        for value in values
        for start, _ in _places(reading, value)
    )


def settles(answer: str, accepted: Iterable[str], rivals: Iterable[str] = ()) -> bool:
    """Whether the answer gives an accepted value and stands by it: not as one of several ("Lisbon or Porto"), and
    without a rival, a value of which only one can hold ("Lisbon, Porto, Faro").

    What is said in doubt ("maybe Lisbon") is given; a value in "or" is not, unless it is said again without. A rival
    that is denied or told as past is none.
    """
    wanted = tuple(accepted)
    reading = read(answer)
    given = [span for value in wanted for span in _places(reading, value) if not reading.denied[span[0]]]
    starts, ends = {start for start, _ in given}, {end for _, end in given}
    plain = [span for span in given if not _is_in_or(reading.said, span, starts, ends)]
    if not plain:
        return not given and any(_has_number(answer, value) for value in wanted)
    settled = {reading.sentence[start] for start, _ in plain}
    return not any(_is_rival(reading, span, settled) for value in rivals for span in _places(reading, value))


def _is_rival(reading: Reading, span: tuple[int, int], settled: set[int]) -> bool:
    """Whether a rival is given there; where it stands in an "or" of another sentence, it is not."""
    start = span[0]
    if reading.denied[start] or reading.past[start]:
        return False
    return reading.sentence[start] in settled or not _is_in_or(reading.said, span, (), ())


def _is_in_or(
    said: Sequence[Token], span: tuple[int, int], starts: Iterable[int], ends: Iterable[int]
) -> bool:
    """Whether the value is one side of an "or" whose other side is none of the accepted (`starts`, `ends`)."""
    start, end = span
    left = _skip(said, start - 1, -1, _BETWEEN | {","})
    if left >= 1 and said[left] == "or":
        return _skip_marks(said, left) not in ends
    right = _or_behind(said, end)
    if right is None or right + 1 >= len(said) or said[right + 1] in _NO_RIVAL:
        return False
    return _skip(said, right + 1, 1, _BETWEEN | {","}) not in starts


def _skip(said: Sequence[Token], place: int, step: int, words: Iterable[Token]) -> int:
    while 0 <= place < len(said) and said[place] in words:
        place += step
    return place


def _skip_marks(said: Sequence[Token], place: int) -> int:
    """The place behind the last word before `place`."""
    while place and said[place - 1] == ",":
        place -= 1
    return place


def _or_behind(said: Sequence[Token], end: int) -> int | None:
    """Where the "or" stands that follows the value: at once, or at the end of a list that it is in ("Lisbon, Porto or Faro")."""
    place, n_words = end, 0
    while place < len(said) and n_words <= 4:
        token = said[place]
        if token == "or":
            return place
        if token in _STOPS or (token != "," and place == end) or token in _VERBS:
            return None
        n_words = 0 if token == "," else n_words + 1
        place += 1
    return None


def _places(reading: Reading, accepted: str) -> Iterator[tuple[int, int]]:
    """Where the value stands in the answer, from its first token to behind its last; marks within it are passed."""
    wanted = _wanted(accepted)
    if not wanted or not reading.may_hold(wanted[0]):
        return
    said = reading.said
    for start, token in enumerate(said):
        if token in MARKS or not _same(token, wanted[0]):
            continue
        end = start + 1
        for word in wanted[1:]:
            end = _skip(said, end, 1, MARKS)
            if end >= len(said) or not _same(said[end], word):
                break
            end += 1
        else:
            yield start, end


@lru_cache(maxsize=16384)
def _wanted(accepted: str) -> tuple[Token, ...]:
    """The value's words; a leading "her" or "my" does not belong to it, where more follows."""
    found = [token for token in tokens(accepted) if token not in MARKS]
    return tuple(found[1:] if len(found) > 1 and found[0] in _OWNERS else found)


def _same(said: Token, wanted: Token) -> bool:
    """Whether a token of the answer is that of the value; a day gives its month and its year ("4 August 1961" gives "1961")."""
    if isinstance(said, Day):
        return said.fits(wanted) if isinstance(wanted, Day) else said.gives(wanted)
    return said == wanted


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
