"""Which words of an answer are denied, and which are told as past: rules over words, without a model.

A denial reaches to the end of its clause: to a full stop, colon or dash, to "but", and to a comma or an "and" behind
which somebody does something again. "Not Porto, Lisbon" puts right, where "She is not from Porto, Lisbon" may go on
denying, so that neither is given there. What stands before a denial is denied where it is said to be wrong ("Porto is not
her city", "Porto? No.", "Porto, no, Lisbon").
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

from consolidation.answer_words import MARKS, Day, Token, tokens, word_set

_HARD = frozenset(".;:!?")
_AUXILIARIES = word_set(
    "is are was were am be been has have had do does did can could will would shall should may might must"
)
_NEGATED = re.compile(
    r"(?:do|does|did|is|are|was|were|ai|ca|wo|would|should|could|have|has|had|must|need|might|sha|may|ought|dare)nt|cannot"
)
_DENIALS = word_set(
    "not never no nor neither nobody noone none nothing nowhere without hardly scarcely doubt doubts unlikely"
)
# behind these a "not" or a "no" denies nothing
_IDIOMS = word_set(
    "only just merely simply solely doubt doubts question questions wonder secret surprise surprising surprisingly mistake "
    "mistaken wrong forget forgotten forgetting deny denied denying left leave leaving stopped changed problem problems worries "
    "unlike matter mention"
)
_MORE = word_set("later earlier sooner less fewer more other better bigger smaller older younger")
_SO_WHAT = word_set("fail exception further")  # without fail
_ENDING = word_set("but because instead whereas although though however")
_JOINING = word_set("and so then while since as when plus or yet where who which whose")
_PRONOUNS = word_set("i you he she it we they that this there im ive youre hes shes its theyre weve were")
_PERSONS = word_set("i he she we they it")
_EVERYTHING = word_set("all anything everything anywhere everywhere anyone everyone")
_FINITE = _AUXILIARIES | word_set(
    "isnt arent wasnt werent hasnt havent hadnt doesnt dont didnt cant cannot couldnt wont wouldnt "
    "lives lived works worked moved moves resides resided stays stayed comes came goes went plays played studies studied "
    "teaches taught drives drove owns owned likes liked loves loved prefers preferred speaks spoke has had became becomes "
    "settled runs ran makes made took takes chose chooses began started called named says said means meant keeps kept "
    "bought got gets married wants wanted hopes thinks knows knew"
)
_ADVERBS = word_set(
    "now actually currently today rather then instead just still also really only always even already probably"
)
_GUESSES = word_set(
    "maybe perhaps probably possibly presumably likely rather actually now currently today nowadays"
)
# a comma behind these ends what is denied: it is whole
_COMPLETE = word_set(
    "know sure certain idea there here anymore more it that this so right true correct say tell remember recall exactly "
    "really quite yet clue him her them me longer no not never accurate information mistaken positive think"
)
_INTERJECTIONS = word_set("no nope nah wrong incorrect false never not")
_REPAIRS = word_set("wait sorry actually correction rather")
_LEADS = word_set(
    "well hmm oh ok okay yes i think that in at to on from for of by my his her their our your its and so maybe perhaps city town"
)
# "Porto is not ...": what shows that the value itself is denied, not something about it
_IDENTITY = word_set(
    "my your his her its our their right correct true it so one possible valid accurate answer place city town country home "
    "case name person man woman job value date day year number thing hers theirs"
)
_ASKING = word_set("where what who how when which")
_SUITS = word_set("apply fit match hold count")
_COPULAS = word_set("is are was were isnt arent wasnt werent")
_WRONG = word_set("wrong incorrect false untrue mistaken outdated")


@dataclass(frozen=True, slots=True)
class Reading:
    """An answer's tokens, and of each whether it is denied, told as past, and in which sentence it stands."""

    said: tuple[Token, ...]
    denied: tuple[bool, ...]
    past: tuple[bool, ...]
    sentence: tuple[int, ...]
    words: frozenset[Token]
    has_day: bool

    def may_hold(self, first: Token) -> bool:
        """Whether a value that begins with this token can stand in it at all."""
        return self.has_day or first in self.words


@lru_cache(maxsize=4096)
def read(answer: str) -> Reading:
    said = tokens(answer)
    sentence, number = [], 0
    for token in said:
        sentence.append(number)
        number += token in _HARD
    return Reading(
        said,
        tuple(_denied(said)),
        tuple(_past(said)),
        tuple(sentence),
        frozenset(said),
        any(isinstance(token, Day) for token in said),
    )


