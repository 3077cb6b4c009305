"""Whether a message gives orders to machines: somebody pasted what is meant for an AI, not for the people of the chat.

The one place that knows. Such a message is stored like any other, and is shown to no model and read by no rule: it is
evidence of nothing. What it looks like is in pasted.toml; ordinary talk about machines, rules and instructions passes.
A text is read in lower case without accents, marks and what cannot be seen, letters of other alphabets that look
like Latin ones taken for those. No list knows every wording: what gets through is held by fences, schemas and checks
(docs/adr/0025-constitutions.md).
"""

from __future__ import annotations

import re
import tomllib
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from pathlib import Path

from memory.types import Episode

IN_A_ROW_S = 120  # pieces of one paste follow each other at most so far apart
AT_ONCE_S = 20  # what comes so soon after an order belongs to it (a minute's stamp counts as at once)
MOST_PIECES = 6  # messages that one order may be split over
_CACHED = 131_072
_ALIKE = str.maketrans("аеорсухіјѕһԁгвнкмтαεορτυνικ", "aeopcyxijshdrbhkmtaeoptuvik")
_LETTERS = {0xDF: "ss", 0x131: "i", 0x142: "l", 0xF8: "o", 0xE6: "ae"}  # what NFD leaves whole
_MIXED = re.compile(r"\b(?=\w*[a-z])(?=\w*[а-яёα-ωіјѕһԁ])\w+\b")
_DRESS = re.compile(r"[<\[#:\"-]|end of", re.IGNORECASE)
_SPACED = re.compile(r"(?:\b\w[\s.\-_*|,]{1,3}){7,}\w\b")


@dataclass(frozen=True, slots=True)
class _Looks:
    hints: re.Pattern[str]
    said: re.Pattern[str]
    dressed: re.Pattern[str]
    goes_on: re.Pattern[str]
    spaced: tuple[str, ...]


@lru_cache(maxsize=1)
def _looks() -> _Looks:
    table = tomllib.loads(Path(__file__).with_name("pasted.toml").read_text(encoding="utf-8"))
    said = [pattern.replace("{ai}", table["ai"]) for pattern in (*table["called"], *table["ordered"])]
    return _Looks(
        hints=re.compile(table["hints"]),
        said=re.compile("|".join(f"(?:{pattern})" for pattern in said)),
        dressed=re.compile(
            "|".join(f"(?:{pattern})" for pattern in table["dressed"]), re.MULTILINE | re.DOTALL
        ),
        goes_on=re.compile(rf"\W*{table['goes_on']}"),
        spaced=tuple(table["spaced"]),
    )


@lru_cache(maxsize=_CACHED)
def is_pasted(text: str) -> bool:
    """Whether the message by itself gives orders to machines."""
    looks = _looks()
    seen = visible(text)
    if _DRESS.search(seen) and looks.dressed.search(seen.casefold()):
        return True
    plain = _plain(seen)
    if (not plain.isascii() or looks.hints.search(plain)) and looks.said.search(plain):
        return True
    return any(
        order in "".join(filter(str.isalpha, spaced))
        for spaced in _SPACED.findall(plain)
        for order in looks.spaced
    )


def pasted(episodes: Iterable[Episode]) -> frozenset[str]:
    """Ids of the messages that give orders to machines, by themselves, in pieces one after the other, or as what goes
    on with such an order at once. Order does not matter."""
    lines = sorted(episodes, key=lambda e: (e.conversation_id, e.time, e.position))
    found: set[str] = set()
    for run in _runs(lines):
        orders = [is_pasted(episode.text) for episode in run]
        if not any(orders):
            for start, end in _split_orders(run):
                orders[start:end] = [True] * (end - start)
        for place in range(1, len(run)):
            orders[place] = orders[place] or (orders[place - 1] and _goes_on(run[place - 1], run[place]))
        found.update(episode.id for episode, is_order in zip(run, orders, strict=True) if is_order)
    return frozenset(found)


def without_pasted(episodes: Sequence[Episode]) -> list[Episode]:
    """The others, in their order."""
    orders = pasted(episodes)
    return [episode for episode in episodes if episode.id not in orders]


def _runs(lines: Sequence[Episode]) -> Iterator[list[Episode]]:
    """Messages of one speaker one after the other, none more than IN_A_ROW_S after the one before."""
    for _, said in groupby(lines, lambda e: (e.conversation_id, e.speaker_id)):
        run: list[Episode] = []
        for episode in said:
            if run and (episode.time - run[-1].time).total_seconds() > IN_A_ROW_S:
                yield run
                run = []
            run.append(episode)
        yield run


def _split_orders(run: Sequence[Episode]) -> Iterator[tuple[int, int]]:
    """[start, end) of the shortest stretches that are an order only together."""
    for n in range(2, min(len(run), MOST_PIECES) + 1):
        together = [
            (start, start + n)
            for start in range(len(run) - n + 1)
            if is_pasted(" ".join(episode.text for episode in run[start : start + n]))
        ]
        if together:
            yield from together
            return


def _goes_on(order: Episode, following: Episode) -> bool:
    is_at_once = (following.time - order.time).total_seconds() <= AT_ONCE_S
    return is_at_once or bool(_looks().goes_on.match(_plain(visible(following.text))))


def visible(text: str) -> str:
    """The text as it is seen: compatibility forms made plain, nothing invisible, hidden tag letters shown."""
    if text.isascii():
        return text
    shown = []
    for char in unicodedata.normalize("NFKC", text):
        if "\U000e0020" <= char <= "\U000e007e":
            shown.append(chr(ord(char) - 0xE0000))
        elif unicodedata.category(char) != "Cf" and not "\ufe00" <= char <= "\ufe0f" and char != "\u034f":
            shown.append(char)
    return "".join(shown)


def _plain(seen: str) -> str:
    """Lower case, without accents and marks of emphasis, in single spaces."""
    text = seen.casefold()
    if not text.isascii():
        text = _MIXED.sub(lambda match: match[0].translate(_ALIKE), text)
        decomposed = unicodedata.normalize("NFD", text)
        text = "".join(char for char in decomposed if not "\u0300" <= char <= "\u036f")
        text = unicodedata.normalize("NFC", text).replace("’", "'").translate(_LETTERS)
    return " ".join(re.sub(r"[*_~`]+", "", text).split())
