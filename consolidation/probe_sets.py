"""Files of labelled texts: statements that are true (1) or false (0), or texts with a label from 1 to 5.

CSV with a header, or JSON Lines. Columns: `statement`, `text` or `episode` (the id of a message of the space, whose
words then stay in the graph); `label`; and where known `group` (texts that tell on each other are never parted between
training and test), `negated` (1 or 0, else by the words) and `by` (who gave the label).
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from consolidation.errors import BadProbe
from consolidation.probes import LABELS, TRUTH

LOW, HIGH = 1, 5  # the extremes of graded labels, which train; what lies between tests
TEXT_COLUMNS = ("statement", "text")
_NEGATION = re.compile(r"\b(?:not|never|no|none|nobody|nothing|cannot)\b|n['’]t\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class LabelledText:
    """`text` is empty where `episode` names a message that was not looked up yet."""

    text: str
    label: int
    is_negated: bool
    group: str
    episode: str | None = None
    by: str = "file"


@dataclass(frozen=True, slots=True)
class LabelledSet:
    name: str
    kind: str  # truth | labels
    texts: tuple[LabelledText, ...]

    @property
    def counts(self) -> dict[int, int]:
        return dict(sorted(Counter(one.label for one in self.texts).items()))

    @property
    def episodes(self) -> list[str]:
        return sorted({one.episode for one in self.texts if one.episode is not None})

    def with_words(self, said: Mapping[str, str]) -> LabelledSet:
        """With the texts of the messages that are named by id; those that are gone are left out."""
        known = [one for one in self.texts if one.episode is None or one.episode in said]
        texts = [one if one.episode is None else _spoken(one, said[one.episode]) for one in known]
        return replace(self, texts=tuple(_distinct(texts)))

    def without(self, others: Iterable[LabelledSet]) -> LabelledSet:
        """Without the texts that one of the others holds. Raises BadProbe where none is left."""
        known = {_key(one.text) for other in others for one in other.texts}
        texts = tuple(one for one in self.texts if _key(one.text) not in known)
        if not texts:
            raise BadProbe(f"every text of {self.name} is trained on; test on another file")
        return replace(self, texts=texts)

    def only(self, keep: Collection[int]) -> LabelledSet:
        """The texts at these places."""
        return replace(self, texts=tuple(self.texts[place] for place in sorted(keep)))


def is_negated(text: str) -> bool:
    """Whether the words deny something: a rule for English statements."""
    return bool(_NEGATION.search(text))


def read_set(path: Path) -> LabelledSet:
    """The texts with their labels, each wording once. Raises BadProbe, naming the file and the line."""
    try:
        content = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise BadProbe(
            f"{path.name} cannot be read ({type(error).__name__}); give CSV or JSON Lines"
        ) from error
    rows = _json_rows(path.name, content) if content.lstrip().startswith("{") else _csv_rows(content)
    texts = [_text_of(f"{path.name}, row {n}", row) for n, row in enumerate(rows, 1)]
    if not texts:
        raise BadProbe(f"{path.name} holds no labelled text")
    labels = {one.label for one in texts}
    if labels <= {0, 1}:
        kind = TRUTH
    elif labels <= set(range(LOW, HIGH + 1)):
        kind = LABELS
    else:
        raise BadProbe(f"{path.name} mixes labels 0 and {max(labels)}; give 0 and 1, or 1 to 5")
    if len(labels) == 1:
        raise BadProbe(f"every label in {path.name} is {labels.pop()}; a probe needs texts of both sides")
    return LabelledSet(path.stem, kind, tuple(_distinct(texts)))


def _csv_rows(content: str) -> Iterator[dict[str, Any]]:
    try:
        yield from csv.DictReader(io.StringIO(content))
    except csv.Error as error:
        raise BadProbe(f"the table cannot be read: {error}") from error


def _json_rows(name: str, content: str) -> Iterator[dict[str, Any]]:
    for n, line in enumerate(content.splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise BadProbe(f"{name}, row {n} is no JSON") from error
        if not isinstance(row, dict):
            raise BadProbe(f"{name}, row {n} is no object with text and label")
        yield row


def _text_of(place: str, row: Mapping[str, Any]) -> LabelledText:
    text = next((str(row[name]).strip() for name in TEXT_COLUMNS if row.get(name)), "")
    episode = str(row["episode"]) if row.get("episode") else None
    if not text and episode is None:
        raise BadProbe(f"{place} has no {', '.join(TEXT_COLUMNS)} or episode")
    label = _whole(row.get("label"))
    if label is None or not 0 <= label <= HIGH:
        raise BadProbe(f"{place} has no label that is 0, 1 or 1 to {HIGH}")
    denies = _whole(row.get("negated"))
    return LabelledText(
        text=text,
        label=label,
        is_negated=is_negated(text) if denies is None else bool(denies),
        group=str(row.get("group") or _key(text) or episode),
        episode=episode,
        by=str(row.get("by") or "file"),
    )


def _whole(value: Any) -> int | None:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return int(number) if number.is_integer() else None


def _spoken(one: LabelledText, text: str) -> LabelledText:
    return replace(one, text=text, is_negated=is_negated(text), group=one.group or _key(text))


def _distinct(texts: Iterable[LabelledText]) -> Sequence[LabelledText]:
    """The first of each wording: the same words in training and test would score themselves."""
    return list({_key(one.text) or one.episode: one for one in reversed(list(texts))}.values())[::-1]


def _key(text: str) -> str:
    return " ".join(text.casefold().split())
