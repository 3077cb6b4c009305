"""A LoRA adapter on one base: its two factors per module, its exact delta, and peft's file format.

delta(module) = alpha / rank * B @ A, in float32 (Hu et al. 2021, arXiv:2106.09685, eq. 3). Merging elsewhere works
on this product; factors of different adapters are never added to each other. No torch in here.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from agents.errors import BrokenAdapter
from memory.whole import whole_folder

FloatArray = npt.NDArray[np.float32]
PREFIX = "base_model.model."
NOTES = "slowwave.json"


@dataclass(frozen=True)
class Adapter:
    """`modules`: full module name -> (A of shape (rank, in), B of shape (out, rank)), float32."""

    base_hash: str
    rank: int
    alpha: float
    modules: Mapping[str, tuple[FloatArray, FloatArray]]
    meta: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def sha256(self) -> str:
        """Hash of base, scale and factors; the notes in `meta` are not part of the identity."""
        digest = hashlib.sha256(json.dumps([self.base_hash, self.rank, float(self.alpha)]).encode())
        for name in sorted(self.modules):
            for factor in self.modules[name]:
                digest.update(f"{name}{factor.shape}".encode())
                digest.update(np.ascontiguousarray(factor, dtype="<f4").tobytes())
        return digest.hexdigest()

    def delta(self, module: str) -> FloatArray:
        """What the adapter adds to the module's weight, shape (out, in); zeros-free modules only."""
        a, b = self.modules[module]
        return np.asarray(np.float32(self.alpha / self.rank) * (b @ a), dtype=np.float32)

    def save(self, folder: Path) -> None:
        """Write `folder` as peft writes it, plus our notes; whole or not at all. An existing folder is replaced."""
        with whole_folder(folder, replaces=True) as part:
            self.write(part)

    def write(self, folder: Path) -> None:
        """The files alone, into a folder that is there."""
        tensors = {
            f"{PREFIX}{name}.lora_{letter}.weight": np.ascontiguousarray(factor, dtype=np.float32)
            for name, factors in self.modules.items()
            for letter, factor in zip("AB", factors, strict=True)
        }
        save_file(tensors, folder / "adapter_model.safetensors", metadata={"format": "pt"})
        (folder / "adapter_config.json").write_text(
            json.dumps(self._peft_config(), indent=2), encoding="utf-8"
        )
        notes = {"base_hash": self.base_hash, "sha256": self.sha256, "meta": dict(self.meta)}
        (folder / NOTES).write_text(json.dumps(notes, indent=2), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Adapter:
        """Read what `save` or peft wrote. Raises BrokenAdapter when files are missing, damaged or changed."""
        try:
            config = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
            tensors = load_file(folder / "adapter_model.safetensors")
            notes_file = folder / NOTES
            notes = json.loads(notes_file.read_text(encoding="utf-8")) if notes_file.is_file() else {}
            adapter = cls(
                base_hash=notes.get("base_hash", ""),
                rank=int(config["r"]),
                alpha=float(config["lora_alpha"]),
                modules=_pair(tensors),
                meta=notes.get("meta", {}),
            )
        except (OSError, ValueError, KeyError, SafetensorError) as error:
            raise BrokenAdapter(folder, f"{type(error).__name__} while reading it") from error
        if notes and notes.get("sha256") != adapter.sha256:
            raise BrokenAdapter(folder, "its weights are not the ones that were written")
        return adapter

    def _peft_config(self) -> dict[str, Any]:
        return {
            "peft_type": "LORA",
            "task_type": "CAUSAL_LM",
            "base_model_name_or_path": None,
            "inference_mode": True,
            "r": self.rank,
            "lora_alpha": self.alpha,
            "lora_dropout": 0.0,
            "bias": "none",
            "fan_in_fan_out": False,
            "use_rslora": False,
            "use_dora": False,
            "target_modules": sorted(self.modules),
        }


def _pair(tensors: Mapping[str, FloatArray]) -> dict[str, tuple[FloatArray, FloatArray]]:
    suffix = ".lora_A.weight"
    names = sorted(key.removeprefix(PREFIX).removesuffix(suffix) for key in tensors if key.endswith(suffix))
    return {
        name: (
            tensors[f"{PREFIX}{name}.lora_A.weight"].astype(np.float32),
            tensors[f"{PREFIX}{name}.lora_B.weight"].astype(np.float32),
        )
        for name in names
    }
