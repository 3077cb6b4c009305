"""Emotions of a message: concept -> intensity 0-10, without any language model.

A trained head on sentence vectors (GoEmotions labels) and a lexicon (words, emoji) are combined: the larger
intensity of the two, a point more where both agree, then moved by how loudly the text speaks. The head's
intensity is calibrated: it says how the text's probability ranks among held-out texts that annotators gave the
label, not what the probability is. A text in which neither finds anything gets no tags.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from agents.emotion_head import Head
from agents.emotion_lexicon import Lexicon
from agents.errors import BadHead
from memory.ports import Embedder

HEAD_PATH = Path(__file__).parent / "data" / "emotion_head.safetensors"

CONCEPTS = (
    "joy", "sadness", "anger", "fear", "warmth", "love", "gratitude", "pride", "relief", "amusement", "excitement",
    "frustration", "tiredness", "loneliness", "anxiety", "guilt", "embarrassment", "curiosity", "surprise",
    "nostalgia", "disappointment", "hope",
)  # fmt: skip

# GoEmotions label -> our concept; a label that is not here keeps its own name, None is no emotion.
CONCEPT_OF: Mapping[str, str | None] = {
    "annoyance": "frustration",
    "caring": "warmth",
    "grief": "sadness",
    "nervousness": "anxiety",
    "optimism": "hope",
    "remorse": "guilt",
    "neutral": None,
}
MIN_INTENSITY = 2.0  # weaker finds are not worth a tag
CHUNK = 1024  # texts embedded at a time; bounds the memory, not the result
MAX_TAGS = 4  # the strongest of one text
AGREEMENT_BONUS = 1.0
# Intensities of the head's least and most sure find; loudness goes beyond. Stances (an opinion, a question) are
# no strong feelings, however sure the head is of them.
FEELING_RANGE = (3.5, 8.0)
STANCE_RANGE = (0.5, 5.0)
STANCES = frozenset(
    {"admiration", "approval", "confusion", "curiosity", "desire", "disapproval", "realization", "surprise"}
)
# Feelings are commoner in a chat between friends than among the comments the head was trained on, so its
# thresholds (best F1 there) are lowered by this factor.
CHAT_FACTOR = 0.6


class EmotionHead:
    """Implements EmotionTagger. Immutable; safe to share between threads if the embedder is."""

    def __init__(self, head: Head, lexicon: Lexicon, embedder: Embedder) -> None:
        if head.embedder != embedder.name:
            raise BadHead("emotion_head", f"it was trained on {head.embedder}, not on {embedder.name}")
        self.name = f"emotion-head/{head.manifest.get('version', '1')}"
        self._head = head
        concepts = [CONCEPT_OF.get(label, label) for label in head.labels]
        self._factors = np.array([1.0 if c in STANCES else CHAT_FACTOR for c in concepts], np.float32)
        self._lexicon = lexicon
        self._embedder = embedder

    @classmethod
    def load(cls, embedder: Embedder, path: Path = HEAD_PATH) -> EmotionHead:
        """The shipped head. Raises BadHead for damaged files or another embedder than it was trained on."""
        return cls(Head.load(path), Lexicon.load(), embedder)

    def tag(self, texts: Sequence[str]) -> list[dict[str, float]]:
        """One dict per text, in order; strongest first, at most MAX_TAGS, one decimal."""
        rows = [index for index, text in enumerate(texts) if text.strip()]
        tags: list[dict[str, float]] = [{} for _ in texts]
        for start in range(0, len(rows), CHUNK):
            part = rows[start : start + CHUNK]
            said = [texts[index] for index in part]
            probabilities = self._head.probabilities(said, self._embedder.encode(said))
            for index, text, row in zip(part, said, probabilities, strict=True):
                tags[index] = self._combine(self._from_head(row), text)
        return tags

    def _from_head(self, probabilities_K: np.ndarray) -> dict[str, float]:
        """Labels above their threshold as intensities, mapped to our concepts."""
        found: dict[str, float] = {}
        for k in np.flatnonzero(probabilities_K >= self._head.thresholds * self._factors):
            label = self._head.labels[k]
            concept = CONCEPT_OF.get(label, label)
            if concept is not None:
                rank = float(np.interp(probabilities_K[k], self._head.quantiles[k], np.linspace(0, 1, 11)))
                least, most = STANCE_RANGE if concept in STANCES else FEELING_RANGE
                intensity = least + (most - least) * rank
                found[concept] = max(found.get(concept, 0.0), intensity)
        return found

    def _combine(self, head: Mapping[str, float], text: str) -> dict[str, float]:
        lexicon = self._lexicon.find(text)
        loudness = self._lexicon.loudness(text)
        found = {}
        for concept in {**head, **lexicon}:
            a, b = head.get(concept, 0.0), lexicon.get(concept, 0.0)
            intensity = max(a, b) + (AGREEMENT_BONUS if a and b else 0.0) + loudness
            if intensity >= MIN_INTENSITY:
                found[concept] = round(min(10.0, intensity), 1)
        strongest = sorted(found.items(), key=lambda item: (-item[1], item[0]))
        return dict(strongest[:MAX_TAGS])