def _denied(said: Sequence[Token]) -> list[bool]:
    flags = [False] * len(said)
    reach, start, i = "", 0, 0  # reach: "" | "phrase" | "clause"
    while i < len(said):
        token = said[i]
        if token in _HARD or (reach and _is_end(said, i, reach, start)):
            reach = ""
        flags[i] = bool(reach)
        n_words = _opens_phrase(said, i)
        if n_words:
            was_open = reach == "clause" and token in ("except", "other", "save")  # "nowhere except Lisbon"
            reach, start = ("", i) if was_open else (reach or "phrase", i)
            flags[i : i + n_words] = [flags[i]] * len(flags[i : i + n_words])
            i += n_words
            continue
        if is_denial(said, i):
            reach, start = ("phrase" if token == "without" else "clause"), i
            _deny_subject(said, i, flags)
        elif (
            token in _WRONG
            and i
            and said[i - 1] in _AUXILIARIES
            and said[i + 1 : i + 2] in (("that",), ("to",))
        ):
            reach, start = "clause", i  # "It is wrong that ..."
        elif token in _WRONG and i and said[i - 1] in _AUXILIARIES:
            verb = i - 1
            while verb and said[verb - 1] in _AUXILIARIES:
                verb -= 1
            _deny_before(said, verb, flags)
        i += 1
    _deny_asked(said, flags)
    return flags


def is_denial(said: Sequence[Token], i: int) -> bool:
    """Whether the word denies: no interjection ("No, Lisbon"), no idiom ("no doubt", "not only")."""
    token = said[i]
    if not isinstance(token, str):
        return False
    after = [word for word in said[i + 1 : i + 4] if isinstance(word, str)]
    if token in ("no", "not", "without", "never") or _NEGATED.fullmatch(token):
        if after and (after[0] in _IDIOMS or (token == "without" and after[0] in _SO_WHAT)):
            return False
        if after[:1] == ["to"] and after[1:2] and after[1] in _IDIOMS:
            return False  # "not to mention"
        if len(after) > 1 and after[0] in _MORE and after[1] == "than":
            return False
        if after[:2] in (["be", "denied"], ["be", "wrong"], ["be", "mistaken"]):
            return False
    if token == "no":
        return (
            bool(after) and after[0] not in MARKS and after[0] not in _PRONOUNS and not _is_repair(after[0])
        )
    if token in ("none", "no") and after[:2] == ["other", "than"]:
        return False
    if token in ("doubt", "doubts"):
        return bool(i) and said[i - 1] in _PRONOUNS
    return token in _DENIALS or bool(_NEGATED.fullmatch(token))


def _is_repair(word: str) -> bool:
    return word in _REPAIRS or word in _ENDING


def _is_end(said: Sequence[Token], i: int, reach: str, start: int) -> bool:
    """Whether the reach of the denial at `start` ends at this token, which is no full stop."""
    token, after = said[i], said[i + 1 : i + 2]
    if token in _ENDING and not (token == "instead" and after and after[0] == "of"):
        return True
    if token == "rather" and not (after and after[0] == "than"):
        return True
    if reach == "phrase":
        is_place = said[start] == "without" and token in ("in", "at", "on", "from", "since")
        return token == "," or is_place or token in _PERSONS or token in _ADVERBS
    if token in ("until", "till"):
        return True  # "not until 2009"
    if token == ",":
        return (
            said[i - 1] in _COMPLETE
            or is_denial(said, i - 1)
            or _begins_clause(said, i + 1)
            or _is_contrast(said, start, i)
        )
    return token in _JOINING and _is_subject(said, i + 1)


def _opens_phrase(said: Sequence[Token], i: int) -> int:
    """How many words open a phrase that is left out ("instead of Porto", "rather than Porto"); 0 for none."""
    two = tuple(said[i : i + 2])
    if two == ("other", "than") and i and said[i - 1] in ("no", "none"):
        return 0
    if two in (
        ("instead", "of"),
        ("rather", "than"),
        ("other", "than"),
        ("opposed", "to"),
        ("except", "for"),
        ("save", "for"),
    ):
        return 2
    if two[1:] == ("but",) and two[0] in _EVERYTHING:
        is_idiom = i and is_denial(said, i - 1)
        return 0 if is_idiom else 2
    if tuple(said[i : i + 3]) == ("in", "place", "of"):
        return 3
    return int(two[0] in ("except", "excluding", "unlike"))


