"""The table of verb patterns, read from `patterns.toml` and compiled once."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from agents.extractors.dates import MONTHS, NUMBER
from agents.extractors.lexicon import lexicon
from memory.types import Change


@dataclass(frozen=True, slots=True)
class VerbPattern:
    """One way of saying something about a subject; the fields are explained at the top of the table."""

    name: str
    predicate: str
    say: re.Pattern[str]
    kind: str
    confidence: float
    also: str | None = None
    whose: str | None = None
    needs: re.Pattern[str] | None = None
    event: bool = False
    past: bool = False
    needs_date: bool = False
    adverb: str | None = None
    elided: bool = True  # may be tried where the subject is left out
    with_verb: bool = False
    of_others: bool = False  # said of persons who take no part in the chat
    change: Change = "state"


@cache
def verb_patterns() -> tuple[VerbPattern, ...]:
    """In the order of the table, which is the order of trust."""
    path = Path(__file__).with_name("patterns.toml")
    rows = tomllib.loads(path.read_text(encoding="utf-8"))["verb"]
    return tuple(_compile(row) for row in rows)


def _compile(row: dict[str, object]) -> VerbPattern:
    fields = dict(row)
    say = spell(str(row["say"])).replace("[A-Z]", "(?-i:[A-ZÀ-Þ])")
    fields["say"] = re.compile(say, re.IGNORECASE)
    if needs := row.get("needs"):
        fields["needs"] = re.compile(spell(str(needs)), re.IGNORECASE)
    return VerbPattern(**fields)  # type: ignore[arg-type]


def spell(pattern: str) -> str:
    """A pattern with its @MACROS@ written out."""
    return re.sub(r"@([A-Z]+)@", lambda m: _macros()[m[1]], pattern)


@cache
def _macros() -> dict[str, str]:
    words = lexicon()
    classes = {
        name.upper(): words.alternation(name)
        for name in (
            "allergens",
            "conditions",
            "habits",
            "sports",
            "instruments",
            "body",
            "languages",
            "subjects",
            "vehicles",
            "breeds",
        )
    }
    return classes | {
        "BE": r"(?:am|is|are|was|were|be|been|have been|has been|will be)",
        "HAVE": r"(?:have|has|had|have got|has got|got)",
        "NUM": NUMBER,
        "MONTHS": "|".join(MONTHS),
        "REL": words.relation_words(),
    }
