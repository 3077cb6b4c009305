"""The models of the package are read once in a session, and what was encoded for one test is not encoded for the next.

They never change once they are read. Tests of a model itself make their own: `MiniLM(find_model())`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agents.emotions import EmotionHead
from agents.entailment import EntailmentHead
from memory.embedders.minilm import MiniLM, find_model
from memory.ports import FloatMatrix


class Remembering(MiniLM):
    """The embedded encoder, which knows the vectors of texts that it has encoded."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._known: dict[str, FloatMatrix] = {}

    def encode(self, texts: Sequence[str]) -> FloatMatrix:
        new = [text for text in dict.fromkeys(texts) if text not in self._known]
        self._known.update(zip(new, super().encode(new), strict=True))
        found = np.zeros((len(texts), self.width), np.float32)
        for row, text in enumerate(texts):
            found[row] = self._known[text]
        return found


@contextmanager
def models_read_once() -> Iterator[None]:
    encoder = cache(Remembering)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(MiniLM, "load", lambda: encoder(find_model()))
        for head in (EmotionHead, EntailmentHead):
            patch.setattr(head, "load", _once(head.load))
        yield


def _once(load: Callable[..., Any]) -> Callable[..., Any]:
    """`load` of the shipped file by one encoder, once; other files are read each time."""
    shipped = cache(load)
    return lambda encoder, *files: load(encoder, *files) if files else shipped(encoder)