def _segment(said: Sequence[Token], start: int) -> Sequence[Token]:
    """The words up to the next mark or the next joining word."""
    end = start
    while end < len(said) and said[end] not in MARKS and said[end] not in ("and", "or", "but", "nor"):
        end += 1
    return said[start:end]


def _begins_clause(said: Sequence[Token], start: int) -> bool:
    """Whether what comes is a clause of its own: with a subject or a verb, or put forward as a guess or as what holds now."""
    if said[start : start + 1] and said[start] in ("and", "or", "nor", "but"):
        return said[start] == "but" or (said[start] == "and" and _begins_clause(said, start + 1))
    found = _segment(said, start)
    if any(token in _GUESSES for token in found[:2]):
        return True
    return any(token in _FINITE for token in found) or bool(
        found and found[0] in _PRONOUNS and len(found) > 1
    )


def _is_subject(said: Sequence[Token], start: int) -> bool:
    """Whether the words begin with a subject or a verb of their own, adverbs aside."""
    found = _segment(said, start)
    while found and found[0] in _ADVERBS:
        found = found[1:]
    if not found:
        return False
    if found[0] in _PRONOUNS or found[0] in _FINITE:
        return len(found) > 1
    return any(token in _FINITE for token in found[1:4])


def _is_contrast(said: Sequence[Token], start: int, comma: int) -> bool:
    """Whether it is "Not A, B": a denial without a verb that opens its sentence, and no list of what is denied."""
    before = start
    while before and said[before - 1] not in _HARD:
        before -= 1
    opening = [token for token in said[before:start] if token not in MARKS]
    if said[start] != "not" or any(token not in _INTERJECTIONS | {"so"} for token in opening):
        return False
    rest = []
    for token in said[comma:]:
        if token in _HARD:
            break
        rest.append(token)
    return "or" not in rest and "nor" not in rest and "and" not in rest


def _deny_subject(said: Sequence[Token], i: int, flags: list[bool]) -> None:
    """ "Porto is not her city" denies Porto: the clause begins with it, and what it is said not to be is the thing itself."""
    token = said[i]
    verb = i if isinstance(token, str) and _NEGATED.fullmatch(token) else i - 1
    if verb < 1 or not (verb == i or said[verb] in _AUXILIARIES):
        return
    rest = [
        word
        for word in _segment(said, i + 1)
        if word not in _ADVERBS and word not in ("longer", "any", "more")
    ]
    is_itself = not rest or rest[0] in _ASKING or any(word in _IDENTITY for word in rest[:3])
    if is_itself if said[verb] in _COPULAS else any(word in _SUITS for word in rest[:1]):
        _deny_before(said, verb, flags)


def _deny_before(said: Sequence[Token], verb: int, flags: list[bool]) -> None:
    """Deny the subject of the verb: all words of its clause before it, unless they hold a verb."""
    first = verb
    while first and said[first - 1] not in MARKS and said[first - 1] not in ("and", "but", "or"):
        first -= 1
    subject = said[first:verb]
    while subject and subject[0] in _LEADS:
        subject, first = subject[1:], first + 1
    if not any(word in _FINITE or word in _PRONOUNS for word in subject):
        flags[first:verb] = [True] * (verb - first)


def _deny_asked(said: Sequence[Token], flags: list[bool]) -> None:
    """What is asked and answered with "no" is denied, and so is what somebody takes back: "Porto, no, Lisbon"."""
    for i, token in enumerate(said):
        if token == "?" and said[i + 1 : i + 2] in (("i",), ("we",)) and is_denial(said, i + 2):
            _deny_back(said, i, flags, _HARD)  # "Lisbon? I don't know."
        if token not in MARKS or i + 1 >= len(said) or said[i + 1] not in _INTERJECTIONS:
            continue
        after = said[i + 2 : i + 3]
        is_alone = not after or (after[0] in MARKS and after[0] != "?") or _is_repair(str(after[0]))
        said_no = said[i + 1] not in ("not", "never") or (
            is_denial(said, i + 1) and after[:1] not in (("sure",), ("certain",))
        )
        is_idiom = said[i + 1] == "no" and not is_alone and after[0] in _IDIOMS
        if token == "?" and said_no and not is_idiom:
            _deny_back(said, i, flags, _HARD)
        elif token in (",", ";") and said[i + 1] in ("no", "nope", "nah", "wrong") and is_alone:
            _deny_back(said, i, flags, _HARD - {";"} if token == ";" else _HARD)
        elif token == "." and said[i + 1] == "no" and after and after[0] in ("wait", "sorry"):
            _deny_back(said, i, flags, _HARD)


