"""One vector per message in one memory-mapped file: what attribution compares a reply with.

`raw` are the vectors as they came; `vectors` are what is compared: centred, whitened and of unit length. All activations
point one way, and a few directions hold most of what is left of them; without whitening those few decide (Su et al. 2021,
arXiv:2103.15316; what it is worth here is in docs/adr/0044). The covariance is damped, so that it can be taken of few messages.
Every write takes mean and covariance anew over the messages that are there. Whoever computes the vectors gives them;
nothing here knows a model. The file is a cache under `home/attribution/<space id>/`, replaced as a whole, so that a kill
leaves the old one and a reader keeps what it has mapped. An erasure drops the rows of what went (`prune`).
Letters: N message, D width.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors.numpy import save_file
from sqlalchemy import select
from sqlalchemy.orm import Session

from db import tables
from memory.perspective import HEARD
from memory.ports import FloatMatrix
from memory.search.columns import as_number, as_numbers, digest_of
from memory.whole import whole_file

FORMAT = "slowwave-attribution-1"
FOLDER = "attribution"
FILE = "messages.safetensors"
_ROWS = 8192  # rows that are held as float32 at a time
DAMPING = 0.1  # added to each variance, as a share of the mean one
_LEAST = 1e-8  # length under which a vector counts as zero

Halves = npt.NDArray[np.float16]
Ids = npt.NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class Manifest:
    """What the vectors come from; those of different manifests cannot be compared. `recipe` None is the plain base."""

    model_hash: str
    template_hash: str
    layer: int
    width: int
    recipe: str | None = None
    token_rule: str = "mean of content tokens"
    format: str = FORMAT


@dataclass(frozen=True, slots=True)
class MessageVectors:
    """The rows of one file. `raw_ND` and `unit_ND` are mapped, not read."""

    manifest: Manifest
    ids: Ids  # (N,) the messages' ids as numbers
    digests: Ids  # (N,) of the texts that the vectors were made from
    centre: FloatMatrix  # (D,)
    whitening: FloatMatrix  # (D, D), symmetric
    raw_ND: Halves
    unit_ND: Halves

    def __len__(self) -> int:
        return len(self.ids)

    def raw(self) -> FloatMatrix:
        """The vectors as they were given, (N, D), to the precision of float16."""
        return self.raw_ND.astype(np.float32)

    def towards(self, vector: FloatMatrix) -> FloatMatrix:
        """`vector` (D,), raw as the rows were, centred and whitened like them and scaled to unit length."""
        white = (np.asarray(vector, np.float32) - self.centre) @ self.whitening
        return np.asarray(white / max(float(np.linalg.norm(white)), _LEAST), dtype=np.float32)


def path_of(home: Path, space_id: str) -> Path:
    """Where the space's file stands."""
    return home / FOLDER / space_id / FILE


def merged(
    manifest: Manifest, old: MessageVectors | None, given: Mapping[int, tuple[int, FloatMatrix]]
) -> MessageVectors:
    """`old` with the vectors `given` (id -> digest of the text, raw vector) added or set again."""
    new_ids = np.fromiter(given, np.uint64, len(given))
    new_digests = np.fromiter((digest for digest, _ in given.values()), np.uint64, len(given))
    new = [np.asarray(vector, np.float32)[None, :] for _, vector in given.values()]
    if old is None:
        return compared(manifest, new_ids, new_digests, np.concatenate([_none(manifest), *new]))
    kept = ~np.isin(old.ids, new_ids)
    return compared(
        manifest,
        np.concatenate([old.ids[kept], new_ids]),
        np.concatenate([old.digests[kept], new_digests]),
        np.concatenate([old.raw()[kept], *new]),
    )


def _none(manifest: Manifest) -> FloatMatrix:
    return np.zeros((0, manifest.width), np.float32)


