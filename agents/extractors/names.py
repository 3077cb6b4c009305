"""Names in a stretch of chat: how they are written, and where a name ends in running text.

Names are learnt from the roster and from writers who use capitals; with those, the lowercase typing of the others
is restored. The takers (`take_name`, `take_place`, ...) read one phrase from the start of a text, or None.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence

from agents.extractors.lexicon import lexicon
from agents.extractors.sentences import clean, is_name_word
from memory.names import key
from memory.ports import Roster
from memory.types import Episode

_TOKEN = re.compile(r"[^\W\d_][\w'&.-]*[\w]|[^\W\d_]|&|\d+")
_JOINERS = frozenset(
    [
        "de",
        "da",
        "do",
        "das",
        "dos",
        "del",
        "della",
        "di",
        "van",
        "von",
        "der",
        "den",
        "la",
        "le",
        "of",
        "the",
        "&",
        "y",
        "i",
        "och",
        "and",
    ]
)
_PLACE_NOUNS = frozenset(
    [
        "school",
        "clinic",
        "hospital",
        "terminal",
        "port",
        "studio",
        "studios",
        "bakery",
        "restaurant",
        "cafe",
        "café",
        "hotel",
        "university",
        "college",
        "museum",
        "library",
        "theatre",
        "theater",
        "zoo",
        "aquarium",
        "oceanarium",
        "gallery",
        "bank",
        "church",
        "bar",
        "pub",
        "practice",
        "surgery",
        "office",
        "station",
        "airport",
        "lab",
        "laboratory",
        "farm",
        "garden",
        "company",
        "firm",
        "agency",
        "bookshop",
        "shop",
        "store",
        "garage",
        "brewery",
        "kitchen",
        "centre",
        "center",
        "academy",
        "kindergarten",
        "nursery",
        "pharmacy",
        "gym",
        "council",
        "archive",
        "observatory",
        "vets",
        "yard",
        "shipyard",
        "boatyard",
        "harbour",
        "institute",
        "works",
    ]
)
_GENERIC = _PLACE_NOUNS | frozenset(
    ["street", "road", "square", "island", "village", "town", "city", "valley", "beach", "bay", "hill"]
)
_TITLES = frozenset(
    [
        "dr",
        "mr",
        "mrs",
        "ms",
        "prof",
        "professor",
        "sir",
        "father",
        "sister",
        "uncle",
        "aunt",
        "auntie",
        "captain",
    ]
)


def learn_names(episodes: Iterable[Episode], roster: Roster) -> dict[str, str]:
    """lowercase word -> its written form, for words that writers with capitals always capitalise mid-sentence."""
    upper: Counter[str] = Counter()
    lower: Counter[str] = Counter()
    for episode in episodes:
        if episode.kind != "text":
            continue
        text = clean(episode.text)
        is_cased = text[:1].isupper()
        for match in _TOKEN.finditer(text):
            word = match[0].removesuffix("'s")
            if word.islower():
                lower[word] += is_cased
            elif word[0].isupper() and not word.isupper() and _is_inside(text, match.start()):
                upper[word] += 1
    names = {
        word.lower(): word
        for word, n in upper.most_common()
        if n > lower[word.lower()] and word.lower() not in lexicon().classes["not_names"]
        and (not lexicon().is_ordinary(word) or n >= 3)
    }  # fmt: skip
    names |= {
        plain: word
        for word in list(names.values())
        if (plain := key(word)) not in names and not lexicon().is_ordinary(plain)
    }
    for full in (*roster.known, *roster.speakers):
        for word in full.split():
            if word.lower() not in lexicon().classes["not_names"]:
                names[word.lower()] = word
    return names


def learn_places(episodes: Iterable[Episode], names: dict[str, str]) -> frozenset[str]:
    """Names (lowercase) that mostly stand after "in", "at", "to": places and houses, never meant by a pronoun."""
    after: Counter[str] = Counter()
    other: Counter[str] = Counter()
    for episode in episodes:
        if episode.kind != "text":
            continue
        for match in _PLACED.finditer(clean(episode.text)):
            word = match["word"].lower()
            (after if match["lead"] else other)[word] += 1
    return frozenset(
        w
        for w, n in after.items()
        if (n >= other[w] or (n >= 3 and 2 * n >= other[w])) and (w in names or not lexicon().is_ordinary(w))
    )


_PLACED = re.compile(
    r"\b(?P<lead>(?:in|at|to|into|from|near|outside|the|leave|leaving|left|goodbye)\s+)?(?P<word>[^\W\d_][\w-]{2,})",
    re.IGNORECASE,
)


def _is_inside(text: str, at: int) -> bool:
    before = text[:at].rstrip(" \"'“(*_")
    return (
        bool(before) and (before[-1].isalnum() or before[-1] in ",:'-") and "\n" not in text[len(before) : at]
    )


def take_name(text: str, is_cased: bool, *, most: int = 3) -> str | None:
    """A personal name at the start: "paula ekström. she" gives "Paula Ekström"."""
    words: list[str] = []
    end = 0
    for match in _TOKEN.finditer(text):
        gap = text[end : match.start()].strip()
        if (gap and not (gap == "." and words and words[-1].lower() in _TITLES)) or len(words) == most:
            break
        word, end = match[0].rstrip("."), match.end()
        is_title = not words and word.lower() in _TITLES
        if not (is_title or is_name_word(word, is_cased)):
            break
        words.append(word.removesuffix("'s"))
        if word.endswith("'s"):
            break
    if words and words[-1].lower() in _TITLES:
        return None
    return " ".join(map(capital, words)) or None


def take_place(text: str, is_cased: bool) -> str | None:
    """A named place at the start, past words like "a flat in": "the new house in Matosinhos"."""
    match = re.match(
        r"(?:(?:a|an|the|my|our|her|his|their|new|old|little|small|big|tiny|own|shared|lovely)\s+)*"
        r"(?:(?:flat|house|room|studio|cottage|apartment|place|home|village|town|suburb|bit|area|part|residence)(?: \w+)? (?:in|near|outside|of|at|on)\s+)?"
        r"(?:(?:downtown|central|north|south|east|west|near|outside|up|down|lovely|sunny|rainy|old|upper|lower)\s+)*",
        text,
        re.IGNORECASE,
    )
    rest = text[match.end() :] if match else text
    name = _proper(rest, is_cased, most=4)
    if name is None or lexicon().is_in(name, "not_names") or name.lower() in _MONTH_LIKE:
        return None
    return name


def take_organisation(text: str, is_cased: bool) -> str | None:
    """A named employer or school, or one thing named by its kind: "the oceanarium", "a language school"."""
    article = re.match(r"(?:(the|a|an|this|some|my|our|her|his)\s+)?", text, re.IGNORECASE)
    start = article.end() if article else 0
    name = _proper(text[start:], is_cased, most=4)
    if name and any(lexicon().is_in(name, kind) for kind in ("gazetteer", "languages", "subjects")):
        return None
    if name and name.split()[0].lower() not in _MONTH_LIKE:
        the = article[1] if article and article[1] and article[1].lower() == "the" else ""
        return f"{the} {name}".strip() if the else name
    kind = re.match(rf"((?:[a-z-]+ ){{0,2}}(?:{'|'.join(_PLACE_NOUNS)}))\b", text[start:], re.IGNORECASE)
    return (
        f"{article[1]} {kind[1]}"
        if kind and article and article[1] and article[1].lower() in ("the", "a", "an")
        else None
    )


def take_phrase(text: str, *, most: int = 6) -> str | None:
    """A plain noun phrase at the start: up to a stop, a conjunction or a word about time."""
    text = re.sub(
        r"^(?:an?|the|my|our|his|her|their|some|that|this|own)\s+", "", text.strip(), flags=re.IGNORECASE
    )
    words = _STOP.split(text, maxsplit=1)[0].split()[:most]
    return " ".join(words).strip(" ,.!'") or None


def _proper(text: str, is_cased: bool, *, most: int) -> str | None:
    words: list[str] = []
    end = 0
    for match in _TOKEN.finditer(text):
        if text[end : match.start()].strip() or len(words) == most:
            break
        word = match[0].rstrip(".")
        if (
            is_name_word(word, is_cased)
            or (words and word.lower() in _GENERIC)
            or (words and word.lower() in _JOINERS and _goes_on(text[match.end() :], is_cased))
        ):
            words.append(word)
        else:
            break
        end = match.start() + len(match[0])
        if match[0].endswith("."):
            break
    return (
        " ".join(
            w if w.lower() in _JOINERS or (w.lower() in _PLACE_NOUNS and w.islower()) else capital(w)
            for w in words
        )
        or None
    )


def _goes_on(text: str, is_cased: bool) -> bool:
    following = _TOKEN.match(text.lstrip())
    return (
        bool(following)
        and following is not None
        and following[0][0].isupper()
        and is_name_word(following[0], is_cased)
    )


def capital(word: str) -> str:
    """First letter up, the rest as written."""
    return word[:1].upper() + word[1:]


def first_name(full: str) -> str:
    words = full.split()
    return words[1] if len(words) > 1 and words[0].lower() in _TITLES else (words[0] if words else full)


def canonical(name: str, known: Sequence[str]) -> str:
    """The full form of a known person when a first name points at exactly one of them."""
    plain = name.lower()
    hits = [k for k in known if k.lower() == plain or (first_name(k).lower() == plain and " " not in plain)]
    return hits[0] if len(set(hits)) == 1 else name


_MONTH_LIKE = frozenset(
    [
        "january",
        "february",
        "march",
        "april",
        "may",
        "june",
        "july",
        "august",
        "september",
        "october",
        "november",
        "december",
        "christmas",
        "easter",
        "monday",
        "tuesday",
        "wednesday",
        "thursday",
        "friday",
        "saturday",
        "sunday",
        "summer",
        "winter",
        "spring",
        "autumn",
        *[
            "jan",
            "feb",
            "mar",
            "apr",
            "jun",
            "jul",
            "aug",
            "sep",
            "sept",
            "oct",
            "nov",
            "dec",
            "mon",
            "tue",
            "tues",
            "wed",
            "thu",
            "thurs",
            "fri",
            "sat",
            "sun",
        ],
        "bed",
        "love",
    ]
)
_STOP = re.compile(
    r"[,.!?;:…()]|\s-\s|\b(?:and|but|so|because|since|which|that|who|when|while|if|though|although|as|now|today|yesterday|tomorrow|"
    r"tonight|last|next|this|on|for|from|instead|again|anymore|any more|too|then|with|until|every|these|at|in|ago|to|already|already|"
    r"after|before|like|yet|btw|by the way|is|are|was|he|she|it|they|i|we|you|lol|haha|actually|apparently|finally|honestly)\b",
    re.IGNORECASE,
)
