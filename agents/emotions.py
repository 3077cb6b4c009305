"""Emotions of a message: concept -> intensity 0-10, without any language model.

Three readers are combined. A trained head (GoEmotions labels) and a lexicon (words, emoji) find what is said: the larger
intensity of the two, a point more where both agree, moved by how loudly the text speaks. The head's intensity says how
the text's probability ranks among held-out texts that annotators gave the label. A layer fitted on chats finds what is
meant between people who know each other, also from what somebody else said before; its intensity shrinks where it is
unsure. Where it doubts what was said, that counts for less. 8 and more is left to what is said and meant at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from agents.emotion_chats import ChatLayer, Said
from agents.emotion_head import Head, Reader, sigmoid
from agents.emotion_lexicon import Lexicon
from agents.encoder_changes import sha256
from agents.errors import BadHead
from memory.embedders.minilm import MiniLM
from memory.feelings import CONCEPTS
from memory.ports import Embedder, FloatMatrix

_DATA = Path(__file__).parent / "data"
HEAD_PATH = _DATA / "emotion_head.safetensors"
CHATS_PATH = _DATA / "emotion_chats.safetensors"

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
MIN_INTENSITY = 3.0  # weaker finds are not worth a tag
MIN_STRONGEST = 1.0  # but the strongest of a text is: it says what is likeliest
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
# Chosen on the development chats, each left out in turn (docs/adr/0024).
MIN_PROBABILITY = 0.08  # of a tag by the chat layer
FULL_PROBABILITY = 0.45  # from which on its intensity is not shrunk
SHRINKING = 0.7  # power of the share of FULL_PROBABILITY
DOUBTED = 0.75  # what is left of a find that the chat layer sees no sign of
RARE, RARE_PROBABILITY = 7.5, 0.5  # beyond RARE only where the chat layer is that sure


class EmotionHead:
    """Implements ContextTagger. Immutable; safe to share between threads if the embedder is."""

    def __init__(self, reader: Reader, lexicon: Lexicon, chats: ChatLayer) -> None:
        self.name = f"emotion-head/{reader.head.manifest.get('version', '2')}"
        self._reader = reader
        self._head = reader.head
        self._lexicon = lexicon
        self._chats = chats

    @classmethod
    def load(cls, embedder: Embedder, path: Path = HEAD_PATH, chats: Path = CHATS_PATH) -> EmotionHead:
        """The shipped head. Raises BadHead for damaged files or another embedder than it was trained on."""
        head = Head.load(path)
        if not isinstance(embedder, MiniLM):
            raise BadHead("emotion_head", f"it was trained on {MiniLM.name}, not on {embedder.name}")
        return cls(Reader(head, embedder), Lexicon.load(), ChatLayer.load(chats, sha256(path)))

    def tag(self, texts: Sequence[str]) -> list[dict[str, float]]:
        """One dict per text, in order; strongest first, at most MAX_TAGS, one decimal. An empty text gets none."""
        return self.tag_after(texts, [""] * len(texts))

    def tag_after(self, texts: Sequence[str], before: Sequence[str]) -> list[dict[str, float]]:
        """As `tag`; `before[i]` is what somebody else said last before text i, empty where nobody did."""
        rows = [index for index, text in enumerate(texts) if text.strip()]
        tags: list[dict[str, float]] = [{} for _ in texts]
        for start in range(0, len(rows), CHUNK):
            part = rows[start : start + CHUNK]
            said = look(self._reader, self._lexicon, [texts[i] for i in part], [before[i] for i in part])
            for index, found in zip(part, self._combine(said), strict=True):
                tags[index] = found
        return tags

    def _combine(self, said: Said) -> list[dict[str, float]]:
        probabilities_NK = sigmoid(said.logits_NK)
        meant_NC = self._chats.probabilities(said)
        felt_NC = self._chats.intensities(said) * np.minimum(1, meant_NC / FULL_PROBABILITY) ** SHRINKING
        tags = []
        for row, meant_C in enumerate(meant_NC):
            words = _in_words(self._from_head(probabilities_NK[row]), said.finds[row], said.loudness[row])
            sure = dict(zip(CONCEPTS, meant_C.tolist(), strict=True))
            found = {
                concept: intensity
                for concept, intensity in zip(CONCEPTS, felt_NC[row].tolist(), strict=True)
                if sure[concept] >= MIN_PROBABILITY
            }
            for concept, intensity in words.items():
                belief = min(1.0, DOUBTED + 1.5 * sure[concept]) if concept in sure else 1.0
                found[concept] = max(found.get(concept, 0.0), intensity * belief)
            tags.append(_strongest(found, sure))
        return tags

    def _from_head(self, probabilities_K: FloatMatrix) -> dict[str, float]:
        """Labels above their threshold as intensities, mapped to our concepts."""
        found: dict[str, float] = {}
        for k in np.flatnonzero(probabilities_K >= self._head.thresholds):
            label = self._head.labels[k]
            concept = CONCEPT_OF.get(label, label)
            if concept is not None:
                rank = float(np.interp(probabilities_K[k], self._head.quantiles[k], np.linspace(0, 1, 11)))
                least, most = STANCE_RANGE if concept in STANCES else FEELING_RANGE
                intensity = least + (most - least) * rank
                found[concept] = max(found.get(concept, 0.0), intensity)
        return found


def _in_words(head: Mapping[str, float], lexicon: Mapping[str, float], loudness: float) -> dict[str, float]:
    """What head and lexicon find together."""
    found = {}
    for concept in {**head, **lexicon}:
        a, b = head.get(concept, 0.0), lexicon.get(concept, 0.0)
        found[concept] = max(a, b) + (AGREEMENT_BONUS if a and b else 0.0) + loudness
    return found


def look(reader: Reader, lexicon: Lexicon, texts: Sequence[str], before: Sequence[str]) -> Said:
    """Everything that is known of the texts; each different one is read once, be it said or said before."""
    numbers = {text: number for number, text in enumerate(dict.fromkeys([*texts, *filter(None, before)]))}
    logits_MK, pooled_MD = reader.read(list(numbers))
    rows = [numbers[text] for text in texts]
    before_NK = np.full((len(texts), logits_MK.shape[1]), np.nan, np.float32)
    for row, text in enumerate(before):
        if text:
            before_NK[row] = logits_MK[numbers[text]]
    return Said(
        logits_NK=logits_MK[rows],
        pooled_ND=pooled_MD[rows],
        before_NK=before_NK,
        finds=[lexicon.find(text) for text in texts],
        loudness=[lexicon.loudness(text) for text in texts],
        n_characters=[len(text) for text in texts],
    )


def _strongest(found: Mapping[str, float], sure: Mapping[str, float]) -> dict[str, float]:
    """At most MAX_TAGS, strongest first; very strong ones only where the chat layer is sure as well."""
    limited = {
        concept: round(min(10.0 if sure.get(concept, 0.0) >= RARE_PROBABILITY else RARE, intensity), 1)
        for concept, intensity in found.items()
    }
    ordered = sorted(limited.items(), key=lambda item: (-item[1], item[0]))[:MAX_TAGS]
    least = (MIN_STRONGEST, *[MIN_INTENSITY] * MAX_TAGS)
    return {concept: value for (concept, value), limit in zip(ordered, least, strict=False) if value >= limit}