def compared(manifest: Manifest, ids: Ids, digests: Ids, raw_ND: FloatMatrix) -> MessageVectors:
    """The rows of these raw vectors. Raises ValueError for numbers that are not finite, or too large for float16."""
    halves = _halved(raw_ND)
    centre, whitening = _statistics(raw_ND)
    unit = np.empty(raw_ND.shape, np.float16)
    for start in range(0, len(raw_ND), _ROWS):
        part = (raw_ND[start : start + _ROWS] - centre) @ whitening
        unit[start : start + _ROWS] = part / np.maximum(np.linalg.norm(part, axis=1, keepdims=True), _LEAST)
    return MessageVectors(manifest, ids, digests, centre, whitening, halves, unit)


def _halved(raw_ND: FloatMatrix) -> Halves:
    if not (np.abs(raw_ND) <= np.finfo(np.float16).max).all():
        raise ValueError("a vector holds numbers that are not finite, or too large")
    return raw_ND.astype(np.float16)


def _statistics(raw_ND: FloatMatrix) -> tuple[FloatMatrix, FloatMatrix]:
    """Mean (D,), and the inverse root (D, D) of the covariance with DAMPING of its mean variance added."""
    width = raw_ND.shape[1]
    if not len(raw_ND):
        return np.zeros(width, np.float32), np.eye(width, dtype=np.float32)
    centre = raw_ND.mean(axis=0, dtype=np.float64).astype(np.float32)
    covariance = np.zeros((width, width))
    for start in range(0, len(raw_ND), _ROWS):
        part = raw_ND[start : start + _ROWS] - centre
        covariance += part.T @ part
    variances, axes = np.linalg.eigh(covariance / len(raw_ND))
    damped = np.maximum(variances, 0) + DAMPING * float(variances.mean())
    scales = 1 / np.sqrt(np.maximum(damped, _LEAST**2))
    return centre, ((axes * scales) @ axes.T).astype(np.float32)


def write(path: Path, vectors: MessageVectors) -> None:
    """Whole or not at all."""
    tensors = {
        "ids": vectors.ids,
        "digests": vectors.digests,
        "centre": vectors.centre,
        "whitening": vectors.whitening,
        "raw": vectors.raw_ND,
        "vectors": vectors.unit_ND,
    }
    metadata = {"manifest": json.dumps(asdict(vectors.manifest), sort_keys=True)}
    with whole_file(path) as part:
        save_file({name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}, part, metadata)


def read(path: Path) -> MessageVectors | None:
    """The file's rows, mapped; None where there is no file, or one that is damaged or of another format."""
    try:
        with path.open("rb") as file:
            n_head = int.from_bytes(file.read(8), "little")
            if n_head > 1 << 20:
                return None
            head = json.loads(file.read(n_head))
        manifest = Manifest(**json.loads(head["__metadata__"]["manifest"]))
        found = {
            name: _map(path, 8 + n_head, head[name])
            for name in ("ids", "digests", "centre", "whitening", "raw", "vectors")
        }
    except (OSError, ValueError, KeyError, TypeError):
        return None
    n, width = len(found["ids"]), manifest.width
    shapes = {"digests": (n,), "centre": (width,), "whitening": (width, width), "raw": (n, width)}
    shapes["vectors"] = (n, width)
    if manifest.format != FORMAT or any(found[name].shape != shape for name, shape in shapes.items()):
        return None
    small = {name: np.array(found[name]) for name in ("ids", "digests", "centre", "whitening")}
    return MessageVectors(manifest, raw_ND=found["raw"], unit_ND=found["vectors"], **small)


_TYPES: Mapping[str, Any] = {"U64": np.dtype("<u8"), "F32": np.dtype("<f4"), "F16": np.dtype("<f2")}


def _map(path: Path, start: int, entry: Mapping[str, Any]) -> npt.NDArray[Any]:
    """One tensor of a safetensors file. Raises ValueError where the file is shorter than it says."""
    first, end = entry["data_offsets"]
    dtype, shape = _TYPES[entry["dtype"]], tuple(entry["shape"])
    if end - first != int(np.prod(shape)) * dtype.itemsize:
        raise ValueError("the sizes do not fit")
    if end == first:
        return np.zeros(shape, dtype)
    return np.memmap(path, dtype, "r", offset=start + first, shape=shape)


