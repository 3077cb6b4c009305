"""Conversation as plain chat text: speaker tags, and the prompt whose continuation is a persona's next line.

The same form serves the trainer and the simulator: one system message (who, how they write, what they hold dear), one
user message with the conversation under speaker tags that ends on the persona's own tag. What belongs to one turn
alone (what they know that bears on it, how they feel) stands just before that tag, so that all before it stays the
same from turn to turn and is computed once (ADR 47). Tags are never special tokens, and what stands for a special token
in somebody's words is broken up, so that no message can end the prompt's own.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from memory.types import Principle

MAX_RECENT_CHARS = 4000  # of the running conversation in the prompt: about a thousand tokens
_SPEECH = ("speech", "habit")
MAX_BEGUN_CHARS = 4000  # of what somebody has begun to write
_CONTROL = re.compile(
    r"<(?=[|\uff5c]|/?s>|(?:bos|eos|pad|unk|mask)>|(?:start|end)_of_\w+>|</?SYS>>|/?(?:think|tool_call|tool_response)>)"
    r"|\[(?=/?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_RESULTS)\]|TOOL_CALLS\]|gMASK\])"
)
_TAGS = re.compile(r"^\s*(?:\[[^\[\]\na-z]{1,40}\]\s*)+", re.MULTILINE)
_KEPT = 0.5  # share of the limit that is left when a block is dropped


@dataclass(frozen=True, slots=True)
class Turn:
    """One message of the running conversation, or of the past that it follows."""

    speaker: str
    text: str


@dataclass(frozen=True, slots=True)
class Persona:
    """A person as they may be simulated: their name, who they talk with (at least one), and the principles they keep."""

    name: str
    partners: tuple[str, ...]
    principles: tuple[Principle, ...]

    @property
    def partner(self) -> str:
        return self.partners[0]

    @property
    def tags(self) -> dict[str, str]:
        return speaker_tags([self.name, *self.partners])

    @property
    def tag(self) -> str:
        return self.tags[self.name]


def speaker_tags(names: Sequence[str]) -> dict[str, str]:
    """A tag for each name: the first name in capitals, the whole name where first names clash."""
    firsts = [name.split()[0].upper() for name in names]
    return {
        name: harmless(f"[{first if firsts.count(first) == 1 else _line(name.upper())}]")
        for name, first in zip(names, firsts, strict=True)
    }


def conversation_text(turns: Iterable[tuple[str, str]], tags: dict[str, str]) -> str:
    """Turns as lines `[TAG] text`; inner line breaks become new lines under the same tag."""
    lines = []
    for speaker, text in turns:
        lines += [f"{tags[speaker]} {line}" for line in harmless(text).splitlines() if line.strip()]
    return "\n".join(lines)


def harmless(text: str) -> str:
    """The text with a blank in whatever a model's tokenizer would take for the control of a conversation."""
    return _CONTROL.sub(lambda match: f"{match[0]} ", text)


def _line(text: str) -> str:
    """The text as one harmless line."""
    return harmless(" ".join(text.split()))


def _begun(prefix: str) -> str:
    """What somebody has begun to write, its end where it is long, as one line that holds nobody's tag."""
    return _line(_TAGS.sub("", prefix[-MAX_BEGUN_CHARS:]))


def turn_messages(
    persona: Persona,
    turns: Sequence[Turn],
    known: Sequence[str],
    *,
    now: datetime,
    prefix: str = "",
    notes: Sequence[str] = (),
) -> list[dict[str, str]]:
    """The chat messages whose continuation is the persona's next line; `prefix` is what they have begun to write.

    `known` and `notes` are of this turn alone and come last. What comes before them only grows from turn to turn, as
    long as `turns` does and the day is the same.
    """
    body = conversation_text(((turn.speaker, turn.text) for turn in turns), persona.tags)
    opening = with_notes(f"{body}\n{persona.tag}" if body else persona.tag, known, notes)
    return [
        {"role": "system", "content": _who(persona, now)},
        {"role": "user", "content": f"{opening} {_begun(prefix)}".rstrip()},
    ]


def with_notes(opening: str, known: Sequence[str], notes: Sequence[str] = ()) -> str:
    """A conversation that ends on a tag, with what somebody knows and notes to them, a line each, before that tag."""
    body, _, tag = opening.rpartition("\n")
    lines = [f"What you know: {' '.join(known)}"] if known else []
    lines = [_line(line) for line in (*lines, *notes)]
    return "\n".join([*([body] if body else []), *lines, tag])


def recent(
    turns: Sequence[Turn], limit: int = MAX_RECENT_CHARS, size: Callable[[str], int] = len
) -> list[Turn]:
    """The last turns, of at most `limit` together as `size` counts a text (characters by default, or tokens).

    Once they are more, a whole block goes, down to half the limit: what is left begins with the same turn for many turns,
    so a prompt made of it keeps its beginning. `recent([*recent(turns), turn])` is `recent([*turns, turn])`, so whoever
    holds a conversation may forget what was dropped. The newest turn always stays; one beyond the limit loses its
    beginning.
    """
    kept: list[tuple[Turn, int]] = []
    total = 0
    for turn in turns:
        kept.append((turn, size(turn.text)))
        total += kept[-1][1]
        if total > limit:
            kept = _without_block(kept, limit, size)
            total = sum(n for _, n in kept)
    return [turn for turn, _ in kept]


def _without_block(
    kept: Sequence[tuple[Turn, int]], limit: int, size: Callable[[str], int]
) -> list[tuple[Turn, int]]:
    """The newest of the turns with their sizes: half the limit's worth, or the end of the very last one."""
    total = sum(n for _, n in kept)
    start = 0
    while start < len(kept) - 1 and total > limit * _KEPT:
        total -= kept[start][1]
        start += 1
    if total <= limit:
        return list(kept[start:])
    speaker, text = kept[-1][0].speaker, kept[-1][0].text
    while text and size(text) > limit:
        text = text[len(text) - min(len(text) - 1, len(text) * limit // size(text)) :]
    return [(Turn(speaker, text), size(text))]


def _who(persona: Persona, now: datetime) -> str:
    """All that stays the same during a conversation of one day."""
    style = [_line(item.text) for item in persona.principles if item.kind in _SPEECH][:3]
    values = [_line(item.text) for item in persona.principles if item.kind not in (*_SPEECH, "view")][:2]
    name, partners = _line(persona.name), [_line(partner) for partner in persona.partners]
    lines = [f"You are {name}, in a chat with {_listed(partners)}. Today is {now:%A, %d %B %Y}."]
    if style:
        lines.append("How you write: " + "; ".join(style) + ".")
    if values:
        lines.append("What matters to you: " + "; ".join(values) + ".")
    for partner in persona.partners:
        if views := [_line(item.text) for item in persona.principles if item.about == partner][:2]:
            lines.append(f"How you see {_line(partner)}: " + "; ".join(views) + ".")
    return "\n".join(lines)


def _listed(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
