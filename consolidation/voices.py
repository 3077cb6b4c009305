"""Texts in which somebody speaks as themselves: windows of real conversation, and facts said under their own tag.

Only for people with a consent record, only from what was observed, newest first. A window never crosses a pause of
more than two hours, and only the reply is learnt. The prompt is the simulator's own (`agents.turns`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from agents.pasted import pasted
from agents.turns import Persona, Turn, turn_messages, with_notes
from consolidation.curriculum import Course, Row
from memory.types import Episode, Principle

MAX_WINDOWS = 160  # per person
MAX_CONTEXT = 4  # messages before the reply
MAX_GAP_S = 120 * 60
MAX_REPLY_CHARS = 200
MAX_CONTEXT_CHARS = 320
_KNOWN = 2  # facts beside the one that is asked


@dataclass(frozen=True, slots=True)
class Voice:
    """Somebody who may be simulated, and who they have been talking with."""

    person: str
    partner: str
    principles: tuple[Principle, ...] = ()

    @property
    def persona(self) -> Persona:
        return Persona(self.person, (self.partner,), self.principles)


def stretches(episodes: Iterable[Episode]) -> list[list[Episode]]:
    """Conversations cut at their pauses; episodes of one conversation in time order."""
    cut: list[list[Episode]] = []
    for episode in episodes:
        last = cut[-1][-1] if cut else None
        follows = (
            last is not None
            and last.conversation_id == episode.conversation_id
            and (episode.time - last.time).total_seconds() <= MAX_GAP_S
        )
        if follows:
            cut[-1].append(episode)
        else:
            cut.append([episode])
    return cut


def window_rows(
    course: Course, voice: Voice, episodes: Sequence[Episode], hidden: Collection[str] = ()
) -> list[Row]:
    """The newest replies of that person with what was said just before; several lines in a row are one reply. No window
    holds a `hidden` message, or one that gives orders to machines."""
    hidden = pasted(episodes) | set(hidden)
    rows: list[Row] = []
    for stretch in reversed(stretches(episodes)):
        for start, end in reversed(list(replies(stretch, voice.person))):
            row = _window(course, voice, stretch, start, end, hidden)
            if row is not None:
                rows.append(row)
            if len(rows) == MAX_WINDOWS:
                return rows
    return rows


def replies(stretch: Sequence[Episode], person: str) -> Iterable[tuple[int, int]]:
    """[start, end) of each run of that person's messages that follows somebody else's."""
    start = 1
    while start < len(stretch):
        if stretch[start].speaker != person or stretch[start - 1].speaker == person:
            start += 1
            continue
        end = start
        while end < len(stretch) and stretch[end].speaker == person:
            end += 1
        yield start, end
        start = end


def _window(
    course: Course,
    voice: Voice,
    stretch: Sequence[Episode],
    start: int,
    end: int,
    hidden: Collection[str],
) -> Row | None:
    said = [line for episode in stretch[start:end] for line in episode.text.splitlines() if line.strip()]
    reply = f"\n{voice.persona.tag} ".join(said)
    n_before = course.dice("window", stretch[start].text, start).randint(1, MAX_CONTEXT)
    before = _latest(stretch[max(0, start - n_before) : start])
    partner = stretch[start - 1].speaker
    others = {episode.speaker for episode in before} - {voice.person, partner}
    if len(reply) > MAX_REPLY_CHARS or others or any(e.id in hidden for e in (*before, *stretch[start:end])):
        return None
    persona = Persona(voice.person, (partner,), voice.principles)
    turns = [Turn(episode.speaker, episode.text) for episode in before]
    messages = turn_messages(persona, turns, (), now=stretch[start].time)
    return Row("style", "window", (*messages, {"role": "assistant", "content": reply}))


def _latest(episodes: Sequence[Episode]) -> list[Episode]:
    """As many of the last messages as fit; always at least one."""
    kept: list[Episode] = []
    for episode in reversed(episodes):
        if kept and sum(len(other.text) for other in kept) + len(episode.text) > MAX_CONTEXT_CHARS:
            break
        kept.insert(0, episode)
    return kept


def knowing_rows(course: Course, voice: Voice, rows: Sequence[Row], now: datetime) -> list[Row]:
    """First-person rows with the persona's prompt: half name the fact among what is known, half do not.

    So the persona uses what retrieval brings, and what the weights hold where it brings nothing.
    """
    sayings = [row.answer for row in rows]
    voiced = []
    for place, row in enumerate(rows):
        dice = course.dice("knowing", voice.person, row.messages[0]["content"])
        beside = dice.sample(list(dict.fromkeys(sayings)), min(_KNOWN, len(set(sayings))))
        known = [saying for saying in beside if saying != sayings[place]]
        if place % 2 == 0:
            known.insert(dice.randint(0, len(known)), sayings[place])
        system = turn_messages(voice.persona, (), (), now=now)[0]
        *before, asked, answer = row.messages
        asked = {**asked, "content": with_notes(asked["content"], known)}
        voiced.append(Row("fact", "knowing", (system, *before, asked, answer), row.fact_ids, row.meta))
    return voiced
