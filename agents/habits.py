"""How somebody writes, measured against the others of the same chats: length, case, emoji, marks, phrases, pace.

Numbers decide, words are written: a line says "short messages", not "6.2 words", so that one more message does not
make a new constitution. Each line carries messages that show it. Any language; no model. Without others to
compare with, fixed bounds hold.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from agents.measures import EMOJI, LAUGHTER, LEAST, WORD, in_order, in_rows, is_lowercase, replies
from agents.phrases import favourite_phrases
from memory.types import Episode, Principle

MIN_MESSAGES = 12  # fewer say nothing about a habit
N_EVIDENCE = 4
_CORRECTS = re.compile(
    r"\b(?:no,? wait|wait,? no|actually,? no|sorry,? i mean|i mean|scratch that|correction|mixed up|i meant)\b|^no\. |^\*\w+",
    re.IGNORECASE,
)
_CARES = re.compile(
    r"\b(?:are you (?:ok|okay|alright|awake|home)|how are you|how('s| is| was| did| do) (?:the|your|it|you)|did you (?:eat|sleep)|"
    r"take care|get some (?:sleep|rest)|i'?m here|let me know|text me|call me)\b",
    re.IGNORECASE,
)
_THERE = re.compile(
    r"\b(?:i'?m here|here for you|i'?m (?:coming|calling)|i(?:'ll| will| can) (?:come|be there|drive|call)|on my way|"
    r"call\?|i'?ve got you|you'?re not alone|don'?t be sorry|take your time)",
    re.IGNORECASE,
)
_CHEERS = re.compile(
    r"\b(?:congrat\w*|well done|proud of (?:you|him|her|them)|so proud|you did it|bravo|that'?s (?:amazing|wonderful|huge)|"
    r"happy birthday|hooray|yay+)\b|[🎉🎊👏🥳]",
    re.IGNORECASE,
)
_DISCREET = re.compile(
    r"\b(?:won'?t (?:tell|say)|will not (?:tell|say)|not a word|lips are sealed|secret is safe|between us|just between)\b",
    re.IGNORECASE,
)
_TEARS = re.compile(
    r"\b(?:i(?:'m| am| was)? (?:cry|cried|crying|sobb\w+)|in tears|made me cry|i'?d cry|teared up|had to cry|to cry)\b|😭",
    re.IGNORECASE,
)
_THANKS = re.compile(
    r"\b(?:thank(?:s| you)|thx|obrigad[oa]|gracias|merci|danke|grazie|tack|takk)\b", re.IGNORECASE
)
_SORRY = re.compile(r"\b(?:sorry|apologi[sz]e|my bad|forgive me|my fault)\b", re.IGNORECASE)
_PLAYS = re.compile(
    r"(?:™|\b(?:on a scale of|breaking news|for the record|plot twist|effective immediately|in my defen[cs]e|legally|officially)\b)",
    re.IGNORECASE,
)
Scored = tuple[float, Principle]


@dataclass(frozen=True)
class Talk:
    """One person's messages and those of the others in the same conversations, each in time order."""

    own: list[Episode]
    others: list[Episode]

    def share(self, shows: Callable[[str], object]) -> tuple[float, float | None]:
        """Share of own and of others' messages for which `shows` is true; None without others."""
        theirs = sum(bool(shows(e.text)) for e in self.others) / len(self.others) if self.others else None
        return sum(bool(shows(e.text)) for e in self.own) / len(self.own), theirs

    def showing(self, shows: Callable[[str], object]) -> tuple[str, ...]:
        """Messages that show it, spread over the time."""
        return spread([e.id for e in self.own if shows(e.text)])


def habits(own: Sequence[Episode], others: Sequence[Episode]) -> list[Scored]:
    """Lines with the size of what they rest on, strongest first; empty below MIN_MESSAGES."""
    if len(own) < MIN_MESSAGES:
        return []
    talk = Talk(list(own), list(others) if len(others) >= MIN_MESSAGES else [])
    found = [scored for measure in _MEASURES for scored in measure(talk)]
    return sorted(found, key=lambda item: (-item[0], item[1].text))


def spread(ids: Sequence[str], n: int = N_EVIDENCE) -> tuple[str, ...]:
    """At most n of them, evenly over their order."""
    if len(ids) <= n:
        return tuple(ids)
    return tuple(ids[round(i * (len(ids) - 1) / (n - 1))] for i in range(n))


