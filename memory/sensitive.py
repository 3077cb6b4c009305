"""What is sensitive in a text or fact, and of which kind: found by form, check digits and words, never stored.

Kinds: `phone`, `email`, `address`, `iban`, `card`, `id`, `password`; and what the law sets apart: `health`, `religion`,
`sexuality`, `politics`. Numbers are told from prices, dates, times and scores by their form and the words around them.
Marks are computed where they are shown, so that a better rule holds for everything at once and nothing is kept that
would have to be erased. Words are mostly English, with the commonest of eight other languages (sensitive.toml).
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from memory.types import Episode, Fact

KINDS = (
    "phone",
    "email",
    "address",
    "iban",
    "card",
    "id",
    "password",
    "health",
    "religion",
    "sexuality",
    "politics",
)
LONGEST = 20_000  # characters that are looked at together
_CACHED = 16_384
_NEAR = 48  # characters around a number in which words tell what it is


@dataclass(frozen=True, slots=True)
class Mark:
    """A sensitive stretch of a text, `[start, end)`."""

    kind: str
    start: int
    end: int


@lru_cache(maxsize=_CACHED)
def find(text: str) -> tuple[Mark, ...]:
    """Every sensitive stretch, by its place. What is one kind by its check digits is no phone number."""
    marks = [
        Mark(mark.kind, mark.start + offset, mark.end + offset)
        for offset, piece in _pieces(text)
        for mark in _marks(piece)
    ]
    return tuple(sorted(marks, key=lambda mark: (mark.start, mark.end, mark.kind)))


def _pieces(text: str) -> Iterator[tuple[int, str]]:
    """A long text in pieces that end between words, each with its place."""
    start = 0
    while len(text) - start > LONGEST:
        end = text.rfind(" ", start + 1, start + LONGEST)
        end = start + LONGEST if end < 0 else end
        yield start, text[start:end]
        start = end
    yield start, text[start:]


def _marks(text: str) -> Iterator[Mark]:
    if any(map(str.isdigit, text)) or "@" in text or _words().cues["password"].search(text):
        taken: list[tuple[int, int]] = []
        for kind, finder in _FINDERS:
            for start, end in list(finder(text)):
                if all(end <= first or last <= start for first, last in taken):
                    taken.append((start, end))
                    yield Mark(kind, start, end)
    for kind, pattern in _words().categories.items():
        yield from (Mark(kind, match.start(), match.end()) for match in pattern.finditer(text))


def kinds(text: str) -> tuple[str, ...]:
    """The kinds that are in a text, in the order of KINDS."""
    found = {mark.kind for mark in find(text)}
    return tuple(kind for kind in KINDS if kind in found)


def kinds_of(predicate: str, value: str) -> tuple[str, ...]:
    """The kinds that a fact is of: by its predicate, else by what its value says."""
    known = _words().predicates.get(predicate)
    found = {mark.kind for mark in find(value)} | ({known} if known else set())
    if not known:
        found |= {mark.kind for mark in find(f"is {value}") if mark.kind not in ("phone", "id")}
    return tuple(kind for kind in KINDS if kind in found)


def kinds_of_fact(fact: Fact) -> tuple[str, ...]:
    return kinds_of(fact.predicate, fact.object)


def left_out(episodes: Iterable[Episode], kinds_left_out: Collection[str]) -> frozenset[str]:
    """Ids of the messages in which something of these kinds is."""
    wanted = set(kinds_left_out)
    return frozenset(
        episode.id for episode in episodes if wanted and not wanted.isdisjoint(kinds(episode.text))
    )


def masked(text: str, kinds_left_out: Collection[str]) -> str:
    """The text with every stretch of these kinds replaced by its kind: "call (phone)"."""
    parts: list[str] = []
    last = 0
    for mark in find(text):
        if mark.kind in kinds_left_out and mark.end > last:
            parts += [text[last : max(mark.start, last)], f"({mark.kind})"]
            last = mark.end
    return "".join([*parts, text[last:]])


@dataclass(frozen=True, slots=True)
class _Words:
    cues: Mapping[str, re.Pattern[str]]
    categories: Mapping[str, re.Pattern[str]]
    predicates: Mapping[str, str]


@lru_cache(maxsize=1)
def _words() -> _Words:
    table = tomllib.loads(Path(__file__).with_name("sensitive.toml").read_text(encoding="utf-8"))

    def compiled(patterns: Sequence[str]) -> re.Pattern[str]:
        joined = "|".join(f"(?:{pattern})" for pattern in patterns)
        return re.compile(joined.replace("{being}", table["who"]["being"]), re.IGNORECASE)

    return _Words(
        cues={name: re.compile(pattern, re.IGNORECASE) for name, pattern in table["cues"].items()},
        categories={kind: compiled(table[kind]["patterns"]) for kind in KINDS if kind in table},
        predicates={name: kind for kind, names in table["predicates"].items() for name in names},
    )


_EMAIL = re.compile(r"[\w.+-]{1,64}@(?:[\w-]{1,63}\.)+[^\W\d_]{2,24}\b")
_IBAN = re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,4})?\b")
_CARD = re.compile(
    r"(?<![\d.])[3-6]\d{3}(?:[ -]?\d{4}){2}[ -]?\d{1,7}(?![\d.])|(?<!\d)3[47]\d{2}[ -]?\d{6}[ -]?\d{5}(?!\d)"
)
_RUN = re.compile(r"(?<![\w.,:/#-])(?:\+|00)?\(?\d[\d\s().\-/\u00a0\u2011]{4,22}\d(?![\w%€$£°]|[.,:/-]\d)")
_DATE = re.compile(
    r"\d{4}[-/.][01]?\d[-/.][0-3]?\d(?!\d)|(?<![\d-])[0-3]?\d[-/.][0-3]?\d[-/.](?:(?:19|20)\d{2}|\d{2})(?![\d-])"
    r"|(?<!\d)(?:19|20)\d\d\s?[-/–]\s?(?:(?:19|20)?\d\d)(?!\d)"
)
_SCORES = re.compile(r"(?:\d{1,2}-\d{1,2}\s){2,}\d{1,2}-\d{1,2}")
_ADDRESS_OF_A_MACHINE = re.compile(r"(?:\d{1,3}\.){3}\d{1,3}")
_SPOKEN_DATE = re.compile(r"\d{1,2}\s\d{1,2}\s(?:19|20)\d\d")
_THOUSANDS = re.compile(r"\d{1,3}(?:([ .\u00a0])\d{3})(?:\1\d{3})*")
_AMERICAN = re.compile(r"(?:1[ .-])?\(?[2-9]\d{2}\)?[ .-]{0,2}[2-9]\d{2}[ .-]\d{4}")
_PASSWORD_VALUE = re.compile(
    r"(?:\s+\w+){0,3}?\s*(?:\b(?:is|was|are|ist|es|é|est|är|er)\b|=|:|->|→|：|是|は)\s*(?:(?:still|now|again|just)\s+)?[\"'“‘«]?(?P<value>[^\s\"'”’»,;]{3,64})",
    re.IGNORECASE,
)
_PASSWORD_NEXT = re.compile(r"\s+(?P<value>(?=[^\s]*\d)[^\s,;]{4,64})")


def _emails(text: str) -> Iterator[tuple[int, int]]:
    if "@" in text:
        yield from (match.span() for match in _EMAIL.finditer(text))


def _ibans(text: str) -> Iterator[tuple[int, int]]:
    for match in _IBAN.finditer(text):
        number = match[0].replace(" ", "")
        if 15 <= len(number) <= 34 and _mod_97(number[4:] + number[:4]) == 1:
            yield match.span()


def _mod_97(text: str) -> int:
    return int("".join(str(int(char, 36)) for char in text)) % 97


def _cards(text: str) -> Iterator[tuple[int, int]]:
    for match in _CARD.finditer(text):
        digits = _digits(match[0])
        if 13 <= len(digits) <= 19 and _luhn(digits) and len(set(digits)) > 1:
            yield match.span()


def _luhn(digits: str) -> bool:
    """ISO/IEC 7812-1, annex B."""
    doubled = (int(digit) * (2 if place % 2 else 1) for place, digit in enumerate(reversed(digits)))
    return sum(number - 9 if number > 9 else number for number in doubled) % 10 == 0


def _digits(text: str) -> str:
    return "".join(filter(str.isdigit, text))


def _weighted(digits: str, weights: Sequence[int]) -> int:
    return sum(int(digit) * weight for digit, weight in zip(digits, weights, strict=False))


def _is_cpf(text: str) -> bool:
    """Brazil: two check digits mod 11."""
    d = _digits(text)
    first = _weighted(d, range(10, 1, -1)) * 10 % 11 % 10
    return (
        len(set(d)) > 1 and first == int(d[9]) and _weighted(d, range(11, 1, -1)) * 10 % 11 % 10 == int(d[10])
    )


def _is_dni(text: str) -> bool:
    """Spain: the letter is the number mod 23; X, Y, Z of foreigners stand for 0, 1, 2."""
    number = re.sub(r"[\s.-]", "", text.upper()).translate(
        str.maketrans("XYZ", "012"),
    )
    return "TRWAGMYFPDXBNJZSQVHLCKE"[int(number[:8]) % 23] == re.sub(r"[\s.-]", "", text.upper())[-1]


def _is_pesel(text: str) -> bool:
    return (10 - _weighted(text, (1, 3, 7, 9, 1, 3, 7, 9, 1, 3)) % 10) % 10 == int(text[10]) and _is_day(
        text[2:4], text[4:6]
    )


def _is_day(month: str, day: str) -> bool:
    return 1 <= int(month) % 20 <= 12 and 1 <= int(day) <= 31


def _is_swedish(text: str) -> bool:
    d = _digits(text)[-10:]
    return _luhn(d) and 1 <= int(d[2:4]) <= 12 and 1 <= int(d[4:6]) % 60 <= 31


def _is_norwegian(text: str) -> bool:
    d = _digits(text)
    first, second = _weighted(d, (3, 7, 6, 1, 8, 9, 4, 5, 2)), _weighted(d, (5, 4, 3, 2, 7, 6, 5, 4, 3, 2))
    return (11 - first % 11) % 11 == int(d[9]) and (11 - second % 11) % 11 == int(d[10])


def _is_french(text: str) -> bool:
    d = _digits(text)
    return len(d) == 15 and 97 - int(d[:13]) % 97 == int(d[13:])


def _is_chinese(text: str) -> bool:
    weights = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
    return "10X98765432"[_weighted(text, weights) % 11] == text[17].upper()


def _is_finnish(text: str) -> bool:
    return "0123456789ABCDEFHJKLMNPRSTUVWXY"[int(text[:6] + text[7:10]) % 31] == text[10].upper()


# the form of a number with which somebody is known to a state, and its check
_IDS: tuple[tuple[re.Pattern[str], Callable[[str], bool]], ...] = (
    (re.compile(r"(?<!\d)\d{3}\.\d{3}\.\d{3}-\d{2}(?!\d)"), _is_cpf),
    (re.compile(r"\b[XYZ\d]\d{7}[ -]?[A-HJ-NP-TV-Z]\b"), _is_dni),
    (re.compile(r"\b(?!000|666|9)\d{3}-(?!00)\d{2}-(?!0000)\d{4}\b"), lambda _: True),  # United States
    (
        re.compile(
            r"\b(?!BG|GB|NK|KN|TN|NT|ZZ)[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z] ?\d{2} ?\d{2} ?\d{2} ?[A-D]\b"
        ),
        lambda _: True,
    ),
    (
        re.compile(r"\b[A-Z]{6}\d{2}[A-EHLMPRST]\d{2}[A-Z]\d{3}[A-Z]\b", re.IGNORECASE),
        lambda _: True,
    ),  # Italy
    (re.compile(r"\b(?:19|20)?\d{6}[-+]\d{4}\b"), _is_swedish),
    (re.compile(r"(?<!\d)(?:0[1-9]|[12]\d|3[01])(?:0[1-9]|1[0-2])\d{2} ?\d{5}(?!\d)"), _is_norwegian),
    (re.compile(r"(?<!\d)[12] ?\d{2} ?\d{2} ?\d{2} ?\d{3} ?\d{3} ?\d{2}(?!\d)"), _is_french),
    (re.compile(r"(?<!\d)[1-9]\d{5}(?:19|20)\d{9}[\dXx](?!\d)"), _is_chinese),
    (re.compile(r"\b\d{6}[-+A]\d{3}[0-9A-FHJ-NPR-Y]\b"), _is_finnish),
    (re.compile(r"(?<!\d)\d{11}(?!\d)"), _is_pesel),
)
_ID_VALUE = re.compile(
    r"\W{0,3}(?:\w+\W+){0,3}?(?P<value>(?=[A-Z0-9 -]*\d{4})[A-Z0-9]{1,4}[A-Z0-9 -]{4,16}[A-Z0-9])\b"
)


def _ids(text: str) -> Iterator[tuple[int, int]]:
    for form, is_sound in _IDS:
        yield from (match.span() for match in form.finditer(text) if is_sound(match[0]))
    for cue in _words().cues["id"].finditer(text):
        match = _ID_VALUE.match(text, cue.end())
        if match and len(_digits(match["value"])) >= 5 and not _DATE.fullmatch(match["value"].strip()):
            yield match.span("value")


def _passwords(text: str) -> Iterator[tuple[int, int]]:
    for cue in _words().cues["password"].finditer(text):
        match = _PASSWORD_VALUE.match(text, cue.end()) or _PASSWORD_NEXT.match(text, cue.end())
        if match and _is_secret(match["value"], text[match.end("value") :]):
            yield match.span("value")
        before = _PASSWORD_BEFORE.search(text, max(0, cue.start() - 96), cue.start())
        if before and _is_secret(before["value"], "more"):
            yield before.span("value")
    yield from (match.span("value") for match in _LOGIN.finditer(text) if not _EMAIL.match(match["value"]))


_PASSWORD_BEFORE = re.compile(
    r"\b(?:use|try|with|it'?s|is)\s+(?P<value>[^\s\"',;]{5,64})\s+(?:as|for|is)\s+(?:the|my|your|our)?\s*(?:new\s+)?$",
    re.IGNORECASE,
)
_LOGIN = re.compile(
    r"\b(?:pass|pw|pwd|kennwort|senha|mdp)\b\s*[:=]?\s*(?P<value>(?=\S*\d)\S{5,64})", re.IGNORECASE
)


def _is_secret(value: str, rest: str) -> bool:
    """Whether it is no ordinary word: it has a digit or sign, capitals within, or ends the sentence with nothing else."""
    bare = value.strip(".!?)…")
    if len(bare) < 3 or bare.lower() in _NO_SECRET:
        return False
    has_sign = any(not char.isalnum() for char in bare) or any(map(str.isdigit, bare))
    return (
        has_sign
        or (len(bare) >= 5 and bare != bare.lower() and bare[1:] != bare[1:].lower())
        or not rest.strip(" .!?)…")
    )


_NO_SECRET_WORDS = """wrong right correct incorrect expired changed the same different missing gone lost new old secret safe here
    there not still now too very always never working broken saved hidden private weak strong required needed asked sent
    important annoying mine yours his hers theirs ours good bad fine ok okay easy hard simple long short unknown forgotten blocked
    under inside behind written somewhere ridiculous stupid gleich falsch richtig weg neu alt errada errado certa certo mal bien faux"""
_NO_SECRET = frozenset(_NO_SECRET_WORDS.split())

_TYPE = (
    r"(?:street|st\.?|road|rd\.?|avenue|ave\.?|lane|ln\.?|boulevard|blvd\.?|terrace|crescent|gardens|quay|row|mews|hill|grove|"
    r"parkway|highway|esplanade)"
)
_TITLED = r"(?:Drive|Dr\.?|Close|Court|Ct\.?|Place|Pl\.?|Square|Sq\.?|Way|Walk|Park|Green|Rise|View)"
_ADDRESSES = tuple(
    re.compile(pattern, flags)
    for pattern, flags in (
        (rf"(?<![\d.:,-])\b\d{{1,5}}[a-d]?,?\s(?!(?:min|mins|minutes|hours?|km|miles?|metres|m|more|of|the|and|years?|days?|weeks?|people|euros?|st|rd|th|nd|way|side|star|lane|lanes)\b)(?:[^\W\d]['’\w-]*\s){{1,3}}{_TYPE}(?!\w)", re.IGNORECASE),
        (rf"(?<![\d.:,-])\b\d{{1,5}}[a-d]?,?\s(?:[A-Z]['’\w-]*\s){{1,3}}{_TITLED}(?!\w)", 0),
        (r"\b(?:[A-ZÀ-Þ][\w'’-]*\s){1,3}(?:Street|Road|Avenue|Lane|Terrace|Square|Drive),?\s(?:no\.?\s?|nr\.?\s?)?\d{1,4}[a-d]?\b", 0),
        (r"\b[A-ZÀ-Þ]?[\w'’-]*(?:stra(?:ß|ss)e|str\.|weg|platz|allee|gasse|gatan|gata|vägen|veien|vegen|vej|gade|straat|laan|plein|katu|tie)\s\d{1,4}\s?[a-zA-D]?\b(?!\s?(?:uhr|min|km|kr|€|%))", re.IGNORECASE),
        (r"\b(?:rua|avenida|av\.|travessa|largo|praça|calle|c/|plaza|paseo|carrer|via|viale|piazza|corso|rue|boulevard|chemin|ulica|ul\.|улица|ул\.|проспект)\s(?:[^\W\d][\w'’.-]*\s?){1,5},?\s?(?:n\.?[ºo°]?\s?|nº\s?|д\.\s?)?\d{1,4}\s?[a-zº°]?\b", re.IGNORECASE),
        (r"\b\d{1,4}(?:\s?(?:bis|ter))?,?\s(?:rue|avenue|boulevard|chemin|place|quai|impasse|allée)\s(?:d\w*\s|du\s|des\s|la\s|l['’])*[^\W\d][\w'’-]+", re.IGNORECASE),
        (r"\b(?:[A-PR-UWYZ][A-HK-Y]?\d[A-Z\d]?|GIR) ?\d[ABD-HJLNP-UW-Z]{2}\b", 0),  # postcodes of the United Kingdom
        (r"\b\d{4}-\d{3}\s[A-ZÀ-Þ][\w-]+", 0),  # Portugal
        (r"\b[A-Z][\w.'-]+(?:\s[A-Z][\w.'-]+)?,\s(?:A[KLRZ]|C[AOT]|D[CE]|FL|GA|HI|I[ADLN]|K[SY]|LA|M[ADEINOST]|N[CDEHJMVY]|O[HKR]|PA|RI|S[CD]|T[NX]|UT|V[AT]|W[AIVY])\s\d{5}(?:-\d{4})?\b", 0),
        (r"\b(?:P\.?\s?O\.? box|postfach|apartado|boîte postale)\s\d+", re.IGNORECASE),
    )
)  # fmt: skip


def _addresses(text: str) -> Iterator[tuple[int, int]]:
    for form in _ADDRESSES:
        yield from (match.span() for match in form.finditer(text))


def _phones(text: str) -> Iterator[tuple[int, int]]:
    for match in _RUN.finditer(text):
        run = match[0].strip()
        near = text[max(0, match.start() - _NEAR) : match.end() + _NEAR]
        if _is_phone(run, near, is_alone=len(text) - len(run) <= 12):
            yield match.start(), match.start() + len(run)


def _is_phone(run: str, near: str, *, is_alone: bool) -> bool:
    """By its form alone, or by the words near it where the form is that of many numbers."""
    digits = _digits(run)
    if _SCORES.fullmatch(run) or _ADDRESS_OF_A_MACHINE.fullmatch(run):
        return False
    if (
        not 7 <= len(digits) <= 15
        or _DATE.search(run)
        or _SPOKEN_DATE.fullmatch(run)
        or len(set(digits)) < 3
        or run.count("/") > 1
    ):
        return False
    cues = _words().cues
    is_called, is_other = (
        bool(cues["phone"].search(near)),
        bool(cues["not_phone"].search(near.replace(run, " "))),
    )
    if run.startswith("+"):
        return len(digits) >= 8
    if is_other and not is_called:
        return False
    if run.startswith("00") and digits[2] != "0":
        return len(digits) >= 10
    if _AMERICAN.fullmatch(run):
        return True
    if is_called:
        return True
    if _THOUSANDS.fullmatch(run) or _is_list(run):
        return False
    if digits.startswith("0"):
        return 9 <= len(digits) <= 12
    return is_alone and 8 <= len(digits) <= 12


def _is_list(run: str) -> bool:
    """ "12 15 18 20 21": numbers one after the other, rather than groups of one."""
    groups = run.split()
    return len(groups) > 5 or (len(groups) > 2 and any(len(group) == 1 for group in groups[1:]))


_FINDERS: tuple[tuple[str, Callable[[str], Iterator[tuple[int, int]]]], ...] = (
    ("email", _emails),
    ("iban", _ibans),
    ("card", _cards),
    ("password", _passwords),
    ("id", _ids),
    ("address", _addresses),
    ("phone", _phones),
)
