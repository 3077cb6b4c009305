"""What counting shows: in sessions in which somebody is in a state, what follows is compared with other sessions.

Fisher's exact test (one-sided), all questions about one person together under Benjamini and Hochberg (1995, J. R.
Stat. Soc. B 57). One moment per session is counted, so that a long evening is one observation; and never the message
that carries the emotion tag, because the tagger looks at the same signs.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta, tzinfo
from itertools import pairwise

from agents.measures import EMOJI
from agents.patterns.counting import corrected, fisher_greater
from agents.patterns.pattern import MOST_EVIDENCE, Q_WEAK, Counts, Pattern
from memory.types import Episode
from memory.wordings import content_words, words

Felt = Mapping[str, Mapping[str, float]]  # episode id -> concept -> intensity 0-10

STATES: Mapping[str, frozenset[str]] = {
    "stressed": frozenset({"anxiety", "frustration", "tiredness", "fear"}),
    "sad": frozenset({"sadness", "loneliness", "disappointment", "guilt"}),
    "angry": frozenset({"anger"}),
    "happy": frozenset({"joy", "excitement", "pride", "relief"}),
    "moved": frozenset({"love", "warmth", "gratitude", "nostalgia"}),
}
LEAST_INTENSITY = 5.0
SESSION_GAP = timedelta(hours=3)
FOLLOWING = 6  # own messages after the moment that are looked at, in its session
LEAST_SHOWN, LEAST_DAYS = 5, 4  # sessions, and days, that show a pattern
LEAST_MOMENTS = 8  # sessions with the state, and without it, below which nothing is asked
LEAST_LIFT = 1.5
LEAST_LETTERS = 4  # of a word that is brought up
SAME_SESSIONS = 0.7  # share from which two behaviours are one
_WORD = "brings up"


_LAUGH = re.compile(
    r"\b(?:(?:ha){2,}h?|(?:he){2,}|lol|lmao|(?:ja){2,}|k{3,}|rs(?:rs)+)\b|[😂🤣😹]", re.IGNORECASE
)
_SORRY = re.compile(r"\b(?:i'?m (?:so |really )?sorry|sorry|apologi[sz]e|my bad|forgive me)\b", re.IGNORECASE)
_THANKS = re.compile(r"\b(?:thank(?:s| you)|thx|obrigad[oa]|gracias|merci|danke|tack|takk)\b", re.IGNORECASE)
_SWEARS = re.compile(
    r"\b(?:damn\w*|bloody|hell|crap|shit\w*|f+u+c+k\w*|bollocks|bugger|arse|merde|merda|caralho|scheisse|scheiße)\b",
    re.IGNORECASE,
)
_CAPITALS = re.compile(r"\b[A-ZÀ-Þ]{4,}\b")


def _length(text: str) -> int:
    return len(text.split())


@dataclass(frozen=True, slots=True)
class _Moment:
    """A message of the person's, and what they wrote after it in the session."""

    anchor: Episode
    following: tuple[Episode, ...]
    hours_away: float | None  # how long whoever wrote next waited for an answer; None where none came


_Shows = Callable[[_Moment], Episode | None]  # the message that shows it


def _any(pattern: re.Pattern[str]) -> _Shows:
    return lambda moment: next((e for e in moment.following if pattern.search(e.text)), None)


