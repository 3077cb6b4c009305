"""Windows of real conversation: what somebody wrote next, with what was said just before it.

A window never crosses a pause, holds nothing that is barred, and nothing from outside its span of time, so that windows
of two spans share no message. Its reply is one or several messages in a row, as people write them; what stands before is
as much as fits, and may be nothing where a conversation begins. No model and no database in here.
"""

from __future__ import annotations

import math
import random
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from agents.turns import Persona, Turn, harmless, turn_messages
from memory.episodes import readable
from memory.ports import Withhold
from memory.types import Episode, Principle

GAP_MINUTES = 120.0
WHOLE = 0.6  # share of the showings with all that stands before, as the simulator's prompts have it
BARE = 0.3  # share of the showings that are the conversation alone, as another program might give it
PRINCIPLED = 0.7  # of the others: with the principles
N_KNOWN = (0, 0, 1, 2, 3)  # facts beside them, one of these numbers

Message = dict[str, str]


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a window may hold. A message longer than a reply may be is nobody's reply."""

    gap_minutes: float = GAP_MINUTES
    max_context: int = 8  # messages
    max_context_chars: int = 900
    max_reply_chars: int = 400


@dataclass(frozen=True, slots=True)
class Span:
    """Messages of [since, until); None is open."""

    since: datetime | None = None
    until: datetime | None = None

    def holds(self, time: datetime) -> bool:
        return (self.since is None or time >= self.since) and (self.until is None or time < self.until)


@dataclass(frozen=True, slots=True)
class Window:
    """A reply, and the most that may stand before it. `partners`: the others of the talk, who spoke last first."""

    before: tuple[Episode, ...]
    reply: tuple[Episode, ...]
    partners: tuple[str, ...]

    @property
    def speaker(self) -> str:
        return self.reply[0].speaker

    @property
    def at(self) -> datetime:
        return self.reply[0].time

    @property
    def episodes(self) -> tuple[Episode, ...]:
        return (*self.before, *self.reply)

    @property
    def lines(self) -> list[str]:
        """The messages of the reply, line by line, without what would be the control of a conversation."""
        lines = (line.strip() for episode in self.reply for line in harmless(episode.text).splitlines())
        return [line for line in lines if line]


@dataclass(frozen=True, slots=True)
class Known:
    """What the prompt of a window may hold beside the conversation: principles, and facts in the person's own words.

    `evidence`: ids of the messages that the facts rest on.
    """

    principles: tuple[Principle, ...] = ()
    sayings: tuple[str, ...] = ()
    evidence: tuple[str, ...] = ()


def stretches(episodes: Iterable[Episode], gap_minutes: float = GAP_MINUTES) -> list[list[Episode]]:
    """Conversations cut at their pauses, each in time order; the conversations in the order they are met."""
    talks: dict[str, list[Episode]] = defaultdict(list)
    for episode in episodes:
        talks[episode.conversation_id].append(episode)
    gap = timedelta(minutes=gap_minutes)
    cut: list[list[Episode]] = []
    for talk in talks.values():
        last: Episode | None = None
        for episode in sorted(talk, key=lambda e: (e.time, e.position)):
            if last is not None and episode.time - last.time <= gap:
                cut[-1].append(episode)
            else:
                cut.append([episode])
            last = episode
    return cut


def barred(episodes: Sequence[Episode], withhold: Withhold) -> frozenset[str]:
    """Ids of what no window may hold: what no reader may see, what a machine wrote, and what is no text."""
    usable = {
        e.id
        for e in readable(episodes, withhold)
        if e.origin == "observed" and e.kind == "text" and e.text.strip()
    }
    return frozenset(e.id for e in episodes if e.id not in usable)


def windows_of(
    episodes: Sequence[Episode],
    person_id: str,
    bounds: Bounds,
    span: Span | None = None,
    *,
    barred: Collection[str] = (),
) -> list[Window]:
    """Every reply of that person in the span, in time order; a message is in one reply at most.

    Left out are replies to what is barred or outside the span, and monologues without anybody else in the talk.
    """
    span = span or Span()
    company = _company(episodes, person_id)
    found = []
    for stretch in stretches(episodes, bounds.gap_minutes):
        is_usable = [span.holds(episode.time) and episode.id not in barred for episode in stretch]
        for start, end in _runs(stretch, person_id):
            if not all(is_usable[start:end]):
                continue
            for first, last in _replies(stretch, start, end, bounds.max_reply_chars):
                before = _before(stretch, is_usable, first, bounds)
                others = [e.speaker for e in reversed(before) if e.speaker_id != person_id]
                partners = tuple(dict.fromkeys(others)) or company.get(stretch[0].conversation_id, ())
                if partners and (before or first == 0):
                    found.append(Window(tuple(before), tuple(stretch[first:last]), partners))
    return sorted(found, key=lambda window: (window.at, window.reply[0].id))