def _length(talk: Talk) -> Iterable[Scored]:
    own = _typical_length(talk.own)
    others = _typical_length(talk.others) if talk.others else 9.0
    ratio = own / max(others, 1.0)
    if own <= 8 and (ratio <= 0.75 or own <= 5):
        ids = talk.showing(lambda text: 0 < len(_words(text)) <= own)
        yield (
            2.0 + 1 / max(ratio, 0.2) / 5,
            _speech("Writes short messages, often only a handful of words", ids),
        )
    elif own >= 9 and ratio >= 1.35:
        ids = talk.showing(lambda text: len(_words(text)) >= 1.5 * own)
        yield 2.0 + ratio / 5, _speech("Writes long messages, often several sentences", ids)


def _case(talk: Talk) -> Iterable[Scored]:
    lower, _ = talk.share(is_lowercase)
    cased = sum(any(c.isalpha() and c.lower() != c.upper() for c in e.text) for e in talk.own) / len(talk.own)
    if cased > 0.5 and lower >= 0.65 * cased:
        yield (
            2.2 + lower / 5,
            _speech("Writes in lowercase, without capital letters", talk.showing(is_lowercase)),
        )
    shouts, theirs = talk.share(_shouts)
    if shouts >= 0.04 and shouts >= 2 * (theirs or 0.0):
        yield 1.6 + shouts, _speech("Puts whole words in CAPITALS when moved", talk.showing(_shouts))


def _emoji(talk: Talk) -> Iterable[Scored]:
    share, theirs = talk.share(EMOJI.search)
    if share >= 0.12:
        often = "many emoji" if share >= 0.3 else "emoji"
        favourites = _favourites(talk.own)
        yield (
            2.0 + share,
            _speech(f"Uses {often}, above all {' '.join(favourites)}", _with_emoji(talk, favourites)),
        )
    elif share <= 0.02 and ((theirs or 0.0) >= 0.1 or len(talk.own) >= 60):
        ids = talk.showing(lambda text: len(_words(text)) >= 3 and not EMOJI.search(text))
        yield 1.7, _speech("Uses hardly any emoji", ids)


def _marks(talk: Talk) -> Iterable[Scored]:
    share, theirs = talk.share(lambda text: "!" in text)
    if share >= 0.2 and share >= 1.5 * (theirs or 0.0):
        yield 1.5 + share, _speech("Uses many exclamation marks", talk.showing(lambda text: "!" in text))
    elif share <= 0.02 and (theirs or 0.0) >= 0.15:
        ids = talk.showing(lambda text: len(_words(text)) >= 4 and "!" not in text)
        yield 1.0, _speech("Never raises the voice: no exclamation marks", ids)
    bare, theirs = talk.share(_is_bare)
    if bare >= 0.75 and (theirs is None or bare - theirs >= 0.25):
        yield 1.2, _speech("Leaves out the full stop at the end of a message", talk.showing(_is_bare))
    asks, theirs = talk.share(lambda text: "?" in text)
    if asks >= 0.18 and asks >= 1.4 * (theirs or 0.0):
        yield 1.2 + asks, _habit("Asks many questions", talk.showing(lambda text: "?" in text))


# shows, least share of messages, kind, line, weight
_MANNERS: tuple[tuple[re.Pattern[str], float, str, str, float], ...] = (
    (LAUGHTER, 0.06, "speech", "Laughs in writing", 1.1),
    (_CARES, 0.03, "habit", "Asks how the other is", 1.5),
    (_THERE, 0.015, "value", "Is there for friends in hard moments, and says so", 1.9),
    (_CHEERS, 0.03, "value", "Celebrates the good news of others loudly", 1.6),
    (_DISCREET, 0.006, "value", "Keeps what is told in confidence", 1.8),
    (_TEARS, 0.03, "habit", "Is moved to tears easily and does not hide it", 1.5),
    (_THANKS, 0.04, "habit", "Says thank you readily", 1.2),
    (_SORRY, 0.04, "habit", "Says sorry readily", 1.1),
    (_CORRECTS, 0.012, "habit", "Gets details wrong and puts them right at once", 1.4),
    (_PLAYS, 0.012, "speech", "Plays with official words and scales for fun", 1.4),
)