class Nearest:
    """Finds the rows nearest to a question, among all and exactly. The rows are copied once, as faiss wants them."""

    def __init__(self, vectors: MessageVectors) -> None:
        import faiss  # a second that no command pays for which only erases or verifies

        self.vectors = vectors
        width = vectors.manifest.width
        self._index = faiss.IndexScalarQuantizer(
            width, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT
        )
        for start in range(0, len(vectors), _ROWS):
            rows = np.ascontiguousarray(vectors.unit_ND[start : start + _ROWS])
            self._index.add_sa_codes(rows.view(np.uint8).reshape(len(rows), 2 * width))

    def best(self, vector: FloatMatrix, k: int) -> tuple[npt.NDArray[np.int64], FloatMatrix]:
        """Places of the k nearest rows and their cosines, best first; `vector` (D,) is raw."""
        import faiss

        question = self.vectors.towards(vector)[None, :]
        faiss.omp_set_num_threads(1)  # a scan waits for memory: two threads took three times the processor
        cosines, places = self._index.search(question, max(1, min(k, len(self.vectors))))
        found = places[0] >= 0
        return places[0][found], np.asarray(cosines[0][found], np.float32)


def messages_of(session: Session, space_id: str) -> dict[int, int]:
    """Id -> digest of the text of every message that an index should hold: what people said, in words."""
    episode = tables.Episode
    query = select(episode.id, episode.text).where(
        episode.space_id == space_id, episode.origin.in_(HEARD), episode.kind == "text"
    )
    rows = [(key, text) for key, text in session.execute(query).yield_per(1000) if text.strip()]
    numbers = as_numbers([key for key, _ in rows]).tolist()
    return {number: digest_of(text) for number, (_, text) in zip(numbers, rows, strict=True)}


def held(home: Path, space_id: str, ids: Collection[str]) -> list[str]:
    """Which of these messages have a vector in the space's file, in order."""
    found = read(path_of(home, space_id))
    if found is None or not ids:
        return []
    known = set(found.ids.tolist())
    return sorted(key for key in ids if as_number(key) in known)


def prune(session: Session, space_id: str, home: Path) -> int:
    """Drop the rows of messages that are not in the store any more, or that have other words now; how many.

    Mean and covariance are taken anew over the others, so that nothing in the file was computed from what went. A file that cannot be
    read goes as a whole. Repeatable.
    """
    path = path_of(home, space_id)
    if not path.parent.exists():
        return 0
    for part in path.parent.glob(f".{path.name}.*"):
        part.unlink()
    old = read(path)
    if old is None:
        shutil.rmtree(path.parent)
        return 0
    stays = messages_of(session, space_id)
    kept = np.fromiter(
        (
            stays.get(number) == digest
            for number, digest in zip(old.ids.tolist(), old.digests.tolist(), strict=True)
        ),
        bool,
        len(old),
    )
    if kept.all():
        return 0
    write(path, compared(old.manifest, old.ids[kept], old.digests[kept], old.raw()[kept]))
    return int((~kept).sum())


def problems(session: Session, space_id: str, home: Path) -> list[str]:
    """What is wrong with the space's file: it cannot be read, or it holds messages that the store does not."""
    path = path_of(home, space_id)
    if not path.exists():
        return []
    found = read(path)
    if found is None:
        return [f"{path.relative_to(home).as_posix()} cannot be read"]
    lines = []
    strange = set(found.ids.tolist()) - set(messages_of(session, space_id))
    if strange:
        lines.append(f"{len(strange)} vectors for attribution are of messages that are not there")
    if len(np.unique(found.ids)) != len(found):
        lines.append("a message has two vectors for attribution")
    if not all(
        np.isfinite(found.unit_ND[start : start + _ROWS]).all() for start in range(0, len(found), _ROWS)
    ):
        lines.append("vectors for attribution hold numbers that are not finite")
    return lines
