"""The phrases that set a speaker apart from the others of a chat.

Log-odds ratio with an informative Dirichlet prior (Monroe, Colaresi and Quinn 2008, "Fightin' Words", equations 15
to 22): counts are of messages, the prior is the whole chat, a phrase counts only if used on several days.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import log, sqrt

from agents.extractors.lexicon import lexicon
from memory.types import Episode

MAX_PHRASES = 4
MIN_USES, MIN_DAYS = 4, 3
MIN_Z = 1.3
MIN_Z_OF_A_WORD = 1.9
ENGLISH = 0.25  # a chat with a smaller share of strange words is taken for English
PRIOR_SHARE = 0.1  # of the chat's messages: the weight of the prior
MOST_READ = 4000  # messages of each side, evenly over the time: phrases of a longer chat show in these
_TOKEN = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")
_STOP_WORDS = """a an the and or but if so as at by for from in into of on out over to up with about after before than then that this
    these those there here it its it's is isn't am are aren't was wasn't were be been being do don't does doesn't did
    didn't have haven't has hasn't had will won't would can can't could should may might must i i'm i've i'd i'll me my
    mine you you're you've your yours he he's him his she she's her hers we we're us our they they're them their what
    what's who who's whom which when where why how not no yes yeah ok okay oh just very too also only more most some any
    all one two three much many still again now today tomorrow yesterday new good well really get got go going come know
    think say said see want let like time day week year back even that's there's let's im dont cant de da do que e o em
    y la el en und die der das et le les un une"""
_STOP = frozenset(_STOP_WORDS.split())


@dataclass(frozen=True, slots=True)
class Phrase:
    text: str
    z: float
    episode_ids: tuple[str, ...]


def favourite_phrases(own: Sequence[Episode], others: Sequence[Episode]) -> list[Phrase]:
    """The most telling ones first, at most MAX_PHRASES, none inside another."""
    own, others = thinned(own, MOST_READ), thinned(others, MOST_READ)
    mine, theirs = _uses(own), Counter({gram: len(ids) for gram, ids in _uses(others).items()})
    names = _names([*own, *others])
    days = {episode.id: episode.time.date() for episode in own}
    found = []
    for gram, ids in mine.items():
        if len(ids) < MIN_USES or len({days[i] for i in ids}) < MIN_DAYS or not _is_telling(gram, names):
            continue
        z = _z(len(ids), len(own), theirs[gram], len(others))
        if z >= MIN_Z:
            found.append(Phrase(" ".join(gram), z * sqrt(len(gram)), tuple(ids)))
    return _without_parts(sorted(found, key=lambda phrase: (-phrase.z, phrase.text)))


def thinned(episodes: Sequence[Episode], n: int) -> Sequence[Episode]:
    """At most n of them, evenly over their order."""
    if len(episodes) <= n:
        return episodes
    return [episodes[i * len(episodes) // n] for i in range(n)]


def _uses(episodes: Sequence[Episode]) -> dict[tuple[str, ...], list[str]]:
    """Runs of one to four words within a clause -> the messages that hold them, in order."""
    found: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for episode in episodes:
        grams: set[tuple[str, ...]] = set()
        for clause in re.split(r"[^\w\s'’-]+", episode.text.lower().replace("’", "'")):
            words = _TOKEN.findall(clause)
            grams |= {tuple(words[i : i + n]) for n in range(1, 5) for i in range(len(words) - n + 1)}
        for gram in sorted(grams):
            found[gram].append(episode.id)
    return found


def _z(own: int, n_own: int, theirs: int, n_theirs: int) -> float:
    """Standardised log-odds; without others, how far the uses stand above the least that counts."""
    if n_theirs == 0:
        return own / MIN_USES
    weight = PRIOR_SHARE * (n_own + n_theirs)
    prior = PRIOR_SHARE * (own + theirs)
    ours = log((own + prior) / (n_own + weight - own - prior + 0.5))
    other = log((theirs + prior) / (n_theirs + weight - theirs - prior + 0.5))
    return (ours - other) / sqrt(1 / (own + prior) + 1 / (theirs + prior))


def _names(episodes: Sequence[Episode]) -> set[str]:
    """Words that stand with a capital in mid-sentence more often than not, the speakers' own names, and in an English
    chat every word that is not ordinary English: many people type names in lowercase."""
    names: set[str] = set()
    words = Counter(word.lower() for e in episodes for word in _TOKEN.findall(e.text.replace("’", "'")))
    if _is_english(words):
        names |= _strange(words)
    names |= {word.lower() for episode in episodes for word in _TOKEN.findall(episode.speaker)}
    capital, small = _cases(episodes)
    return names | {word for word, count in capital.items() if count > small[word]}


def _is_english(words: Counter[str]) -> bool:
    return sum(words[word] for word in _strange(words)) < ENGLISH * words.total()


def _strange(words: Iterable[str]) -> set[str]:
    """Those that are no ordinary English."""
    return {word for word in words if word not in _STOP and not lexicon().is_ordinary(word)}


def _cases(episodes: Sequence[Episode]) -> tuple[Counter[str], Counter[str]]:
    """How often each word stands with a capital in mid-sentence, and how often without."""
    capital, small = Counter[str](), Counter[str]()
    for episode in episodes:
        for match in re.finditer(r"(?<=[a-zà-ÿ,] )[^\W\d_]+", episode.text):
            word = match.group()
            if word.isupper() and len(word) > 1:
                continue
            (capital if word[0].isupper() else small)[word.lower()] += 1
    return capital, small


def _is_telling(gram: tuple[str, ...], names: set[str]) -> bool:
    """At least two words, the first and the last with content, none a name."""
    content = [word for word in gram if word not in _STOP and len(word) > 2]
    if not content or any(word.removesuffix("'s") in names for word in gram):
        return False
    return len(gram) > 1 and gram[0] not in _STOP and gram[-1] not in _STOP


def _without_parts(phrases: Sequence[Phrase]) -> list[Phrase]:
    kept: list[Phrase] = []
    for phrase in phrases:
        if not any(f" {phrase.text} " in f" {k.text} " or f" {k.text} " in f" {phrase.text} " for k in kept):
            kept.append(phrase)
    return kept[:MAX_PHRASES]


def own_words(own: Sequence[Episode], others: Sequence[Episode]) -> list[Phrase]:
    """Single words that set the speaker apart, the most telling first: no names, no ordinary function words."""
    own, others = thinned(own, MOST_READ), thinned(others, MOST_READ)
    if not others:
        return []
    days = {episode.id: episode.time.date() for episode in own}
    mine, theirs = _singles(own), Counter({word: len(ids) for word, ids in _singles(others).items()})
    capital, small = _cases([*own, *others])
    names = {word.lower() for e in (*own, *others) for word in _TOKEN.findall(e.speaker)}
    is_english = _is_english(Counter({word: len(ids) + theirs[word] for word, ids in mine.items()}))
    found = []
    for word, ids in mine.items():
        is_name = word in names or capital[word] > small[word]
        is_plain = is_english and lexicon().is_ordinary(word)
        if len(word) < 3 or word in _STOP or is_name or is_plain or len(ids) < MIN_USES:
            continue
        z = _z(len(ids), len(own), theirs[word], len(others))
        if z >= MIN_Z_OF_A_WORD and len({days[item] for item in ids}) >= MIN_DAYS:
            found.append(Phrase(word, z, tuple(ids)))
    return sorted(found, key=lambda phrase: (-phrase.z, phrase.text))[:MAX_PHRASES]


def _singles(episodes: Sequence[Episode]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for episode in episodes:
        for word in sorted(set(_TOKEN.findall(episode.text.lower().replace("’", "'")))):
            found[word].append(episode.id)
    return found
