"""The trained part of the emotion tagger: text -> a probability for each label, by a changed copy of the sentence encoder.

z = m W + b + s G, with m the mean of the last layer's tokens (the upper layers have their changes in them, the lower ones
are the encoder's own) and s the set of the text's n-grams that the head knows: capitals, marks and emoji, which the
encoder's words lack. The n-grams are kept as 32-bit hashes, so no word of the training data is in the file.
`emotion_training.py` makes it, `emotions.py` turns probabilities into intensities. Numpy at run time.
Letters of shapes: N item, D width of the encoder, K label, V n-gram.
"""

from __future__ import annotations

import math
import re
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import safe_open

from agents.encoder_changes import Changes, load_head, save_head
from agents.errors import BadHead
from memory.embedders.minilm import WEIGHTS, MiniLM
from memory.ports import FloatMatrix

FORMAT = "slowwave-emotion-head/2"
TRAINER = "agents.emotion_training"
MAX_TOKENS = 128  # of a longer text the start is read
_TOKEN = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)*|[!?]+|\.{3,}|[^\w\s.,;:()\"'-]")
_OWN = ("format", "labels", "base_sha256", "scale", "first_layer", "parameters", "sha256")


def grams(text: str) -> set[str]:
    """Lower-cased words, runs of ! and ?, emoji, and pairs of neighbours of these; "ALLCAPS" where a word shouts."""
    raw = _TOKEN.findall(text.replace("’", "'"))
    tokens = [token.lower()[:24] for token in raw]
    found = set(tokens) | {f"{a} {b}" for a, b in pairwise(tokens)}
    if any(len(token) > 3 and token.isupper() for token in raw):
        found.add("ALLCAPS")
    return found


def gram_hash(gram: str) -> int:
    return zlib.crc32(gram.encode())


class Grams:
    """The n-grams that a head knows, by their hashes in ascending order."""

    def __init__(self, hashes: npt.NDArray[np.uint32]) -> None:
        self._numbers = {int(value): number for number, value in enumerate(hashes)}

    def __call__(self, text: str) -> list[int]:
        """The numbers of those that the text holds."""
        found = {self._numbers.get(gram_hash(gram), -1) for gram in grams(text)}
        return sorted(found - {-1})


@dataclass(frozen=True, slots=True)
class Head:
    """Immutable. `quantiles[k]` are the probabilities at equal steps from the least to the most of the texts that
    annotators gave label k and that the head finds; intensity is read off them."""

    labels: tuple[str, ...]
    changes: Changes
    first_layer: int  # of those that are changed
    out: FloatMatrix  # (D, K)
    bias: FloatMatrix  # (K,)
    gram_hashes: npt.NDArray[np.uint32]  # (V,) ascending
    gram_weights: FloatMatrix  # (V, K)
    thresholds: FloatMatrix  # (K,)
    quantiles: FloatMatrix  # (K, 11)
    manifest: Mapping[str, Any]

    @property
    def n_parameters(self) -> int:
        """Those that ship."""
        on_top = (self.out, self.bias, self.gram_weights)
        return self.changes.n_parameters + sum(array.size for array in on_top)

    def save(self, path: Path) -> None:
        tensors: dict[str, npt.NDArray[Any]] = {
            name: getattr(self, name)
            for name in ("out", "bias", "gram_hashes", "gram_weights", "thresholds", "quantiles")
        }
        described = {
            "format": FORMAT,
            "labels": list(self.labels),
            "base_sha256": self.changes.base_sha256,
            "scale": self.changes.scale,
            "first_layer": self.first_layer,
            "parameters": self.n_parameters,
            **self.manifest,
        }
        save_head(path, {**tensors, **self.changes.named()}, described)

    @classmethod
    def load(cls, path: Path) -> Head:
        """Raises BadHead where the file is missing, damaged or not the one its manifest names."""
        tensors, manifest = load_head(path, FORMAT, TRAINER)
        try:
            return cls(
                labels=tuple(manifest["labels"]),
                changes=Changes.of_file(tensors, float(manifest["scale"]), manifest["base_sha256"]),
                first_layer=int(manifest["first_layer"]),
                out=tensors["out"],
                bias=tensors["bias"],
                gram_hashes=tensors["gram_hashes"],
                gram_weights=tensors["gram_weights"],
                thresholds=tensors["thresholds"],
                quantiles=tensors["quantiles"],
                manifest={name: value for name, value in manifest.items() if name not in _OWN},
            )
        except (KeyError, ValueError) as exc:
            raise BadHead(path.name, "a file is missing or damaged", TRAINER) from exc


class Reader:
    """A head on its encoder. Immutable; calls take turns with the encoder they share a processor with."""

    def __init__(self, head: Head, encoder: MiniLM) -> None:
        head.changes.require_fit(encoder, "emotion_head", TRAINER)
        self.head = head
        self._encoder = encoder
        self._grams = Grams(head.gram_hashes)
        merged = head.changes.merged(_upper(encoder.folder / WEIGHTS, head.first_layer))
        self._network = encoder.network.with_layers(merged, head.first_layer)

    @property
    def n_parameters(self) -> int:
        """Of the whole network: the encoder's and the head's on top of it."""
        with safe_open(self._encoder.folder / WEIGHTS, framework="np") as file:
            sizes = {name: math.prod(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
        encoder = sum(size for name, size in sizes.items() if name.endswith((".weight", ".bias")))
        pooler = sum(size for name, size in sizes.items() if name.startswith("pooler."))  # unused
        head = self.head
        return int(encoder - pooler) + head.out.size + head.bias.size + head.gram_weights.size

    def probabilities(self, texts: Sequence[str]) -> FloatMatrix:
        """(N, K), row i of text i."""
        return sigmoid(self.read(texts)[0])

    def read(self, texts: Sequence[str]) -> tuple[FloatMatrix, FloatMatrix]:
        """The logits (N, K), and the means of the last layer's tokens (N, D)."""
        tokens = [ids if len(ids) <= MAX_TOKENS else _cut(ids) for ids in self._encoder.tokens(texts)]
        pooled_ND = np.zeros((len(texts), self._encoder.width), np.float32)

        def fill(rows: list[int]) -> None:
            x_BTD, is_real_BT = self._network([tokens[row] for row in rows])
            weights_BT = is_real_BT / is_real_BT.sum(axis=1, keepdims=True)
            pooled_ND[rows] = np.einsum("btd,bt->bd", x_BTD, weights_BT.astype(np.float32))

        self._encoder.in_batches([len(ids) for ids in tokens], fill)
        logits_NK = pooled_ND @ self.head.out + self.head.bias
        for row, text in enumerate(texts):
            logits_NK[row] += self.head.gram_weights[self._grams(text)].sum(axis=0)
        return logits_NK, pooled_ND


def sigmoid(z: FloatMatrix) -> FloatMatrix:
    probabilities: FloatMatrix = (1 / (1 + np.exp(-np.clip(z, -30, 30)))).astype(np.float32)
    return probabilities


def _cut(ids: list[int]) -> list[int]:
    return [*ids[: MAX_TOKENS - 1], ids[-1]]


def _upper(path: Path, first: int) -> dict[str, FloatMatrix]:
    """The tensors of the layers from number `first` on; nothing else is read."""
    with safe_open(path, framework="np") as file:
        return {
            name: file.get_tensor(name).astype(np.float32)
            for name in file.keys()  # noqa: SIM118 - it is no mapping
            if name.startswith("encoder.layer.") and int(name.split(".")[2]) >= first
        }
