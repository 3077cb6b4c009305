"""Task vectors out of what others trained: a LoRA adapter as it is, or a whole checkpoint less its base.

An adapter stays two factors per module and exact. A checkpoint's vector is dense and exact, or brought to a rank with
what that leaves out on record. A vector is a folder: an adapter's files, or `delta.safetensors`, and `slowwave.json`, its
manifest, with the hashes of its base, of the training rows and of the recipe that was worn while it was trained.
One tensor is in memory at a time. No torch in here.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from agents.errors import BrokenAdapter
from agents.runtime.adapter import Adapter
from agents.runtime.spec import ModelFolder
from consolidation.errors import BadVector, BrokenTensors
from consolidation.factors import filled
from consolidation.low_rank import factored
from consolidation.stage import Progress, no_progress
from consolidation.tensor_files import StoredTensor, list_tensors, write_tensors
from consolidation.trainer.job import Row
from memory.whole import whole_folder

FORMAT = "slowwave-vector-1"
MANIFEST = "slowwave.json"
_DELTA = "delta.safetensors"
_FACTOR = re.compile(r"(?:base_model\.model\.)?(.+)\.lora_([AB])(?:\.default)?\.weight")
_EMBEDDING = re.compile(r"(^|[._])(embed\w*|wte|wpe)([._]|$)")

FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Origin:
    """What a vector was made of. `recipe_sha256` is None where it was trained on the plain base or nobody knows."""

    data_sha256: str | None = None
    recipe_sha256: str | None = None
    run_id: str | None = None

    def as_meta(self, source: str) -> dict[str, Any]:
        """`source`: night | style | behaviour | mend | primer | talk | adapter | checkpoint."""
        return {"source": source, **asdict(self)}


def hash_rows(rows: Iterable[Row]) -> str:
    """What stands for the training data: SHA-256 over what the rows say, in their order, whatever their ids."""
    digest = hashlib.sha256()
    for row in rows:
        text = json.dumps([row.kind, list(row.messages)], sort_keys=True, ensure_ascii=False)
        digest.update(text.encode() + b"\n")
    return digest.hexdigest()


# ---- out of an adapter


def extract_adapter(folder: Path, base_hash: str, origin: Origin | None = None) -> Adapter:
    """The vector of a PEFT folder on the base of that hash: its factors bit for bit, where one scale holds for all modules.

    Ranks and scales that differ by module (rank_pattern, alpha_pattern, rsLoRA) are brought to one, by zeros and by the
    scale multiplied into B. Raises BadVector for what LoRA's product alone cannot say: DoRA, biases, embeddings, whole modules.
    """
    try:
        config = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
        tensors = list_tensors([folder / "adapter_model.safetensors"])
        factors = _factors(folder.name, config, tensors)
        scales = {name: _scale(config, name, a.shape[0]) for name, (a, _) in factors.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, BrokenTensors) as error:
        raise BrokenAdapter(folder, f"{type(error).__name__} while reading it") from error
    return _with_one_scale(base_hash, factors, scales, (origin or Origin()).as_meta("adapter"))


def _factors(
    name: str, config: Mapping[str, Any], tensors: Mapping[str, StoredTensor]
) -> dict[str, tuple[FloatArray, FloatArray]]:
    if config.get("use_dora") or config.get("bias", "none") != "none" or config.get("modules_to_save"):
        raise BadVector(name, "it changes more than LoRA's factors say (DoRA, biases or whole modules)")
    found: dict[str, dict[str, FloatArray]] = {}
    for tensor in tensors.values():
        matched = _FACTOR.fullmatch(tensor.name)
        if matched is None:
            raise BadVector(name, f"{tensor.name} is no factor of a linear module")
        factor = tensor.read()
        if not np.isfinite(factor).all():
            raise BadVector(name, f"{tensor.name} holds numbers that are not finite")
        found.setdefault(matched[1], {})[matched[2]] = factor
    if not found:
        raise BadVector(name, "it has no factors")
    pairs = {module: (pair["A"], pair["B"]) for module, pair in sorted(found.items())}
    for module, (a, b) in pairs.items():
        if a.ndim != 2 or b.ndim != 2 or a.shape[0] != b.shape[1]:
            raise BadVector(name, f"{module} is {b.shape} by {a.shape}, which is no product")
    return pairs


def _scale(config: Mapping[str, Any], module: str, rank: int) -> float:
    """alpha / r, or alpha / sqrt(r) with rsLoRA; patterns match the end of a module's name, as in PEFT."""
    patterns: Mapping[str, Any] = config.get("alpha_pattern") or {}
    alpha = next(
        (value for key, value in patterns.items() if re.match(rf"(.*\.)?({key})$", module)),
        config["lora_alpha"],
    )
    return float(alpha) / (math.sqrt(rank) if config.get("use_rslora") else rank)


