"""What a chat adds to the words of a message: how people who know each other mean them, and what they answer to.

The head was trained on comments that strangers made; friends are dry, tease, and say little of what they feel. A linear
layer over the head's logits and vector, the lexicon's finds, the manner, and the logits of what somebody else said
before gives a probability for each concept; a second, over manner and lexicon, the intensity it has where it is there.
`emotion_chat_training.py` fits both on invented chats with gold. Numpy; reads no text itself.
Letters of shapes: N item, K label, D width, C concept, F features.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from agents.emotion_head import sigmoid
from agents.encoder_changes import load_head, save_head
from agents.errors import BadHead
from memory.feelings import CONCEPTS
from memory.ports import FloatMatrix

FORMAT = "slowwave-emotion-chats/1"
TRAINER = "agents.emotion_chat_training"
MAX_LOGIT = 8.0
BEFORE_SHARE = 0.7  # how much what was said before counts beside what is said

Finds = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Said:
    """Messages as the layer sees them."""

    logits_NK: FloatMatrix
    pooled_ND: FloatMatrix
    before_NK: FloatMatrix  # logits of what somebody else said last; NaN where nobody did
    finds: Sequence[Finds]  # the lexicon's
    loudness: Sequence[float]
    n_characters: Sequence[int]

    def features(self) -> FloatMatrix:
        """(N, F), all of the order of 1."""
        manner = np.column_stack([self.loudness, np.log1p(self.n_characters) / 4])
        before = np.nan_to_num(BEFORE_SHARE * _scaled(self.before_NK), nan=0.0)
        parts = [_scaled(self.logits_NK), self.levels() * 2, manner, self.pooled_ND, before]
        features: FloatMatrix = np.concatenate(parts, axis=1).astype(np.float32)
        return features

    def levels(self) -> FloatMatrix:
        """(N, C) of the lexicon, 0 to 1."""
        rows = [[found.get(concept, 0.0) / 10 for concept in CONCEPTS] for found in self.finds]
        return np.array(rows, np.float32).reshape(len(rows), len(CONCEPTS))


def _scaled(logits_NK: FloatMatrix) -> FloatMatrix:
    clipped = np.clip(logits_NK, -MAX_LOGIT, MAX_LOGIT)
    return ((clipped + 3) / 3).astype(np.float32)


@dataclass(frozen=True, slots=True)
class ChatLayer:
    weights: FloatMatrix  # (F, C)
    bias: FloatMatrix  # (C,)
    intensity: FloatMatrix  # (3,): at rest, by a point of loudness, by a full level of the lexicon
    manifest: Mapping[str, Any]

    def probabilities(self, said: Said) -> FloatMatrix:
        """(N, C): that whoever wrote it feels the concept."""
        return sigmoid(said.features() @ self.weights + self.bias)

    def intensities(self, said: Said) -> FloatMatrix:
        """(N, C): 0-10, of a concept that is there."""
        rest, loud, level = self.intensity
        loudness_N1 = np.array(said.loudness, np.float32)[:, None]
        found: FloatMatrix = np.clip(rest + loud * loudness_N1 + level * said.levels(), 0, 10)
        return found

    def save(self, path: Path) -> None:
        tensors = {name: getattr(self, name) for name in ("weights", "bias", "intensity")}
        described = {"format": FORMAT, "concepts": list(CONCEPTS), "parameters": self.n_parameters}
        save_head(path, tensors, {**described, **self.manifest})

    @property
    def n_parameters(self) -> int:
        return self.weights.size + self.bias.size + self.intensity.size

    @classmethod
    def load(cls, path: Path, head_sha256: str) -> ChatLayer:
        """Raises BadHead where a file is missing or damaged, or it was fitted on another head."""
        tensors, manifest = load_head(path, FORMAT, TRAINER)
        if manifest.get("head_sha256") != head_sha256 or manifest.get("concepts") != list(CONCEPTS):
            raise BadHead(path.name, "it was fitted on another emotion head", TRAINER)
        try:
            return cls(tensors["weights"], tensors["bias"], tensors["intensity"], manifest)
        except KeyError as exc:
            raise BadHead(path.name, "a file is missing or damaged", TRAINER) from exc
