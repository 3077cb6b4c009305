"""Who speaks: constitution and facts made into the prompt of one turn.

The prompt is plain chat text: one system message (who, how they write, what they know), one user message with the
conversation under speaker tags that ends on the persona's own tag. The trainer's tagged dialogues have the same form.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from memory.types import Fact, Principle
from memory.wordings import Wordings, fill
from simulator.tags import conversation_text, speaker_tags

_SPEECH = ("speech", "habit")


@dataclass(frozen=True, slots=True)
class Turn:
    """One message of the running conversation, or of the past that it follows."""

    speaker: str
    text: str


@dataclass(frozen=True, slots=True)
class Persona:
    """A person as they may be simulated: their name, who they talk with, and the principles they keep."""

    name: str
    partner: str
    principles: tuple[Principle, ...]

    @property
    def tags(self) -> dict[str, str]:
        return speaker_tags([self.name, self.partner])

    @property
    def tag(self) -> str:
        return self.tags[self.name]


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


def turn_messages(
    persona: Persona,
    turns: Sequence[Turn],
    known: Sequence[str],
    *,
    now: datetime,
    prefix: str = "",
) -> list[dict[str, str]]:
    """The chat messages whose continuation is the persona's next line; `prefix` is what they have begun to write."""
    style = [item.text for item in persona.principles if item.kind in _SPEECH][:3]
    values = [item.text for item in persona.principles if item.kind not in _SPEECH][:2]
    parts = [f"You are {persona.name}, in a chat with {persona.partner}. Today is {now:%A, %d %B %Y}."]
    if style:
        parts.append("How you write: " + "; ".join(style) + ".")
    if values:
        parts.append("What matters to you: " + "; ".join(values) + ".")
    if known:
        parts.append("What you know: " + " ".join(known))
    body = conversation_text(((turn.speaker, turn.text) for turn in turns), persona.tags)
    opening = f"{body}\n{persona.tag}" if body else persona.tag
    return [
        {"role": "system", "content": "\n".join(parts)},
        {"role": "user", "content": f"{opening} {prefix}".rstrip()},
    ]


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
