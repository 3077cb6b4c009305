"""A blind side-by-side sheet: a conversation and two replies to it, without saying whose; and what judges chose.

The sheet is one HTML page that asks nothing of any network: what is chosen stays in the browser until the judge saves
it as a file. Which reply stands at which side is in a key of its own, which a judge is not given. The order of the
pairs and the sides follow from the seed. The page holds people's words: it goes to nobody who may not read the chat.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from string import Template
from typing import Any

import numpy as np
from scipy.stats import binomtest

from agents.turns import Turn
from consolidation.charts import DARK, LIGHT
from simulator.errors import BadChoices

FORMAT = "slowwave-blind-sheet-1"
REAL = "real"
_TEMPLATE = Path(__file__).with_name("blind_sheet_template.html")
_SIDES = ("A", "B")


@dataclass(frozen=True, slots=True)
class Pair:
    """Two replies to the same conversation. `one` and `other` are (condition, lines); "real" is what was really said."""

    id: str
    before: tuple[Turn, ...]
    one: tuple[str, tuple[str, ...]]
    other: tuple[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Sheet:
    """`page` is the HTML for judges, `key` what only the one who counts may see."""

    page: str
    key: dict[str, Any]


@dataclass(frozen=True, slots=True)
class WinRate:
    """How often `condition` was chosen over `other`; ties are told apart and counted in neither.

    `interval`: Wilson's (1927), 95 %. `p`: of the two-sided sign test against an even chance.
    """

    condition: str
    other: str
    wins: int
    losses: int
    ties: int
    interval: tuple[float, float]
    p: float

    @property
    def rate(self) -> float | None:
        decided = self.wins + self.losses
        return self.wins / decided if decided else None

    def as_json(self) -> dict[str, Any]:
        rate = self.rate
        return {
            "condition": self.condition,
            "other": self.other,
            "wins": self.wins,
            "losses": self.losses,
            "ties": self.ties,
            "rate": None if rate is None else round(rate, 4),
            "interval": [round(bound, 4) for bound in self.interval],
            "p": round(self.p, 4),
        }


def make_sheet(person: str, pairs: Sequence[Pair], seed: int) -> Sheet:
    """The page and its key; the same pairs and seed give the same bytes. Pairs of equal replies are left out."""
    rng = np.random.default_rng(seed)
    different = [pair for pair in pairs if pair.one[1] != pair.other[1]]
    shown, sides = [], {}
    for place in rng.permutation(len(different)):
        pair = different[place]
        replies = (pair.one, pair.other) if rng.random() < 0.5 else (pair.other, pair.one)
        shown.append(
            {
                "id": pair.id,
                "before": [{"who": turn.speaker, "text": turn.text} for turn in pair.before],
                **{side: list(lines) for side, (_, lines) in zip(_SIDES, replies, strict=True)},
            }
        )
        sides[pair.id] = {side: name for side, (name, _) in zip(_SIDES, replies, strict=True)}
    content = {"format": FORMAT, "person": person, "pairs": shown}
    sheet_id = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]
    key = {"format": FORMAT, "sheet": sheet_id, "person": person, "seed": seed, "sides": sides}
    return Sheet(_page(person, {**content, "sheet": sheet_id}), key)


def _page(person: str, content: Mapping[str, Any]) -> str:
    light, dark = (" ".join(f"--{n}: {c};" for n, c in colours.items()) for colours in (LIGHT, DARK))
    data = json.dumps(content, ensure_ascii=False).replace("<", "\\u003c")  # no text can end the script
    template = Template(_TEMPLATE.read_text(encoding="utf-8"))
    return template.substitute(person=escape(person), colours=light, dark_colours=dark, data=data)


def win_rates(key: Mapping[str, Any], choices: Sequence[Mapping[str, Any]]) -> list[WinRate]:
    """Of every two conditions that met, over the saved choices of one judge or several, the real side first.

    Raises BadChoices for what was chosen on another sheet, or is none.
    """
    wins: Counter[tuple[str, str]] = Counter()
    ties: Counter[tuple[str, str]] = Counter()
    for one in choices:
        for sides, choice in _chosen(key, one):
            if choice == "tie":
                ties[_ordered(*sides.values())] += 1
            else:
                wins[sides[choice], sides["B" if choice == "A" else "A"]] += 1
    met = sorted({*(_ordered(*pair) for pair in wins), *ties}, key=lambda pair: (pair[0] != REAL, pair))
    return [_rate(pair, wins, ties[pair]) for pair in met]


def _ordered(one: str, other: str) -> tuple[str, str]:
    first, second = sorted((one, other), key=lambda name: (name != REAL, name))
    return first, second


def _rate(pair: tuple[str, str], wins: Mapping[tuple[str, str], int], n_ties: int) -> WinRate:
    won, lost = wins[pair], wins[pair[1], pair[0]]
    if not won + lost:
        return WinRate(*pair, 0, 0, n_ties, (0.0, 1.0), 1.0)
    test = binomtest(won, won + lost)
    bounds = test.proportion_ci(method="wilson")
    return WinRate(*pair, won, lost, n_ties, (float(bounds.low), float(bounds.high)), float(test.pvalue))


def _chosen(key: Mapping[str, Any], saved: Mapping[str, Any]) -> list[tuple[dict[str, str], str]]:
    """The sides of each pair that was judged, and the choice."""
    if saved.get("format") != FORMAT or not isinstance(saved.get("choices"), dict):
        raise BadChoices("it holds no choices of a sheet")
    if saved.get("sheet") != key["sheet"]:
        raise BadChoices("they were made on another sheet")
    found = []
    for pair_id, choice in saved["choices"].items():
        if pair_id not in key["sides"] or choice not in (*_SIDES, "tie"):
            raise BadChoices("a choice is not of this sheet")
        found.append((dict(key["sides"][pair_id]), str(choice)))
    return found


def read_key(path: Path) -> dict[str, Any]:
    """The key of a sheet. Raises BadChoices where the file is none; OSError if unreadable."""
    return _read(path, "sides", dict)


def read_choices(path: Path) -> dict[str, Any]:
    """What a judge saved. Raises BadChoices, OSError."""
    return _read(path, "choices", dict)


def _read(path: Path, field: str, kind: type) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise BadChoices(f"{path.name} is no JSON") from error
    if not isinstance(found, dict) or found.get("format") != FORMAT or not isinstance(found.get(field), kind):
        what = "key of a sheet" if field == "sides" else "file of choices that a sheet saved"
        raise BadChoices(f"{path.name} is no {what}")
    return found