def _deny_back(said: Sequence[Token], end: int, flags: list[bool], stops: Container[Token]) -> None:
    first = end
    while first and said[first - 1] not in stops:
        first -= 1
    flags[first:end] = [True] * (end - first)


_PAST = word_set("formerly previously originally once ex former previous earlier")
_LEAVING = word_set("left quit stopped swapped traded exchanged replaced abandoned leaving")
_GOING = word_set("moved move moving relocated switched changed transferred went came returned")
_WAS = word_set("lived worked was were had resided stayed studied taught drove owned played")
_NOW = word_set("now currently nowadays today")
_IS = word_set("lives works is has resides stays studies teaches drives owns plays")


def _past(said: Sequence[Token]) -> list[bool]:
    """Of each word whether it is told as what was: "used to live in Oslo", "from Oslo to Bergen", "Oslo, now Bergen"."""
    flags = [False] * len(said)
    segments = list(_segments(said))
    is_now = [any(token in _NOW | _IS for token in said[a:b]) for a, b in segments]
    for place, (a, b) in enumerate(segments):
        words = said[a:b]
        is_weak = any(token in _WAS for token in words) and not is_now[place]
        others = any(now for other, now in enumerate(is_now) if other != place)
        earlier = said[slice(*segments[place - 1])] if place else ()
        is_before = earlier[:1] == ("before",) and (is_weak or len(earlier) == 1)
        if _is_of_the_past(words) or is_before or (is_weak and others):
            flags[a:b] = [True] * (b - a)
        for first, last in _parts_of_the_past(words):
            flags[a + first : a + last] = [True] * (last - first)
        opens_now = words[:1] and words[0] in _NOW and words[1:2] != ("that",)
        if (
            opens_now
            and place
            and not is_now[place - 1]
            and all(t not in _HARD - {";"} for t in said[segments[place - 1][1] : a])
        ):
            before = segments[place - 1]
            flags[before[0] : before[1]] = [True] * (before[1] - before[0])
    return flags


def _segments(said: Sequence[Token]) -> Iterable[tuple[int, int]]:
    """Clauses as the past divides them: at marks, at "but", before "now", and at an "and" with a verb behind it."""
    start = 0
    for i, token in enumerate(said):
        is_and = token in ("and", "then") and (
            _is_subject(said, i + 1) or (said[i + 1 : i + 2] and said[i + 1] in _NOW)
        )
        is_now = (
            token in _NOW
            and i > start
            and _segment(said, i + 1)
            and not any(t in _FINITE for t in (said[i - 1], *said[i + 1 : i + 2]))
            and said[i - 1] not in _PRONOUNS
        )
        if token in MARKS or token in _ENDING or is_and or is_now:
            if i > start:
                yield start, i
            start = i if is_now and token in _NOW else i + 1
    if start < len(said):
        yield start, len(said)


def _is_of_the_past(words: Sequence[Token]) -> bool:
    pairs = set(pairwise(words))
    is_until = any(token in ("until", "till") for token in words) and any(token in _WAS for token in words)
    return bool(
        any(token in _PAST for token in words)
        or pairs & {("used", "to"), ("in", "past"), ("back", "then"), ("at", "1st")}
        or is_until
        or (words and words[-1] == "before")
        or tuple(words[:2]) in (("before", "that"), ("before", "then"))
    )


def _parts_of_the_past(words: Sequence[Token]) -> Iterable[tuple[int, int]]:
    """Stretches of a clause that tell what was left: from ... to, left ... for, "before" and "after"."""
    for i, token in enumerate(words):
        rest = list(words[i + 1 :])
        if token in _LEAVING:
            yield i + 1, i + 1 + _first_of(rest, ("for", "to", "with", "by", "and"))
        elif token == "from" and any(word in _GOING for word in words[:i]) | ("to" in rest) | (
            "into" in rest
        ):
            yield i + 1, i + 1 + _first_of(rest, ("to", "into"))
        elif token == "before" and i:
            yield 0, i
        elif token == "after":
            yield i + 1, len(words)


def _first_of(words: Sequence[Token], ends: Container[Token]) -> int:
    return next((place for place, word in enumerate(words) if word in ends), len(words))
