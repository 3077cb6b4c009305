"""A LoRA adapter as llama.cpp reads it: one GGUF file of pairs `NAME.lora_a`, `NAME.lora_b` beside the base's tensors.

llama.cpp adds scale * alpha / rank * B A to the weight of that name, and scale * B A where alpha is 0. Bases whose
rotary embedding it turns in neighbouring pairs (llama and its kin) have the rows of q and k reordered in their GGUF;
the rows of B are reordered alike, and A is left as it is. Formats: ggml's docs/gguf.md and llama.cpp's adapter loader.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import numpy.typing as npt

from agents.errors import UnfitForGguf
from agents.runtime.adapter import Adapter

FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class _Kin:
    """llama.cpp's name of an architecture, and whether its q and k stand in the order of neighbouring pairs."""

    name: str
    is_paired: bool


_KINS = {  # transformers' model_type -> what llama.cpp's converter makes of it
    "llama": _Kin("llama", True),
    "mistral": _Kin("llama", True),
    "smollm3": _Kin("smollm3", True),
    "granite": _Kin("granite", True),
    "qwen2": _Kin("qwen2", False),
    "qwen3": _Kin("qwen3", False),
}


def write_gguf_adapter(path: Path, adapter: Adapter, config: Any) -> None:
    """Write the adapter for bases of this transformers `config`, in float32.

    Raises UnfitForGguf for an architecture or a module that this does not know how to write; then there is no file.
    """
    kin = _kin(config)
    tensors = _tensors(adapter, config, kin)
    writer = gguf.GGUFWriter(path, kin.name)
    writer.add_type(gguf.GGUFType.ADAPTER)
    writer.add_string(gguf.Keys.Adapter.TYPE, "lora")
    writer.add_float32(gguf.Keys.Adapter.LORA_ALPHA, float(adapter.alpha))
    writer.add_string("slowwave.base_sha256", adapter.base_hash)
    for tensor, values in tensors.items():
        writer.add_tensor(tensor, np.ascontiguousarray(values, dtype=np.float32))
    finish(writer)


def finish(writer: gguf.GGUFWriter) -> None:
    """Write what was added, and close the file."""
    try:
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
    finally:
        writer.close()


def _kin(config: Any) -> _Kin:
    kin = _KINS.get(config.model_type)
    if kin is None:
        raise UnfitForGguf(f"the base is of type {config.model_type}, known are {', '.join(_KINS)}")
    return kin


def _tensors(adapter: Adapter, config: Any, kin: _Kin) -> dict[str, FloatArray]:
    """Every factor under its name in the file, in the order of the modules' names."""
    architecture = next(key for key, name in gguf.MODEL_ARCH_NAMES.items() if name == kin.name)
    names = gguf.get_tensor_name_map(architecture, config.num_hidden_layers)
    tensors = {}
    for module in sorted(adapter.modules):
        target = names.get_name(f"{module}.weight", try_suffixes=(".weight",))
        if target is None or not target.startswith("blk."):
            raise UnfitForGguf(f"llama.cpp has no tensor for {module}")
        a, b = adapter.modules[module]
        if kin.is_paired and (heads := _heads(module, config)):
            b = in_pairs(b, heads)
        tensors[f"{target}.lora_a"], tensors[f"{target}.lora_b"] = a, b
    return tensors


def _heads(module: str, config: Any) -> int:
    """How many heads the rows of this module belong to, where they are turned by the rotary embedding; else 0."""
    if module.endswith(".q_proj"):
        return int(config.num_attention_heads)
    return int(config.num_key_value_heads) if module.endswith(".k_proj") else 0


def in_pairs(rows: FloatArray, heads: int) -> FloatArray:
    """Rows (heads * 2 * half, ...) from halves to neighbouring pairs: within a head, row i + half comes behind row i."""
    shape = rows.shape
    return rows.reshape(heads, 2, shape[0] // heads // 2, *shape[1:]).swapaxes(1, 2).reshape(shape)
