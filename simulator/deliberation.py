"""What a persona considers before it speaks, kept apart from what it says.

Nothing in here is shown to the partner; it is kept with the turn and shown on request. Most of it follows from the
graph; a thought in the model's own words is drawn where the settings ask for one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from simulator.lengths import Length
from simulator.mood import Mood, mood_note
from simulator.ports import Engine

if TYPE_CHECKING:
    from agents.sampling import Sampling

THOUGHT_TOKENS = 40
UNKNOWN = "You do not know what is asked; you say so."
_THINK = "(Before you write: in one sentence, what do you make of this, and what do you want to say?)"


@dataclass(frozen=True, slots=True)
class Deliberation:
    """`stance`: answer | claimed | decline | talk, see `simulator.stance`. Notes are whole sentences to the persona."""

    stance: str
    length: Length
    known: tuple[str, ...] = ()  # sentences that the prompt holds, in the persona's own words
    said_before: tuple[str, ...] = ()  # claims of its own
    moment: str = ""
    mood: Mood = field(default_factory=Mood)
    others: tuple[str, ...] = ()  # who came up
    notes_given: tuple[str, ...] = ()  # by whoever leads the conversation: a summary, a change of topic
    thought: str = ""

    @property
    def notes(self) -> tuple[str, ...]:
        """What stands before the persona's tag in the prompt, beside what is known."""
        lines = [self.moment, *self.notes_given, *self.others]
        if self.said_before:
            lines.append("What you have said before: " + " ".join(self.said_before))
        lines.append(mood_note(self.mood))
        if self.stance == "decline":
            lines.append(UNKNOWN)
        if self.thought:
            lines.append(f"You think: {self.thought}")
        return tuple(line for line in lines if line)

    @property
    def lines(self) -> tuple[str, ...]:
        """All of it as lines to read, the stance first."""
        known = (f"What you know: {' '.join(self.known)}",) if self.known else ()
        return (f"Stance: {self.stance}.", *known, *self.notes)

    def as_json(self) -> dict[str, Any]:
        return {
            "stance": self.stance,
            "known": list(self.known),
            "said_before": list(self.said_before),
            "others": list(self.others),
            "moment": self.moment,
            "mood": self.mood.as_json(),
            "notes": list(self.notes_given),
            "thought": self.thought,
            "length": {"chars": self.length.chars, "messages": self.length.messages},
        }


def with_thought(
    made: Deliberation, engine: Engine, messages: Sequence[dict[str, str]], sampling: Sampling
) -> Deliberation:
    """The deliberation with a thought that the model drew; the first sentence or line of it, whole or not at all."""
    *before, last = messages
    asked = [*before, {**last, "content": f"{last['content']}\n{_THINK}"}]
    drawn = "".join(
        piece.text for piece in engine.stream(asked, replace(sampling, max_new_tokens=THOUGHT_TOKENS))
    )
    line = drawn.strip().split("\n")[0]
    end = max(line.rfind(mark) for mark in ".!?")
    return replace(made, thought=line[: end + 1].strip())
