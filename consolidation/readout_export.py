"""A readout written for other engines: to be read by in vLLM's way, and to steer with in vLLM and llama.cpp.

Every direction is scaled to the mean length of the residual at its layer, so that a strength of 0.1 adds a tenth of
it. What is written was made from what people said; every folder says so. A folder is there whole or not at all.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from agents.runtime.spec import ModelFolder
from consolidation.errors import CannotExport
from consolidation.export import whole_folder
from consolidation.readouts import MANIFEST_FILE, VECTORS_FILE, Readout, write_readout
from memory.ports import FloatMatrix

FORMATS = ("vllm", "gguf")
STEERING = "hotwire"  # folder of the matrices that the plugin hotwire-vllm reads
NORMS_FILE = "h_norms.json"


_Written = tuple[dict[str, str], tuple[int, ...], tuple[int, ...]]  # as the last three of ReadoutExport


@dataclass(frozen=True, slots=True)
class ReadoutExport:
    """What was written. `files`: concept -> its file to steer with; `left_out`: layers that the format has no place for."""

    format: str
    folder: Path
    sha256: str  # of the readout
    files: dict[str, str]
    layers: tuple[int, ...]
    left_out: tuple[int, ...] = ()


def export_readout(
    readout: Readout, base: ModelFolder, folder: Path, format_: str, concepts: Sequence[str] = ()
) -> ReadoutExport:
    """Write these concepts (all, where none is named) into `folder`, for the model in `base`.

    Raises BrokenReadout with both hashes for a readout of another model, CannotExport, ExportExists.
    """
    readout.check_model(base.base_hash)
    chosen = _chosen(readout, concepts)
    config = json.loads((base.path / "config.json").read_text(encoding="utf-8"))
    with whole_folder(folder) as part:
        sha256 = _write_files(readout, part)
        write = _write_gguf if format_ == "gguf" else _write_vllm
        written = write(readout, chosen, part, config)
        export = ReadoutExport(format_, folder, sha256, *written)
        (part / "README.md").write_text(_readme(export, readout), encoding="utf-8")
    return export


def scaled(readout: Readout, concept: str) -> dict[int, FloatMatrix]:
    """Per layer the concept's direction to steer by (D,), as long as the mean residual there."""
    manifest, k = readout.manifest, readout.manifest.concepts.index(concept)
    norms = dict(zip(manifest.layers, manifest.mean_residual_norm, strict=True))
    vectors = readout.to_steer()
    return {layer: np.asarray(vectors[layer][k] * norms[layer], np.float32) for layer in manifest.layers}


def _chosen(readout: Readout, concepts: Sequence[str]) -> tuple[str, ...]:
    known = readout.manifest.concepts
    wrong = [concept for concept in concepts if concept not in known]
    if wrong:
        raise CannotExport(f"the readout has no {wrong[0]}; it has {', '.join(known)}")
    return tuple(dict.fromkeys(concepts)) or known


def _write_files(readout: Readout, part: Path) -> str:
    """Vectors and manifest as slowwave and vLLM's readout manager read them; the sha256 over both."""
    made, sha256 = write_readout(readout, part)
    for path in made.iterdir():
        path.rename(part / path.name)
    made.rmdir()
    return sha256


def _write_gguf(readout: Readout, concepts: Sequence[str], part: Path, config: dict[str, Any]) -> _Written:
    from agents.runtime.gguf_vectors import write_control_vector

    layers = tuple(layer for layer in readout.manifest.layers if layer > 0)
    if not layers:
        raise CannotExport(
            "llama.cpp steers from layer 1 on, and the readout has layer 0 alone; train one at a later layer"
        )
    files = _names(concepts, ".gguf")
    for concept, name in files.items():
        directions = {layer: vector for layer, vector in scaled(readout, concept).items() if layer in layers}
        notes = {"concept": concept, "base_sha256": readout.manifest.model_hash}
        write_control_vector(part / name, directions, model_type=str(config["model_type"]), notes=notes)
    return files, layers, tuple(set(readout.manifest.layers) - set(layers))


