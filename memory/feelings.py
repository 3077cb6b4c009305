"""Names of feelings, and the tags that people write behind their words: `warmth:9 clarity:10`.

A tag is a name, a colon and 0-10. Tags stand at the end of a text: on lines of their own, or behind the last sentence.
They are read off the text, which is kept without them. Much else looks like a tag (a port, a time, a score, a list of
what to buy), so tags in a row are only believed where one of them names something felt; names that nobody here knows
are believed beside it, or as a line of two and more. Reads words; stores nothing.
"""

from __future__ import annotations

import re

CONCEPTS = (
    "joy", "sadness", "anger", "fear", "warmth", "love", "gratitude", "pride", "relief", "amusement", "excitement",
    "frustration", "tiredness", "loneliness", "anxiety", "guilt", "embarrassment", "curiosity", "surprise",
    "nostalgia", "disappointment", "hope",
)  # fmt: skip
LABELS = (
    "admiration", "amusement", "anger", "annoyance", "approval", "caring", "confusion", "curiosity", "desire",
    "disappointment", "disapproval", "disgust", "embarrassment", "excitement", "fear", "gratitude", "grief", "joy",
    "love", "nervousness", "optimism", "pride", "realization", "relief", "remorse", "sadness", "surprise",
)  # fmt: skip
QUALITIES = (
    "acceptance", "affection", "aggression", "alertness", "ambition", "anticipation", "apathy", "attachment",
    "attraction", "awe", "awkwardness", "belonging", "bitterness", "boredom", "calm", "calmness", "care",
    "cheerfulness", "clarity", "closeness", "comfort", "compassion", "concern", "confidence", "connection",
    "contempt", "contentment", "courage", "creativity", "defiance", "delight", "depression", "despair",
    "determination", "discomfort", "doubt", "dread", "ease", "ecstasy", "empathy", "energy", "enthusiasm", "envy",
    "euphoria", "exhaustion", "faith", "fatigue", "focus", "fondness", "freedom", "friendliness", "fury",
    "generosity", "gladness", "happiness", "hate", "hatred", "helplessness", "homesickness", "honesty", "humility",
    "humor", "humour", "hurt", "impatience", "indifference", "inspiration", "intensity", "interest", "intimacy",
    "irony", "irritation", "jealousy", "kindness", "longing", "lust", "melancholy", "motivation", "neutral",
    "openness", "overwhelm", "panic", "passion", "patience", "peace", "pity", "playfulness", "pleasure", "rage",
    "regret", "rejection", "resentment", "respect", "restlessness", "sarcasm", "satisfaction", "security",
    "serenity", "shame", "sincerity", "sorrow", "stress", "support", "suspicion", "sympathy", "tenderness",
    "tension", "thrill", "trust", "uncertainty", "unease", "urgency", "vulnerability", "wistfulness", "wonder",
    "worry", "yearning",
)  # fmt: skip
MAX_BEHIND = 600  # characters of tags behind a sentence
AUTHOR = "author"  # who judged a tag that was written into a text

Tags = tuple[tuple[str, float], ...]

_KNOWN = frozenset((*CONCEPTS, *LABELS, *QUALITIES))
_NAME = r"[^\W\d_]{2,24}(?:[-_][^\W\d_]{1,24}){0,2}"
_VALUE = r"(?:10(?:\.0{1,3})?|[0-9](?:\.[0-9]{1,3})?)(?![\w.:/%])"
_BLANKS = r"[ \t]{0,8}"  # bounded, as everything here is, so that no text takes long to look through
_BETWEEN = rf"(?:{_BLANKS}[,;]{_BLANKS}|[ \t]{{1,8}})"
_ALONE = rf"{_NAME}{_BLANKS}:{_BLANKS}{_VALUE}"
_LINE = re.compile(rf"{_ALONE}(?:{_BETWEEN}{_ALONE}){{0,40}}{_BLANKS}[,;]?")
_BEHIND = re.compile(rf"(?<!\S){_NAME}:{_VALUE}(?:{_BETWEEN}{_NAME}:{_VALUE}){{0,40}}{_BLANKS}[,;]?$")
_EACH = re.compile(rf"({_NAME}){_BLANKS}:{_BLANKS}({_VALUE})")
# Another pair, which is no tag: the row is something else.
_PAIR_BEFORE = re.compile(r"\S:\s?\d[\d.,]{0,12}[,;]?[ \t]?$")


def split(text: str) -> tuple[str, Tags]:
    """The text without the tags at its end, and those, each name once, in lower case; of equals the last holds.

    A text that is nothing but tags keeps them as its words, so that no message is lost.
    """
    bare = text.rstrip()
    if bare[-1:] not in "0123456789,;" or ":" not in bare:
        return text, ()
    said, tags = _off_lines(bare)
    said, more = _off_sentence(said)
    if not tags and not more:
        return text, ()
    return said or text, tuple(dict((*more, *tags)).items())


def _off_lines(text: str) -> tuple[str, Tags]:
    """Without the lines at the end that hold nothing but tags."""
    lines = text.split("\n")
    n = len(lines)
    while n and (not lines[n - 1].strip() or _LINE.fullmatch(lines[n - 1].strip())):
        n -= 1
    rows = [line for line in lines[n:] if line.strip()]
    found = [_tags(row) for row in rows]
    is_row = len(rows) == 1 and len(found[0]) > 1 and rows[0] == rows[0].lower()
    if not is_row and not any(_is_felt(tags) for tags in found):
        return text, ()
    return "\n".join(lines[:n]).rstrip(), tuple(tag for tags in found for tag in tags)


def _off_sentence(text: str) -> tuple[str, Tags]:
    """Without the tags behind the last words of the last line."""
    start = max(text.rfind("\n") + 1, len(text) - MAX_BEHIND)
    found = _BEHIND.search(text, start)
    if found is None:
        return text, ()
    before = text[max(0, found.start() - MAX_BEHIND) : found.start()].rpartition("\n")[2]
    tags = _tags(found.group())
    if not before.strip() or _PAIR_BEFORE.search(before) or not _is_felt(tags):
        return text, ()
    return text[: found.start()].rstrip(), tags


def _tags(words: str) -> Tags:
    return tuple((name.lower(), float(value)) for name, value in _EACH.findall(words))


def _is_felt(tags: Tags) -> bool:
    return any(name in _KNOWN for name, _ in tags)