def _behaviours(moments: Sequence[_Moment]) -> dict[str, _Shows]:
    """By name; bounds of length and silence are the person's own."""
    lengths = sorted(_length(e.text) for moment in moments for e in moment.following) or [0]
    short, long = lengths[len(lengths) // 5], lengths[4 * len(lengths) // 5]
    waits = sorted(moment.hours_away for moment in moments if moment.hours_away is not None) or [0.0]
    long_wait = max(2.0, waits[3 * len(waits) // 4])
    return {
        "goes quiet": lambda m: m.anchor if m.hours_away is not None and m.hours_away > long_wait else None,
        "writes short messages": lambda m: _typical(m, lambda n: n <= short, least=2),
        "writes long messages": lambda m: _typical(m, lambda n: n >= max(long, 12), least=1),
        "laughs": _any(_LAUGH),
        "uses emoji": _any(EMOJI),
        "says sorry": _any(_SORRY),
        "says thank you": _any(_THANKS),
        "swears": _any(_SWEARS),
        "writes in capitals": _any(_CAPITALS),
        "asks questions": lambda m: next((e for e in m.following if "?" in e.text), None),
    }


def _typical(moment: _Moment, fits: Callable[[int], bool], *, least: int) -> Episode | None:
    """A message like most of the following ones, where most fit."""
    fitting = [episode for episode in moment.following if fits(_length(episode.text))]
    return fitting[0] if len(fitting) >= max(least, len(moment.following) / 2) else None


@dataclass(frozen=True, slots=True)
class _Session:
    own: tuple[Episode, ...]
    others: tuple[Episode, ...]
    waits: Mapping[str, float]


def shown(episodes: Sequence[Episode], person: str, felt: Felt, zone: tzinfo) -> list[Pattern]:
    sessions = [session for session in _sessions(episodes, person) if session.own]
    asked: list[_Asked] = []
    for condition, marks in _conditions(felt):
        moments = _moments(sessions, marks)
        if moments is None:
            continue
        when, other = moments
        for name, shows in {**_behaviours([*when, *other]), **_subjects([*when, *other])}.items():
            asked.append(_Asked(name, condition, _Table.of(shows, when, other)))
    qs = corrected([one.table.p for one in asked])
    found = [
        replace(one, q=q)
        for one, q in zip(asked, qs, strict=True)
        if q <= Q_WEAK and one.table.is_frequent(zone)
    ]
    name = sessions[0].own[0].speaker if sessions else ""
    return [_as_pattern(person, name, one) for one in _clearest(found)]


@dataclass(frozen=True, slots=True)
class _Asked:
    """One question that was asked of the sessions."""

    behaviour: str
    state: str
    table: _Table
    q: float = 1.0


def _as_pattern(person: str, name: str, found: _Asked) -> Pattern:
    table = found.table
    counts = Counts(table.k_when, table.n_when, table.k_else, table.n_else, table.p, found.q)
    evidence = tuple(dict.fromkeys(e.id for pair in table.shown[-MOST_EVIDENCE // 2 :] for e in pair))
    sure = round(0.6 + 0.35 * (table.k_when / table.n_when) * (1 - found.q), 4)
    return Pattern(person, f"{found.behaviour} when {found.state}", "shown", name, evidence, sure, counts)


def _clearest(found: Sequence[_Asked]) -> list[_Asked]:
    """Of one behaviour only the state under which it is surest, and of behaviours that the same sessions show only one:
    states overlap, and one evening has many words. A behaviour with a name goes before a word."""
    kept: list[_Asked] = []
    for one in sorted(found, key=lambda one: (one.table.p, one.behaviour.startswith(_WORD), one.behaviour)):
        if not any(one.behaviour == other.behaviour or one.table.is_like(other.table) for other in kept):
            kept.append(one)
    return kept


@dataclass(frozen=True, slots=True)
class _Table:
    """Sessions in the state and others, and in how many of each the behaviour showed."""

    k_when: int
    n_when: int
    k_else: int
    n_else: int
    shown: tuple[tuple[Episode, ...], ...]  # the moment and what shows it, in time order

    @classmethod
    def of(cls, shows: _Shows, when: Sequence[_Moment], other: Sequence[_Moment]) -> _Table:
        pairs = [(moment.anchor, found) for moment in when if (found := shows(moment)) is not None]
        k_else = sum(shows(moment) is not None for moment in other)
        return cls(len(pairs), len(when), k_else, len(other), tuple(pairs))

    @property
    def p(self) -> float:
        return fisher_greater(self.k_when, self.n_when, self.k_else, self.n_else)

    def is_like(self, other: _Table) -> bool:
        """Whether mostly the same sessions show it."""
        one, two = ({pair[0].id for pair in table.shown} for table in (self, other))
        return len(one & two) >= SAME_SESSIONS * len(one | two)

    def is_frequent(self, zone: tzinfo) -> bool:
        days = {pair[0].time.astimezone(zone).date() for pair in self.shown}
        lift = (self.k_when / self.n_when) / max(self.k_else / self.n_else, 1e-9)
        return self.k_when >= LEAST_SHOWN and len(days) >= LEAST_DAYS and lift >= LEAST_LIFT


def _sessions(episodes: Sequence[Episode], person: str) -> list[_Session]:
    parts: list[list[Episode]] = []
    for before, episode in pairwise([None, *episodes]):
        if episode is None:
            continue
        if before is None or episode.time - before.time > SESSION_GAP:
            parts.append([])
        parts[-1].append(episode)
    waits = _waits(episodes, person)
    return [
        _Session(
            own=tuple(e for e in part if e.speaker_id == person and e.kind == "text"),
            others=tuple(e for e in part if e.speaker_id != person and e.kind == "text"),
            waits=waits,
        )
        for part in parts
    ]


def _waits(episodes: Sequence[Episode], person: str) -> dict[str, float]:
    """Own message -> hours from the first message of somebody else after it until the person's next one."""
    waits: dict[str, float] = {}
    run: list[Episode] = []
    asked: Episode | None = None
    for episode in episodes:
        if episode.speaker_id != person:
            asked = asked or episode
            continue
        if asked is not None:
            hours = (episode.time - asked.time).total_seconds() / 3600
            waits |= {own.id: hours for own in run}
            run, asked = [], None
        run.append(episode)
    return waits


_Marks = Callable[[_Session], Episode | None]  # the message of the session at which the state is seen


def _conditions(felt: Felt) -> Iterable[tuple[str, _Marks]]:
    for state, concepts in STATES.items():
        yield state, _own_state(felt, concepts)
        yield f"somebody else is {state}", _state_of_others(felt, concepts)


def _own_state(felt: Felt, concepts: frozenset[str]) -> _Marks:
    return lambda session: next((e for e in session.own if _feels(felt, e, concepts)), None)


def _state_of_others(felt: Felt, concepts: frozenset[str]) -> _Marks:
    def marks(session: _Session) -> Episode | None:
        moment = next((e for e in session.others if _feels(felt, e, concepts)), None)
        return None if moment is None else _before(session.own, moment)

    return marks


def _feels(felt: Felt, episode: Episode, concepts: frozenset[str]) -> bool:
    found = felt.get(episode.id, {})
    return any(found.get(concept, 0.0) >= LEAST_INTENSITY for concept in concepts)


def _before(own: Sequence[Episode], moment: Episode) -> Episode:
    """The last own message before the moment, or the first of the session: what follows it answers the moment."""
    before = [e for e in own if (e.time, e.position) < (moment.time, moment.position)]
    return before[-1] if before else own[0]


def _moments(sessions: Sequence[_Session], marks: _Marks) -> tuple[list[_Moment], list[_Moment]] | None:
    """Those in the state and those to compare with; None where there are too few of either.

    A session without the state gives the message at a place like that of the state's message in another session.
    """
    marked = [(session, marks(session)) for session in sessions]
    when = [(session, found) for session, found in marked if found is not None]
    others = [session for session, found in marked if found is None]
    if min(len(when), len(others)) < LEAST_MOMENTS:
        return None
    places = [session.own.index(found) / len(session.own) for session, found in when]
    middle = [
        (session, session.own[int(places[number % len(places)] * len(session.own))])
        for number, session in enumerate(others)
    ]
    return [_moment(*item) for item in when], [_moment(*item) for item in middle]


def _moment(session: _Session, anchor: Episode) -> _Moment:
    place = session.own.index(anchor)
    return _Moment(anchor, session.own[place + 1 : place + 1 + FOLLOWING], session.waits.get(anchor.id))


def _subjects(moments: Sequence[_Moment]) -> dict[str, _Shows]:
    """Words that come up after moments of enough sessions, as behaviours: 'brings up "tea"'."""
    told = {e.id: _telling(e.text) for moment in moments for e in moment.following}
    n_with = Counter(
        word for moment in moments for word in frozenset().union(*(told[e.id] for e in moment.following))
    )
    often = sorted(word for word, n in n_with.items() if LEAST_SHOWN <= n <= len(moments) / 2)
    return {f'{_WORD} "{word}"': _says(word, told) for word in often}


def _telling(text: str) -> frozenset[str]:
    return frozenset(
        word for word in words(text) if len(word) >= LEAST_LETTERS and word.isalpha() and content_words(word)
    )


def _says(word: str, told: Mapping[str, frozenset[str]]) -> _Shows:
    return lambda moment: next((e for e in moment.following if word in told[e.id]), None)
