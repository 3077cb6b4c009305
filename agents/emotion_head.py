"""The trained part of the emotion tagger: sentence vector and words of a text -> one probability per label.

z = relu(x W1 + b1) W2 + b2 + s(text) G, with x the embedder's vector times sqrt(width) and s the set of the
text's n-grams that the head knows (the vector alone loses capitals, punctuation and emoji). The vocabulary is
kept as 32-bit hashes, so no word of the training data is in the file. Half-precision on disk, numpy at run
time. `emotion_training.py` makes it, `emotions.py` turns probabilities into intensities.
Letters of shapes: N item, D width of the embedder, H hidden, K label, V n-gram.
"""

from __future__ import annotations

import hashlib
import json
import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file
from scipy.sparse import csr_matrix

from agents.errors import BadHead
from memory.ports import FloatMatrix

FORMAT = "slowwave-emotion-head/1"
_TOKEN = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)*|[!?]+|\.{3,}|[^\w\s.,;:()\"'-]")


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


@dataclass(frozen=True, slots=True)
class Head:
    """Immutable. `quantiles[k]` are the probabilities at equal steps from the least to the most of the texts that
    annotators gave label k and that the head finds; intensity is read off them."""

    labels: tuple[str, ...]
    w1: FloatMatrix  # (D, H)
    b1: FloatMatrix  # (H,)
    w2: FloatMatrix  # (H, K)
    b2: FloatMatrix  # (K,)
    gram_hashes: npt.NDArray[np.uint32]  # (V,) ascending
    gram_weights: FloatMatrix  # (V, K)
    thresholds: FloatMatrix  # (K,)
    quantiles: FloatMatrix  # (K, 11)
    embedder: str
    manifest: dict[str, Any]

    @property
    def n_parameters(self) -> int:
        return sum(a.size for a in (self.w1, self.b1, self.w2, self.b2, self.gram_weights))

    def probabilities(self, texts: Sequence[str], vectors_ND: FloatMatrix) -> FloatMatrix:
        """(N, K); row i belongs to text i, whose sentence vector is row i of `vectors_ND`."""
        width = self.w1.shape[0]
        if vectors_ND.shape[1] != width:
            raise BadHead("emotion_head", f"it takes vectors of {width} numbers, not {vectors_ND.shape[1]}")
        hidden = np.maximum(vectors_ND * np.float32(width**0.5) @ self.w1 + self.b1, 0)
        logits = hidden @ self.w2 + self.b2 + gram_matrix(texts, self.gram_hashes) @ self.gram_weights
        probabilities: FloatMatrix = (1 / (1 + np.exp(-logits))).astype(np.float32)
        return probabilities

    def save(self, path: Path) -> None:
        """Weights beside a JSON manifest of the same name, which holds the hash of the weights."""
        tensors: dict[str, npt.NDArray[Any]] = {
            name: getattr(self, name).astype(np.float16) for name in ("w1", "b1", "w2", "b2", "gram_weights")
        }
        tensors |= {
            "gram_hashes": self.gram_hashes,
            "thresholds": self.thresholds,
            "quantiles": self.quantiles,
        }
        save_file(tensors, path)
        described = {
            "format": FORMAT,
            "labels": list(self.labels),
            "embedder": self.embedder,
            "parameters": self.n_parameters,
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
            **self.manifest,
        }
        path.with_suffix(".json").write_text(json.dumps(described, indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> Head:
        """Raises BadHead where the file is missing, damaged or not the one its manifest names."""
        try:
            manifest = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
            data = path.read_bytes()
            if hashlib.sha256(data).hexdigest() != manifest["sha256"] or manifest["format"] != FORMAT:
                raise BadHead(path.name, "its manifest describes another file")
            tensors = load_file(path)
            own = ("format", "labels", "embedder", "parameters", "sha256")
            return cls(
                labels=tuple(manifest["labels"]),
                w1=tensors["w1"].astype(np.float32),
                b1=tensors["b1"].astype(np.float32),
                w2=tensors["w2"].astype(np.float32),
                b2=tensors["b2"].astype(np.float32),
                gram_hashes=tensors["gram_hashes"],
                gram_weights=tensors["gram_weights"].astype(np.float32),
                thresholds=tensors["thresholds"],
                quantiles=tensors["quantiles"],
                embedder=manifest["embedder"],
                manifest={name: value for name, value in manifest.items() if name not in own},
            )
        except (OSError, ValueError, KeyError, SafetensorError) as exc:
            raise BadHead(path.name, "a file is missing or damaged") from exc


def gram_matrix(texts: Sequence[str], hashes: npt.NDArray[np.uint32]) -> csr_matrix:
    """(N, V) of zeros and ones: which of the known n-grams a text holds."""
    known = {int(value): index for index, value in enumerate(hashes)}
    rows, columns = [], []
    for row, text in enumerate(texts):
        for column in {known.get(gram_hash(gram), -1) for gram in grams(text)} - {-1}:
            rows.append(row)
            columns.append(column)
    ones = np.ones(len(rows), np.float32)
    return csr_matrix((ones, (rows, columns)), shape=(len(texts), len(hashes)))