def _write_vllm(readout: Readout, concepts: Sequence[str], part: Path, config: dict[str, Any]) -> _Written:
    """hotwire-vllm reads a matrix (n_layers, hidden) per concept, as torch saves tensors; nothing here reads one."""
    import torch

    manifest = readout.manifest
    text = config.get("text_config", config)
    (part / STEERING).mkdir()
    files = {concept: f"{STEERING}/{name}" for concept, name in _names(concepts, ".pt").items()}
    for concept, name in files.items():
        vectors = scaled(readout, concept)
        matrix = torch.zeros(int(text["num_hidden_layers"]), len(next(iter(vectors.values()))))
        for layer, vector in vectors.items():
            matrix[layer] = torch.from_numpy(vector)
        torch.save(matrix, part / name)
    norms = dict(zip(map(str, manifest.layers), manifest.mean_residual_norm, strict=True))
    (part / NORMS_FILE).write_text(json.dumps(norms), encoding="utf-8")
    return files, manifest.layers, ()


def _names(concepts: Sequence[str], suffix: str) -> dict[str, str]:
    """A file's name for each concept, without what a path cannot hold; no two are alike on any file system."""
    found: dict[str, str] = {}
    for concept in concepts:
        plain = re.sub(r"[^\w-]+", "_", concept).strip("_") or "concept"
        name, number = plain, 2
        while name.casefold() in {other.casefold() for other in found.values()}:
            name, number = f"{plain}_{number}", number + 1
        found[concept] = name
    return {concept: f"{name}{suffix}" for concept, name in found.items()}


_TITLE = """# Directions of a readout

**Private.** These directions were made from what people said to each other. `slowwave forget` does not reach this
folder: after an erasure, delete it and export anew.

Every direction is as long as the mean residual of its layer: a strength of 0.1 adds a tenth of it. Begin there;
`slowwave steer try` finds how much keeps fluency. The layer index i is the residual after block i, counted from 0.
"""

_VLLM = f"""
## Reading

`{VECTORS_FILE}` has a tensor `layer_<i>.vectors` (concepts, hidden) of unit rows per hooked layer, `{MANIFEST_FILE}` names
concepts and layers. A readout manager finds them by

    VLLM_READOUT_VECTORS=THIS/{VECTORS_FILE} VLLM_READOUT_MANIFEST=THIS/{MANIFEST_FILE}

and slowwave reads the same variables, and those that begin with SLOWWAVE_ before them.

## Steering

The plugin hotwire-vllm reads the folder `{STEERING}`; rows of layers without a direction are zero, so name one of those below.

    HOTWIRE_VECTORS=THIS/{STEERING} HOTWIRE_H_NORMS=THIS/{NORMS_FILE} vllm serve MODEL
    "vllm_xargs": {{"hotwire": "{{\\"id\\": \\"ID\\", \\"layer\\": LAYER, \\"scale\\": 0.1}}"}}

ID is a file's name without `.pt`.
"""

_GGUF = """
## Steering

    llama-server -m MODEL.gguf --control-vector-scaled THIS/FILE:0.1

adds it at every layer below; `--control-vector-layer-range LAYER LAYER` at one alone.
"""


def _readme(export: ReadoutExport, readout: Readout) -> str:
    manifest = readout.manifest
    left = f", left out {', '.join(map(str, export.left_out))}" if export.left_out else ""
    made = [
        "\n## What is in it\n",
        f"- readout {export.sha256}",
        f"- model {manifest.model_hash}, layers {', '.join(map(str, export.layers))}{left}",
        f"- weights: {'the recipe that served; `slowwave recipe export` writes them' if manifest.recipe else 'the plain base'}",
        *(f"- {concept}: `{name}`" for concept, name in export.files.items()),
        "",
    ]
    return _TITLE + (_VLLM if export.format == "vllm" else _GGUF) + "\n".join(made)
