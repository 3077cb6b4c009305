"""Conversation as plain chat text: speaker tags, and the prompt whose continuation is a persona's next line.

The same form serves the trainer and the simulator: one system message (who, how they write, what they know), one user
message with the conversation under speaker tags that ends on the persona's own tag. Tags are never special tokens.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from memory.types import Principle

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


def speaker_tags(names: Sequence[str]) -> dict[str, str]:
    """A tag for each name: the first name in capitals, the whole name where first names clash."""
    firsts = [name.split()[0].upper() for name in names]
    return {
        name: f"[{first if firsts.count(first) == 1 else name.upper()}]"
        for name, first in zip(names, firsts, strict=True)
    }


def conversation_text(turns: Iterable[tuple[str, str]], tags: dict[str, str]) -> str:
    """Turns as lines `[TAG] text`; inner line breaks become new lines under the same tag."""
    lines = []
    for speaker, text in turns:
        lines += [f"{tags[speaker]} {line}" for line in text.splitlines() if line.strip()]
    return "\n".join(lines)


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
    values = [item.text for item in persona.principles if item.kind not in (*_SPEECH, "view")][:2]
    views = [item.text for item in persona.principles if item.about == persona.partner][:2]
    parts = [f"You are {persona.name}, in a chat with {persona.partner}. Today is {now:%A, %d %B %Y}."]
    if style:
        parts.append("How you write: " + "; ".join(style) + ".")
    if values:
        parts.append("What matters to you: " + "; ".join(values) + ".")
    if views:
        parts.append(f"How you see {persona.partner}: " + "; ".join(views) + ".")
    if known:
        parts.append("What you know: " + " ".join(known))
    body = conversation_text(((turn.speaker, turn.text) for turn in turns), persona.tags)
    opening = f"{body}\n{persona.tag}" if body else persona.tag
    return [
        {"role": "system", "content": "\n".join(parts)},
        {"role": "user", "content": f"{opening} {prefix}".rstrip()},
    ]
