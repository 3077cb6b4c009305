"""From the words a pattern caught to the value of a fact; None where they are not that kind of value."""

from __future__ import annotations

import re
from dataclasses import dataclass

from agents.extractors.dates import When, day_and_month
from agents.extractors.lexicon import lexicon
from agents.extractors.names import capital, take_name, take_organisation, take_phrase, take_place
from agents.extractors.numbers import to_int
from agents.extractors.patterns import VerbPattern

_ROLE_ENDING = re.compile(r"(?:ologist|ician|grapher|keeper|maker|smith|monger|wright|eer|therapist)$")
_NO_ROLE = re.compile(
    r"^(?:good|bad|terrible|great|very|such|bit|little|real|big|better|worse|best|worst|only|same|right|kind|lot|man|woman|"
    r"girl|boy|nice|lovely|stubborn|perfect|natural|born|slow|former|future|total|complete)\b"
)
_DRUG = re.compile(
    r"(?:olol|pril|sartan|statin|azole|prazole|formin|cillin|mycin|oxetine|aline|alopram|apram|oxin|idone|zepam|pine|gliptin|"
    r"amide|onide|asone|olone|xaban|grel|thyroxine|oxaban|parin|triptan|codone|codeine|profen|cetamol|aspirin|insulin|lithium|"
    r"warfarin|metformin|iron|antibiotics|antidepressants|steroids|statins|betablockers|beta-blockers|inhaler|morphine|tramadol|"
    r"ritalin|prozac|xanax|zoloft|gabapentin|pregabalin|digoxin|azine|mine|tidine|mab|tide|penem|floxacin|vir)$"
)
_NO_DRUG = frozenset(
    [
        "examine",
        "determine",
        "mine",
        "vitamine",
        "combine",
        "engine",
        "routine",
        "machine",
        "imagine",
        "divine",
        "famine",
        "opine",
        "alpine",
    ]
)


@dataclass(frozen=True, slots=True)
class Value:
    text: str
    object_kind: str | None = None
    change: str | None = None


def read_value(pattern: VerbPattern, match: re.Match[str], is_cased: bool, dates: list[When]) -> Value | None:
    """The value of a match under its pattern's kind. `dates` are those said at or after the match."""
    groups = match.groupdict()
    caught = (groups.get("o") or "").strip()
    kind = pattern.kind
    if kind == "place":
        return _named(take_place(caught, is_cased), "place")
    if kind == "organisation":
        return _named(take_organisation(caught, is_cased), "organisation")
    if kind == "person":
        return _named(take_name(caught, is_cased), "person")
    if kind in ("date", "month_day"):
        return _dated(kind, dates)
    if kind == "role":
        return _role(caught, groups.get("w"), is_cased)
    if kind == "owner":
        return _owner(match, caught, groups.get("w"))
    if kind == "phrase":
        text = take_phrase(caught)
        return Value(f"{_verb_of(match)} {text}" if pattern.with_verb and text else text) if text else None
    if kind == "drug":
        return Value(caught.lower()) if is_drug(caught) else None
    if kind == "age":
        n = to_int(caught)
        return Value(str(n)) if n is not None and 0 < n < 120 else None
    if kind == "injury":
        return _injury(match["v"], caught)
    if kind == "thing":
        return _thing(caught)
    if kind == "habit":
        text = re.sub(
            r"\b(when|if|while) (?:i am|you are|he is|she is)\b", r"\1", re.split(r"[,.!?;]", caught)[0]
        ).strip()
        return Value(text) if 0 < len(text.split()) <= 7 else None
    if kind == "word":
        return Value(
            f"{_verb_of(match)} {caught}"
            if pattern.with_verb
            else caught.lower()
            if caught.isupper()
            else caught
        )
    return Value("")  # to_speaker, ended, ends_partner: the rule book knows the value


def role_of(text: str) -> str | None:
    """An occupation at the start of a text, as it is kept: "train driver", "head of music"."""
    phrase = re.split(
        r"[,.!?;]|\b(?:and|but|so|because|now|who|which|that|since|from|again|in|by|for|these|btw)\b",
        text,
        maxsplit=1,
    )[0]
    words = [
        w for w in phrase.lower().replace("\u2026", " ").split() if w not in ("a", "an", "the", "senior" * 0)
    ][:5]
    if not words or _NO_ROLE.match(" ".join(words)):
        return None
    head = words[words.index("of") - 1] if "of" in words[1:] else words[-1]
    if head in lexicon().classes["joke_titles"] or (
        "of" in words and head not in ("head", "director", "professor", "manager", "owner")
    ):
        return None
    whole = (
        head in lexicon().classes["occupations"] or "-".join(words[-2:]) in lexicon().classes["occupations"]
    )
    return " ".join(words).strip("'") if whole or _ROLE_ENDING.search(head) else None


def is_drug(word: str) -> bool:
    plain = word.lower()
    listed = plain in ("aspirin", "insulin", "lithium", "iron", "antibiotics", "antidepressants", "steroids")
    return listed or (
        bool(_DRUG.search(plain)) and plain not in _NO_DRUG and not lexicon().is_ordinary(plain)
    )


def _named(name: str | None, kind: str) -> Value | None:
    return Value(name, kind) if name else None


def _dated(kind: str, dates: list[When]) -> Value | None:
    usable = [w for w in dates if w.precision in ("day", "month", "year")]
    if not usable:
        return None
    if kind == "month_day":
        return Value(day_and_month(usable[0].day.date())) if usable[0].is_day else None
    return Value(usable[0].iso)


def _role(caught: str, where: str | None, is_cased: bool) -> Value | None:
    role = role_of(caught)
    if role is None:
        return None
    place = take_organisation(where, is_cased) if where else None
    return Value(f"{role} at {place}" if place else role)


def _owner(match: re.Match[str], caught: str, where: str | None) -> Value:
    name = take_name(where, True) if where else None
    is_own = re.search(r"\bown\b", match[0]) is not None
    return Value(f"runs {'own ' if is_own else ''}{caught}" + (f" {name}" if name else ""))


def _injury(verb: str, caught: str) -> Value:
    broken = {"broke": "broken", "tore": "torn", "hurt": "injured"}.get(verb.lower(), verb.lower())
    return Value(f"{broken} {caught.strip().lower()}")


def _thing(caught: str) -> Value | None:
    if re.match(r"(?:it|them|him|her|that|this|out|one|off)\b", caught, re.IGNORECASE):
        return None
    text = thing_of(caught)
    return Value(text, "thing") if text else None


def thing_of(text: str) -> str | None:
    """ "the old keyboard" as "old keyboard"; "fru olsson", which nobody would call a thing, as a name."""
    phrase = take_phrase(text, most=5)
    if phrase and phrase.islower() and not any(lexicon().is_ordinary(w) for w in phrase.split()):
        return " ".join(map(capital, phrase.split()))
    return phrase


def _verb_of(match: re.Match[str]) -> str:
    return match[0].split()[0].lower()
