"""Labelled texts for `bench.readout`: files read, and a sample drawn that has enough of each concept.

A file has a line per text: text, labels separated by commas, and whatever else, separated by tabs. Labels are names, or
numbers of lines of `labels.txt` beside the file. `neutral` is a label and no concept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from agents.emotion_training import read_labels
from consolidation.readouts import Contrast
from memory.ports import FloatMatrix

NEUTRAL = "neutral"


@dataclass(frozen=True, slots=True)
class Texts:
    """Texts with the names of their labels."""

    texts: tuple[str, ...]
    labels: tuple[frozenset[str], ...]

    def targets(self, concepts: Sequence[str]) -> FloatMatrix:
        """1 where a text has the concept, (N, K)."""
        return np.array([[concept in has for concept in concepts] for has in self.labels], dtype=np.float32)

    def take(self, rows: Sequence[int]) -> Texts:
        return Texts(tuple(self.texts[i] for i in rows), tuple(self.labels[i] for i in rows))


@dataclass(frozen=True, slots=True)
class Sample:
    """Of the training texts: `contrasts` by concept and `neutral` are rows of `texts`."""

    texts: Texts
    contrasts: dict[str, Contrast]
    neutral: tuple[int, ...]
    left_out: dict[str, int]


def read_texts(path: Path, labels: Path | None = None) -> Texts:
    """Raises ValueError that names the line for a text without labels, or a number that no label has."""
    names = read_labels(path, labels)
    texts, found = [], []
    for number, line in enumerate(path.read_text(encoding="utf-8").split("\n"), start=1):
        if not line.strip():
            continue
        text, *rest = line.split("\t")
        try:
            has = frozenset(_name(label.strip(), names) for label in rest[0].split(","))
        except (IndexError, ValueError) as error:
            raise ValueError(
                f"{path.name}, line {number}: expected a text, a tab and labels (names, or numbers of labels.txt)"
            ) from error
        texts.append(text)
        found.append(has)
    return Texts(tuple(texts), tuple(found))


def _name(label: str, names: Sequence[str]) -> str:
    if not label:
        raise ValueError
    return names[int(label)] if label.isdecimal() else label


def draw(data: Texts, *, n_positive: int, n_others: int, min_examples: int, seed: int) -> Sample:
    """`n_others` texts as they come and, of each concept, as many more as make up `n_positive`; the same for a seed.

    Negatives of a concept are those of the texts drawn as they come that have it not, so they are as mixed as the
    texts it will be told from. Concepts with fewer than `min_examples` texts are left out and named.
    """
    order = [int(i) for i in np.random.default_rng(seed).permutation(len(data.texts))]
    count = {
        name: sum(name in has for has in data.labels)
        for name in sorted(set().union(*data.labels) - {NEUTRAL})
    }
    concepts = [name for name, n in count.items() if n >= min_examples]
    drawn = order[:n_others]
    n_drawn = {name: sum(name in data.labels[i] for i in drawn) for name in concepts}
    for i in order[n_others:]:
        if any(n_drawn.get(name, n_positive) < n_positive for name in data.labels[i]):
            drawn.append(i)
            for name in data.labels[i] & n_drawn.keys():
                n_drawn[name] += 1
    texts = data.take(drawn)
    others = range(min(n_others, len(drawn)))
    contrasts = {
        name: Contrast(
            tuple(i for i, has in enumerate(texts.labels) if name in has),
            tuple(i for i in others if name not in texts.labels[i]),
        )
        for name in concepts
    }
    neutral = tuple(i for i in others if texts.labels[i] == {NEUTRAL})
    left_out = {name: n for name, n in count.items() if n < min_examples}
    return Sample(texts, contrasts, neutral, left_out)
