"""How names are compared: one key per name, whatever its case, accents, spacing or bytes.

Pure functions. `clean` is a name as it is shown and stored, `key(clean(name))` the form that only one node has;
whether two names are the same person is decided in `memory.people`. Marks that tell letters of a script apart
(Japanese dakuten, Indic vowel signs) are kept.
"""

from __future__ import annotations

import difflib
import hashlib
import heapq
import re
import unicodedata
from collections.abc import Iterable, Iterator
from functools import lru_cache

MAX_LENGTH = 200  # characters of a name's folded form; a longer one is cut and ends in a hash of the whole
MAX_SHOWN = 240  # characters of a name as it is shown; the column holds 255
MAX_MARKS = 4  # combining marks kept on one letter

# words before a name that are not the name, as keys
# fmt: off
_TITLES = frozenset((
    "dr", "dra", "prof", "mr", "mrs", "ms", "miss", "mx", "sir", "madam", "herr", "frau", "fru",
    "monsieur", "madame", "mme", "senhor", "senhora", "sr", "sra", "senor", "senora", "don", "dona",
    "aunt", "auntie", "uncle", "grandma", "grandpa", "granny", "tia", "tio", "tante", "onkel",
))
# fmt: on


# apostrophes and hyphens that keyboards write in many ways, the Turkish i without a dot, the Arabic line that stretches
_SAME = str.maketrans("’‘ʼʹ`´＇‛‐‑‒–—−﹣－ı", "'" * 8 + "-" * 8 + "i", "\u0640")


@lru_cache(maxsize=8192)
def key(name: str) -> str:
    """The form under which names are equal: NFKD, accents stripped, case folded, white space collapsed.

    Idempotent. Invisible and broken characters vanish; a name of nothing else keeps its own characters as its key.
    """
    folded = _fold(name)
    while (again := _fold(folded)) != folded:  # folding case can bring forth new marks
        folded = again
    return folded or " ".join(unicodedata.normalize("NFKD", name).split())


def _fold(name: str) -> str:
    if name.isascii() and name.isprintable():
        return " ".join(name.translate(_SAME).casefold().split())
    decomposed = unicodedata.normalize("NFKD", name.translate(_SAME))
    kept = (char for char in decomposed if not _is_ignored(char))
    return " ".join("".join(kept).casefold().translate(_SAME).split())


def _is_ignored(char: str) -> bool:
    if _is_invisible(char) or "\ufe00" <= char <= "\ufe0f" or "\U000e0100" <= char <= "\U000e01ef":
        return True
    accent = unicodedata.combining(char)
    return accent == 1 or 10 <= accent <= 35 or accent >= 200  # overlays, Semitic points, accents


_BLANKS = frozenset(
    "\u115f\u1160\u3164\uffa0\u2800\u180b\u180c\u180d\u180f\u034f"
)  # fillers that draw nothing
_JOINERS = frozenset("\u200c\u200d")  # they shape Persian, Indic letters and emoji


def _is_invisible(char: str) -> bool:
    """Control and format characters, halves of surrogate pairs, fillers; white space is none of them."""
    return char in _BLANKS or (unicodedata.category(char) in ("Cc", "Cf", "Cs") and not char.isspace())


def is_blank(text: str) -> bool:
    """Whether nothing of a text can be seen: white space, joiners, marks of direction and their kin."""
    return all(char.isspace() or _is_ignored(char) for char in text)


@lru_cache(maxsize=8192)
def clean(name: str) -> str:
    """A name as it is shown: whole characters, single spaces, nothing invisible that shapes no letter.

    Idempotent, and of at most MAX_SHOWN characters; a name too long to be shown becomes the start of its key and a
    hash of the rest, so that two such names stay two. "" where nothing of the name can be seen.
    """
    text = unicodedata.normalize("NFC", "".join(map(_shown, _repaired(name))))
    text = " ".join("".join(_drawable(text)).split()).strip(" \u200c\u200d")
    folded = key(text) if _fold(text) else ""
    if len(folded) > MAX_LENGTH:
        digest = hashlib.sha256(folded.encode()).hexdigest()[:8]
        text = f"{folded[: MAX_LENGTH - 20].strip()}… {digest}"
    elif len(text) > MAX_SHOWN or not folded:
        text = folded
    return unicodedata.normalize("NFC", text)


