"""How names are compared: one key per name, whatever its case, accents or spacing.

Pure functions. `key` decides whether two names are the same name; whether they are the same person is decided
in `memory.people`. Marks that tell letters of a script apart (Japanese dakuten, Indic vowel signs) are kept.
"""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache

MAX_LENGTH = 80  # characters of a name that are kept; its key then fits the column

# words before a name that are not the name, as keys
# fmt: off
_TITLES = frozenset((
    "dr", "dra", "prof", "mr", "mrs", "ms", "miss", "mx", "sir", "madam", "herr", "frau", "fru",
    "monsieur", "madame", "mme", "senhor", "senhora", "sr", "sra", "senor", "senora", "don", "dona",
    "aunt", "auntie", "uncle", "grandma", "grandpa", "granny", "tia", "tio", "tante", "onkel",
))
# fmt: on


@lru_cache(maxsize=8192)
def key(name: str) -> str:
    """The form under which names are equal: NFKD, accents stripped, case folded, white space collapsed.

    Idempotent. Invisible characters vanish; a name of nothing else keeps its own characters as its key.
    """
    folded = _fold(name)
    while (again := _fold(folded)) != folded:  # folding case can bring forth new marks
        folded = again
    return folded or " ".join(name.split())


def _fold(name: str) -> str:
    if name.isascii():
        return " ".join(name.casefold().split())
    kept = (char for char in unicodedata.normalize("NFKD", name) if not _is_ignored(char))
    return " ".join("".join(kept).casefold().split())


def _is_ignored(char: str) -> bool:
    if unicodedata.category(char) == "Cf" or "\ufe00" <= char <= "\ufe0f":
        return True
    accent = unicodedata.combining(char)
    return accent == 1 or 10 <= accent <= 35 or accent >= 200  # overlays, Semitic points, accents


@lru_cache(maxsize=8192)
def clean(name: str) -> str:
    """A name as it is shown: no invisible marks at its ends, single spaces, at most MAX_LENGTH characters."""
    text = " ".join(name.split())
    start, end = 0, len(text)
    while start < end and _is_margin(text[start]):
        start += 1
    while end > start and _is_margin(text[end - 1]):
        end -= 1
    return text[start:end][:MAX_LENGTH].strip()


def _is_margin(char: str) -> bool:
    return char.isspace() or unicodedata.category(char) in ("Cf", "Cc")


_SOMEBODYS = re.compile(r"\w['’]s? \w")  # "Ines's sister" says who is meant, and is nobody's first name


def first(name: str) -> str:
    """The key of the first name, titles passed over; "" where there is none (a phone number, "Ines's sister")."""
    if _SOMEBODYS.search(name):
        return ""
    words = [word.strip(".,") for word in key(name).split()]
    for word in words:
        if word and word not in _TITLES:
            return word if word[0].isalpha() else ""
    return words[0] if words else ""


def is_single(name: str) -> bool:
    """Whether the name is one word, titles aside: a first name or a nickname."""
    return len([word for word in key(name).split() if word.strip(".,") not in _TITLES]) == 1


def slug(name: str) -> str:
    """A form for file names and addresses: lower-case letters, digits and single hyphens; "_" if none is left."""
    return re.sub(r"[^\w]+", "-", key(name)).strip("-_") or "_"


def nearest(name: str, candidates: Iterable[str], n: int = 3) -> tuple[str, ...]:
    """The candidates most like `name`, best first: by the whole name or by any one of its words."""
    wanted = key(name)
    scored = []
    for candidate in dict.fromkeys(candidates):
        forms = [key(candidate), *key(candidate).split()]
        score = max(difflib.SequenceMatcher(None, wanted, form).ratio() for form in forms)
        if score >= 0.6:
            scored.append((-score, candidate))
    return tuple(candidate for _, candidate in sorted(scored)[:n])