def _company(episodes: Iterable[Episode], person_id: str) -> dict[str, tuple[str, ...]]:
    """Conversation -> who of the others says most in it."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for episode in episodes:
        if episode.speaker_id != person_id:
            counts[episode.conversation_id][episode.speaker] += 1
    return {talk: (count.most_common(1)[0][0],) for talk, count in counts.items()}


def _runs(stretch: Sequence[Episode], person_id: str) -> Iterator[tuple[int, int]]:
    """[start, end) of each run of that person's messages."""
    start = 0
    while start < len(stretch):
        end = start
        while end < len(stretch) and stretch[end].speaker_id == person_id:
            end += 1
        if end > start:
            yield start, end
        start = max(end, start + 1)


def _replies(stretch: Sequence[Episode], start: int, end: int, max_chars: int) -> Iterator[tuple[int, int]]:
    """The run in pieces of at most so many characters; a message longer than that is in none."""
    first, size = start, 0
    for place in range(start, end):
        length = len(stretch[place].text)
        if size + length > max_chars:
            if place > first:
                yield first, place
            first, size = place, 0
        if length > max_chars:
            first = place + 1
            continue
        size += length
    if end > first:
        yield first, end


def _before(
    stretch: Sequence[Episode], is_usable: Sequence[bool], first: int, bounds: Bounds
) -> list[Episode]:
    """As many of the messages before as fit, one at least, up to one that is of no use."""
    kept: list[Episode] = []
    size = 0
    for place in range(first - 1, max(-1, first - 1 - bounds.max_context), -1):
        size += len(stretch[place].text)
        if not is_usable[place] or (kept and size > bounds.max_context_chars):
            break
        kept.insert(0, stretch[place])
    return kept


def time_of_split(windows: Sequence[Window], share: float) -> datetime | None:
    """When the last `share` of the windows (in time order) begins; None where that leaves one side empty.

    A run of messages that the time falls into is in no window of either side, so that a side can come out empty still.
    """
    place = math.floor(len(windows) * (1 - share))
    if not 0 < place < len(windows) or windows[place].at == windows[0].at:
        return None
    return windows[place].at


def weights_of(windows: Sequence[Window], half_life_days: float) -> list[float]:
    """In (0, 1]: halved with every half-life before the newest; all 1 at a half-life of 0."""
    if not windows or not half_life_days:
        return [1.0] * len(windows)
    newest = max(window.at for window in windows)
    return [2.0 ** (-((newest - window.at) / timedelta(days=half_life_days))) for window in windows]


def shown(windows: Sequence[Window], n: int, half_life_days: float, dice: random.Random) -> list[Window]:
    """`n` showings, each window's share that of its weight to within one showing (systematic sampling), in time order."""
    weights = weights_of(windows, half_life_days)
    step = sum(weights) / n if n else 0.0
    point = dice.random() * step
    drawn: list[Window] = []
    total = 0.0
    for window, weight in zip(windows, weights, strict=True):
        total += weight
        while point < total and len(drawn) < n:
            drawn.append(window)
            point += step
    return drawn


def whole_prompt(window: Window, known: Known, bounds: Bounds) -> tuple[Message, ...]:
    """All of the window with all that may stand beside it, and the reply: as the simulator asks."""
    return _messages(window, window.before, known.principles, known.sayings[: max(N_KNOWN)], bounds)


def bare_prompt(window: Window, bounds: Bounds) -> tuple[Message, ...]:
    """The conversation alone, and the reply."""
    return _messages(window, window.before, (), (), bounds)[1:]


def drawn_prompt(window: Window, known: Known, bounds: Bounds, dice: random.Random) -> tuple[Message, ...]:
    """One showing: what was said before, mostly all of it, else some or nothing; with and without principles and facts; and the
    reply."""
    most = len(window.before)
    before = window.before[most - (most if dice.random() < WHOLE else dice.randint(0, most)) :]
    is_bare, with_principles = dice.random() < BARE, dice.random() < PRINCIPLED
    sayings = dice.sample(known.sayings, min(dice.choice(N_KNOWN), len(known.sayings)))
    if is_bare:
        return _messages(window, before, (), (), bounds)[1:]
    return _messages(window, before, known.principles if with_principles else (), sayings, bounds)


def _messages(
    window: Window,
    before: Sequence[Episode],
    principles: tuple[Principle, ...],
    sayings: Sequence[str],
    bounds: Bounds,
) -> tuple[Message, ...]:
    """System, user, and the reply as the assistant's: its messages with the own tag between them."""
    persona = Persona(window.speaker, window.partners, principles)
    turns = [Turn(episode.speaker, episode.text[-bounds.max_context_chars :]) for episode in before]
    asked = turn_messages(persona, turns, sayings, now=window.at)
    return (*asked, {"role": "assistant", "content": f"\n{persona.tag} ".join(window.lines)})