def _with_one_scale(
    base_hash: str,
    factors: Mapping[str, tuple[FloatArray, FloatArray]],
    scales: Mapping[str, float],
    meta: Mapping[str, Any],
) -> Adapter:
    ranks = {a.shape[0] for a, _ in factors.values()}
    rank = max(ranks)
    if len(ranks) == 1 and len(set(scales.values())) == 1:
        return Adapter(base_hash, rank, rank * scales[next(iter(factors))], factors, meta)
    modules = {
        name: (
            filled(a, rank, 0),
            filled((b.astype(np.float64) * scales[name]).astype(np.float32), rank, 1),
        )
        for name, (a, b) in factors.items()
    }
    return Adapter(base_hash, rank, float(rank), modules, meta)


# ---- out of a checkpoint


@dataclass(frozen=True)
class DenseVector:
    """The full delta of every module, on disk, read when it is asked for. Made by `extract_checkpoint` and `load_vector`."""

    folder: Path
    base_hash: str
    sha256: str
    modules: Mapping[str, StoredTensor]
    meta: Mapping[str, Any]

    def delta(self, module: str) -> FloatArray:
        """What it adds to the module's weight, shape (out, in). Raises BrokenTensors."""
        return self.modules[module].read()


def extract_checkpoint(
    base: ModelFolder,
    tuned: Path,
    folder: Path,
    origin: Origin | None = None,
    progress: Progress = no_progress,
) -> DenseVector:
    """Write tuned less base into `folder`, exact but for one rounding to float32, and open it.

    Modules that are the same in both are not in it. What changed and is no linear module (embeddings, norms, biases) is
    named in the manifest's `left_out` with its Frobenius norm: nothing here can wear it. `residual` is its share of the
    whole change. Raises BadVector for a checkpoint of another architecture or with numbers that are not finite, BrokenTensors.
    """
    change = _changed(base, tuned, progress)
    meta = {**(origin or Origin()).as_meta("checkpoint"), **change.not_held()}
    shapes = {name: tensor.shape for name, (_, tensor) in change.modules.items()}
    digest = _digest(base.base_hash)
    with whole_folder(folder, replaces=True) as part:
        write_tensors(part / _DELTA, shapes, hashed(digest, change.deltas()), {"format": FORMAT})
        notes = {"format": FORMAT, "base_hash": base.base_hash, "sha256": digest.hexdigest(), "meta": meta}
        (part / MANIFEST).write_text(json.dumps(notes, indent=2), encoding="utf-8")
    return _open(folder)


def factor_checkpoint(
    base: ModelFolder, tuned: Path, rank: int, origin: Origin | None = None, progress: Progress = no_progress
) -> Adapter:
    """Tuned less base, brought to a rank by SVD. The manifest has `residual`: the share of the whole change, in Frobenius
    norm, that the factors do not hold, with what is `left_out` (see `extract_checkpoint`) counted in.

    Raises BadVector, BrokenTensors.
    """
    change = _changed(base, tuned, progress)
    meta = (origin or Origin()).as_meta("checkpoint")
    adapter = factored(change.deltas(), rank, base.base_hash, meta)
    return replace(adapter, meta={**adapter.meta, **change.not_held(adapter.meta["residual"])})


