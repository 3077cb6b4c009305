"""How somebody writes, in numbers: counted over every message of theirs, in one pass, in any language, without a model.

`measure` is linear in the messages. Shares are in [0, 1], waits in minutes. A number that rests on too few messages
is None or left out, never guessed. What the numbers say in words is written in `habits.py`.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import tzinfo
from functools import lru_cache
from itertools import groupby, pairwise
from statistics import median
from typing import Any

from memory.types import Episode

IN_A_ROW_S = 120  # a message so soon after one's own goes on with it
LONGEST_WAIT_MIN = 720  # a message after half a day answers nothing
SESSION_S = 3 * 3600  # a silence after which a message opens the talk anew
LEAST = 10  # waits, or messages, under which a part of the day says nothing
TOLD = 5  # words and signs told of each kind
LEAST_USES = 3  # of a word that is told
MOST_HOURS = 0.8  # share of the messages that the active hours hold
PARTS = (("night", 0, 6), ("morning", 6, 12), ("afternoon", 12, 18), ("evening", 18, 24))

EMOJI = re.compile(
    "(?:[\U0001f1e6-\U0001f1ff]{2}|[\U0001f300-\U0001faff\u2600-\u27bf\u2b50\u2b55\u2764]"
    "(?:[\ufe0f\U0001f3fb-\U0001f3ff]|\u200d[\U0001f300-\U0001faff\u2600-\u27bf]\ufe0f?)*)"
)
WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
LAUGHTER = re.compile(
    r"\b(?:(?:ha){2,}h?|a?(?:hah)+a*|(?:he){2,}h?|(?:hi){2,}|lo+l|lmf?ao+|rofl|(?:ja){2,}j?|(?:je){2,}|k{3,}|rs(?:rs)+|"
    r"mdr|ptdr|(?:xa){2,}|(?:ха)+х?|(?:хе){2,}|(?:ах)+а?|xd+)\b|55{2,}|w{3,}\b(?!\.)|[笑草]|ㅋ{2,}|ㅎ{2,}|[😂🤣]",
    re.IGNORECASE,
)
_SHORTENED = re.compile(r"(.{1,2}?)\1{2,}")
_SCRIPTS = {
    "CJK": "Han",
    "HIRAGANA": "Japanese",
    "KATAKANA": "Japanese",
    "HANGUL": "Korean",
}


@dataclass(frozen=True, slots=True)
class Count:
    """A word or sign, and in how many messages."""

    text: str
    n: int


@dataclass(frozen=True, slots=True)
class Measures:
    n_messages: int
    words_median: float
    words_mean: float
    characters_median: float
    emoji_share: float  # of the messages
    emoji: tuple[Count, ...]
    lowercase_share: float | None  # of the messages in a script that has capitals
    endings: Mapping[str, float]  # full_stop, exclamation, question, dots, emoji, other, none
    openings: tuple[Count, ...]  # first words
    closings: tuple[Count, ...]  # last words
    laughter_share: float
    laughter: tuple[Count, ...]
    in_a_row_share: float  # messages sent right after one's own
    per_turn: float  # messages sent before somebody else speaks, on the mean
    sessions_opened_share: float | None  # of the talks they took part in
    reply_median_min: float | None
    reply_by_part: Mapping[str, float]  # part of the day -> median
    n_replies: int
    hours: tuple[int, ...]  # 24 counts, by local time
    active_from: (
        int | None
    )  # the shortest run of hours that holds MOST_HOURS of the messages, the end not included
    active_to: int | None
    scripts: Mapping[str, float]  # share of the messages mostly written in it


def measure(own: Sequence[Episode], heard: Sequence[Episode], zone: tzinfo) -> Measures:
    """`heard` is everything that was said in the person's conversations, their own messages included, in any order.

    Hours and parts of the day are those of `zone`.
    """
    words = [WORD.findall(episode.text) for episode in own]
    n_words = sorted(map(len, words))
    is_own = {episode.id for episode in own}
    lines = in_order(heard)
    waits = [(after.time.astimezone(zone).hour, wait) for after, wait in replies(lines, is_own)]
    hours = Counter(episode.time.astimezone(zone).hour for episode in own)
    active = _active(hours)
    texts = [episode.text for episode in own]
    cased = [text for text in texts if text.lower() != text.upper()]
    n, n_turns = len(own), _turns(lines, is_own)
    laughs = [{_short(match) for match in LAUGHTER.findall(text.lower())} for text in texts]
    signs = [set(EMOJI.findall(text)) for text in texts]
    return Measures(
        n_messages=n,
        words_median=median(n_words) if n else 0.0,
        words_mean=sum(n_words) / n if n else 0.0,
        characters_median=median(map(len, texts)) if n else 0.0,
        emoji_share=_share(sum(map(bool, signs)), n),
        emoji=_most(Counter(sign for found in signs for sign in found)),
        lowercase_share=_share(sum(map(is_lowercase, cased)), len(cased)) if cased else None,
        endings=_shares(Counter(map(ending, texts))),
        openings=_most(Counter(found[0].lower() for found in words if found)),
        closings=_most(Counter(found[-1].lower() for found in words if found)),
        laughter_share=_share(sum(map(bool, laughs)), n),
        laughter=_most(Counter(laugh for found in laughs for laugh in found)),
        in_a_row_share=_share(len(in_rows(lines, is_own)), n),
        per_turn=_share(n, n_turns),
        sessions_opened_share=_opened(lines, is_own),
        reply_median_min=median(wait for _, wait in waits) if len(waits) >= LEAST else None,
        reply_by_part=_by_part(waits),
        n_replies=len(waits),
        hours=tuple(hours[hour] for hour in range(24)),
        active_from=active[0] if active else None,
        active_to=active[1] if active else None,
        scripts=_shares(Counter(script for text in texts if (script := script_of(text)))),
    )


def in_order(episodes: Sequence[Episode]) -> list[Episode]:
    """By conversation and time."""
    return sorted(episodes, key=lambda e: (e.conversation_id, e.time, e.position))


def replies(lines: Sequence[Episode], speakers: Set[str]) -> Iterator[tuple[Episode, float]]:
    """Each first message after somebody else's, with the minutes it took, where one came within LONGEST_WAIT_MIN.

    `lines` as `in_order` gives them; `speakers` are the ids of the messages whose answers are wanted.
    """
    for before, after in pairwise(lines):
        if after.id in speakers and before.id not in speakers and _is_one_talk(before, after):
            minutes = (after.time - before.time).total_seconds() / 60
            if 0 <= minutes <= LONGEST_WAIT_MIN:
                yield after, minutes


def in_rows(lines: Sequence[Episode], own: Set[str]) -> list[str]:
    """Ids of the messages that follow another one of the same side within IN_A_ROW_S."""
    return [
        after.id
        for before, after in pairwise(lines)
        if before.id in own
        and after.id in own
        and _is_one_talk(before, after)
        and (after.time - before.time).total_seconds() <= IN_A_ROW_S
    ]


def _is_one_talk(before: Episode, after: Episode) -> bool:
    return before.conversation_id == after.conversation_id


def is_lowercase(text: str) -> bool:
    """Whether it has letters that could be capitals, and none is."""
    return text == text.lower() and text != text.upper()


def ending(text: str) -> str:
    """How a message ends: full_stop, exclamation, question, dots, emoji, other or none."""
    plain = text.rstrip()
    bare = EMOJI.sub("", plain).rstrip(" \ufe0f\u200d")
    if bare != plain and not plain.endswith(bare[-1:] or "\0"):
        return "emoji"
    last = plain[-1:]
    if plain.endswith(("...", "…", "。。")):
        return "dots"
    known = {".": "full_stop", "。": "full_stop", "।": "full_stop", "!": "exclamation", "！": "exclamation"}
    known |= {"?": "question", "？": "question", "؟": "question", "": "none"}
    return known.get(last, "none" if last.isalnum() else "other")


def script_of(text: str) -> str | None:
    """The script of most of its letters: Latin, Cyrillic, Greek, Han, Japanese, ...; None without letters."""
    if text.isascii():
        return "Latin" if any(map(str.isalpha, text)) else None
    counts = Counter(_script(char) for char in text if char.isalpha())
    if counts["Japanese"]:  # written with Han as well
        counts["Japanese"] += counts.pop("Han", 0)
    return counts.most_common(1)[0][0] if counts else None


@lru_cache(maxsize=4096)
def _script(char: str) -> str:
    word = unicodedata.name(char, "OTHER").split()[0]
    return _SCRIPTS.get(word, word.capitalize())


def _short(laugh: str) -> str:
    """ "hahahaha" and "hahaha" are one laugh."""
    return _SHORTENED.sub(r"\1\1", laugh)


def _share(part: float, whole: float) -> float:
    return part / whole if whole else 0.0


def _shares(counts: Counter[str]) -> dict[str, float]:
    return {
        name: n / counts.total() for name, n in sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    }


def _most(counts: Counter[str]) -> tuple[Count, ...]:
    often = [(text, n) for text, n in counts.items() if n >= LEAST_USES]
    return tuple(Count(text, n) for text, n in sorted(often, key=lambda item: (-item[1], item[0]))[:TOLD])


def _turns(lines: Sequence[Episode], own: set[str]) -> int:
    return sum(1 for (_, is_own), _ in groupby(lines, lambda e: (e.conversation_id, e.id in own)) if is_own)


def _opened(lines: Sequence[Episode], own: set[str]) -> float | None:
    """The share of sessions with others that the person began."""
    n_opened = n_shared = 0
    for session in _sessions(lines):
        voices = {episode.id in own for episode in session}
        if len(voices) == 2:
            n_shared += 1
            n_opened += session[0].id in own
    return n_opened / n_shared if n_shared >= LEAST else None


def _sessions(lines: Sequence[Episode]) -> Iterator[list[Episode]]:
    session: list[Episode] = []
    for episode in lines:
        if session and (
            not _is_one_talk(session[-1], episode)
            or (episode.time - session[-1].time).total_seconds() > SESSION_S
        ):
            yield session
            session = []
        session.append(episode)
    if session:
        yield session


def _by_part(waits: Sequence[tuple[int, float]]) -> dict[str, float]:
    found: dict[str, list[float]] = defaultdict(list)
    for hour, wait in waits:
        found[next(name for name, start, end in PARTS if start <= hour < end)].append(wait)
    return {name: median(found[name]) for name, _, _ in PARTS if len(found[name]) >= LEAST}


def _active(hours: Counter[int]) -> tuple[int, int] | None:
    """The shortest run of hours, over midnight too, with MOST_HOURS of the messages; the fuller one of equal length."""
    total = hours.total()
    if total < LEAST:
        return None
    for length in range(1, 25):
        held = [(sum(hours[(start + step) % 24] for step in range(length)), -start) for start in range(24)]
        most, start = max(held)
        if most >= MOST_HOURS * total:
            return -start, (length - start) % 24
    return None


def measures_json(found: Measures) -> dict[str, Any]:
    """As other programs get them; shares to three places."""

    def counted(counts: Sequence[Count]) -> list[dict[str, Any]]:
        return [{"text": count.text, "messages": count.n} for count in counts]

    def rounded(shares: Mapping[str, float]) -> dict[str, float]:
        return {name: round(share, 3) for name, share in shares.items()}

    def maybe(number: float | None) -> float | None:
        return None if number is None else round(number, 3)

    return {
        "messages": found.n_messages,
        "words": {"median": found.words_median, "mean": round(found.words_mean, 2)},
        "characters": {"median": found.characters_median},
        "emoji": {"share": round(found.emoji_share, 3), "favourites": counted(found.emoji)},
        "lowercase_share": maybe(found.lowercase_share),
        "endings": rounded(found.endings),
        "openings": counted(found.openings),
        "closings": counted(found.closings),
        "laughter": {"share": round(found.laughter_share, 3), "words": counted(found.laughter)},
        "in_a_row_share": round(found.in_a_row_share, 3),
        "messages_per_turn": round(found.per_turn, 2),
        "sessions_opened_share": maybe(found.sessions_opened_share),
        "reply_minutes": {
            "median": maybe(found.reply_median_min),
            "by_part_of_day": rounded(found.reply_by_part),
            "replies": found.n_replies,
        },
        "hours": list(found.hours),
        "active_hours": {"from": found.active_from, "to": found.active_to},
        "scripts": rounded(found.scripts),
    }
