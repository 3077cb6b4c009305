"""A direction as llama.cpp reads it: a GGUF file with one tensor `direction.N` (D,) in float32 for block N.

llama.cpp adds strength * direction.N to the residual after block N, counted from 0. Block 0 has no place in its format:
the loader counts from 1 (ggml's docs/gguf.md; `common_control_vector_load` and `llama_set_adapter_cvec`).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import gguf
import numpy as np
import numpy.typing as npt

from agents.runtime.gguf_adapter import finish

FloatArray = npt.NDArray[np.float32]
ARCHITECTURE = "controlvector"


def write_control_vector(
    path: Path, vectors: Mapping[int, FloatArray], *, model_type: str, notes: Mapping[str, str]
) -> None:
    """Write `vectors[layer]` (D,); the loader reads no other key, `notes` are for people.

    Raises ValueError for layer 0, or no layer at all.
    """
    if not vectors or min(vectors) < 1:
        raise ValueError("a control vector needs a direction after block 1 or later, and none after block 0")
    writer = gguf.GGUFWriter(path, ARCHITECTURE)
    writer.add_string(f"{ARCHITECTURE}.model_hint", model_type)
    writer.add_uint32(f"{ARCHITECTURE}.layer_count", len(vectors))
    for key, value in notes.items():
        writer.add_string(f"slowwave.{key}", value)
    for layer in sorted(vectors):
        writer.add_tensor(f"direction.{layer}", np.ascontiguousarray(vectors[layer], dtype=np.float32))
    finish(writer)
