"""How somebody writes, measured against the others of the same chats: length, case, emoji, marks, phrases, pace.

Numbers decide, words are written: a line says "short messages", not "6.2 words", so that one more message does not
make a new constitution. Each line carries messages that show it. Any language; no model. Without others to
compare with, fixed bounds hold.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from agents.manners import MANNERS, SHORTHAND, TOPICS
from agents.measures import EMOJI, LEAST, WORD, ending, in_order, in_rows, is_lowercase, replies
from agents.phrases import MOST_READ, favourite_phrases, own_words, thinned
from memory.types import Episode, Principle

MIN_MESSAGES = 12  # fewer say nothing about a habit
LEAST_SHOWN = 3  # messages that show a manner
LEAST_USES = 4  # of an opening
OPENS = 0.03  # share of the messages that open with a word
_SIGNS = (  # share of the messages, and the line
    (re.compile(r"[!?]{2,}"), 0.12, "Doubles question and exclamation marks"),
    (re.compile(r"\([^()]{4,}\)"), 0.05, "Adds asides in brackets"),
    (re.compile(r"(?:^|\s)1[.)]\s.*\s2[.)]\s", re.DOTALL), 0.015, "Answers in numbered lists"),
    (re.compile(r"(?:\.\.\.|…)"), 0.15, "Trails off with dots"),
)
_APOSTROPHE = re.compile(r"\b\w+['’](?:t|m|s|re|ve|ll|d)\b", re.IGNORECASE)
_NO_APOSTROPHE = re.compile(
    r"\b(?:im|ive|id rather|dont|doesnt|didnt|cant|wont|isnt|arent|wasnt|couldnt|wouldnt|shouldnt|thats|whats|youre|theyre|hes|shes|"
    r"theres|havent|hasnt|lets)\b",
    re.IGNORECASE,
)
_APART = re.compile(r"\W{0,2}([^\W\d_]{2,14})[.,!:…]+(?:\s|$)")
N_EVIDENCE = 4
Scored = tuple[float, Principle]


@dataclass(frozen=True)
class Talk:
    """One person's messages and those of the others in the same conversations, each in time order; of a long talk so
    many as shares need, evenly over the time. `lines` is all that was said, `said` the ids of the person's own."""

    own: Sequence[Episode]
    others: Sequence[Episode]
    lines: Sequence[Episode]
    said: frozenset[str]

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
    others = others if len(others) >= MIN_MESSAGES else ()
    talk = Talk(
        thinned(own, MOST_READ),
        thinned(others, MOST_READ),
        in_order([*own, *others]),
        frozenset(episode.id for episode in own),
    )
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
    for shows, least, line in _SIGNS:
        share, theirs = talk.share(shows.search)
        if share >= least and share >= 1.6 * (theirs or 0.0):
            yield 1.2 + share, _speech(line, talk.showing(shows.search))
    bare, whole = (sum(bool(form.search(e.text)) for e in talk.own) for form in (_NO_APOSTROPHE, _APOSTROPHE))
    if bare >= LEAST_USES and bare >= 3 * whole:
        yield 1.1, _speech("Leaves out apostrophes", talk.showing(_NO_APOSTROPHE.search))
    asks, theirs = talk.share(lambda text: "?" in text)
    if asks >= 0.18 and asks >= 1.4 * (theirs or 0.0):
        yield 1.2 + asks, _habit("Asks many questions", talk.showing(lambda text: "?" in text))


def _manner(talk: Talk) -> Iterable[Scored]:
    """Small things people do in words, where they do them clearly more than the others."""
    for manner in MANNERS:
        share, theirs = talk.share(manner.shows.search)
        n = round(share * len(talk.own))
        if n >= LEAST_SHOWN and share >= manner.least and share >= 1.3 * (theirs or 0.0):
            yield (
                manner.weight + share,
                Principle(manner.kind, manner.text, talk.showing(manner.shows.search)),
            )