@dataclass(frozen=True, slots=True)
class _Change:
    """Where base and tuned differ. `left_out`: parameters that are no linear module's weight, with their norms."""

    modules: Mapping[str, tuple[StoredTensor, StoredTensor]]  # name -> base, tuned
    left_out: Mapping[str, float]
    square_norm: float  # of the modules' deltas together

    def deltas(self) -> Iterator[tuple[str, FloatArray]]:
        return ((name, _difference(*pair)) for name, pair in self.modules.items())

    def not_held(self, cut: float = 0.0) -> dict[str, Any]:
        """For the manifest, where `cut` is the share of the modules' deltas that is not kept."""
        outside = sum(norm**2 for norm in self.left_out.values())
        whole = self.square_norm + outside
        residual = math.sqrt((cut**2 * self.square_norm + outside) / whole) if whole else 0.0
        return {"left_out": self.left_out, "residual": residual}


def _changed(base: ModelFolder, tuned: Path, progress: Progress) -> _Change:
    before, after = _weights(base.path), _weights(tuned)
    unlike = sorted(set(before) ^ set(after)) or sorted(
        name for name in before if before[name].shape != after[name].shape
    )
    if unlike:
        raise BadVector(tuned.name, f"{unlike[0]} is not the same in it and its base; another architecture")
    modules, left_out, total = {}, {}, 0.0
    for place, name in enumerate(sorted(before)):
        progress(place, len(before), "comparing")
        norm = float(np.linalg.norm(_difference(before[name], after[name]).astype(np.float64)))
        if not math.isfinite(norm):
            raise BadVector(tuned.name, f"{name} holds numbers that are not finite")
        module = name.removesuffix(".weight")
        if norm and len(before[name].shape) == 2 and module != name and not _EMBEDDING.search(module):
            modules[module] = (before[name], after[name])
            total += norm**2
        elif norm:
            left_out[name] = norm
    progress(len(before), len(before), "comparing")
    return _Change(modules, left_out, total)


def _weights(folder: Path) -> dict[str, StoredTensor]:
    """Parameters of a checkpoint; buffers of whole numbers are none."""
    found = list_tensors(sorted(folder.glob("*.safetensors")))
    if not found:
        raise BrokenTensors(folder.name, "it has no safetensors")
    return {name: tensor for name, tensor in found.items() if tensor.is_readable}


def _difference(before: StoredTensor, after: StoredTensor) -> FloatArray:
    with np.errstate(invalid="ignore", over="ignore"):  # whoever reads it looks whether it is finite
        return after.read() - before.read()


def _digest(base_hash: str) -> hashlib._Hash:
    return hashlib.sha256(json.dumps([FORMAT, base_hash]).encode())


def hashed(
    digest: hashlib._Hash, deltas: Iterable[tuple[str, FloatArray]]
) -> Iterator[tuple[str, FloatArray]]:
    """The deltas as they come, each made part of the digest."""
    for name, delta in deltas:
        digest.update(f"{name}{delta.shape}".encode())
        digest.update(np.ascontiguousarray(delta, dtype="<f4").data)
        yield name, delta


# ---- from disk


def is_dense(folder: Path) -> bool:
    """Whether the folder holds full deltas and not factors."""
    return (folder / _DELTA).is_file()


def notes_of(folder: Path) -> Mapping[str, Any]:
    """What the manifest in the folder says of how the vector was made; nothing where it cannot be read."""
    try:
        return dict(json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["meta"])
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def load_vector(folder: Path) -> Adapter | DenseVector:
    """The vector in a folder that `extract_checkpoint` or `Adapter.save` wrote. Its content is held against its hash.

    Raises BrokenAdapter when files are missing, damaged or changed.
    """
    if not is_dense(folder):
        return Adapter.load(folder)
    try:
        vector = _open(folder)
        digest = _digest(vector.base_hash)
        for _ in hashed(digest, ((name, vector.delta(name)) for name in vector.modules)):
            pass
    except (OSError, ValueError, KeyError, TypeError, BrokenTensors) as error:
        raise BrokenAdapter(folder, f"{type(error).__name__} while reading it") from error
    if digest.hexdigest() != vector.sha256:
        raise BrokenAdapter(folder, "its weights are not the ones that were written")
    return vector


def _open(folder: Path) -> DenseVector:
    notes = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    if notes["format"] != FORMAT:
        raise ValueError("a vector of another format")
    return DenseVector(
        folder, str(notes["base_hash"]), str(notes["sha256"]), list_tensors([folder / _DELTA]), notes["meta"]
    )
