"""Entailment of a statement by talk: (premise, hypothesis) -> probabilities of entailment, neutral, contradiction.

The embedded sentence encoder reads both texts at once, with small changes to its matrices (LoRA, Hu et al. 2021,
https://arxiv.org/abs/2106.09685) and a linear layer on what it makes of the two. The changes ship, the encoder does
not: a head fits one encoder, and the hash in its manifest says which. Numpy at run time; `entailment_training.py`
makes the head. It knows no slots, dates or people: structured rules go before it.
Letters of shapes: N pair, B batch, T token, D width of the encoder, F features (3 D), K label, R rank.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from safetensors.numpy import load_file
from tokenizers import Tokenizer

from agents.encoder_changes import HeadWeights
from memory.embedders.minilm import TOKENIZER, WEIGHTS, WORDS, MiniLM, Network
from memory.ports import FloatMatrix

HEAD_PATH = Path(__file__).parent / "data" / "entailment_head.safetensors"
LABELS = ("entailment", "neutral", "contradiction")
ENTAILMENT, NEUTRAL, CONTRADICTION = range(3)
MAX_PREMISE = 112  # tokens; of a longer one the end is read
MAX_HYPOTHESIS = 48  # tokens; of a longer one the start is read
CHUNK = 1024  # pairs tokenised at a time; bounds the memory, not the result
_TAG = re.compile(r"\s*<(\w+)>\s*")
_PERSON = re.compile(r"\b[Pp]erson (?=[A-Z]\b)")


def as_dialogue(turns: Iterable[tuple[str, str]]) -> str:
    """Messages, (speaker, text) in time order, as the premise the head is trained on."""
    return " ".join(f"{speaker}: {text}" for speaker, text in turns)


def as_premise(text: str) -> str:
    """Speaker tags of transcripts ("<A> mm <Mother> yes") as the text of `as_dialogue` ("speaker A: mm Mother: yes")."""
    return _TAG.sub(lambda tag: f" {_called(tag[1])}: ", text).strip()


def as_hypothesis(text: str) -> str:
    """ "Person A" is "speaker A", as the premise calls them."""
    return _PERSON.sub("speaker ", text.strip())


def _called(tag: str) -> str:
    return f"speaker {tag}" if len(tag) == 1 else tag


class PairTokenizer:
    """Pairs as BERT reads them: [CLS] premise [SEP] hypothesis [SEP]."""

    def __init__(self, folder: Path) -> None:
        self._tokenizer = Tokenizer.from_file(str(folder / TOKENIZER))
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self._cls, self._sep = self._tokenizer.encode("").ids  # what stands around an empty text

    def __call__(self, premises: Sequence[str], hypotheses: Sequence[str]) -> list[tuple[list[int], int]]:
        """Per pair its token ids and how many of them are the premise's, [CLS] and the first [SEP] included."""
        firsts = self._ids([as_premise(text) for text in premises])
        seconds = self._ids([as_hypothesis(text) for text in hypotheses])
        return [
            (
                [self._cls, *a[-MAX_PREMISE:], self._sep, *b[:MAX_HYPOTHESIS], self._sep],
                min(len(a), MAX_PREMISE) + 2,
            )
            for a, b in zip(firsts, seconds, strict=True)
        ]

    def _ids(self, texts: list[str]) -> list[list[int]]:
        return [found.ids for found in self._tokenizer.encode_batch_fast(texts, add_special_tokens=False)]


class EntailmentWeights(HeadWeights):
    """Changes to the encoder, and the layer on top: (F, K) and (K,)."""

    __slots__ = ()
    FORMAT = "slowwave-entailment-head/1"
    NAMES = ("labels", LABELS)
    TRAINER = "agents.entailment_training"


class EntailmentHead:
    """Immutable; calls take turns with the encoder they share a processor with."""

    def __init__(self, weights: EntailmentWeights, encoder: MiniLM) -> None:
        weights.changes.require_fit(encoder, "entailment_head", weights.TRAINER)
        self.name = f"entailment-head/{weights.manifest.get('version', '1')}"
        self.weights = weights
        self._encoder = encoder
        self._tokenize = PairTokenizer(encoder.folder)
        tensors = weights.changes.merged(load_file(encoder.folder / WEIGHTS))
        tensors[WORDS] = encoder.network.words  # the largest one is not kept twice
        self._network = Network(tensors)

    @classmethod
    def load(cls, encoder: MiniLM, path: Path = HEAD_PATH) -> EntailmentHead:
        """The shipped head. Raises BadHead for damaged files or another encoder than it was trained on."""
        return cls(EntailmentWeights.load(path), encoder)

    def judge(self, premises: Sequence[str], hypotheses: Sequence[str]) -> FloatMatrix:
        """(N, 3), rows sum to 1, columns as in LABELS: what premise i says of hypothesis i.

        A premise is talk (`as_dialogue`, or with tags as in "<A> ... <B> ...") or a statement. Raises ValueError
        where the two lists differ in length.
        """
        if len(premises) != len(hypotheses):
            raise ValueError(
                f"{len(premises)} premises for {len(hypotheses)} hypotheses; give one of each per pair"
            )
        logits = np.zeros((len(premises), len(LABELS)), np.float32)
        for start in range(0, len(premises), CHUNK):
            part = slice(start, start + CHUNK)
            pairs = self._tokenize(premises[part], hypotheses[part])
            self._fill(logits[part], pairs)
        return softmax(logits)

    def _fill(self, logits_NK: FloatMatrix, pairs: list[tuple[list[int], int]]) -> None:
        def work(rows: list[int]) -> None:
            logits_NK[rows] = self._logits([pairs[row] for row in rows])

        self._encoder.in_batches([len(ids) for ids, _ in pairs], work)

    def _logits(self, pairs: list[tuple[list[int], int]]) -> FloatMatrix:
        kinds = [[0] * n_first + [1] * (len(ids) - n_first) for ids, n_first in pairs]
        x_BTD, is_real_BT = self._network([ids for ids, _ in pairs], kinds)
        is_first_BT = np.arange(x_BTD.shape[1]) < np.array([[n_first] for _, n_first in pairs])
        first_BD = _mean(x_BTD, is_first_BT)
        second_BD = _mean(x_BTD, is_real_BT & ~is_first_BT)
        features_BF = np.concatenate([first_BD, second_BD, np.abs(first_BD - second_BD)], axis=1)
        logits: FloatMatrix = features_BF @ self.weights.out + self.weights.bias
        return logits


def softmax(logits_NK: FloatMatrix) -> FloatMatrix:
    """Each row as probabilities."""
    raised = np.exp(logits_NK - logits_NK.max(axis=1, keepdims=True))
    shares: FloatMatrix = raised / raised.sum(axis=1, keepdims=True)
    return shares


def _mean(x_BTD: FloatMatrix, is_in_BT: npt.NDArray[np.bool_]) -> FloatMatrix:
    """(B, D): mean of the tokens that are in."""
    weights_BT = is_in_BT / is_in_BT.sum(axis=1, keepdims=True)
    mean: FloatMatrix = np.einsum("btd,bt->bd", x_BTD, weights_BT.astype(np.float32))
    return mean
