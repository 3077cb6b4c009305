"""What a persona brings to a turn: facts in their own words, and what was said to them as a question about them."""

from __future__ import annotations

import re

from agents.turns import Persona
from memory.types import Fact
from memory.wordings import Wordings, fill


def own_words(fact: Fact, persona: Persona, wordings: Wordings) -> str:
    """A fact as the persona would say it: in the first person about themselves, by name about others."""
    if fact.subject == persona.name:
        return fill(
            wordings.first_person(fact.predicate)[0],
            subject=fact.subject,
            object=fact.object,
            predicate=fact.predicate,
        )
    return fill(
        wordings.statements(fact.predicate)[0],
        subject=fact.subject,
        object=fact.object,
        predicate=fact.predicate,
    )


_PRONOUNS = {
    "you": "{persona}",
    "your": "{persona}'s",
    "yours": "{persona}'s",
    "i": "{partner}",
    "my": "{partner}'s",
    "me": "{partner}",
    "mine": "{partner}'s",
}
_SINGULAR = {"are": "is", "do": "does", "have": "has", "were": "was", "am": "is"}
_VERB_FIRST = re.compile(r"\b(are|do|have|were|am) (\{(?:persona|partner)\})", re.IGNORECASE)
_VERB_LAST = re.compile(r"(\{(?:persona|partner)\}) (are|have|were|am)\b", re.IGNORECASE)


def in_third_person(text: str, persona: str, partner: str) -> str:
    """What was said to the persona, as a question about them: "where do you live?" asks where Ines lives."""
    words = re.sub(r"\byou're\b", "you are", text, flags=re.IGNORECASE)
    words = re.sub(
        r"\b(" + "|".join(_PRONOUNS) + r")\b",
        lambda match: _PRONOUNS[match.group().lower()],
        words,
        flags=re.IGNORECASE,
    )
    words = _VERB_FIRST.sub(lambda match: f"{_SINGULAR[match[1].lower()]} {match[2]}", words)
    words = _VERB_LAST.sub(lambda match: f"{match[1]} {_SINGULAR[match[2].lower()]}", words)
    return words.replace("{persona}", persona).replace("{partner}", partner)