def _phrases(talk: Talk) -> Iterable[Scored]:
    chosen = favourite_phrases(talk.own, talk.others)
    if chosen:
        said = ", ".join(f'"{phrase.text}"' for phrase in chosen)
        ids = tuple(dict.fromkeys(episode_id for phrase in chosen for episode_id in phrase.episode_ids[:2]))
        yield 1.9, _speech(f"Likes to say {said}", ids[:6])


def _words_of_ones_own(talk: Talk) -> Iterable[Scored]:
    """Words that the others do not use, and first words of messages."""
    if chosen := own_words(talk.own, talk.others):
        said = ", ".join(f'"{word.text}"' for word in chosen)
        ids = tuple(dict.fromkeys(item for word in chosen for item in word.episode_ids[:2]))
        yield 1.6, _speech(f"Has words of their own: {said}", ids[:6])
    counts = Counter(_opening(episode.text) for episode in talk.own)
    theirs = Counter(_opening(episode.text) for episode in talk.others)
    opening = [
        word
        for word, n in counts.most_common()
        if word
        and n >= max(LEAST_USES, OPENS * len(talk.own))
        and n / len(talk.own) >= 3 * theirs[word] / max(len(talk.others), 1)
    ][:3]
    if opening:
        said = " and ".join(f'"{word.capitalize()}"' for word in opening)
        yield 1.8, _speech(f"Opens with {said}", talk.showing(lambda text: _opening(text) in opening))


def _opening(text: str) -> str:
    """The word that a message opens with, where it stands apart from what follows: "Right. ...", "honestly, ..."."""
    match = _APART.match(text)
    return match[1].lower() if match else ""


def _sentences(talk: Talk) -> Iterable[Scored]:
    whole, theirs = talk.share(_is_whole)
    if whole >= 0.5 and (theirs is None or whole >= 1.5 * theirs):
        yield (
            1.7 + whole / 5,
            _speech("Writes full sentences with capitals and full stops", talk.showing(_is_whole)),
        )
    short, theirs = talk.share(SHORTHAND.search)
    if short >= 0.08 and short >= 2 * (theirs or 0.0):
        counts = Counter(m.lower() for episode in talk.own for m in SHORTHAND.findall(episode.text))
        said = ", ".join(f'"{word}"' for word, _ in counts.most_common(4))
        yield 1.8 + short, _speech(f"Writes in texting shorthand: {said}", talk.showing(SHORTHAND.search))


def _is_whole(text: str) -> bool:
    plain = text.strip()
    return plain[:1].isupper() and ending(plain) in ("full_stop", "question", "exclamation")


def _topics(talk: Talk) -> Iterable[Scored]:
    """What they speak of clearly more than the others do."""
    for topic in TOPICS:
        share, theirs = talk.share(topic.shows.search)
        words = Counter(match.lower() for episode in talk.own for match in topic.shows.findall(episode.text))
        often = [word for word, n in words.most_common(3) if n >= 2]
        if len(often) >= 2 and share >= topic.least and share >= 1.4 * (theirs or 0.0):
            line = Principle("value", f"{topic.text}: {', '.join(often)}", talk.showing(topic.shows.search))
            yield topic.weight + share, line


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
    own = [wait for _, wait in replies(talk.lines, talk.said)]
    theirs = [wait for _, wait in replies(talk.lines, {e.id for e in talk.lines if e.id not in talk.said})]
    if len(own) >= LEAST:
        typical = median(own)
        other = median(theirs) if len(theirs) >= LEAST else 10.0
        if typical <= 3 and other >= 1.5 * typical:
            yield 0.9, _habit("Answers fast, usually within minutes", spread([e.id for e in talk.own]))
        elif typical >= 30 and typical >= 2 * other:
            yield 1.1, _habit("Takes time to answer", spread([e.id for e in talk.own]))
    rows = in_rows(talk.lines, talk.said)
    if len(rows) >= 0.3 * len(talk.said):
        yield 1.0, _speech("Sends several short messages in a row", spread(rows))


_MEASURES: tuple[Callable[[Talk], Iterable[Scored]], ...] = (
    _length, _case, _emoji, _marks, _manner, _phrases, _words_of_ones_own, _sentences, _topics, _stock_replies, _pace,
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