def _manner(talk: Talk) -> Iterable[Scored]:
    """Small things people do in words, where they do them clearly more than the others."""
    for pattern, least, kind, text, weight in _MANNERS:
        share, theirs = talk.share(pattern.search)
        n = sum(bool(pattern.search(episode.text)) for episode in talk.own)
        if n >= 2 and share >= least and share >= 1.3 * (theirs or 0.0):
            yield weight + share, Principle(kind, text, talk.showing(pattern.search))


def _phrases(talk: Talk) -> Iterable[Scored]:
    chosen = favourite_phrases(talk.own, talk.others)
    if chosen:
        said = ", ".join(f'"{phrase.text}"' for phrase in chosen)
        ids = tuple(dict.fromkeys(episode_id for phrase in chosen for episode_id in phrase.episode_ids[:2]))
        yield 1.9, _speech(f"Likes to say {said}", ids[:6])


def _stock_replies(talk: Talk) -> Iterable[Scored]:
    """Whole messages of one to three words that come again and again."""
    said: dict[str, list[str]] = {}
    for episode in talk.own:
        words = _words(episode.text.lower())
        if 1 <= len(words) <= 3:
            said.setdefault(" ".join(words), []).append(episode.id)
    often = sorted(
        (text for text in said if len(said[text]) >= 3), key=lambda text: (-len(said[text]), text)
    )[:4]
    if often:
        quoted = ", ".join(f'"{text}"' for text in often)
        yield 1.3, _speech(f"Answers with no more than {quoted}", tuple(said[text][0] for text in often))


def _pace(talk: Talk) -> Iterable[Scored]:
    lines = in_order([*talk.own, *talk.others])
    mine = {episode.id for episode in talk.own}
    own = [wait for _, wait in replies(lines, mine)]
    theirs = [wait for _, wait in replies(lines, {episode.id for episode in talk.others})]
    if len(own) >= LEAST:
        typical = median(own)
        other = median(theirs) if len(theirs) >= LEAST else 10.0
        if typical <= 3 and other >= 1.5 * typical:
            yield 0.9, _habit("Answers fast, usually within minutes", spread([e.id for e in talk.own]))
        elif typical >= 30 and typical >= 2 * other:
            yield 1.1, _habit("Takes time to answer", spread([e.id for e in talk.own]))
    rows = in_rows(lines, mine)
    if len(rows) >= 0.3 * len(talk.own):
        yield 1.0, _speech("Sends several short messages in a row", spread(rows))


_MEASURES: tuple[Callable[[Talk], Iterable[Scored]], ...] = (
    _length, _case, _emoji, _marks, _manner, _phrases, _stock_replies, _pace,
)  # fmt: skip


def _speech(text: str, evidence: tuple[str, ...]) -> Principle:
    return Principle("speech", text, evidence)


def _habit(text: str, evidence: tuple[str, ...]) -> Principle:
    return Principle("habit", text, evidence)


def _words(text: str) -> list[str]:
    return WORD.findall(text)


def _typical_length(episodes: Sequence[Episode]) -> float:
    """Mean number of words with the longest tenth left out: medians of short texts jump."""
    lengths = sorted(len(_words(episode.text)) for episode in episodes)
    kept = lengths[: max(1, round(0.9 * len(lengths)))]
    return sum(kept) / len(kept)


def _shouts(text: str) -> bool:
    words = [word for word in _words(text) if len(word) >= 3]
    return any(word.isupper() and word.lower() != word for word in words)


def _is_bare(text: str) -> bool:
    return bool(text) and (text.rstrip()[-1:].isalnum())


def _favourites(own: Sequence[Episode], n: int = 4) -> list[str]:
    """The emoji used in most messages, most used first."""
    counts: dict[str, int] = {}
    for episode in own:
        for sign in set(EMOJI.findall(episode.text)):
            counts[sign] = counts.get(sign, 0) + 1
    return sorted(counts, key=lambda sign: (-counts[sign], sign))[:n]


def _with_emoji(talk: Talk, favourites: Sequence[str]) -> tuple[str, ...]:
    return talk.showing(lambda text: any(sign in text for sign in favourites))
