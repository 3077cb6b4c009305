"""What training changes in the embedded sentence encoder: two thin factors for a matrix, or a small tensor as a whole.

Heads ship these changes and not the encoder (LoRA, Hu et al. 2021, https://arxiv.org/abs/2106.09685): they fit one
encoder, and the hash beside them says which. Also how a head lies on disk: half-precision weights beside a JSON manifest
of the same name, which holds the hash of the weights. Letters of shapes: D width, R rank.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from agents.errors import BadHead
from memory.embedders.minilm import WEIGHTS, MiniLM
from memory.ports import FloatMatrix

Array = npt.NDArray[Any]
_A, _B, _WHOLE = "a/", "b/", "replaced/"


@dataclass(frozen=True, slots=True)
class Changes:
    """`lora` maps a linear layer's name to A (R, D_in) and B (D_out, R): its matrix becomes W + `scale` B A.
    `replaced` are small tensors of the encoder that were trained as a whole."""

    lora: Mapping[str, tuple[FloatMatrix, FloatMatrix]]
    replaced: Mapping[str, FloatMatrix]
    scale: float
    base_sha256: str  # of the encoder's weights

    @property
    def n_parameters(self) -> int:
        return sum(a.size + b.size for a, b in self.lora.values()) + sum(
            a.size for a in self.replaced.values()
        )

    def merged(self, tensors: Mapping[str, FloatMatrix]) -> dict[str, FloatMatrix]:
        """The encoder's tensors with the changes in them; the given ones stay as they are."""
        found = {**tensors, **self.replaced}
        for name, (a, b) in self.lora.items():
            found[f"{name}.weight"] = tensors[f"{name}.weight"] + np.float32(self.scale) * (b @ a)
        return found

    def named(self) -> dict[str, FloatMatrix]:
        """All of them under the names that they have in a file."""
        found = {f"{_WHOLE}{name}": matrix for name, matrix in self.replaced.items()}
        for name, (a, b) in self.lora.items():
            found |= {f"{_A}{name}": a, f"{_B}{name}": b}
        return found

    @classmethod
    def of_file(cls, tensors: Mapping[str, FloatMatrix], scale: float, base_sha256: str) -> Changes:
        """The reverse of `named`; other tensors are passed over."""
        return cls(
            lora={
                name.removeprefix(_A): (a, tensors[name.replace(_A, _B, 1)])
                for name, a in tensors.items()
                if name.startswith(_A)
            },
            replaced={name.removeprefix(_WHOLE): w for name, w in tensors.items() if name.startswith(_WHOLE)},
            scale=scale,
            base_sha256=base_sha256,
        )

    def require_fit(self, encoder: MiniLM, head: str, trainer: str) -> None:
        """Raises BadHead where the encoder is not the one that they were trained on."""
        if self.base_sha256 != sha256(encoder.folder / WEIGHTS):
            raise BadHead(head, f"it was trained on other weights than this {encoder.name}", trainer)


def save_head(path: Path, tensors: Mapping[str, Array], manifest: Mapping[str, Any]) -> None:
    """Floats become half-precision; the manifest gets the hash of what was written."""
    halved = {
        name: np.ascontiguousarray(array, np.float16 if array.dtype.kind == "f" else array.dtype)
        for name, array in tensors.items()
    }
    save_file(halved, path)
    told = {**manifest, "sha256": sha256(path)}
    path.with_suffix(".json").write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


def load_head(path: Path, form: str, trainer: str) -> tuple[dict[str, Array], dict[str, Any]]:
    """Weights in single precision, and the manifest. Raises BadHead where a file is missing or damaged, or the manifest
    tells of another file or form."""
    try:
        manifest = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        if sha256(path) != manifest["sha256"] or manifest["format"] != form:
            raise BadHead(path.name, "its manifest describes another file", trainer)
        tensors = load_file(path)
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as exc:
        raise BadHead(path.name, "a file is missing or damaged", trainer) from exc
    return {name: a.astype(np.float32) if a.dtype.kind == "f" else a for name, a in tensors.items()}, manifest


@dataclass(frozen=True, slots=True)
class HeadWeights:
    """What was learnt for one head: changes to the encoder, and the linear layer on top. A kind of head says in FORMAT what
    its file is called, in NAMES under which key the manifest lists what the layer tells apart, and in TRAINER who makes it."""

    FORMAT: ClassVar[str]
    NAMES: ClassVar[tuple[str, tuple[str, ...]]]
    TRAINER: ClassVar[str]

    changes: Changes
    out: FloatMatrix  # (features, outputs)
    bias: FloatMatrix  # (outputs,)
    manifest: Mapping[str, Any]

    @property
    def n_parameters(self) -> int:
        return self.changes.n_parameters + self.out.size + self.bias.size

    @classmethod
    def of_trained(
        cls,
        trained: Mapping[str, FloatMatrix],
        scale: float,
        base_sha256: str,
        manifest: Mapping[str, Any],
    ) -> Self:
        """From what a trainer learnt, under its names: NAME.a and NAME.b are the factors of a matrix, `out` and `bias`
        the layer on top, anything else a tensor of the encoder as a whole."""
        lora = {
            name.removesuffix(".a"): (matrix, trained[f"{name.removesuffix('.a')}.b"])
            for name, matrix in trained.items()
            if name.endswith(".a")
        }
        replaced = {name: matrix for name, matrix in trained.items() if not name.endswith((".a", ".b"))}
        out, bias = replaced.pop("out"), replaced.pop("bias")
        return cls(Changes(lora, replaced, scale, base_sha256), out, bias, manifest)

    def save(self, path: Path) -> None:
        """Half-precision weights beside a JSON manifest of the same name, which holds the hash of the weights."""
        key, names = self.NAMES
        described = {
            "format": self.FORMAT,
            key: list(names),
            "base_sha256": self.changes.base_sha256,
            "scale": self.changes.scale,
            "parameters": self.n_parameters,
            **self.manifest,
        }
        save_head(path, {"out": self.out, "bias": self.bias, **self.changes.named()}, described)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Raises BadHead where the file is missing, damaged, not the one its manifest names, or tells other things apart."""
        tensors, manifest = load_head(path, cls.FORMAT, cls.TRAINER)
        key, names = cls.NAMES
        own = ("format", key, "base_sha256", "scale", "parameters", "sha256")
        try:
            if tuple(manifest[key]) != names:
                raise BadHead(path.name, f"it knows other {key}", cls.TRAINER)
            return cls(
                changes=Changes.of_file(tensors, float(manifest["scale"]), manifest["base_sha256"]),
                out=tensors["out"],
                bias=tensors["bias"],
                manifest={name: value for name, value in manifest.items() if name not in own},
            )
        except (KeyError, ValueError) as exc:
            raise BadHead(path.name, "a file is missing or damaged", cls.TRAINER) from exc


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
