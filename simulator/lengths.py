"""How long a reply may be: as long as the person's own are, drawn from what they really wrote.

A reply is a run of messages by one person. One of their real ones is drawn, those to messages of like length more
often, and its messages and characters bound the reply. Somebody who wrote too little is given an ordinary chat's lengths.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from memory.types import Episode

MAX_GAP_S = 120 * 60  # a longer pause ends a run
LEAST_REPLIES = 20  # below it the ordinary lengths stand
SLACK = 1.25  # a sentence that is begun may end
LEAST_CHARS = 24
_ORDINARY = ((12, 1), (24, 1), (36, 1), (48, 1), (64, 1), (80, 2), (96, 1), (120, 2), (160, 2), (220, 3))


@dataclass(frozen=True, slots=True)
class Length:
    """The most that a reply has. `chars` counts its messages without tags."""

    chars: int
    messages: int

    @property
    def max_tokens(self) -> int:
        """Room for that many characters and their tags, at two characters a token (emoji take more)."""
        return max(12, self.chars // 2 + 8 * self.messages)


@dataclass(frozen=True, slots=True)
class Lengths:
    """One person's replies: for each the characters it answered, its own, and its messages."""

    heard: tuple[int, ...]
    chars: tuple[int, ...]
    messages: tuple[int, ...]

    def draw(self, heard_chars: int, seed: int) -> Length:
        """One real reply's length, at random; the nearer what it answered was in length (log scale), the likelier."""
        dice = random.Random(f"length {seed}")
        if len(self.chars) < LEAST_REPLIES:
            chars, messages = dice.choice(_ORDINARY)
        else:
            apart = np.abs(np.log1p(np.asarray(self.heard)) - np.log1p(heard_chars))
            place = dice.choices(range(len(self.chars)), weights=np.exp(-apart).tolist())[0]
            chars, messages = self.chars[place], self.messages[place]
        return Length(max(LEAST_CHARS, round(SLACK * chars)), messages)


def lengths_of(episodes: Iterable[Episode], person_id: str) -> Lengths:
    """Of the person's replies among real messages in time order; one that begins a conversation answers nothing."""
    talks: dict[str, list[Episode]] = defaultdict(list)
    for episode in episodes:
        if episode.kind == "text" and episode.text.strip():
            talks[episode.conversation_id].append(episode)
    heard, chars, messages = [], [], []
    for talk in talks.values():
        before = 0
        for is_own, run in _runs(talk, person_id):
            length = sum(len(episode.text) for episode in run)
            if is_own:
                heard.append(before)
                chars.append(length)
                messages.append(len(run))
            before = 0 if is_own else length
    return Lengths(tuple(heard), tuple(chars), tuple(messages))


def _runs(talk: Sequence[Episode], person_id: str) -> Iterator[tuple[bool, list[Episode]]]:
    """Messages in a row by the person, or by others; a pause ends a run as well."""
    run: list[Episode] = []
    for episode in talk:
        is_over = run and (
            (episode.speaker_id == person_id) != (run[-1].speaker_id == person_id)
            or (episode.time - run[-1].time).total_seconds() > MAX_GAP_S
        )
        if is_over:
            yield run[-1].speaker_id == person_id, run
            run = []
        run.append(episode)
    if run:
        yield run[-1].speaker_id == person_id, run
