"""A sentence encoder with no model: hashed words and letter trigrams. For tests, and for machines without room.

Deterministic across processes and platforms (blake2b, never Python's own hash). It knows spelling, not meaning.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from hashlib import blake2b

import numpy as np

from memory.ports import FloatMatrix

_WORD = re.compile(r"\w+")


class HashingEmbedder:
    """Feature hashing with signs (Weinberger et al. 2009, https://arxiv.org/abs/0902.2206)."""

    def __init__(self, width: int = 256) -> None:
        self.width = width
        self.name = f"hashing-{width}"

    def encode(self, texts: Sequence[str]) -> FloatMatrix:
        """Unit rows (N, width); a text without words gets the zero row."""
        vectors = np.zeros((len(texts), self.width), np.float32)
        for row, text in enumerate(texts):
            for feature, weight in _features(text):
                number = int.from_bytes(blake2b(feature.encode(), digest_size=8).digest(), "little")
                vectors[row, (number >> 1) % self.width] += weight if number & 1 else -weight
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        vectors /= np.where(norms > 0, norms, 1)
        return vectors


def _features(text: str) -> Iterator[tuple[str, float]]:
    for word in _WORD.findall(text.casefold()):
        yield word, 1.0
        padded = f"^{word}$"
        for start in range(len(padded) - 2):
            yield "#" + padded[start : start + 3], 0.3