def _shown(char: str) -> str:
    """Nothing for what is invisible, but for the characters that shape letters, emoji and flags."""
    is_shaping = char in _JOINERS or "\U000e0020" <= char <= "\U000e007f"
    return "" if _is_invisible(char) and not is_shaping else char


def _drawable(text: str) -> Iterator[str]:
    """The characters with one joiner at a time, and no more than MAX_MARKS on a letter."""
    n_marks, before = 0, ""
    for char in text:
        n_marks = n_marks + 1 if unicodedata.combining(char) else 0
        if n_marks <= MAX_MARKS and not (char in _JOINERS and before in _JOINERS):
            before = char
            yield char


def _repaired(name: str) -> str:
    """Halves of surrogate pairs made whole; bytes that a reader could not decode read again."""
    if not any("\ud800" <= char <= "\udfff" for char in name):
        return name
    joined = name.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")
    try:
        return joined.encode("utf-8", "surrogateescape").decode("utf-8")
    except UnicodeError:  # no UTF-8: mostly Western European, as old programs wrote it
        return "".join(map(_read_again, joined))


def _read_again(char: str) -> str:
    if "\udc80" <= char <= "\udcff":
        return bytes([ord(char) - 0xDC00]).decode("cp1252", "replace")
    return "\ufffd" if "\ud800" <= char <= "\udfff" else char


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


_OWNED = re.compile(r"(?P<owner>.*\w)(?:['’]s|(?<=[sxz])['’]) (?P<word>\w[^'’]*)")


def described(name: str) -> tuple[str, str] | None:
    """The owner and the word of a name that only says who is meant: "Ines's sister" gives ("Ines", "sister")."""
    match = _OWNED.fullmatch(name.strip())
    return (match["owner"], match["word"]) if match else None


def first_forms(first_name: str) -> tuple[str, ...]:
    """Keys that a name may begin with whose first name is this one: itself, and after each title."""
    titled = (f"{title}{dot} {first_name}" for title in sorted(_TITLES) for dot in ("", "."))
    return (first_name, *titled)


def is_single(name: str) -> bool:
    """Whether the name is one word, titles aside: a first name or a nickname."""
    return len([word for word in key(name).split() if word.strip(".,") not in _TITLES]) == 1


def slug(name: str) -> str:
    """A form for file names and addresses: lower-case letters, digits and single hyphens; "_" if none is left."""
    return re.sub(r"[^\w]+", "-", key(name)).strip("-_") or "_"


def nearest(name: str, candidates: Iterable[str], n: int = 3) -> tuple[str, ...]:
    """The candidates most like `name`, best first: by the whole name or by any one of its words."""
    matcher = difflib.SequenceMatcher(autojunk=False)
    matcher.set_seq2(key(name))
    scored = []
    for candidate in dict.fromkeys(candidates):
        whole = key(candidate)
        score = max(_likeness(matcher, form) for form in {whole, *whole.split()})
        if score >= _ALIKE:
            scored.append((-score, candidate))
    return tuple(candidate for _, candidate in heapq.nsmallest(n, scored))


_ALIKE = 0.6


def _likeness(matcher: difflib.SequenceMatcher[str], form: str) -> float:
    """The ratio; 0 where a bound that is quicker to find shows that it is too low to count."""
    matcher.set_seq1(form)
    if matcher.real_quick_ratio() < _ALIKE or matcher.quick_ratio() < _ALIKE:
        return 0.0
    return matcher.ratio()
