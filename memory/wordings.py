"""How facts are said and asked: per predicate the statements, questions, reverse questions and first-person forms.

Read from `wordings.toml` beside this file, the indirect questions from `indirect.toml`. A template holds `{s}` (subject; `{s}'s` becomes the possessive), `{o}`
(object) and `{a o}` (object with the article it needs: "a flat in Bonfim", but "Lisbon"). Predicates that the file
does not name use `[default]`, which speaks of the predicate by its name in words. `exam` holds the wordings that
only the exam may ask: whatever trains or retrieves must not read them.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import Any

FIELDS = (
    "statements",
    "questions",
    "indirect",
    "exam",
    "reverse",
    "first_person",
    "you_questions",
    "still",
    "now",
)


def _set(spaced: str) -> frozenset[str]:
    return frozenset(spaced.split())


_SLOT = re.compile(r"\{s\}'s|\{s\}|\{o\}|\{a o\}|\{p\}")
MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)
_ISO = re.compile(r"(\d{4}-\d{2}-\d{2})(?:[T ](\d{2}:\d{2})(?::\d{2}(?:\.\d+)?)?(?:Z|[+-]\d{2}:\d{2})?)?")
_DETERMINED = _set(
    "a an the my your his her its our their this that these those some any no one two three four five six seven "
    "eight nine ten both several many"
)
_MASS = _set(
    "furniture equipment luggage jewellery jewelry land money stuff gear property artwork clothing software "
    "music wood cash gold silver"
)
_VERBS = _set(
    "runs owns works manages leads heads teaches drives sells makes builds writes repairs cooks studies helps "
    "coaches directs edits designs paints translates organises organizes coordinates volunteers"
)
_PREPOSITIONS = _set("in of at for from by near on with and that who which to")
_STOP = _set(
    "a an the of to in on at for with by from about as into onto over under up out off than then so "
    "what who whom whose which where when how why whereabouts "
    "is are was were be been being am do does did doing done has have had having can could would will shall "
    "should may might must s re ve ll d m t "
    "i you he she it they we me him her them us my your his their our its mine "
    "this that these those there here and or but if not no yes any some all again ever now"
)


def possessive(name: str) -> str:
    """The name with 's, also after an s: "Ines's", as people say it."""
    return f"{name}'s"


def spoken(value: str) -> str:
    """An object as a person would say it: an ISO day becomes "22 August 2025", a date with time "… at 15:40"."""
    return _ISO.sub(_spoken_date, value.strip())


def _spoken_date(match: re.Match[str]) -> str:
    try:
        day = date.fromisoformat(match[1])
    except ValueError:
        return match[0]
    said = f"{day.day} {MONTHS[day.month - 1]} {day.year}"
    return said if match[2] in (None, "00:00") else f"{said} at {match[2]}"


def with_article(noun: str) -> str:
    """The noun phrase with "a" or "an" where English wants one: not before names, numbers, plurals, or a determiner.

    A phrase that begins with a verb ("runs her own practice") becomes "someone who runs …".
    """
    words = noun.split()
    if not words:
        return noun
    first = words[0].casefold()
    if first in _VERBS:
        return f"someone who {noun}"
    if first in _DETERMINED or not words[0][0].islower() or _is_plural_or_mass(words):
        return noun
    is_vowel = first[0] in "aeiou" and not first.startswith(("uni", "use", "usu", "eu", "one", "u-"))
    return f"{'an' if is_vowel else 'a'} {noun}"


def _is_plural_or_mass(words: Sequence[str]) -> bool:
    """Judged by the head noun: the last word before a preposition."""
    head = words[0]
    for word in words:
        if word.casefold() in _PREPOSITIONS:
            break
        head = word.strip(",.;")
    head = head.casefold()
    return head in _MASS or (
        head.endswith("s") and not head.endswith(("ss", "us", "is", "bus")) and len(head) > 3
    )


def _for_me(noun: str) -> str:
    """The object as its owner says it: "her house" becomes "my house"."""
    return re.sub(r"\b(?:his|her|their)\b(?= \w)", "my", noun)


def fill(template: str, subject: str = "", object: str = "", predicate: str = "") -> str:
    """The template with its slots filled and its first letter raised. First-person templates say "my" for "her"."""
    said = spoken(object)
    if re.search(r"\b(?:I|my|My|me|I'm|I've)\b", template) and "{s}" not in template:
        said = _for_me(said)
    slots = {
        "{s}'s": possessive(subject),
        "{s}": subject,
        "{o}": said,
        "{a o}": with_article(said),
        "{p}": predicate.replace("_", " "),
    }
    text = _SLOT.sub(lambda match: slots[match[0]], template)
    return text[:1].upper() + text[1:]


def words(text: str) -> tuple[str, ...]:
    """The text's words in lower case, slots left out."""
    return tuple(re.findall(r"[^\W_]+", re.sub(r"\{[^}]*\}", " ", text).casefold().replace("’", "'")))


def content_words(text: str) -> frozenset[str]:
    """Stems of the words that carry meaning: slots and function words (articles, pronouns, question words,
    auxiliaries, prepositions) are left out; "lives" and "living" are one word."""
    return frozenset(_stem(word) for word in words(text) if word not in _STOP)


def _stem(word: str) -> str:
    for suffix, instead in (("ies", "y"), ("ing", ""), ("ed", ""), ("es", ""), ("s", ""), ("e", "")):
        if word.endswith(suffix) and len(word) - len(suffix) >= 3 and not word.endswith("ss"):
            stem = word[: len(word) - len(suffix)] + instead
            return stem[:-1] if len(stem) > 3 and stem[-1] == stem[-2] and stem[-1] not in "sl" else stem
    return word


@dataclass(frozen=True, slots=True)
class Wording:
    """Everything that can be said of one predicate. `head` are the words no question about it can avoid."""

    noun: str
    head: frozenset[str]
    texts: Mapping[str, tuple[str, ...]]


class Wordings:
    """All wordings, by predicate. Built from TOML tables: `[frame.NAME]` are shared by predicates with `like`."""

    def __init__(self, tables: Mapping[str, Any]) -> None:
        self._frames: Mapping[str, Any] = tables.get("frame", {})
        self._tables = {name: entry for name, entry in tables.items() if name != "frame"}
        self._built: dict[str, Wording] = {}
        self._words: dict[str, frozenset[str]] = {}

    @classmethod
    def load(cls) -> Wordings:
        """The shipped wordings."""
        return _shipped()

    def names(self) -> tuple[str, ...]:
        """Predicates with wordings of their own."""
        return tuple(name for name in self._tables if name != "default")

    def covers(self, predicate: str) -> bool:
        """Whether it has wordings of its own."""
        return predicate in self._tables and predicate != "default"

    def noun(self, predicate: str) -> str:
        """The predicate in words: "phone number"."""
        return self._wording(predicate).noun

    def head(self, predicate: str) -> frozenset[str]:
        """Content words that no question about this predicate can avoid, such as "birthday"."""
        return self._wording(predicate).head

    def words(self, predicate: str) -> frozenset[str]:
        """Stems of all that is said and asked of the predicate in training; none where it has no wordings of its own."""
        if predicate not in self._words:
            texts = (*self.statements(predicate), *self.taught(predicate)) if self.covers(predicate) else ()
            self._words[predicate] = content_words(" ".join(texts))
        return self._words[predicate]

    def statements(self, predicate: str) -> tuple[str, ...]:
        return self._texts(predicate, "statements")

    def questions(self, predicate: str) -> tuple[str, ...]:
        """Training wordings, the plainest first."""
        return self._texts(predicate, "questions")

    def indirect(self, predicate: str) -> tuple[str, ...]:
        """Training wordings that name a situation in which the value is needed or shows."""
        return self._texts(predicate, "indirect")

    def taught(self, predicate: str) -> tuple[str, ...]:
        """All training wordings, the plain ones first."""
        return self.questions(predicate) + self.indirect(predicate)

    def exam(self, predicate: str) -> tuple[str, ...]:
        """Held-out wordings: for the exam alone."""
        return self._texts(predicate, "exam")

    def reverse(self, predicate: str) -> tuple[str, ...]:
        """Questions that give the object and ask for the subject."""
        return self._texts(predicate, "reverse")

    def first_person(self, predicate: str) -> tuple[str, ...]:
        """Statements as the subject makes them: "I live in {o}."."""
        return self._texts(predicate, "first_person")

    def you_questions(self, predicate: str) -> tuple[str, ...]:
        """Questions put to the subject: "Where do you live?"."""
        return self._texts(predicate, "you_questions")

    def still(self, predicate: str) -> tuple[str, ...]:
        """Yes-or-no questions whether an old value still holds: "Does {s} still live in {a o}?"."""
        return self._texts(predicate, "still")

    def now(self, predicate: str) -> tuple[str, ...]:
        """Statements of a value that took another's place: "{s} now lives in {a o}."."""
        return self._texts(predicate, "now")

    def _texts(self, predicate: str, field: str) -> tuple[str, ...]:
        return self._wording(predicate).texts[field]

    def _wording(self, predicate: str) -> Wording:
        if predicate not in self._built:
            self._built[predicate] = self._build(predicate)
        return self._built[predicate]

    def _build(self, predicate: str) -> Wording:
        default = self._tables["default"]
        own = self._tables.get(predicate, {})
        frame = self._frames.get(own.get("like", ""), {})
        noun = str(own.get("noun", predicate.replace("_", " ")))
        slots = {"{p}": noun, "{a p}": with_article(noun), "{alt}": str(own.get("alt", noun))}
        texts: dict[str, tuple[str, ...]] = {}
        for field in FIELDS:
            templates = own.get(field) or frame.get(field) or default.get(field, ())
            texts[field] = tuple(_expand(t, slots) for t in (*templates, *own.get(f"more_{field}", ())))
        head = frozenset().union(*(content_words(text) for text in own.get("head", [noun])))
        return Wording(noun, head, texts)


def _expand(template: str, slots: Mapping[str, str]) -> str:
    for slot, said in slots.items():
        template = template.replace(slot, said)
    return template


@lru_cache(maxsize=1)
def _shipped() -> Wordings:
    tables = _read("wordings.toml")
    for predicate, wordings in _read("indirect.toml").items():
        tables[predicate]["indirect"] = wordings
    return Wordings(tables)


def _read(name: str) -> dict[str, Any]:
    return tomllib.loads(Path(__file__).with_name(name).read_text(encoding="utf-8"))
